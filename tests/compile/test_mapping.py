import itertools

import numpy as np
import pytest
from core_datapath import Datapath
from core_graphs import random_data, random_graph

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
