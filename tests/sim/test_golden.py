import tracemalloc

import naive
import numpy as np
import pytest
from graphs import graphs, runs
from hypothesis import HealthCheck, given, settings

from qsnn_compile.ir import (
    Conv2d,
    Delay,
    Dense,
    Graph,
    Input,
    IrError,
    MaxPool,
    Neuron,
    Node,
    Readout,
    Synapse,
    ints,
)
from qsnn_sim.golden.golden import run

SHORT = settings(max_examples=150, deadline=None,
                 suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@SHORT
@given(runs())
def test_equals_the_naive_loops(case):
    graph, x = case
    result = run(graph, x, record="all")
    for n, sample in enumerate(x):
        trace = naive.run(graph, sample)
        assert result.scores[n].tolist() == trace.scores
        assert result.classes[n] == trace.best
        for t, step in enumerate(trace.steps):
            for node in graph.nodes:
                kind = result.spikes if isinstance(node.op, Neuron) else result.values
                assert kind[node.name][n, t].ravel().tolist() == [
                    *step[node.name]["value"].values()], node.name
            for name, u in result.membranes.items():
                assert u[n, t].ravel().tolist() == [*step[name]["u"].values()], name
            for name, events in result.events.items():
                assert events[n, t] == sum(v != 0 for v in step[name]["value"].values())


@SHORT
@given(runs())
def test_batches_do_not_matter(case):
    graph, x = case
    whole, single = run(graph, x, record="spikes"), run(graph, x, batch=1)
    assert whole.scores.tolist() == single.scores.tolist()
    assert {n: e.tolist() for n, e in whole.events.items()} == {
        n: e.tolist() for n, e in single.events.items()}
    assert whole.membranes == {} and single.spikes == {}


def one_neuron(steps=1, bits=8, **fields):
    """An 8-bit number into one neuron; the membrane is read out."""
    fields = {"threshold": ints(1000), **fields}
    nodes = (Node("i", Dense(ints([[1]]), 1), ("x",)), Node("n", Neuron(bits, **fields), ("i",)))
    return Graph("one", steps, Input((1,), 8, "direct"), nodes, Readout("last", "n.u"))


def test_floor_keeps_minus_one_at_half():
    graph = one_neuron(5, decay=ints(1), decay_shift=1, initial=ints(-1))
    assert run(graph, [[0]], record="all").membranes["n"].ravel().tolist() == [-1] * 5


@pytest.mark.parametrize(("k", "x", "stored"), [(0, 3, 3), (1, 3, 2), (2, 1, 0), (2, 2, 1)])
def test_rounds_half_up_and_not_at_all_without_a_step(k, x, stored):
    assert run(one_neuron(step_shift=ints(k)), [[x]]).scores.tolist() == [[stored]]


def test_membrane_saturates_and_is_clipped_after_rounding():
    assert run(one_neuron(bits=4), [[200]]).scores.tolist() == [[7]]
    assert run(one_neuron(bits=4, bias=ints(-200)), [[0]]).scores.tolist() == [[-8]]
    assert run(one_neuron(bits=4, step_shift=ints(1)), [[15]]).scores.tolist() == [[7]]


def test_a_tie_goes_to_the_lowest_class():
    graph = Graph("tie", 1, Input((1,), 8, "direct"),
                  (Node("i", Dense(ints([[-1], [1], [1]]), 1), ("x",)),),
                  Readout("potential", "i"))
    assert run(graph, [[5], [0]]).classes.tolist() == [1, 0]


def snntorch_leaky(currents, beta, threshold):
    """snnTorch's Leaky with its delayed ``subtract``, on dyadic numbers: exact in floats."""
    mem, spikes = 0.0, []
    for current in currents:
        reset = float(mem > threshold)
        mem = beta * mem + current - reset * threshold
        spikes.append(int(mem > threshold))
    return spikes


@pytest.mark.parametrize(("m", "q", "threshold"), [(1, 1, 20), (3, 2, 60), (1, 0, 33)])
def test_delayed_subtract_is_a_soft_reset(m, q, threshold):
    """theta - subtracted a step late and undecayed - is rho = theta * 2^q / m at once. The
    membrane counts in 2^-16 here, so that no floor loses anything in 8 steps."""
    fine, steps = 16, 8
    rng = np.random.default_rng(1)
    x = rng.integers(0, 40, (50, steps, 1))
    graph = Graph("leaky", steps, Input((1,), 8), (
        Node("i", Dense(ints([[1]]), 1), ("x",)),
        Node("n", Neuron(32, ints((threshold << fine) + 1), decay=ints(m), decay_shift=q,
                         gain_shift=fine, reset="soft",
                         reset_value=ints((threshold << fine + q) // m)), ("i",))),
        Readout("count", "n"))
    spikes = run(graph, x, record="spikes").spikes["n"][:, :, 0].tolist()
    assert spikes == [snntorch_leaky(row[:, 0].tolist(), m / 2**q, threshold) for row in x]
    assert np.sum(spikes) > 20


@pytest.mark.parametrize("fields", [{"reset": "hard", "reset_value": ints(0)},
                                    {"reset": "soft", "reset_value": ints(20)}])
def test_common_factor_of_a_neuron_changes_nothing(fields):
    """What lets each channel count in units of its own gain."""
    plain = one_neuron(6, 16, threshold=ints(20), **fields)
    scaled = {name: ints(value << 3) if name == "reset_value" else value
              for name, value in fields.items()}
    shifted = one_neuron(6, 16, threshold=ints(160), gain_shift=3, step_shift=ints(3), **scaled)
    x = np.arange(60)[:, None]
    assert run(plain, x).scores.tolist() == run(shifted, x).scores.tolist()


def test_one_bit_sum_is_twice_the_positive_part_less_all():
    rng = np.random.default_rng(2)
    w, x = rng.choice([-1, 1], (4, 30)), rng.integers(0, 256, (20, 30))
    graph = Graph("w1", 1, Input((30,), 8, "direct"), (Node("i", Dense(ints(w), 1), ("x",)),),
                  Readout("potential", "i"))
    plus = x @ (w > 0).T
    assert run(graph, x).scores.tolist() == (2 * plus - x.sum(axis=1)[:, None]).tolist()


def test_sums_beyond_float32_stay_exact():
    wide = ints(np.full((1, 2000), 32767))
    graph = Graph("wide", 1, Input((2000,), 8, "direct"), (Node("i", Dense(wide, 16), ("x",)),),
                  Readout("potential", "i"))
    x = np.full((1, 2000), 255)
    x[0, 0] = 254
    assert run(graph, x).scores.tolist() == [[32767 * (255 * 2000 - 1)]]


def test_a_flipped_channel_pools_the_least():
    pool = MaxPool((2, 2), (2, 2), ints([[[0]], [[1]]]))
    weight = ints([[[[1]]], [[[-1]]]])
    graph = Graph("pool", 1, Input((1, 2, 4), 8, "direct"), (
        Node("i", Conv2d(weight, 2), ("x",)), Node("p", pool, ("i",)),
        Node("n", Neuron(8, ints(0)), ("p",))), Readout("count", "n"))
    pooled = run(graph, [[[[1, 2, 5, 6], [3, 4, 7, 8]]]], record="all").values["p"]
    assert pooled.tolist() == [[[[[4, 8]], [[-4, -8]]]]]


@SHORT
@given(graphs())
def test_no_samples_is_no_error(graph):
    steps = (graph.steps,) if graph.input.coding == "spikes" else ()
    assert len(run(graph, np.zeros((0, *steps, *graph.input.shape), np.uint8)).scores) == 0


@pytest.mark.parametrize("samples", [1, 2, 3, 4, 5])
def test_two_at_a_time_are_all_samples(samples):
    x = np.arange(samples)[:, None]
    result = run(one_neuron(2), x, batch=2, record="all")
    assert result.scores.tolist() == (2 * x).tolist() and len(result.reads) == samples
    assert result.membranes["n"][..., 0].tolist() == [[n, 2 * n] for n in range(samples)]


def test_a_sample_larger_than_a_batch_runs_alone():
    size = (1 << 19) + 1
    graph = Graph("large", 1, Input((size,), 1, "direct"),
                  (Node("i", Dense(ints(np.ones((1, size))), 1), ("x",)),),
                  Readout("potential", "i"))
    assert run(graph, np.ones((2, size), np.uint8)).scores.tolist() == [[size], [size]]


@pytest.mark.parametrize("groups", [1, 2])
def test_the_windows_of_a_batch_take_16_megabytes(groups):
    weight = ints(np.ones((4, 8 // groups, 7, 7)))
    graph = Graph("windows", 1, Input((8, 32, 32), 1, "direct"), (
        Node("i", Conv2d(weight, 1, groups=groups), ("x",)),
        Node("n", Neuron(8, ints(0)), ("i",))), Readout("count", "n"))
    x = np.ones((64, 8, 32, 32), np.uint8)
    tracemalloc.start()
    run(graph, x)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 12 << 20 < peak < 24 << 20


def test_a_standing_input_through_a_state_does_not_stand():
    nodes = (Node("n", Neuron(8, ints(8), reset="soft", reset_value=ints(8)), ("x",)),
             Node("before", Delay(), ("x",)), Node("late", Dense(ints([[1]]), 1), ("before",)))
    fired, waited = (Graph("state", 5, Input((1,), 8, "direct"), nodes, Readout(kind, source))
                     for kind, source in (("count", "n"), ("potential", "late")))
    for x in (0, 3, 7, 8):
        assert run(fired, [[x]]).scores.tolist() == [[5 * x // 8]]
        assert run(waited, [[x]]).scores.tolist() == [[4 * x]]
        assert naive.run(fired, np.array([x])).scores == [5 * x // 8]


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_a_second_state_saturates_at_both_ends(bits):
    """At 2^(bits - 1) - 1 and at -2^(bits - 1), as a two's complement number does."""
    high = (1 << bits - 1) - 1
    for weight, end in ((1, high), (-1, -high - 1)):
        nodes = (Node("i", Dense(ints([[weight]]), 1), ("x",)),
                 Node("n", Neuron(16, ints(1000), decay=ints(0), synapse=Synapse(
                     ints(1), 0, bits)), ("i",)))
        graph = Graph("second", 3, Input((1,), 8, "direct"), nodes, Readout("last", "n.u"))
        for x in (high - 1, high, high + 1, high + 2, 255):
            steps = [step["n"]["u"][0,] for step in naive.run(graph, np.array([x])).steps]
            result = run(graph, [[x]], record="all").membranes["n"].ravel().tolist()
            assert result == steps
            assert result[-1] == (end if 3 * x > high else 3 * x * weight)


def test_unknown_record_is_refused():
    with pytest.raises(IrError, match="record must be one of none, spikes, all, not 'every'"):
        run(one_neuron(), [[0]], record="every")
