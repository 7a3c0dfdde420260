"""No result, spike or clock depends on memory that nobody wrote, nor on what a collision reads."""

import re
from dataclasses import replace

import pytest
from core_graphs import random_graph, recurrent
from cores import ROUGH, Core, core, image_core, joined, needs
from unknown import unknown

from qsnn_compile.lower.mapping import Mode, map_graph
from qsnn_compile.lower.program import Program
from qsnn_compile.passes import pipeline, run_passes
from qsnn_sim.measure.verify import build_core, run_plans
from qsnn_sim.rtl.plan import Traffic

ONE, TWO = {"lanes": 16, "units": 1}, {"lanes": 16, "units": 2, "banks": 2}
INITIALISED = re.compile(r"initial begin\n +(\w+)\[")
PAIRS = {"lanes": 16, "units": 2, "columns": 2, "batch": True}


def late(steps, sizes):
    """Spikes in and potentials out, whose steps leave columns of a line empty."""
    found = (random_graph(seed, 1, 4, sizes) for seed in range(100))
    graph = next(one for one in found
                 if (one.input.coding, one.readout.kind) == ("spikes", "potential"))
    return replace(graph, steps=steps)


def leading(graph, shape, mode, prefix):
    legal = run_passes(graph, pipeline(mode.stream))
    machine, image = map_graph(legal, mode=mode, **shape)
    return Core(legal, Program(machine, image, legal.input, "ice40", "icebreaker", 30.0), prefix)


def cores(kind):
    """Some that differ in order, banks, columns and what their memories hold."""
    if kind == "columns":
        return [core(late(5, (20, 17, 4)), prefix="a_", banks=2),
                core(late(3, (18, 5)), prefix="b_", units=1, columns=4),
                core(late(3, (20, 17, 4)), prefix="c_", columns=2)]
    if kind == "second states":
        return [image_core(17, PAIRS, "a_", states=True), image_core(36, ONE, "b_", states=True)]
    return [core(recurrent(0), 16, 2, "a_", banks=8),
            leading(random_graph(36), ONE, Mode(margin=47), "b_"),
            leading(random_graph(31), TWO, Mode(True, 1000), "c_")]


@pytest.mark.parametrize("kind", ["columns", "second states", "step by step"])
def test_unknown_memories_change_nothing(kind, tmp_path):
    needs("icarus")
    several = cores(kind)
    text = unknown(joined(several))
    assert all(name.startswith("memory") for name in INITIALISED.findall(text)), "not read-only"
    built = build_core({"cores.v": text}, tmp_path, simulator="icarus", toplevel="cores")
    plans = [one.plan(2, Traffic(**ROUGH | {"resets": 1}, seed=1), 1) for one in several]
    assert [verdict.first for verdict in run_plans(built, plans)] == [None] * len(plans)
