"""No result, spike or clock depends on memory that nobody wrote, nor on what a collision reads."""

from dataclasses import replace

import pytest
from core_graphs import random_graph, recurrent
from cores import ROUGH, Core, core, image_core, joined, needs
from unknown import Stored, memories_of, unknown

from qsnn_compile.lower.mapping import Mode, map_graph
from qsnn_compile.lower.program import Program, digest
from qsnn_compile.passes import pipeline, run_passes
from qsnn_hw.machine.memories import inventory
from qsnn_sim.measure.verify import build_core, run_plans
from qsnn_sim.rtl.plan import Traffic

ONE, TWO = {"lanes": 16, "units": 1}, {"lanes": 16, "units": 2, "banks": 2}
PAIRS = {"lanes": 16, "units": 2, "columns": 2, "batch": True}
KINDS = ["columns", "second states", "step by step", "weights in block RAM"]
POOLED = {5: "a_", 4: "b_"}           # with spikes that are joined by OR: by layers, by steps
WRITTEN = {"list", "values", "copy", "ram", "membranes", "synapses", "pool", "sent", "totals"}


def late(steps, sizes):
    """Spikes in and potentials out, whose steps leave columns of a line empty."""
    graphs = (random_graph(seed, 1, 4, sizes) for seed in range(100))
    graph = next(one for one in graphs
                 if (one.input.coding, one.readout.kind) == ("spikes", "potential"))
    return replace(graph, steps=steps)


def leading(graph, shape, mode, prefix):
    legal = run_passes(graph, pipeline(mode.stream))
    machine, image = map_graph(legal, mode=mode, **shape)
    return Core(legal, Program(machine, image, legal.input, "ice40", "icebreaker", 30.0), prefix)


def in_block_ram(one):
    """Core *one* with its weights there."""
    machine = one.program.machine.with_parameters(weight_memory="ebr")
    machine = replace(machine, digest=digest(machine, one.program.image))
    return replace(one, program=replace(one.program, machine=machine))


def cores(kind):
    """Some that differ in order, banks, columns and what their memories hold."""
    if kind == "columns":
        return [core(late(5, (20, 17, 4)), prefix="a_", banks=2),
                core(late(3, (18, 5)), prefix="b_", units=1, columns=4),
                core(late(3, (20, 17, 4)), prefix="c_", columns=2)]
    if kind == "second states":
        return [image_core(17, PAIRS, "a_", states=True), image_core(36, ONE, "b_", states=True)]
    if kind == "weights in block RAM":
        return [in_block_ram(image_core(seed, TWO, prefix)) for seed, prefix in POOLED.items()]
    return [core(recurrent(0), 16, 2, "a_", banks=8),
            leading(random_graph(36), ONE, Mode(margin=47), "b_"),
            leading(random_graph(31), TWO, Mode(True, 1000), "c_")]


def kind_of(memory):
    """What the inventory promises of a memory."""
    if memory.single_port:
        return "single port"
    return "read-only" if memory.read_only else "unknown"


def listed(one):
    """The inventory of a core, as its Verilog must be; what never changes is no memory."""
    memories = inventory(one.program.machine, one.program.image)
    return {name: Stored(memory.width, memory.depth, kind_of(memory))
            for name, memory in memories.items() if memory.width}


def test_every_memory_has_a_reason():
    memories = [memory for kind in KINDS for one in cores(kind)
                for memory in inventory(one.program.machine, one.program.image).values()]
    assert all(memory.no_collision for memory in memories)
    assert {memory.own_name.rstrip("0123456789_") for memory in memories
            if not (memory.read_only or memory.single_port)} == WRITTEN


@pytest.mark.parametrize("kind", KINDS)
def test_unknown_memories_change_nothing(kind, tmp_path):
    needs("icarus")
    several = cores(kind)
    plain = joined(several)
    for number, one in enumerate(several):
        assert memories_of(plain, number) == listed(one), "the inventory is another"
    text = unknown(plain)
    built = build_core({"cores.v": text}, tmp_path, simulator="icarus", toplevel="cores")
    plans = [one.plan(2, Traffic(**ROUGH | {"resets": 1}, seed=1), 1) for one in several]
    assert [verdict.first for verdict in run_plans(built, plans)] == [None] * len(plans)
