"""Rounding by calibration data: weights by second order, membranes by their place, thresholds."""

from unittest.mock import patch

import numpy as np
import pytest

from qsnn_compile.quantise import network as quantiser
from qsnn_compile.quantise.place import Place, sent
from qsnn_compile.quantise.second_order import bias_correction, code_range, second_order
from qsnn_compile.quantise.trial import Trial
from qsnn_compile.reals import float_model
from qsnn_compile.reals.normal_form import (
    Add,
    Convolution,
    Flatten,
    Linear,
    Network,
    Neuron,
    Node,
    reals,
)
from qsnn_sim.golden import golden

ONE = reals(1)
LEAKY = Neuron(ONE, decay=reals(0.9), reset_value=ONE, delayed=True)


def correlated(rows, columns, seed=0):
    """Inputs that say much the same, as the pixels of images do."""
    rng = np.random.default_rng(seed)
    return (rng.random((rows, 6)) @ rng.random((6, columns)) / 3
            + 0.05 * rng.random((rows, columns))).astype(np.float32)


def variance(weight, codes, unit, x):
    return ((codes * unit[:, None] - weight) @ (x - x.mean(axis=0)).T).var(axis=1)


@pytest.mark.parametrize("columns", [1, 63, 64, 65])
@pytest.mark.parametrize("bits", [1, 2, 3, 4])
def test_second_order_leaves_the_sums_nearer_than_the_nearest_codes(bits, columns):
    rng = np.random.default_rng(bits)
    x, weight = correlated(500, columns), rng.normal(0, 1, (9, columns))
    codes, unit = second_order(weight, x, bits, None)
    low, high = code_range(bits)
    assert (codes == np.rint(codes)).all() and low <= codes.min() <= codes.max() <= high
    assert bits > 1 or (codes != 0).all()
    nearest = np.where(weight >= 0, 1, -1) if bits == 1 else np.clip(
        np.rint(weight / unit[:, None]), low, high)
    ours, theirs = (variance(weight, made, unit, x).sum() for made in (codes, nearest))
    assert ours <= theirs * (0.5 if columns > 1 else 1.0001)


def test_a_unit_that_is_shared_is_kept():
    weight, unit = np.random.default_rng(1).normal(0, 1, (5, 20)), np.linspace(0.2, 0.6, 5)
    codes, kept = second_order(weight, correlated(100, 20), 4, unit)
    assert np.array_equal(kept, unit)
    assert np.abs(codes * unit[:, None] - weight).mean() < unit.mean()


def test_inputs_that_never_change_leave_the_nearest_codes():
    weight = np.random.default_rng(2).normal(0, 1, (5, 20))
    codes, _ = second_order(weight, np.zeros((10, 20), np.float32), 4, np.full(5, 0.3))
    assert np.array_equal(codes, np.clip(np.rint(weight / 0.3), -8, 7))


def test_the_bias_makes_up_for_the_mean():
    rng = np.random.default_rng(3)
    weight, rounded = rng.normal(0, 1, (2, 4, 9))
    before, after = rng.random((2, 50, 9))
    gain = bias_correction(weight, before, rounded, after)
    assert np.allclose((after @ rounded.T).mean(axis=0) + gain, (before @ weight.T).mean(axis=0))


def test_levels_are_rounded_to_and_clipped():
    place = Place(np.array([0.5]), np.array([0.25]), np.zeros(1))
    v = np.array([[-9.0], [0.2], [0.49], [0.51], [9.0]])
    assert place.stored(v, 3)[:, 0].tolist() == [-1.75, 0.25, 0.25, 0.75, 1.75]


def trial_of(bits):
    """Neurons that half of the samples inhibit far below their threshold, and the place they get.
    """
    rng = np.random.default_rng(4)
    x = np.where(np.arange(200)[:, None, None] % 2, rng.uniform(-0.2, 1, (200, 8, 3)),
                 rng.uniform(-3, 0, (200, 8, 3))).astype(np.float32)
    first = Place(np.full(3, 16 / ((1 << bits - 1) - 1)), np.zeros(3), np.zeros(3))
    best = Trial(x, x, 8).best(LEAKY, first, np.full(3, -16.0), np.full(3, 1.0), bits)

    def wrong(place):
        return ((sum(sent(LEAKY, x, 8, place, bits)) - sum(sent(LEAKY, x, 8))) ** 2).mean()

    return first, best, wrong


