import math
from fractions import Fraction

import naive
import numpy as np
import pytest
from graphs import runs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qsnn_compile.ir import (
    Add,
    Conv2d,
    Dense,
    Graph,
    Input,
    MaxPool,
    Neuron,
    Node,
    Readout,
    SumPool,
    Synapse,
    bounds,
    ints,
    magnitudes,
    width,
)
from qsnn_sim.golden.golden import run

SHORT = settings(max_examples=150, deadline=None,
                 suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@given(st.integers(-2**40, 2**40), st.integers(-2**40, 2**40))
def test_width_is_the_least_that_holds_both(a, b):
    lo, hi = min(a, b), max(a, b)
    bits = width(lo, hi)
    assert -(1 << bits - 1) <= lo and hi < 1 << bits - 1
    assert bits == 1 or lo < -(1 << bits - 2) or hi >= 1 << bits - 2


@pytest.mark.parametrize(("lo", "hi", "bits"), [(0, 0, 1), (-1, 0, 1), (0, 1, 2), (-8, 7, 4),
                                                (-9, 7, 5), (-8, 8, 5)])
def test_width(lo, hi, bits):
    assert width(lo, hi) == bits


def within(interval, value):
    """Every element of a naive *value* lies in the interval."""
    return all(naive.at(interval.lo, i) <= v <= naive.at(interval.hi, i) for i, v in value.items())


@SHORT
@given(runs())
def test_nothing_leaves_its_bounds(case):
    graph, x = case
    proof, coarse = bounds(graph), magnitudes(graph)
    for sample in x:
        trace = naive.run(graph, sample)
        for step in trace.steps:
            for name, quantities in step.items():
                assert within(proof.values[name], quantities["value"]), name
                if name in proof.linear:
                    assert within(proof.linear[name].total, quantities["total"]), name
                for field in proof.neurons[name].__dict__ if name in proof.neurons else ():
                    assert within(getattr(proof.neurons[name], field),
                                  quantities[field]), (name, field)
                for field, values in quantities.items():
                    assert field == "total" or max(
                        map(abs, values.values())) <= coarse.get(name, 255), (name, field)
        scores = {(c,): score for c, score in enumerate(trace.scores)}
        assert within(proof.scores, scores)


@SHORT
@given(runs())
def test_bounds_of_events_and_spikes(case):
    graph, x = case
    proof, result = bounds(graph), run(graph, x, record="spikes")
    for name, events in result.events.items():
        assert events.max(initial=0) <= proof.active[name]
    assert sum(int(s.sum(dtype=np.int64)) for s in result.spikes.values()) <= (
        len(x) * proof.spike_total)


def extremes(graph, proof, name, weight):
    """Data that drives each channel of a first layer to both ends of its range."""
    top = (1 << graph.input.bits) - 1
    high = np.where(weight > 0, top, 0)
    x = np.concatenate([high, top - high])
    current = run(graph, x, record="all").values[name][:, 0]
    channels = len(weight)
    return (np.diagonal(current[channels:]), np.diagonal(current[:channels]))


def test_the_range_of_a_dense_layer_is_reached():
    rng = np.random.default_rng(0)
    weight = rng.integers(-8, 8, (5, 20))
    graph = Graph("dense", 1, Input((20,), 8, "direct"), (
        Node("i", Dense(ints(weight), 4), ("x",)),), Readout("potential", "i"))
    proof = bounds(graph)
    lo, hi = extremes(graph, proof, "i", weight)
    current = proof.linear["i"].current
    assert current.lo.tolist() == lo.tolist() and current.hi.tolist() == hi.tolist()
    assert proof.scores.lo.tolist() == lo.tolist()
    assert (proof.linear["i"].total.lowest, proof.linear["i"].total.highest) == (0, 20 * 255)


def test_a_padded_convolution_counts_its_pads():
    """1 x 1 image, 3 x 3 kernel: eight of nine taps are the pad value, always."""
    weight = ints(np.ones((1, 1, 3, 3), np.int64))
    graph = Graph("pad", 1, Input((1, 1, 1), 8, "direct"), (
        Node("i", Conv2d(weight, 1, padding=(1, 1, 1, 1), pad_value=2), ("x",)),),
        Readout("potential", "i"))
    current = bounds(graph).linear["i"].current
    assert (current.lo.shape, current.lowest, current.highest) == ((1, 1, 1), 16, 16 + 255)


def test_channels_keep_their_own_range_and_a_dead_neuron_has_no_events():
    graph = Graph("dead", 2, Input((2,), 1), (
        Node("i", Dense(ints([[1, 1], [-1, -1]]), 1), ("x",)),
        Node("n", Neuron(8, ints(1)), ("i",)),
        Node("o", Dense(ints([[1, 1]]), 1), ("n",))), Readout("potential", "o"))
    proof = bounds(graph)
    assert proof.values["i"].lo.tolist() == [0, -2]
    assert proof.values["n"].hi.tolist() == [1, 0]
    assert proof.active == {"x": 2, "i": 2, "n": 1, "o": 1}
    assert (proof.spike_total, proof.scores.highest) == (2, 2)


def test_a_membrane_has_only_what_its_steps_reach():
    graph = Graph("few", 3, Input((1,), 1), (
        Node("i", Dense(ints([[1]]), 1), ("x",)),
        Node("n", Neuron(16, ints(100)), ("i",))), Readout("count", "n"))
    proof = bounds(graph)
    assert proof.neurons["n"].u.highest == 3
    assert proof.neurons["n"].v.width == width(0, 3)
    assert math.prod(proof.scores.hi.tolist()) == 0


def test_the_stored_membrane_includes_where_it_starts():
    graph = Graph("start", 1, Input((1,), 1), (
        Node("i", Dense(ints([[1]]), 1), ("x",)),
        Node("n", Neuron(8, ints(5), bias=ints(50), initial=ints(-30)), ("i",))),
        Readout("count", "n"))
    proof = bounds(graph)
    assert (proof.neurons["n"].u.lowest, proof.neurons["n"].u.highest) == (-30, 0)
    assert proof.values["n"].lo.tolist() == [1]


@pytest.mark.parametrize("per_neuron", [False, True])
def test_pools_of_neurons_that_always_fire(per_neuron):
    threshold = ints(np.full((1, 4, 4), -1)) if per_neuron else ints(-1)
    graph = Graph("always", 1, Input((1, 4, 4), 1), (
        Node("i", Conv2d(ints([[[[1]]]]), 1), ("x",)),
        Node("n", Neuron(8, threshold), ("i",)),
        Node("max", MaxPool((2, 2), (2, 2)), ("n",)),
        Node("sum", SumPool((2, 2), (2, 2)), ("n",))), Readout("count", "sum"))
    proof = bounds(graph)
    assert (proof.values["max"].lowest, proof.values["max"].highest) == (1, 1)
    assert (proof.values["sum"].lowest, proof.values["sum"].highest) == (4, 4)


@pytest.mark.parametrize("per_neuron", [False, True])
def test_a_sum_over_windows_that_are_not_square(per_neuron):
    """Of the last row, which no window of two in steps of two ends in, nothing counts."""
    threshold = np.full((1, 5, 7), 1)
    threshold[0, :, 1] = -1
    graph = Graph("oblong", 1, Input((1, 5, 7), 1), (
        Node("i", Conv2d(ints([[[[1]]]]), 1), ("x",)),
        Node("n", Neuron(8, ints(threshold) if per_neuron else ints(-1)), ("i",)),
        Node("sum", SumPool((2, 3), (2, 1)), ("n",))), Readout("count", "sum"))
    proof = bounds(graph).values["sum"]
    low = np.broadcast_to(proof.lo, (1, 2, 5)).tolist()
    assert low == [[[2, 2, 0, 0, 0]] * 2] if per_neuron else [[[6] * 5] * 2]
    assert (proof.lowest, proof.highest) == (0 if per_neuron else 6, 6)


def test_a_sum_of_unlike_currents():
    graph = Graph("unlike", 1, Input((1,), 1), (
        Node("a", Dense(ints([[3]]), 4), ("x",)), Node("b", Dense(ints([[-5]]), 4), ("x",)),
        Node("sum", Add(), ("a", "b"))), Readout("potential", "sum"))
    proof = bounds(graph).values["sum"]
    assert (proof.lowest, proof.highest) == (-5, 3)


@pytest.mark.parametrize(("reset", "highest"), [("none", 7), ("soft", 4), ("hard", 2)])
def test_a_reset_moves_what_has_fired(reset, highest):
    """v is in 0..7, θ is 3: up to 2 nothing fires; soft leaves 3 - 3..7 - 3 of the rest, hard 1."""
    graph = Graph("reset", 1, Input((1,), 3, "direct"), (
        Node("i", Dense(ints([[1]]), 1), ("x",)),
        Node("n", Neuron(8, ints(3), reset=reset, reset_value=ints(3 if reset == "soft" else 1)),
             ("i",))), Readout("count", "n"))
    after = bounds(graph).neurons["n"].after
    assert (after.lowest, after.highest) == (0, highest)


@pytest.mark.parametrize(("m", "q"), [(0, 0), (1, 2), (1, 1), (5, 3), (255, 8)])
def test_an_endless_current_stops_where_its_decay_meets_its_input(m, q):
    """What one more step makes of H, where H · m / 2^q + 7 = H, and of L."""
    graph = Graph("endless", 1, Input((2,), 1), (
        Node("i", Dense(ints([[-5, 7]]), 8), ("x",)),
        Node("n", Neuron(8, ints(1), synapse=Synapse(ints(m), q, 16)), ("i",))),
        Readout("count", "n"))
    current, decay = bounds(graph, endless=True).neurons["n"].current, Fraction(m, 2**q)
    assert current.highest == 7 + math.floor(math.ceil(7 / (1 - decay)) * decay)
    least = math.floor((-6 + Fraction(1, 2**q)) / (1 - decay))
    assert current.lowest == -5 + math.floor(least * decay)


def test_accumulator_covers_every_prefix():
    """+1 a step from the bias alone would be 4 at the end; the sum may dip before."""
    graph = Graph("dip", 4, Input((1,), 2), (
        Node("i", Dense(ints([[-1]]), 1), ("x",)),), Readout("potential", "i", ints(3), ints(5)))
    proof = bounds(graph)
    assert (proof.accumulator.lowest, proof.accumulator.highest) == (-12, 0)
    assert (proof.scores.lowest, proof.scores.highest) == (-31, 5)


@SHORT
@given(st.integers(0, 17), st.integers(0, 4), st.integers(2, 32), st.integers(-99, 0),
       st.integers(0, 99), st.integers(0, 2**32 - 1))
def test_an_endless_synaptic_current_reaches_what_its_decay_lets_it(m, q, bits, low, high, seed):
    synapse = Synapse(ints(m), q, bits)
    graph = Graph("endless", 1, Input((2,), 1), (
        Node("i", Dense(ints([[low, high]]), 8), ("x",)),
        Node("n", Neuron(8, ints(1), synapse=synapse), ("i",))), Readout("count", "n"))
    proved = bounds(graph, endless=True).neurons["n"]
    rng, i = np.random.default_rng(seed), {0}
    for _ in range(100):
        lowest, highest = min(i), max(i)
        for before, current in ((highest, high), (lowest, low), (int(rng.choice(list(i))),
                                int(rng.choice([low, high, low + high])))):
            total = before * m // 2**q + current
            assert proved.summed.lowest <= total <= proved.summed.highest
            i.add(naive.saturate(total, bits))
    assert proved.current.lowest <= min(i) and max(i) <= proved.current.highest
    if 2 * m <= 2**q:
        assert proved.current.highest <= 2 * high and proved.current.lowest >= 2 * low - 2
