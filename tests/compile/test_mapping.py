import itertools
from dataclasses import replace

import numpy as np
import pytest
from core_datapath import Datapath
from core_graphs import random_graph
from image_graphs import image_graph
from states import with_states

from qsnn_compile.ir import (
    Add,
    Conv2d,
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
    shapes,
)
from qsnn_compile.lower.mapping import map_graph, mapped_again, most_columns, prepare
from qsnn_compile.passes import PASSES, run_passes
from qsnn_sim.golden import golden

SHAPES = list(itertools.product((16, 32, 64), (1, 2, 4)))


def check(graph, lanes, units, samples=2, seed=0, **shape):
    legal = run_passes(graph, PASSES)
    machine, image = map_graph(legal, lanes=lanes, units=units, **shape)
    data = random_samples(graph, samples, seed)
    expected = golden.run(graph, data, record="all")
    datapath = Datapath(machine, image)
    for index, sample in enumerate(data):
        assert datapath.run(sample).tolist() == expected.scores[index].tolist()
        for layer, sent in zip(machine.parameters.layers, datapath.sent, strict=False):
            wanted = sent_by(graph, layer, expected)[index]
            assert np.array_equal(sent, wanted.reshape(sent.shape))


def sent_by(graph, layer, result):
    """The golden model's spikes of *layer*, pooled where it pools them."""
    if layer.pooling != "or":
        return result.spikes[layer.name]
    (pool,) = (node.name for node in graph.nodes if layer.name in node.inputs)
    return result.values[pool]


def random_samples(graph, count, seed):
    """Data of all values that the input takes."""
    rng, source = np.random.default_rng(seed), graph.input
    steps = () if source.coding == "direct" else (graph.steps,)
    return rng.integers(0, 1 << source.bits, (count, *steps, *source.shape), dtype=np.uint8)


@pytest.mark.parametrize("seed", range(48))
def test_datapath_equals_golden(seed):
    lanes, units = SHAPES[seed % len(SHAPES)]
    check(random_graph(seed), lanes, units, seed=seed)


BANKS = (dict(lanes=16, units=1, banks=2), dict(lanes=32, units=2, banks=2, columns=1),
         dict(lanes=16, units=1, banks=4, columns=2), dict(lanes=16, units=1, stepwise=True),
         dict(lanes=16, units=1, banks=2, stepwise=True))


@pytest.mark.parametrize("seed", range(20))
def test_banks_and_columns(seed):
    check(random_graph(seed, sizes=(21, 20, 50, 7)), seed=seed, **BANKS[seed % len(BANKS)])


@pytest.mark.parametrize("seed", range(50))
def test_images(seed):
    shapes = (dict(lanes=16, units=2), dict(lanes=32, units=4, columns=2), *BANKS)
    check(image_graph(seed), seed=seed, **shapes[seed % len(shapes)])


@pytest.mark.parametrize("seed", range(48))
def test_synapses(seed):
    make = image_graph if seed % 3 else random_graph
    shapes = (dict(lanes=16, units=2), dict(lanes=32, units=4, columns=2), *BANKS)
    check(with_states(make(seed), seed), seed=seed, **shapes[seed % len(shapes)])


def images(coding, bits, channels, *nodes):
    """*nodes* on images of 4 × 5, then a class for each of 3 sums of all that is left."""
    ones = ints(np.where(np.arange(3 * 4096).reshape(3, -1) % 5, 1, -1))
    rest = (*nodes, Node("flat", Flatten(), (nodes[-1].name,)))
    graph = Graph("images", 3, Input((channels, 4, 5), bits, coding), rest,
                  Readout("count", "flat"))
    dense = Dense(ones[:, :shapes(graph)["flat"][0]], 1)
    return replace(graph, nodes=(*rest, Node("out", dense, ("flat",))),
                   readout=Readout("potential", "out"))


