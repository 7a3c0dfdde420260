from dataclasses import replace

import numpy as np
import pytest

from qsnn_hw.arch import Layer, Machine
from qsnn_sim.compare import ABSENT, Trace, compare

MACHINE = Machine(
    "two", 3, "direct", 8, (Layer("fc1", 9, 20, 1), Layer("fc2", 20, 5, 1)), "count", (), (),
    8, 8, 8, 8, 4, 3, 1, lanes=16, units=2)


def trace(**changes):
    steps = np.arange(3)
    rotations = (np.array([[100], [200]]) + 9 * steps, np.array([[300]]) + 20 * steps)
    made = Trace((np.zeros((3, 20), int), np.zeros((3, 5), int)), rotations, (2, 1), 350)
    return replace(made, **changes)


def with_spikes(layer, *places):
    spikes = [train.copy() for train in trace().spikes]
    for step, neuron, value in places:
        spikes[layer][step, neuron] = value
    return trace(spikes=tuple(spikes))


def first(found):
    result = compare(MACHINE, [trace(), trace()], [trace(), found])
    return str(result.first)


def test_equal_traces():
    result = compare(MACHINE, [trace()], [trace()])
    assert result.equal and result.first is None and result.samples == 1


@pytest.mark.parametrize("layer,place,clock", [
    (0, (2, 0), 118), (0, (0, 17), 200), (0, (1, 5), 111), (1, (2, 4), 344)])
def test_spike_has_layer_neuron_step_and_clock(layer, place, clock):
    name = MACHINE.layers[layer].name
    assert first(with_spikes(layer, (*place, 1))) == (
        f"sample 1, layer {name}, neuron {place[1]}, step {place[0]}, clock {clock}: "
        "golden 0, RTL 1")


def test_first_is_first_in_time():
    assert "neuron 3, step 0, clock 101" in first(with_spikes(0, (0, 17, 1), (2, 0, 1), (0, 3, 1)))


def test_missing_spike():
    assert first(with_spikes(0, (0, 3, ABSENT))).endswith("golden 0, RTL nothing")


def test_answer():
    assert first(trace(answer=(3, 1))) == (
        "sample 1, class and score, clock 350: golden (2, 1), RTL (3, 1)")
    assert first(trace(answer=None, clock=ABSENT)).endswith("golden (2, 1), RTL nothing")


def test_clock_of_a_rotation():
    late = trace().rotations[0].copy()
    late[1, 2] += 1
    result = compare(MACHINE, [trace()], [trace(rotations=(late, trace().rotations[1]))])
    assert (result.spike_mismatches, result.result_mismatches, result.clock_mismatches) == (0, 0, 1)
    assert str(result.first) == ("sample 0, layer fc1, group 1, step 2 updated, clock 218: "
                                 "cycle model 218, RTL 219")


def test_clock_of_a_result():
    assert first(trace(clock=349)) == (
        "sample 1, result valid, clock 350: cycle model 350, RTL 349")


def test_counts():
    result = compare(MACHINE, [trace()] * 3, [
        with_spikes(0, (0, 3, 1), (1, 3, 1)), trace(answer=(0, 1)), trace(clock=1)], "netlist")
    assert (result.samples, result.spike_mismatches, result.result_mismatches,
            result.clock_mismatches) == (3, 2, 1, 1)
    assert not result.equal and str(result.first).endswith("netlist 1")
