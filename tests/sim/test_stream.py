import numpy as np
import pytest
from core_graphs import random_graph
from image_graphs import image_graph
from states import with_states

from qsnn_compile.ir import Readout, bounds, ints
from qsnn_compile.passes import pipeline, run_passes
from qsnn_sim.golden import answers as stream
from qsnn_sim.golden import golden
from qsnn_sim.rtl.plan import random_samples

GRAPH = random_graph(2)                 # 4 steps, spike-coded, counts


def naive(readout, steps, reads, streams):
    """The scores after each step, in plain numbers; *reads* [steps][classes]."""
    totals, said = [0] * len(reads[0]), []
    for step, read in enumerate(reads):
        if streams and step and step % steps == 0:
            totals = [int(total / 2) for total in totals]       # towards 0
        totals = [total + int(one) for total, one in zip(totals, read, strict=True)]
        said.append(totals if readout.kind == "count" else [
            int(g) * total + int(b) for g, total, b in zip(readout.gain, totals, readout.bias,
                                                           strict=True)])
    return said


@pytest.mark.parametrize("classes", [1, 2, 5])
@pytest.mark.parametrize("streams", [False, True])
def test_answers_are_those_of_plain_numbers(classes, streams):
    rng = np.random.default_rng(classes)
    readout = Readout("potential", "y", ints(rng.integers(-5, 9, classes)),
                      ints(rng.integers(-50, 50, classes)))
    graph = type(GRAPH)("any", 3, GRAPH.input, (), readout)
    reads = rng.integers(-20, 20, (6, 11, classes))
    answers = stream.answers(graph, reads, stream=streams)
    for n, sample in enumerate(reads):
        for t, scores in enumerate(naive(readout, 3, sample, streams)):
            best = max(scores)
            others = sorted(scores)[:-1]
            assert (answers.classes[n, t], answers.scores[n, t]) == (scores.index(best), best)
            assert answers.leads[n, t] == (best - others[-1] if others else stream.ALONE)


def test_the_last_answer_of_a_window_is_the_networks():
    x = random_samples(GRAPH, 40)
    result = golden.run(GRAPH, x)
    answers = stream.answers(GRAPH, result.reads)
    assert np.array_equal(answers.classes[:, -1], result.classes)
    assert np.array_equal(answers.scores[:, -1], result.scores.max(axis=1))


def test_a_window_ends_with_the_first_settled_step_or_the_last():
    leads = np.array([[0, 2, 1], [3, 0, 0], [1, 1, 1]])
    answers = stream.Answers(leads, leads, leads)
    assert answers.exits(2).tolist() == [1, 0, 2]
    assert answers.exits(0).tolist() == [0, 0, 0]
    assert answers.exits(9).tolist() == [2, 2, 2]
    assert answers.settled(2).tolist() == [[False, True, False], [True, False, False], [False] * 3]


def test_a_direct_network_on_equal_frames_is_that_network():
    graph = random_graph(1)
    x = random_samples(graph, 20)
    assert graph.input.coding == "direct"
    longer = stream.by_frames(graph, graph.steps)
    result = golden.run(longer, stream.frames(graph, x))
    assert np.array_equal(result.scores, golden.run(graph, x).scores)


def test_shifted_pairs_each_step_with_the_one_before():
    train = np.arange(1, 7, dtype=np.uint8).reshape(2, 3, 1)
    pairs = stream.shifted(train)[..., 0].tolist()
    assert pairs == [[0, 1], [1, 2], [2, 3], [0, 4], [4, 5], [5, 6]]


@pytest.mark.parametrize("graph", [
    random_graph(2), random_graph(10), image_graph(36),
    *(with_states(random_graph(seed), seed) for seed in range(8))])
def test_a_stream_never_leaves_its_bounds(graph):
    graph = run_passes(graph, pipeline(True))
    proved, longer = bounds(graph, endless=True), stream.by_frames(graph, 9 * graph.steps)
    x = np.full((3, longer.steps, *graph.input.shape), (1 << graph.input.bits) - 1, np.uint8)
    x[0], x[1, ::2] = 0, 0
    result = golden.run(longer, x, record="all")
    scores = stream.answers(graph, result.reads, stream=True).scores
    assert proved.scores.lowest <= scores.min() and scores.max() <= proved.scores.highest
    for name, linear in proved.linear.items():
        assert linear.current.lowest <= result.values[name].min()
        assert result.values[name].max() <= linear.current.highest
    for name, neuron in proved.neurons.items():
        assert neuron.u.lowest <= result.membranes[name].min()
        assert result.membranes[name].max() <= neuron.u.highest
