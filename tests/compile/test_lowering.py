"""What the core does not take, and what users are told."""

import re

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
from qsnn_compile.lower.lowering import lower
from qsnn_compile.passes import PASSES, run_passes
from qsnn_compile.system.errors import Unsupported

LIF = Neuron(4, ints(3))


def dense(channels, inputs, bits=2):
    return Dense(ints(np.ones((channels, inputs))), bits)


def conv(channels, inputs, *, kernel=1, **options):
    return Conv2d(ints(np.ones((channels, inputs, kernel, kernel))), 2, **options)


def network(*nodes, shape=(2, 4, 4), bits=1, coding="spikes", readout="potential"):
    """Nodes (name, operator, inputs …): an input left out is the node before."""
    made, before = [], "x"
    for name, op, *inputs in nodes:
        made.append(Node(name, op, tuple(inputs) or (before,)))
        before = name
    return Graph("net", 3, Input(shape, bits, coding), tuple(made), Readout(readout, before))


def image(*nodes, **options):
    """A layer of neurons "lif" [2, 4, 4], then *nodes*."""
    return network(("conv", conv(2, 2)), ("lif", LIF), *nodes, **options)


END = (("flat", Flatten()), ("out", dense(3, 32)))
REFUSED = {
    "neuron of the input": (
        network(("lif", LIF), *END),
        "node 'lif': a neuron's input must be a current, not the spikes 'x'; put weights between"),
    "input not read": (
        network(("back", Delay(), "lif"), ("fc", dense(3, 3)), ("lif", LIF), ("out", dense(3, 3)),
                shape=(3,)),
        "input 'x' must reach the readout, and no layer on the way reads it; connect it"),
    "three currents": (
        network(("a", dense(3, 5), "x"), ("b", dense(3, 5), "x"), ("c", dense(3, 5), "x"),
                ("sum", Add(), "a", "b", "c"), shape=(5,)),
        "node 'sum': what is added must be 2 currents or maps of spikes, not 3; put a neuron "
        "between"),
    "pooled currents added": (
        image(("a", conv(2, 2), "lif"), ("pool", SumPool((2, 2), (2, 2)), "a"),
              ("b", conv(2, 2, stride=(2, 2)), "lif"), ("sum", Add(), "pool", "b"),
              ("lif2", LIF), ("flat", Flatten()), ("out", dense(3, 8))),
        "node 'sum': what is added must not be pooled, as 'pool' is; pool the sum"),
    "flattened spikes added": (
        image(("flat", Flatten()), ("fc", dense(32, 32)), ("sum", Add(), "fc", "flat")),
        "node 'sum': what is added must not be flattened, as 'flat' is; flatten the spikes behind "
        "the sum"),
    "flattened current": (
        network(("conv", conv(2, 2)), ("flat", Flatten()), ("lif", LIF), ("out", dense(3, 32))),
        "node 'flat': what is flattened must be spikes, not the current 'conv'; put the neuron "
        "before it"),
    "pool of a pool": (
        image(("a", SumPool((2, 2), (1, 1))), ("b", SumPool((2, 2), (1, 1))), ("flat", Flatten()),
              ("out", dense(3, 8))),
        "node 'b': a pool must read a layer, not the pool 'a'; join the two"),
    "subsampled twice": (
        image(("a", SumPool((1, 1), (2, 2))), ("b", SumPool((1, 1), (2, 2))), ("flat", Flatten()),
              ("out", dense(3, 2))),
        "node 'b': a pool must read a layer, not the pool 'a'; join the two"),
    "max pool of the input": (
        network(("pool", MaxPool((1, 1), (1, 1))), *END),
        "node 'pool': a max pool must read a current, or neurons without a pool before them, not "
        "'x'; pool with sums instead"),
    "max pool beside another reader": (
        image(("a", MaxPool((4, 4), (1, 1)), "lif"), ("flat", Flatten()), ("b", dense(3, 2)),
              ("flat2", Flatten(), "lif"), ("c", dense(3, 32)), ("sum", Add(), "b", "c")),
        "node 'a': a max pool of spikes must be the only one that reads 'lif', not one of several; "
        "pool with sums instead"),
    "least spike": (
        image(("pool", MaxPool((4, 4), (1, 1), ints(1))), ("flat", Flatten()),
              ("out", dense(3, 2))),
        "node 'pool': flipped must be 0 for a pool of spikes, not 1; pool the current before the "
        "neuron"),
    "delayed input": (
        network(("late", Delay()), *END),
        "node 'late': what is delayed must be spikes of the step before, not the network's input; "
        "delay a neuron's spikes by one step"),
    "delayed twice": (
        image(("late", Delay()), ("later", Delay()), *END),
        "node 'later': what is delayed must be spikes of the step before, not delayed twice; "
        "delay a neuron's spikes by one step"),
    "delay of a later pool": (
        network(("late", Delay(), "pool"), ("flat", Flatten()), ("back", dense(3, 2)),
                ("conv", conv(2, 2), "x"), ("lif", LIF), ("pool", MaxPool((4, 4), (1, 1))),
                ("flat2", Flatten()), ("fc", dense(3, 2)), ("sum", Add(), "fc", "back")),
        "node 'late': input must be spikes or the network's input, not 'pool', a later node that "
        "is no neuron; let it read a neuron"),
    "padding and overlap": (
        image(("pool", SumPool((2, 2), (1, 1))), ("conv2", conv(2, 2, padding=(0, 0, 1, 0))),
              ("lif2", LIF), ("flat", Flatten()), ("out", dense(3, 24))),
        "node 'conv2': padding must be 0 behind a pool whose windows overlap, not (0, 0, 1, 0); "
        "leave out one of the two"),
    "pad around few channels": (
        network(("conv", conv(2, 2, padding=(1, 1, 1, 1), pad_value=1)), ("lif", LIF),
                ("flat", Flatten()), ("out", dense(3, 72))),
        "node 'conv': pad_value must be 0 around 2 channels, which don't fill words of 16, not 1; "
        "pad with 0"),
    "pad around a pool": (
        image(("pool", SumPool((2, 2), (2, 2))),
              ("conv2", conv(2, 2, padding=(1, 1, 1, 1), pad_value=1)), ("lif2", LIF),
              ("flat", Flatten()), ("out", dense(3, 32))),
        "node 'conv2': pad_value must be 0 around pooled or delayed spikes, not 1; pad with 0"),
    "two pads": (
        network(("a", conv(2, 2, padding=(1, 1, 1, 1), pad_value=3), "x"),
                ("b", conv(2, 2, padding=(1, 1, 1, 1), pad_value=4), "x"),
                ("sum", Add(), "a", "b"), ("lif", LIF), ("flat", Flatten()),
                ("out", dense(3, 72)), bits=8, coding="direct"),
        "node 'b': pad_value must be 0 or 3, as in another layer, not 4; pad with 0"),
    "padded readout": (
        network(("conv", conv(2, 2, kernel=6, padding=(1, 1, 1, 1), pad_value=3)), bits=8,
                coding="direct"),
        "readout source 'conv': pad_value must be 0 before the readout, not another; pad with 0"),
    "map read out": (
        network(("conv", conv(2, 2))),
        "readout source 'conv' must be of one place a class, not a map of shape (2, 4, 4); put a "
        "dense layer or a pool of the whole map before the readout"),
    "largest current read out": (
        network(("conv", conv(2, 2)), ("pool", MaxPool((4, 4), (1, 1)))),
        "readout source 'pool' must be a current or a sum of some, not the largest of some; put a "
        "neuron or weights behind the pool"),
    "spikes as potential": (
        network(("fc", dense(3, 5)), ("lif", LIF), shape=(5,)),
        "readout source 'lif' must be a current for readout 'potential', not spikes; use --readout "
        "count"),
    "pooled spikes counted": (
        image(("pool", MaxPool((4, 4), (1, 1))), readout="count"),
        "readout source 'pool' must be a neuron for readout 'count', not another node; read the "
        "neurons out, or --readout potential"),
    "max-pooled current counted": (
        network(("conv", conv(2, 2)), ("pool", MaxPool((4, 4), (1, 1))), ("lif", LIF),
                readout="count"),
        "readout source 'lif': its current must not be max-pooled; put the pool a layer before"),
    "counted and fed back": (
        network(("late", Delay(), "lif"), ("back", dense(3, 3)), ("fc", dense(3, 5), "x"),
                ("sum", Add(), "fc", "back"), ("lif", LIF), shape=(5,), readout="count"),
        "readout source 'lif' must be read by the readout alone, not by 'late'; put a layer "
        "between"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name):
    graph, message = REFUSED[name]
    with pytest.raises(Unsupported, match=f"^{re.escape(message)}$"):
        run_passes(graph, PASSES)


@pytest.mark.parametrize("op, message", (
    (Neuron(4, ints(3), max_spikes=2, reset="soft"), "node 'lif': max_spikes must be 1, not 2; the "
     "core's neurons send one spike a step"),
    (Neuron(17, ints(3)), "node 'lif': membrane must be of 2..16 bits, not 17; quantise it "
     "further"),
))
def test_neurons_that_are_refused(op, message):
    with pytest.raises(Unsupported, match=f"^{re.escape(message)}$"):
        run_passes(network(("fc", dense(3, 5)), ("lif", op), ("out", dense(3, 3)), shape=(5,)),
                   PASSES)


def test_the_last_step_read_out_is_refused():
    with pytest.raises(Unsupported, match="^readout must be 'count' or 'potential', not 'last'; "):
        run_passes(network(("fc", dense(3, 5)), shape=(5,), readout="last"), PASSES)


def test_nodes_without_effect_make_no_stage():
    graph = network(("dead", dense(3, 5), "x"), ("lif", LIF), ("fc", dense(3, 5), "x"), shape=(5,))
    assert [stage.name for stage in lower(graph)] == ["fc"]


def test_groups_become_zeros():
    weight = ints(np.arange(1, 9).reshape(4, 1, 1, 2) % 2 * 2 - 1)
    graph = network(("conv", Conv2d(weight, 1, groups=2)), shape=(2, 1, 2))
    (part,) = lower(graph)[0].current.parts
    assert part.bits == 2 and part.weight.shape == (4, 2, 1, 2)
    assert not part.weight[:2, 1].any() and not part.weight[2:, 0].any()
    assert np.array_equal(part.weight[2:, 1], weight[2:, 0])
