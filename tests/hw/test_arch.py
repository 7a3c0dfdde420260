"""The machine's derived numbers on examples worked out by hand."""

from dataclasses import replace

import pytest
from benches import machine

from qsnn_hw.arch import UNIT_LATENCY, Layer


def fashion(readout="potential"):
    """784-256-256-10, T = 4, 1-bit weights, pixels of 8 bits, 64 lanes and 2 units."""
    return machine(
        steps=4, coding="direct", input_bits=8, lanes=64, units=2, readout=readout,
        layers=(Layer("a", 784, 256, 1), Layer("b", 256, 256, 1),
                Layer("c", 256, 10, 1, fires=readout == "count")))


def mixed():
    """Spikes into 17-40-9-20 of 2, 4 and 1 bits, T = 3, 16 lanes and 2 units."""
    return machine(steps=3, coding="spikes", input_bits=1, lanes=16, units=2,
                   layers=(Layer("a", 17, 40, 2), Layer("b", 40, 9, 4), Layer("c", 9, 20, 1)))


def each(function, machine):
    return [function(index) for index in range(len(machine.layers))]


@pytest.mark.parametrize("lanes,units,slots,rotation", [
    (64, 2, 32, 32), (64, 4, 16, 16), (32, 2, 16, 16), (16, 2, 8, UNIT_LATENCY),
    (16, 4, 4, UNIT_LATENCY), (16, 1, 16, 16)])
def test_rotation_is_never_shorter_than_the_unit(lanes, units, slots, rotation):
    m = machine(lanes=lanes, units=units)
    assert (m.slots, m.rotation, m.row_beats) == (slots, rotation, lanes // 16)


def test_groups_of_the_last_layer_use_one_unit():
    assert each(fashion().groups, fashion()) == [4, 4, 1]
    assert each(mixed().groups, mixed()) == [3, 1, 3]       # 20 classes in slots of 8


@pytest.mark.parametrize("classes,groups", [(1, 1), (7, 1), (8, 1), (9, 2), (16, 2), (17, 3)])
def test_a_class_takes_a_slot(classes, groups):
    assert machine(layers=(Layer("out", 3, classes, 1),)).groups(0) == groups


def test_rows_are_group_plane_input():
    assert [*each(fashion().row, fashion()), fashion().rows] == [0, 3136, 4160, 4416]
    assert [*each(mixed().row, mixed()), mixed().rows] == [0, 102, 262, 289]


def test_parameters_are_group_slot():
    m = mixed()
    assert each(m.slot_base, m) == [0, 24, 32]
    assert (m.neuron_slots, m.readout_slots) == (56, 0)


@pytest.mark.parametrize("readout,neuron,score", [("count", 288, 0), ("potential", 256, 32)])
def test_a_potential_readout_has_parameters_of_its_own(readout, neuron, score):
    m = fashion(readout)
    assert (m.neuron_slots, m.readout_slots, m.classes) == (neuron, score, 10)


def test_a_direct_layer_is_replayed_not_streamed_again():
    m = fashion("count")
    assert each(m.is_direct, m) == [True, False, False]
    assert each(m.replays, m) == [4, 1, 1]
    assert each(m.lists, m) == each(m.list_steps, m) == [1, 4, 4]
    assert each(mixed().replays, mixed()) == [1, 1, 1]
    assert each(mixed().lists, mixed()) == each(mixed().list_steps, mixed()) == [3, 3, 3]


def test_a_potential_readout_takes_one_list_of_counts():
    m = fashion("potential")
    assert m.counted
    assert each(m.lists, m) == each(m.list_steps, m) == [1, 4, 1]
    assert not fashion("count").counted


@pytest.mark.parametrize("steps,value_bits", [(1, 1), (2, 2), (3, 2), (4, 3), (7, 3), (8, 4)])
def test_a_count_needs_the_bits_of_the_steps(steps, value_bits):
    layers = (Layer("a", 3, 3, 1), Layer("out", 3, 2, 1, fires=False))
    m = machine(coding="spikes", input_bits=1, steps=steps, layers=layers, readout="potential")
    assert (m.counted, m.value_bits) == (steps > 1, value_bits)
    assert replace(m, coding="direct", input_bits=8).value_bits == 8


def test_a_lone_potential_layer_streams_its_pixels_every_step():
    m = machine(steps=4, layers=(Layer("out", 5, 3, 1, fires=False),), readout="potential")
    assert (m.replays(0), m.lists(0), m.list_steps(0), m.counted) == (1, 1, 4, False)


def test_lists_hold_every_input_active():
    assert [fashion("count").list_depth(i) for i in range(2)] == [1024, 1024]
    assert [fashion("potential").list_depth(i) for i in range(2)] == [784, 1024]
    wide = replace(fashion("count"), layers=(Layer("a", 784, 10, 1), Layer("b", 10, 10, 1)))
    assert [wide.list_depth(i) for i in range(2)] == [784, 40]
    assert [mixed().list_depth(i) for i in range(2)] == [51, 120]
    assert machine(layers=(Layer("out", 3, 2, 1),)).list_depth(1) == 1


@pytest.mark.parametrize("fan_in,words", [(1, 1), (15, 1), (16, 1), (17, 2)])
def test_input_beats(fan_in, words):
    layers = (Layer("out", fan_in, 2, 1),)
    direct = machine(steps=3, coding="direct", input_bits=4, layers=layers)
    spikes = machine(steps=3, coding="spikes", input_bits=1, layers=layers)
    assert (direct.input_beats, direct.beat_bits) == (fan_in, 4)
    assert (spikes.input_beats, spikes.beat_bits) == (3 * words, 16)


def test_queue_holds_the_words_of_the_busiest_layer():
    assert fashion().fifo_depth == 4 * 4 * 4
    assert mixed().fifo_depth == 3 * 1 * 3
    silent = Layer("out", 256, 10, 1, fires=False)
    shallow = replace(fashion(), layers=(Layer("a", 784, 256, 1), silent))
    assert shallow.fifo_depth == 4 * 4 * 1
    wide = replace(mixed(), layers=(Layer("a", 100, 3, 1), Layer("b", 3, 2, 1)))
    assert wide.fifo_depth == wide.input_beats == 21
    assert machine(layers=(Layer("out", 3, 2, 1),)).fifo_depth == 1
