"""Pads, lanes and slots without a neuron, never fire: beside the IR's equation."""

import random
from types import SimpleNamespace

import numpy as np
import pytest
from core_graphs import random_graph
from states import with_states

from qsnn_compile.ir import Dense, Graph, Input, Neuron, Node, Readout, ints
from qsnn_compile.lower.mapping import Mode, machine_of, prepare, spare
from qsnn_compile.lower.parameter_fields import neuron_fields, stored_limits
from qsnn_compile.passes import pipeline, run_passes
from qsnn_compile.system.errors import QsnnError
from qsnn_hw.machine.fields import NEURON_FIELDS


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


def fields(pads, clamps=False, **values):
    """The neuron fields of a layer of two channels, by name: what is not given is 0, of 8 bits."""
    given = {name: [0, 0] for name in NEURON_FIELDS} | {"bits": [8, 8], "decay": [1, 1]} | values
    layer = SimpleNamespace(parameters={name: np.array(given[name]) for name in given})
    return {field.name: field for field in neuron_fields([layer], 3, 0, pads, clamps)[0]}


@pytest.mark.parametrize("value,signed", [(-1, True), (0, False), (1, False)])
def test_a_field_of_one_number_is_signed_below_0(value, signed):
    field = fields(False, bias=[value, value])["bias"]
    assert (field.constant, field.signed, field.width) == (value, signed, 0)


@pytest.mark.parametrize("pads,flip,constant", [
    (False, [1, 1], 1), (True, [1, 1], None), (True, [0, 0], 0), (False, [0, 1], None)])
def test_a_flip_of_all_channels_is_stored_where_pads_have_none(pads, flip, constant):
    assert fields(pads, flip=flip, threshold=[9, 9])["flip"].constant == constant


@pytest.mark.parametrize("bias,threshold", [(-1, 5), (1, 5), (2, 5)])
def test_a_threshold_is_widened_only_where_a_pad_would_reach_it(bias, threshold):
    """In three steps from 0 a pad comes to three times the bias, or starts at the bias and sinks.
    """
    field = fields(True, bias=[bias, bias], threshold=[threshold] * 2)["threshold"]
    assert field.constant == (threshold if 3 * bias < threshold else None)


def arithmetic(neuron, count):
    """Of two neurons with *count* inputs of a bit, as many of weight 1 as of -1."""
    row = [1] * (count // 2) + [-1] * (count // 2)
    graph = Graph("widths", 1, Input((count,), 1), (
        Node("fc", Dense(ints([row, row[::-1]]), 1), ("x",)), Node("lif", neuron, ("fc",))),
        Readout("count", "lif"))
    return machine_of(prepare(run_passes(graph, pipeline(False))), 1, 16, 2)[0].arithmetic


@pytest.mark.parametrize("count,bits", [(2, 2), (4, 3), (6, 4), (8, 4), (10, 5), (16, 5), (18, 6)])
def test_a_current_is_as_wide_as_that_of_a_pad(count, bits):
    """A pad's is -count..0, a channel's -count / 2..count / 2 at most."""
    assert arithmetic(Neuron(8, ints(3)), count).current_bits == bits


@pytest.mark.parametrize("shift,bits", [(0, 6), (3, 8), (4, 9)])
def test_a_potential_is_as_wide_as_that_of_a_pad(shift, bits):
    """Of 4 bits and a current of -8..0 · 2^f, less a threshold of 3."""
    assert arithmetic(Neuron(4, ints(3), gain_shift=shift), 8).potential_bits == bits


@pytest.mark.parametrize("bias,bits", [(-254, 10), (-255, 11)])
def test_a_scaled_potential_holds_twice_the_least_and_one_less(bias, bits):
    neuron = Neuron(8, ints(3), ints([bias, 0]))
    assert arithmetic(neuron, 2).scaled_bits == bits


def test_a_margin_is_0_or_more():
    Mode(margin=0).check()
    with pytest.raises(QsnnError, match="^exit margin must be 0 or more, not -1; it is how far the "
                                        "best score must lead the next; leave it out for none$"):
        Mode(margin=-1).check()
