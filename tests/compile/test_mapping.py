import itertools

import numpy as np
import pytest
from core_datapath import Datapath
from core_graphs import random_data, random_graph

from qsnn_compile.ir import Dense, Graph, Input, Neuron, Node, Readout, ints
from qsnn_compile.mapping import map_graph
from qsnn_compile.passes import PASSES, run_passes
from qsnn_sim import golden

SHAPES = list(itertools.product((16, 32, 64), (1, 2, 4)))


def check(graph, lanes, units, samples=2, seed=0):
    legal = run_passes(graph, PASSES)
    machine, image = map_graph(legal, lanes=lanes, units=units)
    data = random_data(graph, samples, seed)
    expected = golden.run(graph, data, record="spikes")
    for index, sample in enumerate(data):
        datapath = Datapath(machine, image)
        assert datapath.run(sample.tolist()) == expected.scores[index].tolist()
        for trains, wanted in zip(datapath.spikes, expected.spikes.values(), strict=True):
            assert np.array_equal(np.array(trains), wanted[index])


@pytest.mark.parametrize("seed", range(80))
def test_datapath_equals_golden(seed):
    lanes, units = SHAPES[seed % len(SHAPES)]
    check(random_graph(seed), lanes, units, seed=seed)


@pytest.mark.parametrize("weight_bits", (1, 2, 4, 8))
@pytest.mark.parametrize("membrane_bits", (2, 3, 4, 8, 16))
def test_every_width(weight_bits, membrane_bits):
    seed = 1000 + 10 * weight_bits + membrane_bits
    check(random_graph(seed, weight_bits, membrane_bits), 16, 2, seed=seed)


@pytest.mark.parametrize("size", (15, 16, 17, 33))
def test_groups_and_pads(size):
    check(random_graph(size, sizes=(5, size, size, 9)), 16, 2, seed=size)


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
    rows = [[row >> lane & 1 for row in image.weights[:4]] for lane in range(3)]
    assert rows == [[0, 0, 0, 1], [1, 0, 0, 0], [1, 1, 0, 0]]
    assert machine.acc_bits == (2 * 3).bit_length()
