"""Operations and roofs of one layer of each kind, counted by hand or tap by tap."""

import numpy as np
import pytest

from qsnn_compile.ir import (
    Add,
    Conv2d,
    Delay,
    Dense,
    Flatten,
    Graph,
    Input,
    MaxPool,
    Neuron,
    Node,
    Readout,
    SumPool,
    ints,
)
from qsnn_compile.lower.mapping import map_graph
from qsnn_sim.cycle import cycle
from qsnn_sim.golden import golden
from qsnn_sim.measure.work import fan_in, lower, roof, work
from qsnn_sim.rtl.plan import layer_spikes

STEPS = 3


def neuron(source, name="a"):
    return Node(name, Neuron(4, ints(1), ints(0), ints(0), ints(1), 1, 0, "soft", ints(1),
                             ints(0)), (source,))


def graph(*nodes, shape, coding="spikes", steps=STEPS):
    """*nodes*, then a dense readout of ten classes."""
    source = nodes[-1].name
    size = golden_size(nodes, shape, coding)
    end = (Node("flat", Flatten(), (source,)),
           Node("fc", Dense(ints(np.ones((10, size))), 1), ("flat",)))
    return Graph("one", steps, Input(shape, 1 if coding == "spikes" else 4, coding),
                 (*nodes, *end), Readout("potential", "fc", ints(1), ints(0)))


def golden_size(nodes, shape, coding):
    from qsnn_compile.ir import shapes
    return int(np.prod(shapes(Graph("s", 1, Input(shape, 1, coding), tuple(nodes),
                                    Readout("count", nodes[-1].name)))[nodes[-1].name]))


def sample(made, seed=0):
    rng = np.random.default_rng(seed)
    shape = made.input.shape if made.input.coding == "direct" else (STEPS, *made.input.shape)
    return rng.integers(0, 2, (4, *shape)).astype(np.uint8)


def worked(made, x):
    return work(made, x, golden.run(made, x, record="spikes"))


