"""The walker beside nested loops: what it reads and hands over, and when it may."""

import random

import pytest
from benches import Pins, simulate
from core_graphs import random_graph
from image_graphs import image_graph
from naive_walk import Walk, written

from qsnn_compile.lower.mapping import map_graph
from qsnn_compile.passes import PASSES, run_passes
from qsnn_hw.core.walker import Walker
from qsnn_hw.machine import schedule
from qsnn_hw.machine.memories import inventory, within

PATIENCE = 300
MAKERS = {"dense": random_graph, "images": image_graph}


def mapped(kind, seed, **shape):
    return map_graph(run_passes(MAKERS[kind](seed), PASSES), **shape)[0]


class Bench:
    """Plays reader, memories and the other banks around a walker."""

    def __init__(self, machine, bank, seed, eager=False):
        self.machine, self.bank, self.eager = machine, bank, eager
        self.rng, memories = random.Random(seed), within(inventory(machine), f"bank{bank}.walker")
        self.dut = Walker(machine.timing, memories)
        self.visible = written(machine)
        self.accepted = []                  # clocks, of the last sample

    def chance(self, odds):
        return int(self.eager or self.rng.random() < odds)

    def inputs(self, count, started, done, progress):
        """What the walker sees in a clock."""
        progress += 0 if done == progress else self.rng.randint(0, done - progress)
        progress = done if self.eager else progress
        bits = len(self.dut.progress)
        return {"requests.ready": self.chance(0.7), "job_free": self.chance(0.6),
                "input_ready": int(started), "list_count": count if started else 0,
                "progress": progress & (1 << bits) - 1}, progress

    async def sample(self, ctx, pins, number):
        count = min(self.rng.choice([0, 1, 2, 5]), self.machine.layout.value_words)
        reads = list(Walk(self.machine, self.bank, count).reads())
        at = done = progress = clock = since = 0
        started, self.accepted = self.eager, []
        await self.begin(ctx, pins)
        while at < len(reads):
            started = started or self.rng.random() < 0.2
            given, progress = self.inputs(count, started, done, progress)
            pins.apply(given)
            if pins.get("requests.valid"):
                where = f"sample {number}, word {at} of {len(reads)}"
                self.check_word(pins, reads[at], given, progress, where)
                if given["requests.ready"]:
                    done += reads[at].ended.rounds if reads[at].ended else 0
                    self.accepted.append(clock)
                    at, since = at + 1, clock
            else:
                assert not pins.get("jobs.valid"), f"sample {number}, word {at}: a job without one"
            assert not pins.get("idle"), f"sample {number}: idle before word {at} of {len(reads)}"
            assert clock - since < PATIENCE, f"sample {number}: word {at} never comes"
            await ctx.tick()
            clock += 1
        await ctx.tick()
        idle = pins.get("idle") and not pins.get("requests.valid")
        assert idle, f"sample {number}: not idle at its end"

    async def begin(self, ctx, pins):
        await ctx.tick().repeat(1 + self.rng.choice([0, 3]))
        assert pins.get("idle") and not pins.get("requests.valid")
        pins.apply({"begin": 1, "progress": 0})
        await ctx.tick()
        pins.apply({"begin": 0})

    def check_word(self, pins, read, given, progress, where):
        """The request, whether it may be made, and the job of the pass that it ends."""
        for name, value in read.request.items():
            have = pins.get(f"requests.payload.{name}")
            assert value is None or have == value, f"{where}: {name} must be {value}, not {have}"
        assert given["input_ready"], f"{where}: before the input is there"
        if read.spikes and read.spikes[0] >= 0:
            layer, place, index, steps = read.spikes
            for step in steps:
                rounds = self.visible[layer, place, index, step]
                assert progress >= rounds, f"{where}: in round {progress}, written in {rounds}"
        ends = read.ended is not None
        assert given["job_free"] or not ends, f"{where}: job handed over before it can"
        handed = pins.get("jobs.valid")
        assert handed == (ends and given["requests.ready"]), f"{where}: jobs.valid is {handed}"
        for name, value in read.ended.job.items() if handed else ():
            have = pins.get(f"jobs.payload.{name}")
            assert value is None or have == value, f"{where}: job.{name} {have}, not {value}"

    def run(self, samples):
        async def testbench(ctx, rst):
            pins = Pins(ctx, self.dut)
            for number in range(samples):
                await self.sample(ctx, pins, number)

        simulate(self.dut, testbench)


WIDE, COLUMNS = {"lanes": 32, "units": 4}, {"lanes": 16, "units": 2, "columns": 2}
TWO, FOUR = {"lanes": 16, "units": 2, "banks": 2}, {"lanes": 16, "units": 1, "banks": 4}
PAIRS = COLUMNS | {"batch": True}
STEPWISE = {"lanes": 16, "units": 1, "banks": 2, "stepwise": True}
CASES = [
    ("dense", 0, COLUMNS), ("dense", 34, FOUR), ("dense", 48, FOUR), ("dense", 49, STEPWISE),
    ("dense", 54, STEPWISE), ("images", 2, COLUMNS), ("images", 9, WIDE), ("images", 24, TWO),
    ("images", 25, WIDE), ("images", 27, TWO), ("images", 30, TWO), ("images", 35, COLUMNS),
    ("images", 36, STEPWISE), ("images", 38, TWO), ("dense", 2, PAIRS), ("dense", 32, PAIRS),
    ("images", 36, PAIRS)]


@pytest.mark.parametrize("kind,seed,shape", CASES)
def test_words_and_jobs_are_those_of_the_loops(kind, seed, shape):
    machine = mapped(kind, seed, **shape)
    for bank in {0, machine.parameters.banks - 1}:
        Bench(machine, bank, seed).run(samples=2)


@pytest.mark.parametrize("kind,seed,shape", CASES)
def test_a_word_a_clock_and_one_clock_between_items(kind, seed, shape):
    machine = mapped(kind, seed, **shape)
    bench = Bench(machine, machine.parameters.banks - 1, seed, eager=True)
    bench.run(samples=1)
    turns = machine.parameters.steps if machine.parameters.order == "step" else 1
    between = turns * len(schedule.items(machine.layout, bench.bank)) - 1
    assert bench.accepted[-1] - bench.accepted[0] == len(bench.accepted) - 1 + between