def test_what_lies_far_below_the_threshold_is_clipped():
    first, best, wrong = trial_of(4)
    assert (best.step < first.step).all()
    assert wrong(best) < 0.5 * wrong(first)


def test_a_place_that_does_no_harm_is_kept():
    first, best, _ = trial_of(20)
    for part in ("step", "centre", "shift"):
        assert np.array_equal(getattr(first, part), getattr(best, part))


def test_a_layer_gone_silent_gets_its_rate_back():
    x = np.random.default_rng(5).uniform(0, 0.6, (100, 8, 3)).astype(np.float32)
    weak = (x * [0.1, 1, 0.2]).astype(np.float32)
    first = Place(np.full(3, 2.0 ** -10), np.zeros(3), np.zeros(3))
    best = Trial(x, weak, 8).best(LEAKY, first, np.zeros(3), np.full(3, 3.0), 14)

    def rates(place):
        return np.stack([*sent(LEAKY, weak, 8, place, 14)]).mean(axis=(0, 1))
    want = np.stack([*sent(LEAKY, x, 8)]).mean(axis=(0, 1))
    assert (rates(first)[[0, 2]] < 0.2 * want[[0, 2]]).all()
    assert np.allclose(rates(best), want, rtol=0.1)
    assert best.shift[1] == 0


def networks():
    rng = np.random.default_rng(6)
    dense = Network("dense", (40,), "direct", 8, (
        Node("fc1", Linear(reals(rng.normal(0, 0.25, (32, 40))), reals(0)), ("x",)),
        Node("n1", LEAKY, ("fc1",)),
        Node("fc2", Linear(reals(rng.normal(0, 0.3, (10, 32))), reals(0.05)), ("n1",)),
        Node("n2", LEAKY, ("fc2",))), "n2")
    grouped = Network("grouped", (2, 6, 6), "direct", 8, (
        Node("conv", Convolution(reals(rng.normal(0, 0.5, (8, 1, 3, 3))), reals(0), (2, 2),
                                 (1, 1, 1, 1), 2), ("x",)),
        Node("n1", replace_gain(8), ("conv",)), Node("flat", Flatten(), ("n1",)),
        Node("fc", Linear(reals(rng.normal(0, 0.2, (10, 72))), reals(0.1)), ("flat",)),
        Node("n2", LEAKY, ("fc",))), "n2")
    residual = Network("residual", (40,), "direct", 8, (
        *dense.nodes[:2],
        Node("a", Linear(reals(rng.normal(0, 0.2, (10, 32))), reals(0.05)), ("n1",)),
        Node("b", Linear(reals(rng.normal(0, 0.1, (10, 40))), reals(0)), ("x",)),
        Node("sum", Add(), ("a", "b")), Node("n2", LEAKY, ("sum",))), "n2")
    return {network.name: network for network in (dense, grouped, residual)}


def replace_gain(channels):
    """Every other channel's gain is negative: its weights' signs are turned."""
    gain = np.where(np.arange(channels) % 2, -1.0, 1.0).reshape(-1, 1, 1)
    return Neuron(ONE, decay=reals(0.9), gain=reals(gain), reset="hard")


@pytest.mark.parametrize("name", ["dense", "grouped", "residual"])
@pytest.mark.parametrize("widths", [(8, 4), (4, 4), (2, 8)], ids=["W8-U4", "W4-U4", "W2-U8"])
def test_data_bring_the_counts_nearer(name, widths):
    """On samples that calibrated nothing, against rounding by the ranges of the same data."""
    network = networks()[name]
    x = correlated(400, int(np.prod(network.input_shape)), 7)
    x = (x / x.max()).reshape(-1, *network.input_shape)
    wanted = float_model.run(network, x[200:]).output.sum(axis=1)

    def error():
        graph, _ = quantiser.quantise(network, weight_bits=widths[0], membrane_bits=widths[1],
                                      calibrate=x[:200])
        return ((golden.run(graph, x[200:]).scores - wanted) ** 2).mean()

    by_data = error()
    with patch.object(quantiser, "Traces", lambda *_: None):
        by_range = error()
    assert by_data < 0.8 * by_range