def conv(channels, count, pad=0, stride=(1, 1), padding=(1, 1, 1, 1)):
    weight = np.random.default_rng(count).choice((-2, -1, 1, 1, 1), (count, channels, 3, 3))
    return Conv2d(ints(weight), 2, stride, padding, 1, pad)


@pytest.mark.parametrize("shape", BANKS)
@pytest.mark.parametrize("coding, bits, channels, pad",
                         (("spikes", 1, 16, 1), ("spikes", 2, 3, 3), ("direct", 8, 2, 200)))
def test_padding_with_a_number(coding, bits, channels, pad, shape):
    nodes = (Node("conv", conv(channels, 16, pad), ("x",)),
             Node("lif", Neuron(6, ints(9)), ("conv",)),
             Node("conv2", conv(16, 5, 1, (2, 2)), ("lif",)),
             Node("lif2", Neuron(4, ints(3)), ("conv2",)))
    check(images(coding, bits, channels, *nodes), **({"units": 1} | shape))


def test_a_sum_pool_before_the_readout():
    nodes = (Node("conv", conv(2, 7), ("x",)), Node("lif", Neuron(6, ints(9)), ("conv",)),
             Node("conv2", conv(7, 4), ("lif",)), Node("all", SumPool((4, 5), (1, 1)), ("conv2",)))
    graph = Graph("pooled", 3, Input((2, 4, 5), 4, "direct"), nodes, Readout("potential", "all"))
    for shape in BANKS:
        check(graph, **shape)


@pytest.mark.parametrize("shape", BANKS)
def test_a_readout_that_reads_the_input_too(shape):
    rng = np.random.default_rng(4)
    nodes = (Node("fc", Dense(ints(rng.integers(-2, 2, (9, 6))), 2), ("x",)),
             Node("lif", Neuron(6, ints(9)), ("fc",)),
             Node("a", Dense(ints(rng.integers(-2, 2, (3, 9))), 2), ("lif",)),
             Node("b", Dense(ints(rng.integers(-2, 2, (3, 6))), 2), ("x",)),
             Node("both", Add(), ("a", "b")))
    for coding in ("direct", "spikes"):
        source = Input((6,), 4, coding)
        check(Graph("skip", 5, source, nodes, Readout("potential", "both")), **shape)


@pytest.mark.parametrize("weight_bits", (1, 2, 4, 8, 11, 16))
@pytest.mark.parametrize("membrane_bits", (2, 4, 16))
def test_every_width(weight_bits, membrane_bits):
    seed = 1000 + 10 * weight_bits + membrane_bits
    check(random_graph(seed, weight_bits, membrane_bits), 16, 2, seed=seed)


@pytest.mark.parametrize("bits", (2, 5, 11))
def test_planes_that_are_all_0_need_no_rows(bits):
    graph = random_graph(1, 1 if bits == 2 else bits - 3, sizes=(9, 20, 5))
    coarse = replace(graph, nodes=tuple(
        replace(node, op=replace(node.op, weight=ints(node.op.weight << 3), bits=bits + 3))
        if isinstance(node.op, Dense) else node for node in graph.nodes))
    machine, _ = map_graph(run_passes(coarse, PASSES), lanes=16)
    assert machine.layout.rows < 16 * (9 + 9 + 20)
    check(coarse, 16, 2)


@pytest.mark.parametrize("size", (15, 16, 17, 33))
def test_groups_and_pads(size):
    check(random_graph(size, sizes=(5, size, size, 9)), 16, 2, seed=size)


def test_banks_share_a_readout_of_several_groups():
    graph = random_graph(0, sizes=(5, 20, 17))
    graph = replace(graph, nodes=graph.nodes[:3], readout=Readout("potential", "dense1"))
    machine, image = map_graph(run_passes(graph, PASSES), lanes=16, units=1, banks=2)
    assert machine.parameters.joins and machine.layout.rounds[1] == machine.layout.groups[1] == 2
    assert [len(rows) for rows in image.weights] == [machine.layout.rows] * 2


