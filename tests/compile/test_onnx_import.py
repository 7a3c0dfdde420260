"""Networks written by the exporter come back with the same scores, spikes and membranes."""

import numpy as np
import pytest
from core_graphs import random_data, random_graph

from qsnn_compile.dialect.reader import import_onnx
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
    Synapse,
    equal,
    ints,
)
from qsnn_models.export.onnx_export import save
from qsnn_sim.golden import golden

SHAPES = ("scan", "step")


def there_and_back(graph, path, shape):
    file = path / f"net_{shape}.onnx"
    save(graph, file, shape)
    return import_onnx(file)


def check(graph, path, shape, seed=0):
    again = there_and_back(graph, path, shape)
    data = random_data(graph, 3, seed)
    a, b = (golden.run(g, data, record="all") for g in (graph, again))
    assert np.array_equal(a.scores, b.scores)
    for kind in ("spikes", "membranes"):
        wanted, board = getattr(a, kind), getattr(b, kind)
        assert wanted.keys() == board.keys()
        assert all(np.array_equal(wanted[name], board[name]) for name in wanted)
    assert (again.steps, again.input, again.readout.kind) == \
        (graph.steps, graph.input, graph.readout.kind)
    return again


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("seed", range(12))
def test_dense(tmp_path, shape, seed):
    graph = random_graph(seed)
    again = check(graph, tmp_path, shape, seed)
    assert [node.op.bits for node in again.nodes] == [node.op.bits for node in graph.nodes]


def conv_net(coding="direct", pad_value=0):
    rng = np.random.default_rng(5)

    def weight(*shape):
        return ints(rng.integers(-2, 2, shape))

    nodes = (
        Node("conv", Conv2d(weight(4, 2, 3, 3), 2, (1, 1), (1, 1, 1, 1), 1, pad_value), ("x",)),
        Node("pool", MaxPool((2, 2), (2, 2), ints([[[0]], [[1]], [[0]], [[1]]])), ("conv",)),
        Node("n1", Neuron(4, ints(9), ints(rng.integers(-3, 3, (4, 1, 1))), ints(1),
                          ints(1), 1, reset="soft", reset_value=ints(9)), ("pool",)),
        Node("sum", SumPool((2, 2), (1, 1)), ("n1",)),
        Node("depthwise", Conv2d(weight(4, 1, 2, 2), 2, groups=4), ("sum",)),
        Node("n2", Neuron(5, ints(2), clamp=ints(-3), max_spikes=3, reset="none"), ("depthwise",)),
        Node("flat", Flatten(), ("n2",)),
        Node("fc", Dense(weight(5, 16), 2), ("flat",)),
    )
    source = Input((2, 8, 8), 3 if coding == "direct" else 1, coding, 0.5, 1)
    return Graph("conv", 3, source, nodes, Readout("potential", "fc", ints([3, 1, 2, 5, 4]),
                                                   ints([1, -2, 0, 4, 9])))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("coding", ("direct", "spikes"))
@pytest.mark.parametrize("pad_value", (0, 1))
def test_convolution(tmp_path, shape, coding, pad_value):
    graph = conv_net(coding, pad_value)
    again = check(graph, tmp_path, shape)
    assert equal(again.nodes, graph.nodes)


def recurrent_net(readout):
    rng = np.random.default_rng(6)
    nodes = (
        Node("before", Delay(), ("n1",)),
        Node("fc", Dense(ints(rng.integers(-8, 8, (6, 9))), 4), ("x",)),
        Node("loop", Dense(ints(rng.integers(-8, 8, (6, 6))), 4), ("before",)),
        Node("both", Add(), ("fc", "loop")),
        Node("n1", Neuron(6, ints(7), initial=ints([1, 0, -2, 3, 0, 1]),
                          synapse=Synapse(ints(3), 2, 8)), ("both",)),
    )
    return Graph("loop", 4, Input((9,)), nodes, readout)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("readout", (
    Readout("count", "n1"), Readout("last", "n1.u", ints(2), ints([1, 2, 3, 4, 5, 6])),
    Readout("last", "both"), Readout("potential", "both")), ids=lambda r: f"{r.kind}-{r.source}")
def test_recurrent(tmp_path, shape, readout):
    check(recurrent_net(readout), tmp_path, shape)


def test_steps_and_readout_options(tmp_path):
    save(recurrent_net(Readout("potential", "both")), tmp_path / "net.onnx", "step")
    assert import_onnx(tmp_path / "net.onnx", steps=9).steps == 9


@pytest.mark.parametrize("name", ("fashion_mnist_mlp", "mnist_mlp"))
def test_zoo(name):
    graph = import_onnx(f"models/zoo/{name}.onnx")
    assert graph.steps == 4 and graph.input.shape == (784,)
