"""The golden model's fast types, float32, float64 and int32, at the sums that they can't hold."""

from itertools import pairwise

import naive
import numpy as np
import pytest

from qsnn_compile.ir import (
    Add,
    Conv2d,
    Dense,
    Graph,
    Input,
    Neuron,
    Node,
    Readout,
    ints,
    magnitudes,
)
from qsnn_sim.golden.golden import run
from qsnn_sim.golden.operators import narrowed


def graph(shape, *ops, readout="potential", steps=1):
    names = [f"n{i}" for i in range(len(ops))]
    nodes = tuple(Node(name, op, (source,))
                  for name, op, source in zip(names, ops, ["x", *names], strict=False))
    return Graph("limits", steps, Input(shape, 8, "direct"), nodes, Readout(readout, names[-1]))


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("last", [0, 2, 3, 4, 8])
def test_sums_around_float32(sign, last):
    """Odd and even ones around 2^24, above which float32 has even ones only."""
    weights, x = [sign * w for w in (32767, 32767, 259, last)], [255, 255, 255, 1]
    total = sign * (2**24 - 1 + last)
    dense = graph((4,), Dense(ints([weights]), 16))
    conv = graph((4, 1, 1), Conv2d(ints(weights).reshape(1, 4, 1, 1), 16))
    assert run(dense, [x]).scores.tolist() == [[total]]
    assert run(conv, np.reshape(x, (1, 4, 1, 1)), record="all").values["n0"].item() == total


@pytest.mark.parametrize("weight", [32767, -32767])
def test_sums_beyond_float64(weight):
    """An odd one above 2^53, where float64 has even ones only."""
    total = 255 * (2**31 + 1) * weight
    assert 2**53 < abs(total) < 2**54 and total % 2
    names = ["x", *(f"twice{i}" for i in range(31))]
    nodes = [Node(name, Add(), (source, source)) for source, name in pairwise(names)]
    nodes.append(Node("odd", Add(), (names[-1], "x")))
    for op in (Dense(ints([[weight]]), 16), Conv2d(ints([[[[weight]]]]), 16)):
        shape = (1,) * (op.weight.ndim - 1)
        made = Graph("limits", 1, Input(shape, 8, "direct"), (*nodes, Node("sum", op, ("odd",))),
                     Readout("potential", "sum"))
        x = np.full((1, *shape), 255)
        assert run(made, x, record="all").values["sum"].item() == total


LARGE = [
    pytest.param(1, dict(bias=2**31 - 100), id="sum"),
    pytest.param(-1, dict(bias=-2**31 + 100), id="negative sum"),
    pytest.param(1, dict(gain_shift=24), id="gain"),
    pytest.param(-1, dict(gain_shift=24, threshold=-5), id="negative gain"),
    pytest.param(1, dict(bits=16, step_shift=8, decay=511, decay_shift=9, initial=32767,
                         threshold=2**22), id="leak"),
    pytest.param(1, dict(threshold=2**31), id="threshold"),
    pytest.param(1, dict(threshold=-2**31 - 1), id="negative threshold"),
    pytest.param(1, dict(reset="hard", reset_value=2**31), id="hard reset"),
    pytest.param(1, dict(reset="soft", reset_value=-2**31), id="soft reset"),
    pytest.param(1, dict(clamp=2**31), id="clamp"),
    pytest.param(1, dict(step_shift=31), id="rounding"),
]


@pytest.mark.parametrize("weight,fields", LARGE)
def test_a_neuron_beyond_int32(weight, fields):
    arrays = {name: ints(value) if type(value) is int and name not in
              ("bits", "gain_shift", "decay_shift") else value
              for name, value in ({"threshold": 1} | fields).items()}
    neuron = Neuron(**({"bits": 4} | arrays))
    made = graph((1,), Dense(ints([[weight]]), 2), neuron, readout="count", steps=3)
    assert magnitudes(made)["n1"] >= 2**31
    result = run(made, [[0], [1], [255]], record="all")
    for n, x in enumerate([0, 1, 255]):
        steps = naive.run(made, np.array([x])).steps
        for t, step in enumerate(steps):
            assert result.spikes["n1"][n, t].tolist() == [*step["n1"]["value"].values()], (x, t)
            assert result.membranes["n1"][n, t].tolist() == [*step["n1"]["u"].values()], (x, t)


@pytest.mark.parametrize("weights,doubled,kind", [
    ([32767] * 512 + [511], 0, np.float32),             # at most 2^24 - 1
    ([32767] * 512 + [512], 0, np.float64),             # 2^24
    ([16383], 39, np.float64), ([16384], 39, np.int64)])    # 2^53 - 2^39, 2^53
def test_sums_have_the_fastest_exact_type(weights, doubled, kind):
    names = ["x", *(f"twice{i}" for i in range(doubled))]
    sums = [Node(name, Add(), (source, source)) for source, name in pairwise(names)]
    for op in (Dense(ints([weights]), 16), Conv2d(ints(weights).reshape(1, -1, 1, 1), 16)):
        shape = (len(weights),) + (1,) * (op.weight.ndim - 2)
        made = Graph("types", 1, Input(shape, 1, "direct"),
                     (*sums, Node("sum", op, (names[-1],))), Readout("potential", "sum"))
        assert narrowed(made).nodes[-1].op.weight.dtype == kind


@pytest.mark.parametrize("peak,kind", [(2**31 - 1, np.int32), (2**31, np.int64)])
def test_a_neuron_has_the_fastest_exact_type(peak, kind):
    neuron = Neuron(4, ints(peak - 255 - 8 - 1))     # behind a pixel, a membrane, a rounding
    made = graph((1,), Dense(ints([[1]]), 1), neuron, readout="count")
    assert magnitudes(made)["n1"] == peak
    op = narrowed(made).nodes[-1].op
    assert {getattr(op, name).dtype for name in ("threshold", "bias", "decay")} == {np.dtype(kind)}