def test_banks_cannot_share_a_readout_of_the_input_itself():
    source = Input((4,), 8, "direct")
    nodes = (Node("fc", Dense(ints([[1, -1, 1, 1]]), 1), ("x",)),)
    graph = Graph("g", 1, source, nodes, Readout("potential", "fc", ints([1]), ints([0])))
    with pytest.raises(ValueError, match="Banks must be 1 for a readout of the input itself, not"):
        map_graph(run_passes(graph, PASSES), lanes=16, units=1, banks=2)


def layer(neuron, weight, steps=3):
    weight = ints(weight)
    nodes = (Node("fc", Dense(weight, 1), ("x",)), Node("lif", neuron, ("fc",)),
             Node("fc2", Dense(weight.T, 1), ("lif",)), Node("lif2", neuron, ("fc2",)))
    return Graph("net", steps, Input((weight.shape[1],), 2, "direct"), nodes,
                 Readout("count", "lif2"))


@pytest.mark.parametrize("neuron", (
    Neuron(4, ints(-2), ints(9)),                               # fires at every step
    Neuron(4, ints(3), ints(0), initial=ints(7)),               # starts above its threshold
    Neuron(6, ints(5), ints(2), reset="soft", reset_value=ints(1)),     # drifts up
), ids=("always", "start", "drift"))
def test_pads_never_fire_where_one_value_would_make_them(neuron):
    weight = np.where(np.arange(15).reshape(3, 5) % 3 == 0, 1, -1)
    check(layer(neuron, weight), 16, 2)


def test_every_channel_flipped():
    check(layer(Neuron(4, ints(3)), np.ones((3, 5))), 16, 2)


def test_a_channel_is_stored_with_the_fewer_ones():
    weight = ((1, 1, 1, -1), (1, -1, -1, -1), (1, 1, -1, -1))
    machine, image = map_graph(layer(Neuron(4, ints(3)), weight), lanes=16)
    rows = [[row >> lane & 1 for row in image.weights[0][:4]] for lane in range(3)]
    assert rows == [[0, 0, 0, 1], [1, 0, 0, 0], [1, 1, 0, 0]]
    assert machine.arithmetic.acc_bits == (2 * 3).bit_length()


@pytest.mark.parametrize("steps,most", [(1, 1), (2, 2), (3, 4), (4, 4), (5, 4)])
def test_steps_side_by_side(steps, most):
    graph = run_passes(layer(Neuron(4, ints(3)), np.ones((3, 5)), steps), PASSES)
    assert most_columns(prepare(graph, False)) == most
    assert most_columns(prepare(graph, False), 2) == 2
    assert most_columns(prepare(graph, True), 2) == 1


@pytest.mark.parametrize("stepwise", [False, True])
def test_a_machine_is_mapped_again_by_its_choices(stepwise):
    graph = run_passes(layer(Neuron(4, ints(3)), np.ones((3, 5))), PASSES)
    made = map_graph(graph, lanes=32, units=4, stepwise=stepwise)
    assert made[0].parameters.order == ("step" if stepwise else "layer")
    assert mapped_again(graph, made[0]) == made


@pytest.mark.parametrize("size", [2, 4, 6])
def test_pooled_neurons_have_parameters_of_their_own(size):
    """Thresholds 1 to size², before a pool of 2 x 2."""
    threshold = ints(np.arange(1, size * size + 1).reshape(1, size, size))
    nodes = (Node("conv", Conv2d(ints([[[[1]]]]), 2), ("x",)),
             Node("lif", Neuron(8, threshold), ("conv",)),
             Node("pool", MaxPool((2, 2), (2, 2)), ("lif",)), Node("flat", Flatten(), ("pool",)),
             Node("out", Dense(ints(np.eye(size * size // 4)), 2), ("flat",)))
    check(Graph("pooled", 3, Input((1, size, size), 4, "direct"), nodes,
                Readout("potential", "out")), 16, 2)
