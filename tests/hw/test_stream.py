"""Streams and windows that end early: the whole core beside golden and cycle model."""

import pytest
from core_bench import Bench
from core_graphs import random_graph
from image_graphs import image_graph
from states import stateful

from qsnn_compile.lower.mapping import Mode

ONE, FAST = {"lanes": 16, "units": 1}, {"lanes": 16, "units": 4}
TWO, FOUR = {"lanes": 16, "units": 2, "banks": 2}, {"lanes": 16, "units": 1, "banks": 4}
MAKERS = {"dense": random_graph, "images": image_graph,
          "dense states": stateful(random_graph), "images states": stateful(image_graph)}
STREAMS = [
    ("dense", 1, FAST, None), ("dense", 14, ONE, 200), ("dense", 23, TWO, 1),
    ("dense", 25, FAST, 5), ("dense", 31, TWO, 1000), ("dense", 36, FOUR, None),
    ("images", 1, ONE, 700), ("images", 12, FAST, 1), ("images", 52, TWO, 1),
    ("images", 44, FAST, None), ("dense states", 31, TWO, None), ("images states", 13, ONE, 10)]
EXITS = [
    ("dense", 14, ONE, 200), ("dense", 23, TWO, 1), ("dense", 25, FAST, 5),
    ("dense", 31, TWO, 1000), ("dense", 36, FOUR, 47), ("dense", 58, ONE, 3),
    ("images", 1, ONE, 700), ("images", 32, FAST, 1500), ("images", 39, TWO, 3),
    ("images", 54, FOUR, 1200), ("images states", 10, TWO, 300)]


def bench(kind, seed, shape, mode, **given):
    return Bench(MAKERS[kind](seed), shape, seed=seed, mode=mode, **given)


def check(run):
    async def testbench(ctx):
        await run.load(ctx)
        await run.check(ctx)

    run.run(testbench)


@pytest.mark.parametrize("kind,seed,shape,margin", STREAMS)
def test_stream_answers_every_step(kind, seed, shape, margin):
    """Two samples' steps in a row, a restart, and one more's."""
    check(bench(kind, seed, shape, Mode(True, margin), samples=3))


@pytest.mark.parametrize("kind,seed,shape,margin", EXITS)
def test_window_ends_when_it_is_settled(kind, seed, shape, margin):
    check(bench(kind, seed, shape, Mode(margin=margin), samples=3))


@pytest.mark.parametrize("kind,seed,shape,mode", [
    ("dense", 23, TWO, Mode(True, 1)), ("images", 44, ONE, Mode(True)),
    ("dense", 36, ONE, Mode(margin=47)), ("images", 12, FAST, Mode(margin=1))])
def test_streams_of_beats_may_be_slow(kind, seed, shape, mode):
    check(bench(kind, seed, shape, mode, samples=2, gaps=9, stall=60))


def test_windows_end_at_different_steps():
    """The cases above are of early and of late ends, and of none."""
    runs = [bench(*case, Mode(margin=margin), samples=3) for *case, margin in EXITS]
    assert {int(end) for run in runs for end in run.plan.ends} == {0, 1, 2, 3}
    assert {int(done) for run in runs for done in run.plan.settled} == {0, 1}


def test_a_restart_forgets():
    """Without one, a step's answer is another than that of a first step."""
    run = bench("dense", 31, ONE, Mode(True), samples=2)
    steps = range(len(run.plan.x))

    async def testbench(ctx):
        await run.load(ctx)
        await run.check(ctx)
        await run.check(ctx)                        # restarted: the same again
        run.plan.firsts[0] = 0
        again = [(await run.sample(ctx, number))[1].answer for number in steps]
        assert again != [run.plan._answer(number) for number in steps]

    run.run(testbench)


def test_reset_in_the_middle_of_a_stream_begins_it_again():
    run = bench("dense", 31, TWO, Mode(True, 1), samples=2)

    async def testbench(ctx):
        await run.load(ctx)
        await run.check(ctx, [0, 1])
        await run.send(ctx, 2)
        await run.tick(ctx, 5)
        await run.restart(ctx)
        await run.load(ctx)
        run.plan.firsts[0] = 0                      # no restart but the reset
        await run.check(ctx)

    run.run(testbench)
