import numpy as np
import pytest
from core_graphs import random_data, random_graph
from states import with_states

from qsnn_compile.ir import Conv2d, Dense, Graph, Input, Neuron, Node, Readout, Synapse, equal, ints
from qsnn_compile.passes import PASSES, run_passes
from qsnn_compile.passes.clip_thresholds import ClipThresholds
from qsnn_compile.passes.legalise import Legalise
from qsnn_compile.passes.reduce_decay import ReduceDecay
from qsnn_sim.golden import golden


def graph(neuron, weight=((1, -1),), bits=1, readout="count"):
    weight = ints(weight)
    nodes = (Node("fc", Dense(weight, bits), ("x",)), Node("lif", neuron, ("fc",)))
    source = "lif" if readout == "count" else "fc"
    return Graph("net", 3, Input((weight.shape[1],), 4, "direct"), nodes, Readout(readout, source))


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("step", PASSES, ids=lambda step: step.name)
def test_no_pass_changes_a_score_or_a_spike(step, seed):
    before = with_states(random_graph(seed), seed, 0.5)
    after = run_passes(before, [step])
    data = random_data(before, 4, seed)
    a, b = (golden.run(g, data, record="all") for g in (before, after))
    assert np.array_equal(a.scores, b.scores)
    assert all(np.array_equal(a.spikes[name], b.spikes[name]) for name in a.spikes)
    assert all(np.array_equal(a.membranes[name], b.membranes[name]) for name in a.membranes)


@pytest.mark.parametrize("step", PASSES, ids=lambda step: step.name)
def test_a_second_time_changes_nothing(step):
    once = run_passes(random_graph(5), [step])
    assert equal(run_passes(once, [step]), once)


def test_reduce_decay():
    op = Neuron(4, ints(3), decay=ints([4, 12]), decay_shift=4)
    made = run_passes(graph(op, ((1, -1), (1, 1))), [ReduceDecay()])["lif"].op
    assert (made.decay.tolist(), made.decay_shift) == ([1, 3], 2)


def test_reduce_decay_of_a_synapse():
    op = Neuron(4, ints(3), synapse=Synapse(ints([4, 12]), 4, 8))
    made = run_passes(graph(op, ((1, -1), (1, 1))), [ReduceDecay()])["lif"].op.synapse
    assert (made.decay.tolist(), made.decay_shift) == ([1, 3], 2)


def test_clip_thresholds():
    op = Neuron(4, ints([1000, -1000]), decay=ints(0))
    made = run_passes(graph(op, ((1, -1), (1, 1))), [ClipThresholds()])["lif"].op
    assert made.threshold.tolist() == [16, 0]       # v in -15..15 and 0..30


def test_a_clamp_out_of_reach_is_brought_near():
    op = Neuron(4, ints(1000), decay=ints(0), reset="none", clamp=ints([-999, 7]))
    made = run_passes(graph(op, ((1, -1), (1, 1))), [ClipThresholds()])["lif"].op
    assert made.clamp.tolist() == [-15, 7]          # v in -15..15 and 0..30


@pytest.mark.parametrize("weight, given, wanted", (
    (((1, -1),), 2, 1), (((0, -1),), 3, 2), (((3, -4),), 3, 4), (((300, -1),), 14, 10),
    (((1, 0),), 8, 2)))
def test_legalise_fits_weights(weight, given, wanted):
    made = run_passes(graph(Neuron(4, ints(3)), weight, given), [Legalise()])
    assert made["fc"].op.bits == wanted


def test_legalise_fits_convolutions():
    nodes = (Node("conv", Conv2d(ints([[[[1, -2]]]]), 8), ("x",)), Node("lif", Neuron(4, ints(3)),
                                                                      ("conv",)))
    made = Graph("net", 2, Input((1, 1, 2), 4, "direct"), nodes, Readout("count", "lif"))
    assert run_passes(made, [Legalise()])["conv"].op.bits == 2


def test_names_and_descriptions():
    assert [step.name for step in PASSES] == ["reduce-decay", "clip-thresholds", "legalise"]
    assert all("\n" not in step.description for step in PASSES)


def test_watch_sees_every_stage():
    seen = []
    run_passes(graph(Neuron(4, ints(3))), PASSES, lambda name, text, graph: seen.append(name))
    assert seen == ["import", *(step.name for step in PASSES)]