def conv(channels, inputs, groups=1, bits=1, **options):
    weight = ints(np.ones((channels, inputs // groups, 3, 3)))
    return Node("conv", Conv2d(weight, bits, groups=groups, **options), ("x",))


def tap_by_tap(x, op, places):
    """Active taps inside the map, of all *places* and steps, times the channels that read them."""
    channels, _, height, width = op.weight.shape
    total = np.zeros(len(x), np.int64)
    for y, x_ in places:
        top, left = y * op.stride[0] - op.padding[0], x_ * op.stride[1] - op.padding[1]
        window = x[..., max(top, 0):top + height, max(left, 0):left + width]
        total += np.count_nonzero(window.reshape(len(x), -1), axis=1)
    return total * (channels // op.groups)


@pytest.mark.parametrize("op", [
    conv(5, 2), conv(5, 2, padding=(1, 1, 1, 1)), conv(4, 2, stride=(2, 1)),
    conv(6, 2, groups=2, bits=4, padding=(0, 1, 2, 0)), conv(2, 2, groups=2)])
def test_convolution_counts_taps_inside_the_map(op):
    made = graph(op, neuron("conv"), shape=(2, 6, 5))
    x, padding = sample(made), op.op.padding
    height = (6 + padding[0] + padding[2] - 3) // op.op.stride[0] + 1
    width = (5 + padding[1] + padding[3] - 3) // op.op.stride[1] + 1
    work = worked(made, x)
    assert np.array_equal(work.sops[:, 0], tap_by_tap(x, op.op, np.ndindex(height, width)))
    assert np.array_equal(work.bits[:, 0], work.sops[:, 0] * max(
        op.op.bits, 2 if op.op.groups > 1 else 1))
    assert np.array_equal(work.events[:, 0], np.count_nonzero(x.reshape(4, -1), axis=1))
    assert work.updates[0] == STEPS * op.op.weight.shape[0] * height * width
    assert fan_in(lower(made)[0]) == op.op.weight[0].size


def test_only_places_that_a_pool_reads_count():
    op = conv(3, 1)
    made = graph(op, Node("pool", MaxPool((2, 2), (3, 3)), ("conv",)), neuron("pool"),
                 shape=(1, 7, 7))
    x = sample(made)
    read = [(y, x_) for y in (0, 1, 3, 4) for x_ in (0, 1, 3, 4)]
    work = worked(made, x)
    assert np.array_equal(work.sops[:, 0], tap_by_tap(x, op.op, read))
    assert work.updates[0] == STEPS * 3 * 4


def test_pooled_spikes_count_one_by_one():
    made = graph(conv(3, 1), neuron("conv"), Node("sums", SumPool((2, 2), (2, 2)), ("a",)),
                 shape=(1, 6, 6))
    x = sample(made)
    spikes = golden.run(made, x, record="spikes").spikes["a"]
    work = worked(made, x)
    assert np.array_equal(work.events[:, 1], spikes.reshape(4, -1).sum(axis=1))
    assert np.array_equal(work.sops[:, 1], work.events[:, 1] * 10)


@pytest.mark.parametrize("size,kernel,stride", [(8, 2, 2), (9, 2, 2), (8, 3, 1), (9, 2, 3)])
def test_a_pool_of_spikes_sends_one_where_any_neuron_does(size, kernel, stride):
    weight = ints(np.ones((5, 3, 2, 2)))
    made = graph(conv(3, 1), neuron("conv"),
                 Node("any", MaxPool((kernel, kernel), (stride, stride)), ("a",)),
                 Node("next", Conv2d(weight, 1), ("any",)), neuron("next", "b"),
                 shape=(1, size, size))
    x = sample(made)
    spikes, places = golden.run(made, x, record="spikes").spikes["a"], (size - 2 - kernel) // stride
    pooled = np.stack([np.stack([
        spikes[..., y:y + kernel, x_:x_ + kernel].max(axis=(-2, -1))
        for x_ in range(0, places * stride + 1, stride)], axis=-1)
        for y in range(0, places * stride + 1, stride)], axis=-2)
    work = worked(made, x)
    assert np.array_equal(work.events[:, 1], pooled.reshape(4, -1).sum(axis=1))
    assert np.array_equal(work.sops[:, 1], tap_by_tap(
        pooled, Conv2d(weight, 1), list(np.ndindex(places, places))))


def test_neurons_before_a_pool_of_spikes_are_updated_one_by_one():
    made = graph(conv(3, 1), neuron("conv"), Node("any", MaxPool((2, 2), (2, 2)), ("a",)),
                 shape=(1, 6, 6))
    assert worked(made, sample(made)).updates.tolist() == [STEPS * 3 * 16, 0]


def test_recurrence_and_residual_sum():
    weight = ints(np.ones((4, 4)))
    made = graph(Node("in", Dense(weight, 1), ("x",)), Node("before", Delay(), ("a",)),
                 Node("back", Dense(weight, 2), ("before",)), Node("sum", Add(), ("in", "back")),
                 neuron("sum"), Node("on", Dense(weight, 1), ("a",)),
                 Node("skip", Add(), ("on", "a")), neuron("skip", "b"), shape=(4,))
    x = sample(made)
    fired = golden.run(made, x, record="spikes").spikes["a"]
    work, all_steps, but_the_last = worked(made, x), fired.sum((1, 2)), fired[:, :-1].sum((1, 2))
    assert np.array_equal(work.sops[:, 0], x.sum((1, 2)) * 4 + but_the_last * 4)
    assert np.array_equal(work.sops[:, 1], all_steps * 4 + all_steps)


@pytest.mark.parametrize("banks", (1, 2))
def test_roofs(banks):
    made = graph(Node("in", Dense(ints(np.ones((40, 30))), 1), ("x",)), neuron("in"), shape=(30,),
                 coding="direct")
    machine, _ = map_graph(made, lanes=16, units=1, banks=banks)
    x = sample(made)
    work, active = worked(made, x), np.count_nonzero(x, axis=1)
    bounds = roof(machine, work)
    # the first group of each bank is added as the pixels arrive
    assert np.array_equal(bounds.lanes[:, 0], active * (40 - 16 * banks) / (16 * banks))
    assert np.all(bounds.units[:, 0] == STEPS * 40 / banks)
    timing = cycle.run(machine, x, layer_spikes(made, golden.run(made, x, record="spikes")))
    assert np.array_equal(timing.lane_clocks[:, 0], active * (40 - 16 * banks))


def test_step_by_step_a_direct_input_is_added_at_every_step():
    made = graph(Node("in", Dense(ints(np.ones((40, 30))), 1), ("x",)), neuron("in"), shape=(30,),
                 coding="direct")
    machine, _ = map_graph(made, lanes=16, units=1, stepwise=True)
    x = sample(made)
    work, active = worked(made, x), np.count_nonzero(x, axis=1)
    assert np.array_equal(work.direct[:, 0], active * 40) and not work.direct[:, 1].any()
    timing = cycle.run(machine, x, layer_spikes(made, golden.run(made, x, record="spikes")))
    assert np.array_equal(roof(machine, work).lanes[:, 0], active * (40 * STEPS - 16) / 16)
    assert np.array_equal(timing.lane_clocks[:, 0], active * (40 * STEPS - 16))
