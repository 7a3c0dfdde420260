"""Streams and windows that end early, in Verilator, under all traffic."""

from core_graphs import random_graph
from cores import CALM, ROUGH, Core, joined, needs
from image_graphs import image_graph
from states import with_states

from qsnn_compile.lower.mapping import Mode, map_graph
from qsnn_compile.lower.program import Program
from qsnn_compile.passes import pipeline, run_passes
from qsnn_sim.measure.verify import build_core, run_plans
from qsnn_sim.rtl.plan import Traffic

ONE, TWO = {"lanes": 16, "units": 1}, {"lanes": 16, "units": 2, "banks": 2}
CASES = [(random_graph(31), TWO, Mode(True, 1000)), (image_graph(44), ONE, Mode(True)),
         (with_states(random_graph(31), 31), ONE, Mode(True)),
         (random_graph(36), ONE, Mode(margin=47)), (image_graph(1), TWO, Mode(margin=700))]


def core(graph, shape, mode, prefix):
    legal = run_passes(graph, pipeline(mode.stream))
    machine, image = map_graph(legal, mode=mode, **shape)
    return Core(legal, Program(machine, image, legal.input, "ice40", "icebreaker", 30.0), prefix)


def test_steps_restarts_and_early_ends(tmp_path):
    needs("verilator")
    cores = [core(*case, f"k{n}_") for n, case in enumerate(CASES)]
    plans = [one.plan(5, traffic, seed) for seed, one in enumerate(cores)
             for traffic in (CALM, Traffic(**ROUGH, seed=seed))]
    built = build_core({"cores.v": joined(cores)}, tmp_path, toplevel="cores")
    verdicts = run_plans(built, plans)
    assert [verdict.first for verdict in verdicts] == [None] * len(plans)
    assert all(verdict.equal and verdict.samples for verdict in verdicts)
    assert {int(end) for plan in plans for end in plan.ends} >= {0, 1, 3}
