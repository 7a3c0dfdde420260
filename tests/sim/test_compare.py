from dataclasses import replace

import numpy as np
import pytest

from qsnn_hw.machine.arch import Machine
from qsnn_hw.machine.layers import Layer, Map, Word
from qsnn_hw.machine.parameters import Arithmetic, Parameters
from qsnn_sim.cycle.cycle import Timing
from qsnn_sim.rtl.compare import ABSENT, Trace, compare
from qsnn_sim.rtl.probe import views

SPIKES = Map("spikes", -1)
WINDOW = (Word(0, 0, 0, 0, 0, ends=True, final=True),)


def layer(name, channels, **changes):
    return Layer(name, channels, (replace(SPIKES, layer=0 if name == "fc2" else -1),),
                 (changes.pop("window", WINDOW),) * 2, 16, **changes)


def machine(*layers, banks=2, **changes):
    chosen = Parameters(name="two", steps=3, coding="spikes", input_bits=1, input_map=SPIKES,
                        layers=layers, readout="count", banks=banks, lanes=16, units=2, **changes)
    return Machine(parameters=chosen, arithmetic=Arithmetic())


# bank 0: channels 0 .. 15 of fc1 and fc2; bank 1: channels 16 .. 19 of fc1
MACHINE = machine(layer("fc1", 20, group_banks=2), layer("fc2", 5))
# 2 × 2 places over two banks, of two neurons each
MAP = machine(layer("conv", 3, height=2, width=2, pooling="or", passes=2,
                    window=(replace(WINDOW[0], final=False), *WINDOW)), layer("fc2", 5))


def trace(of=MACHINE, **changes):
    """Rotations 100 clocks apart, whatever the machine would do."""
    zero = np.zeros(1, np.int64)
    timing = Timing(zero, zero, zero[:, None], tuple(
        100 * np.arange(1, 40)[None, None].repeat(2, axis=1) + 5000 * index for index in range(2)),
        zero, zero)
    clocks = tuple(view.clocks(of, timing, bank)[0] for bank, view in enumerate(views(of)))
    spikes = tuple(np.zeros(view.neuron.shape, np.int8) for view in views(of))
    return replace(Trace(clocks, spikes, (2, 1), 9350), **changes)


def with_spikes(*changes, of=MACHINE):
    """Spikes at (bank, slot, unit) changed to a value."""
    spikes = trace(of).spikes
    for bank, slot, unit, value in changes:
        spikes[bank][slot, unit] = value
    return trace(of, spikes=spikes)


def first(actual, of=MACHINE):
    result = compare(of, [trace(of), trace(of)], [trace(of), actual])
    return str(result.first)


def test_equal_traces():
    result = compare(MACHINE, [trace()], [trace()])
    assert result.equal and result.first is None and result.samples == 1


@pytest.mark.parametrize("bank,slot,unit,place,clock", [
    (0, 0, 0, "layer fc1, neuron 0, step 0", 104),
    (0, 3 * 8 + 4, 0, "layer fc2, neuron 4, step 0", 5108),
    (0, 2 * 8 + 5, 1, "layer fc1, neuron 11, step 2", 309),
    (1, 8 + 1, 1, "layer fc1, neuron 19, step 1", 205)])
def test_spike_has_layer_neuron_step_and_clock(bank, slot, unit, place, clock):
    assert first(with_spikes((bank, slot, unit, 1))) == (
        f"sample 1, {place}, clock {clock}: golden 0, RTL 1")


@pytest.mark.parametrize("bank,slot,unit,place", [
    (0, 0, 1, "channel 1, place (0, 0), pass 0, step 0"),
    (1, 0, 0, "channel 0, place (0, 1), pass 0, step 0"),
    (0, 5 * 8 + 1, 0, "channel 2, place (0, 0), pass 1, step 2"),
    (1, 6 * 8, 1, "channel 1, place (1, 1), pass 0, step 0")])
def test_spike_of_a_map_has_channel_and_place(bank, slot, unit, place):
    difference = first(with_spikes((bank, slot, unit, 1), of=MAP), MAP)
    assert difference.startswith(f"sample 1, layer conv, {place}, clock ")


def test_spikes_of_spare_lanes_are_nobodys():
    assert first(with_spikes((1, 2, 0, 1))) == "None"


def test_first_is_first_in_time():
    assert "neuron 16, step 0, clock 104" in first(
        with_spikes((0, 8, 0, 1), (1, 0, 0, 1), (0, 3, 1, 1)))


def test_missing_spike():
    assert first(with_spikes((0, 3, 0, ABSENT))).endswith("golden 0, RTL nothing")


def test_answer():
    assert first(trace(answer=(3, 1))) == (
        "sample 1, class and score, clock 9350: golden (2, 1), RTL (3, 1)")
    assert first(trace(answer=None, clock=ABSENT)).endswith("golden (2, 1), RTL nothing")


def with_clocks(bank, clocks):
    changed = list(trace().clocks)
    changed[bank] = clocks(changed[bank])
    return trace(clocks=tuple(changed))


def test_clock_of_a_slot():
    late = with_clocks(1, lambda clocks: clocks + (np.arange(len(clocks)) >= 16))
    result = compare(MACHINE, [trace()], [late])
    assert (result.spike_mismatches, result.result_mismatches, result.clock_mismatches) == (0, 0, 1)
    assert str(result.first) == ("sample 0, layer fc1, neuron 16, step 2 updated, clock 304: "
                                 "cycle model 304, RTL 305")


def test_slots_that_nobody_has_are_seen():
    more = with_clocks(1, lambda clocks: np.append(clocks, 7000))
    spikes = (trace().spikes[0], np.pad(trace().spikes[1], ((0, 1), (0, 0))))
    result = compare(MACHINE, [trace()], [replace(more, spikes=spikes)])
    assert result.clock_mismatches == 1
    assert str(result.first) == ("sample 0, bank 1 behind its last neuron, clock 7000: "
                                 "cycle model nothing, RTL 7000")


def test_clock_of_a_result():
    assert first(trace(clock=9349)) == (
        "sample 1, result valid, clock 9350: cycle model 9350, RTL 9349")


def test_counts():
    result = compare(MACHINE, [trace()] * 3, [
        with_spikes((0, 3, 0, 1), (1, 0, 1, 1)), trace(answer=(0, 1)), trace(clock=1)], "netlist")
    assert (result.samples, result.spike_mismatches, result.result_mismatches,
            result.clock_mismatches) == (3, 2, 1, 1)
    assert not result.equal and str(result.first).endswith("netlist 1")
