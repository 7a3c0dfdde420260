"""Pads, lanes and slots without a neuron, never fire: beside the IR's equation."""

import random

import pytest
from core_graphs import random_graph
from states import with_states

from qsnn_compile.ir import Dense, Graph, Input, Neuron, Node, Readout, ints
from qsnn_compile.lower.mapping import Mode, machine_of, prepare, spare
from qsnn_compile.lower.parameter_fields import stored_limits
from qsnn_compile.passes import pipeline, run_passes


def first_spike(machine, pad, steps, rng=None):
    """The step in which a pad fires, None if it never does: ``rng`` draws currents of 0 and less.
    """
    u, half = pad["initial"], 1 << pad["bits"] - 1
    for step in range(steps):
        current = rng.choice((0, 0, -1, -9)) if rng else 0
        leak = (u * pad["decay"] << pad["leak_shift"]) >> machine.arithmetic.decay_shift
        v = leak + (current << pad["gain_shift"]) + pad["bias"]
        if v >= pad["threshold"]:
            return step
        rounded = (v + (1 << pad["step_shift"] >> 1)) >> pad["step_shift"]
        low = max(pad["lowest"], -half) if machine.arithmetic.clamps else -half
        u = min(max(rounded, low), half - 1)
    return None


def pads(graph, mode):
    """Machine and pad of *graph* on 16 lanes, where there are pads and neurons."""
    legal = run_passes(graph, pipeline(mode.stream))
    machine, (pad, _) = machine_of(prepare(legal, mode=mode), 1, 16, 2)
    firing = [index for index, layer in enumerate(machine.parameters.layers) if layer.fires]
    return (machine, pad) if any(spare(machine.layout, index) for index in firing) else None


def test_pads_of_random_networks_never_fire():
    fired, seen = [], 0
    for seed in range(160):
        graph = random_graph(seed, 1)
        graph = with_states(graph, seed) if seed % 3 == 0 else graph
        mode = Mode(stream=seed % 2 == 1)
        padding = pads(graph, mode)
        if padding is not None:
            seen += 1
            steps = 60 if mode.stream else graph.steps
            at = [first_spike(*padding, steps), first_spike(*padding, steps, random.Random(seed))]
            fired += [(seed, step) for step in at if step is not None]
    assert not fired, f"pads of network {fired[0][0]} fire in step {fired[0][1]}"
    assert seen > 100


@pytest.mark.parametrize("bits,bias,threshold,steps", [
    (4, 7, 3, 1), (4, 8, 3, 3), (4, 3, 3, 1), (4, 1, 8, 9), (5, -1, -1, 1), (5, -5, -3, 4),
    (4, 15, 16, 4), (6, 2, 30, 40)])
def test_a_threshold_is_above_all_that_a_pad_reaches(bits, bias, threshold, steps):
    """At the ends of what a field of the neurons' width holds."""
    neuron = Neuron(bits, ints(threshold), ints(bias))
    nodes = (Node("fc", Dense(ints([[1, -1]]), 2), ("x",)), Node("lif", neuron, ("fc",)),
             Node("fc2", Dense(ints([[1], [-2]]), 2), ("lif",)), Node("lif2", neuron, ("fc2",)))
    graph = Graph("pads", steps, Input((2,), 1, "spikes"), nodes, Readout("count", "lif2"))
    machine, pad = pads(graph, Mode())
    assert first_spike(machine, pad, steps) is None
    (field,) = (field for field in machine.arithmetic.neuron_fields if field.name == "threshold")
    assert stored_limits(field)[0] <= threshold <= pad["threshold"] <= stored_limits(field)[1]
