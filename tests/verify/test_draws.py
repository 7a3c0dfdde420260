"""The RTL of networks and machines drawn from all that a search can choose, beside the models."""

import draws
import pytest
from core_graphs import random_graph
from cores import CALM, Core, core, needs

from qsnn_compile.lower.program import Program
from qsnn_sim.measure.verify import build_core, run_plans
from qsnn_sim.rtl.plan import Traffic

SLOW = Traffic(idle=0.6, stall=0.5)
QUICK = 1200                # clocks
SEEDS = (112, 30, 54, 117, 71, 6, 31, 14, 97, 129)
FEATURES = {
    "direct", "spikes", "count", "potential", "order layer", "order step", "block", "auto",
    "input of list", "input of spikes", "input of values", "weights in spram", "weights in ebr",
    "banks 1", "banks 2", "banks 4", "banks 8", "units 1", "units 2", "units 4", "columns 1",
    "columns 2", "columns 4", "1 planes", "2 planes", "4 planes", "8 planes", "pooling none",
    "pooling max", "pooling or", "stream", "exits", "two steps a pass", "one step", "many steps",
    "one beat", "joined banks", "steps beyond columns", "second states", "wide banks",
    "several groups", "fewer channels than lanes", "recurrence", "several places",
    "banks without work", "banks without work at a list", "banks without work at planes of a list"}


def check(one, place):
    """Spikes, answers and clocks are the models', for beats one a clock and for beats with gaps."""
    built = build_core({"core.v": one.verilog()}, place, simulator="icarus")
    verdicts = run_plans(built, [one.plan(draws.SAMPLES, traffic) for traffic in (CALM, SLOW)])
    assert [verdict.first for verdict in verdicts] == [None, None]
    assert all(verdict.equal and verdict.samples for verdict in verdicts)


def drawn(seed, clocks=2000):
    """The draw of *seed* as a core."""
    one = draws.draw(seed, clocks)
    return Core(one.graph, Program(one.machine, one.image, one.graph.input, "ice40", "icebreaker",
                                   30.0))


@pytest.mark.parametrize("seed", SEEDS)
def test_the_rtl_does_what_the_models_say(seed, tmp_path):
    needs("icarus")
    check(drawn(seed, QUICK), tmp_path)


def test_the_draws_have_every_feature():
    given = [draws.features(draws.draw(seed, QUICK).machine) for seed in SEEDS]
    assert set().union(*given) >= FEATURES


@pytest.mark.parametrize("banks", [2, 4])
def test_a_bank_without_work_drops_the_pixels(banks, tmp_path):
    """Two channels of 4-bit weights on several banks of 16 lanes: all but one have nothing to do
    with a list of 31 pixels, and are done with it sooner."""
    needs("icarus")
    check(core(random_graph(11, weight_bits=4, sizes=(31, 2, 2)), 16, 1, banks=banks), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1000, 1100))
def test_sweep(seed, tmp_path):
    needs("icarus")
    check(drawn(seed), tmp_path)
