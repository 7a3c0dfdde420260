"""Clocks of the cycle model, counted by hand. Its judge is the RTL, in tests/verify."""

import draws
import numpy as np
import pytest
from core_graphs import random_graph
from image_graphs import image_graph

from qsnn_compile.lower.mapping import map_graph
from qsnn_compile.passes import PASSES, run_passes
from qsnn_sim.cycle import cycle
from qsnn_sim.golden import golden
from qsnn_sim.rtl.plan import layer_spikes, random_samples

SAMPLES = 6
SMALL = {"lanes": 16, "units": 1}


def timed(graph, **shape):
    """The machine of a network, and the clocks of three samples."""
    legal = run_passes(graph, PASSES)
    machine, _ = map_graph(legal, **shape)
    x = random_samples(legal, 3, 0)
    spikes = layer_spikes(legal, golden.run(legal, x, record="spikes"))
    return machine, cycle.run(machine, x, spikes)


@pytest.mark.parametrize("classes", [16, 17, 32, 33])
def test_groups_of_a_shared_readout_turn_a_rotation_and_a_clock_apart(classes):
    """Of three neurons, two banks have their windows read long before the lanes are free."""
    machine, timing = timed(random_graph(1, sizes=(5, 3, classes)), **SMALL, banks=2)
    apart = np.diff(timing.rotations[-1], axis=-1)
    assert machine.parameters.joins and apart.shape == (3, 2, (classes - 1) // 16)
    assert np.all(apart == machine.timing.rotation[-1] + 1)


@pytest.mark.parametrize("seed", range(12))
def test_clocks_have_no_origin(seed):
    """Later beats, by whole turns of the banks, move every clock as far."""
    machine, rng = draws.draw(seed).machine, np.random.default_rng(seed)
    x, spikes = draws.active(machine, rng, SAMPLES)
    beats = np.cumsum(rng.integers(1, 4, (SAMPLES, machine.layout.input_beats)), axis=1)
    first = cycle.run(machine, x, spikes, arrivals=beats)
    for turns in (1, 3, 1000):
        later = turns * machine.parameters.banks
        moved = cycle.run(machine, x, spikes, arrivals=beats + later)
        assert np.array_equal(moved.answers, first.answers + later)
        assert np.array_equal(moved.latency, first.latency)
        assert all(np.array_equal(there, here + later)
                   for there, here in zip(moved.rotations, first.rotations, strict=True))


@pytest.mark.parametrize("events", [1, 2, 7])
@pytest.mark.parametrize("busy", [0, 3, 60])
def test_pixels_of_a_list_are_words_one_by_one(events, busy):
    """A bank that transferred up to 60 clocks ago, and one without work."""
    counts, works = np.arange(1, 12), np.array([[events], [0]])
    banks = cycle._Banks(2, np.zeros_like(counts))
    banks.free[:] = busy
    banks.pixels(slice(None), np.full_like(counts, 5), counts, works, True)
    for index, count in enumerate(counts):
        words = cycle._Banks(2, np.zeros(1, np.int64))
        words.free[:] = busy
        for number in range(count):
            words.word(slice(None), np.full(1, 5), works, number == count - 1)
        assert words.spent.ravel().tolist() == banks.spent[:, index].tolist(), count
        assert words.request.ravel().tolist() == banks.request[:, index].tolist(), count


@pytest.mark.parametrize("graph,shape,latencies", [
    pytest.param(random_graph(11, 4, sizes=(31, 2, 2)), {}, [65, 160, 67], id="list"),
    pytest.param(random_graph(11, 4, sizes=(31, 2, 2)), {"banks": 4}, [72, 166, 72],
                 id="banks without work"),
    pytest.param(random_graph(1, sizes=(5, 3, 33)), {"banks": 2}, [119, 152, 124],
                 id="shared readout"),
    pytest.param(random_graph(2, sizes=(20, 33, 3)), {"stepwise": True}, [402, 448, 396],
                 id="step by step"),
    pytest.param(image_graph(17), {"columns": 2, "batch": True}, [368, 377, 368],
                 id="two steps a pass")])
def test_latencies_that_the_rtl_had(graph, shape, latencies):
    """Recorded once, for where no simulator is at hand."""
    _, timing = timed(graph, **SMALL | shape)
    assert timing.latency.tolist() == latencies
