"""The machine's derived numbers, its items and its beats on examples worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest
from benches import FIELDS, dense, layout, machine

from qsnn_hw.link import beats
from qsnn_hw.machine import memories, schedule
from qsnn_hw.machine.arch import Image
from qsnn_hw.machine.layers import Layer, Map, Word
from qsnn_hw.machine.parameters import Arithmetic
from qsnn_hw.machine.tables import item_columns, stored_bits, window_columns


def fashion(readout="potential", **changes):
    """784-256-256-10, T = 4, 1-bit weights, pixels of 8 bits, 64 lanes and 2 units."""
    layers = (dense("a", 784, 256, kind="list"), dense("b", 256, 256, source=0),
              dense("c", 256, 10, source=1, fires=readout == "count"))
    given = dict(steps=4, coding="direct", input_bits=8, lanes=64, units=2, readout=readout,
                 layers=layers)
    return machine(**given | changes)


def mixed():
    """Spikes into 17-40-9-20 of 2, 4 and 1 bits, T = 3, 16 lanes and 2 units."""
    return machine(steps=3, coding="spikes", input_bits=1, lanes=16, units=2, layers=(
        dense("a", 17, 40, bits=2), dense("b", 40, 9, bits=4, source=0),
        dense("c", 9, 20, source=1)))


def picture(**changes):
    """A convolution with padding of a 3 × 4 picture of 1 channel, 20 channels of 2 × 2 places,
    strides 2; behind it a readout of 3 classes. T = 2, 2 banks."""
    taps = [Word(0, y, x, 0, 3 * y + x) for y in range(3) for x in range(3)]
    taps[-1] = replace(taps[-1], ends=True, final=True)
    seen = Map("values", -1, 3, 4, 1, 4, pad=changes.pop("pad", 0), origin=(-1, -1), stride=(2, 2))
    conv = Layer("conv", 20, (seen,), (tuple(taps),) * 2, 9, 2, 2, group_banks=1)
    out = dense("out", 2 * 2 * 32, 3, source=0, banks=2, group_banks=1)
    given = dict(layers=(conv, out), steps=2, coding="direct", banks=2, input_map=seen)
    return machine(**given | changes)


def each(function, machine):
    return [function(index) for index in range(len(machine.parameters.layers))]


def single(channels, **changes):
    return machine(layers=(dense("out", 3, channels),), coding="spikes", **changes)


@pytest.mark.parametrize("lanes,units,slots", [
    (64, 2, 32), (64, 4, 16), (32, 2, 16), (16, 2, 8), (16, 4, 4), (16, 1, 16)])
def test_slots_are_lanes_of_a_unit(lanes, units, slots):
    m = machine(lanes=lanes, units=units)
    assert (m.layout.slots, m.layout.row_beats) == (slots, lanes // 16)


@pytest.mark.parametrize("lanes,units", [(64, 1), (64, 2), (32, 4), (16, 1), (16, 4)])
def test_a_membrane_is_written_before_it_is_read_again(lanes, units):
    m = fashion(lanes=lanes, units=units)
    for index in range(3):
        assert m.timing.rotation[index] >= max(m.layout.used_slots[index], m.timing.unit_latency)


@pytest.mark.parametrize("channels,used", [
    (1, 8), (16, 8), (17, 16), (32, 16), (33, 24), (200, 32)])
def test_a_rotation_takes_the_slots_of_whole_words(channels, used):
    layers = (dense("a", 3, channels), dense("out", channels, 5, source=0))
    m = machine(layers=layers, lanes=64, units=2, coding="spikes")
    assert m.layout.used_slots == (used, 5)


def test_groups_of_the_last_layer_use_one_unit():
    assert fashion().layout.groups == (4, 4, 1)
    assert mixed().layout.groups == (3, 1, 3)       # 20 classes in slots of 8


@pytest.mark.parametrize("classes,groups", [(1, 1), (7, 1), (8, 1), (9, 2), (16, 2), (17, 3)])
def test_a_class_takes_a_slot(classes, groups):
    assert single(classes).layout.groups == (groups,)


def test_rows_are_group_plane_input():
    assert [*fashion().layout.row, fashion().layout.rows] == [0, 3136, 4160, 4416]
    assert [*mixed().layout.row, mixed().layout.rows] == [0, 102, 262, 289]


def test_parameters_are_group_slot():
    m = mixed()
    assert m.layout.slot_base == (0, 24, 32)
    assert (m.layout.neuron_slots, m.layout.readout_slots) == (56, 0)


@pytest.mark.parametrize("readout,neuron,score", [("count", 266, 0), ("potential", 256, 10)])
def test_a_potential_readout_has_parameters_of_its_own(readout, neuron, score):
    m = fashion(readout)
    assert (m.layout.neuron_slots, m.layout.readout_slots) == (neuron, score)
    assert m.parameters.classes == 10


def test_parameters_of_each_neuron_take_slots_of_each_place():
    one = picture().layout
    conv, out = one.parameters.layers
    several = picture(layers=(replace(conv, neuron_parameters=True), out)).layout
    assert (one.neuron_slots, several.neuron_slots) == (2 * 8 + 3, 2 * 2 * 8 + 3)


def test_a_direct_layer_is_replayed_not_streamed_again():
    m = fashion("count")
    assert each(m.parameters.is_direct, m) == [True, False, False]
    assert m.timing.replays == (4, 1, 1)
    assert m.timing.window_steps == (1, 4, 4)
    assert mixed().timing.replays == (1, 1, 1)
    assert mixed().timing.window_steps == (3, 3, 3)


def test_step_by_step_nothing_is_replayed_and_every_membrane_is_kept():
    m = fashion("count", order="step")
    assert m.timing.replays == m.timing.window_steps == (1, 1, 1)
    assert m.layout.membrane_base == (0, 4 * 32, 8 * 32)
    assert (m.layout.membrane_slots, fashion("count").layout.membrane_slots) == (8 * 32 + 10, 32)


@pytest.mark.parametrize("columns,steps", [(1, 4), (2, 2), (4, 1)])
def test_a_potential_readout_takes_the_columns_of_a_line_at_once(columns, steps):
    m = fashion("potential", columns=columns)
    assert each(m.parameters.merged, m) == [False, False, columns > 1]
    assert m.timing.window_steps == (1, 4, steps)
    assert m.layout.value_bits == 8
    assert not any(each(fashion("count", columns=columns).parameters.merged, m))


@pytest.mark.parametrize("columns,bits", [(1, 1), (2, 2), (4, 3), (8, 4)])
def test_a_count_of_spikes_needs_the_bits_of_the_columns(columns, bits):
    layers = (dense("a", 3, 3), dense("out", 3, 2, source=0, fires=False))
    m = machine(coding="spikes", input_bits=1, steps=9, layers=layers, readout="potential",
                columns=columns)
    assert m.layout.value_bits == bits


@pytest.mark.parametrize("steps,bits", [(1, 13), (2, 14), (3, 14), (4, 15), (8, 16)])
def test_a_sum_of_steps_is_wider_than_a_current(steps, bits):
    wide = {"arithmetic": Arithmetic(current_bits=12), "steps": steps}
    m = fashion("potential", order="step", **wide)
    assert (m.total_bits, fashion("potential", **wide).total_bits) == (bits, 12)


def test_spikes_lie_in_regions_of_their_layers():
    m = mixed()                                             # words: input 2, a 3, b 1, c none
    assert m.layout.line == (6, 15, 18, 0)
    assert (m.layout.lines, m.parameters.stored(2)) == (18, False)
    wide = m.with_parameters(columns=2)                     # 3 steps in 2 lines
    assert wide.layout.line == (4, 10, 12, 0)
    assert fashion("count").layout.line[0] == 0             # pixels are no spikes


def test_step_by_step_one_step_is_kept_or_two_where_a_layer_reads_the_one_before():
    plain = fashion("count", order="step")
    assert plain.layout.lines == 16 + 16
    first, second, last = plain.parameters.layers
    again = replace(second, maps=(*second.maps, Map("spikes", 1, words=16, previous=True)))
    looped = plain.with_parameters(layers=(first, again, last))
    assert (looped.parameters.kept(1), looped.parameters.kept(0)) == (True, False)
    assert looped.layout.lines == 16 + 32


@pytest.mark.parametrize("inputs,words", [(1, 1), (15, 1), (16, 1), (17, 2)])
def test_input_beats(inputs, words):
    direct = layout(steps=3, layers=(dense("out", inputs, 2, kind="list"),), input_bits=4)
    spikes = layout(steps=3, layers=(dense("out", inputs, 2),), coding="spikes", input_bits=1)
    counts = layout(steps=3, layers=(dense("out", inputs, 2, kind="values"),), coding="spikes",
                     input_bits=3)
    assert (direct.input_beats, direct.beat_bits, direct.value_words) == (inputs, 4, inputs)
    assert (spikes.input_beats, spikes.beat_bits, spikes.value_words) == (3 * words, 16, 0)
    assert (counts.input_beats, counts.beat_bits, counts.value_words) == (3 * inputs, 3, 3 * inputs)


@pytest.mark.parametrize("pad,bits", [(0, 4), (15, 4), (16, 5)])
def test_values_hold_the_pad(pad, bits):
    assert picture(pad=pad).layout.value_bits == bits


def test_rings_are_those_of_replayed_layers():
    layers = (dense("a", 9, 20, kind="list"), dense("b", 20, 3, source=0))
    m = machine(layers=layers, lanes=64, units=2, steps=3)
    assert (m.timing.rings, m.timing.ring) == ((32, 64), (0, 1))
    assert m.with_parameters(order="step").timing.rings == (64,)


def unit(**constants):
    """The fashion machine with fields of these constants, None: stored."""
    return fashion(arithmetic=Arithmetic(neuron_fields=tuple(
        replace(field, constant=constants.get(field.name, field.constant)) for field in FIELDS)))


def with_synapse(one):
    return replace(one, arithmetic=replace(one.arithmetic, synapse_bits=9))


def test_a_pool_of_currents_makes_the_units_a_clock_longer():
    m = unit()
    first, *others = m.parameters.layers
    pooled = m.with_parameters(layers=(replace(first, pooling="max"), *others))
    assert (m.parameters.pools, pooled.parameters.pools) == (False, True)
    assert pooled.timing.spike_clock == m.timing.spike_clock + 1
    assert pooled.timing.unit_clocks["clip"] == m.timing.unit_clocks["clip"] + 1


@pytest.mark.parametrize(("constants", "spike", "latency"), [
    ({}, 4, 6), ({"flip": None}, 5, 6), ({"flip": 1}, 5, 6), ({"gain_shift": None}, 5, 6),
    ({"gain_shift": 3}, 4, 6), ({"decay": 4}, 4, 6), ({"decay": 7}, 5, 7), ({"decay": None}, 5, 7),
    ({"reset": 1}, 4, 7), ({"reset": 2}, 4, 6), ({"reset": None}, 4, 7),
    ({"flip": None, "decay": None, "reset": None}, 5, 8)])
def test_a_stage_that_no_neuron_needs_takes_no_clock(constants, spike, latency):
    m = unit(**constants)
    assert (m.timing.spike_clock, m.timing.unit_latency) == (spike, latency)
    assert m.timing.unit_clocks["read"] >= 0


def test_a_synapse_makes_the_units_a_clock_longer():
    m = fashion()
    assert (m.arithmetic.synapses, with_synapse(m).arithmetic.synapses) == (False, True)
    for one in (unit(), unit(flip=None)):           # a stage, and the one that it waits for
        assert with_synapse(one).timing.spike_clock == 6


def test_banks_join_for_a_potential_readout_alone():
    assert not fashion("potential").parameters.joins
    assert fashion("potential", banks=2).parameters.joins
    assert not fashion("count", banks=2).parameters.joins


# -- items and windows ----------------------------------------------------------------------------

def test_banks_take_places_in_turn():
    dealt = [[(item.place, item.group, item.row, item.slot, item.line, item.origins)
              for item in schedule.items(picture().layout, bank) if item.layer == 0]
             for bank in range(2)]
    assert dealt == [
        [(0, 0, 0, 0, 0, ((-5, -1, -1),)), (0, 1, 9, 8, 1, ((-5, -1, -1),)),
         (2, 0, 0, 0, 4, ((3, 1, -1),)), (2, 1, 9, 8, 5, ((3, 1, -1),))],
        [(1, 0, 0, 0, 2, ((-3, -1, 1),)), (1, 1, 9, 8, 3, ((-3, -1, 1),)),
         (3, 0, 0, 0, 6, ((5, 1, 1),)), (3, 1, 9, 8, 7, ((5, 1, 1),))]]


def test_banks_of_one_place_take_groups_in_turn_and_some_nothing():
    layers = (dense("a", 3, 40, banks=2), dense("out", 40, 3, source=0, banks=2, group_banks=1))
    m = machine(layers=layers, banks=2, coding="spikes")
    dealt = [[(item.group, item.silent, item.words) for item in schedule.items(m.layout, bank)
              if item.layer == 0] for bank in range(2)]
    assert dealt == [[(0, False, 0), (2, False, 0)], [(1, False, 0), (3, True, 0)]]


def test_a_layer_needs_the_rounds_before_it():
    m = mixed()                             # rounds: 3 groups · 3 steps, 3, 9
    assert m.timing.needs == (0, 6, 9)
    assert m.timing.total_rounds == 9 + 3 + 9
    once = m.with_parameters(order="step")
    assert once.timing.needs == (0, 2, 3)
    assert once.timing.total_rounds == 3 + 1 + 3


def test_offsets_follow_rows_of_the_map():
    assert schedule.offsets(picture().parameters, 0)[:9] == [0, 1, 2, 4, 5, 6, 8, 9, 10]


def test_columns_are_items_and_words():
    m = picture()
    items, words = item_columns(m.layout, 1), window_columns(m.parameters, 1)
    assert items["base0"][:4] == [-3, -3, 5, 5] and items["final"] == [0, 1, 0, 1, 1]
    assert items["opening"] == [1, 0, 1, 0, 1] and items["layer"] == [0, 0, 0, 0, 1]
    assert words["ends"][:9] == [0] * 8 + [1] and words["dx"][:4] == [0, 1, 2, 0]
    assert {len(column) for column in items.values()} == {5}
    assert {len(column) for column in words.values()} == {len(schedule.windows(m.parameters, 1))}


@pytest.mark.parametrize("values,bits", [
    ([3, 3], 0), ([0, 1], 1), ([1, 2], 2), ([7, 8], 4), ([-1, 0], 1), ([-8, 7], 4), ([-9, 7], 5)])
def test_bits_of_a_column(values, bits):
    assert stored_bits(values) == bits


# -- beats ----------------------------------------------------------------------------------------

def test_values_go_place_by_place():
    m = machine(layers=(dense("out", 12, 2, kind="list"),))
    x = np.arange(12).reshape(1, 2, 2, 3)                   # [C, H, W]
    assert beats.input_beats(m, x).tolist() == [[0, 6, 1, 7, 2, 8, 3, 9, 4, 10, 5, 11]]


def test_spikes_go_as_words_step_by_step():
    m = machine(layers=(dense("out", 18, 2),), coding="spikes", input_bits=1)
    x = np.zeros((1, 2, 18), np.uint8)
    x[0, 0, [0, 15, 17]] = x[0, 1, 16] = 1
    assert beats.input_beats(m, x).tolist() == [[0x8001, 2, 0, 1]]


def test_weights_go_bank_by_bank_lowest_lanes_first():
    m = machine(lanes=32, banks=2)
    assert beats.weight_beats(m, Image(weights=((0x10002,), (0x30004,)))) == [2, 1, 4, 3]


def test_a_machine_is_a_value():
    assert machine() == machine() and hash(machine()) == hash(machine())
    assert machine(arithmetic=unit(decay=3).arithmetic) != machine()


@pytest.mark.parametrize("rom,small,bits,style", [
    (False, "auto", 1 << 20, ""), (True, "auto", 1023, ""), (True, "auto", 1024, "block"),
    (False, "block", 31, ""), (False, "block", 32, "block"), (True, "block", 1024, "block"),
    (False, "logic", 256, "logic"), (False, "logic", 257, ""),
    (True, "logic", 4096, "logic"), (True, "logic", 4097, "block")])
def test_what_synthesis_is_told_of_a_memory(rom, small, bits, style):
    assert memories.ram_style(bits, rom=rom, small=small) == style


@pytest.mark.parametrize("inputs,depth", [(1, 2), (2, 2), (3, 3)])
def test_a_weight_memory_has_two_rows_or_more(inputs, depth):
    one = machine(layers=(dense("out", inputs, 3),), coding="spikes", lanes=16)
    (memory,) = memories.weights(one.layout, 0)
    assert (memory.depth, memory.width) == (depth, 16)


def test_regions_of_a_direct_sample_and_of_a_stream():
    direct = mixed().with_parameters(coding="direct")       # words: input none kept, a 3, b 1
    assert (direct.layout.line, direct.layout.lines) == ((0, 9, 12, 0), 12)
    stream = mixed().with_parameters(streaming=True, order="step")      # a step of the input's 2
    assert (stream.layout.line, stream.layout.lines) == ((2, 5, 6, 0), 6)


def test_banks_have_windows_of_their_own():
    windows = [(Word(0, 0, 0, 0, row, ends=True, final=True),) for row in (0, 3, 3, 0)]
    m = machine(layers=(replace(dense("out", 16, 64, banks=4), windows=tuple(windows)),),
                coding="spikes", banks=4)
    listed = memories.inventory(m)
    for bank in range(4):
        memory = listed[f"bank{bank}.walker.windows"]
        assert memory.columns == window_columns(m.parameters, bank)
    assert listed["bank0.walker.windows"].columns != listed["bank1.walker.windows"].columns


@pytest.mark.parametrize("banks,channels", [(1, 17), (2, 33), (4, 65), (8, 17), (4, 16)])
def test_every_item_writes_within_the_spike_memory(banks, channels):
    """The silent ones too, which are behind the last place or the last group."""
    m = machine(layers=(dense("a", 17, channels, banks=banks),
                        dense("b", channels, 9, source=0, banks=banks)),
                coding="spikes", banks=banks, lanes=16)
    items = [item for bank in range(banks) for item in schedule.items(m.layout, bank)]
    assert all(type(item.line) is int and 0 <= item.line < m.layout.lines for item in items)


def test_planes_are_those_of_the_widest_weight():
    assert mixed().parameters.formats == ((1, 0, 0), (2, 0, 0), (4, 0, 0))
    assert (mixed().parameters.planes, fashion().parameters.planes) == (4, 1)


def test_a_silent_item_stays_at_the_last_place():
    """Of a layer of one place the second bank has nothing to do."""
    m = machine(layers=(dense("a", 17, 40, banks=2, group_banks=1),
                        dense("b", 40, 9, source=0, banks=2, group_banks=1)),
                coding="spikes", banks=2, lanes=16)
    told, silent = ([(item.silent, item.group, item.line) for item in
                     schedule.items(m.layout, bank) if item.layer == 0] for bank in (0, 1))
    assert silent == [(True, group, line) for _, group, line in told]
    assert not any(item[0] for item in told)
