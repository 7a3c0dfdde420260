import numpy as np
import pytest

from qsnn_compile.ir import Dense, Graph, Input, IrError, Node, Readout, ints, quantize_input


def graph(source, steps=4):
    return Graph("g", steps, source, (Node("i", Dense(ints([[1]]), 1), ("x",)),),
                 Readout("potential", "i"))


SPIKES = graph(Input((784,), 1, "spikes"))
PIXELS = graph(Input((784,), 8, "direct", 1 / 255))
IMAGE = graph(Input((1, 28, 28), 4, "direct"))


@pytest.mark.parametrize(("model", "shape", "message"), [
    (SPIKES, (4, 100, 784), ("x must be [N, T, ...] = [N, 4, 784], not [4, 100, 784]: it looks "
                            "transposed ([T, N]); use x.swapaxes(0, 1)")),
    (SPIKES, (4, 784), ("x must be [N, T, ...] = [N, 4, 784], not [4, 784]: it looks like one "
                       "sample; use x[None]")),
    (SPIKES, (9, 8, 784), "not [9, 8, 784]: the network runs 4 steps"),
    (SPIKES, (9, 784), ("not [9, 784]: it has no step axis, and this network takes a frame of "
                       "spikes a step")),
    (SPIKES, (9, 4, 28, 28), "x must be [N, T, ...] = [N, 4, 784], not [9, 4, 28, 28]"),
    (PIXELS, (784,), ("x must be [N, ...] = [N, 784], not [784]: it looks like one sample; use "
                     "x[None]")),
    (PIXELS, (9, 28, 28), "not [9, 28, 28]: use x.reshape(-1, 784)"),
    (IMAGE, (9, 784), ("x must be [N, ...] = [N, 1, 28, 28], not [9, 784]: use "
                      "x.reshape(-1, 1, 28, 28)")),
    (PIXELS, (9, 4, 784), ("not [9, 4, 784]: it has a step axis, and this network takes the same "
                          "values at every step")),
    (PIXELS, (), "x must be [N, ...] = [N, 784], not []"),
])
def test_a_wrong_shape_is_explained(model, shape, message):
    with pytest.raises(IrError) as error:
        quantize_input(model, np.zeros(shape, np.uint8))
    assert str(error.value).endswith(message)


@pytest.mark.parametrize(("coding", "own", "shape"), [
    ("direct", (1, 28, 28), (9, 28, 28)), ("direct", (28, 28), (9, 1, 28, 28)),
    ("spikes", (6, 1, 50), (9, 4, 6, 50)), ("direct", (6, 1, 50), (4, 6, 50))])
def test_axes_of_one_value_may_be_left_out(coding, own, shape):
    x = np.random.default_rng(0).integers(0, 2, shape, dtype=np.uint8)
    frames = (4,) if coding == "spikes" else ()
    codes = quantize_input(graph(Input(own, 1, coding)), x)
    assert codes.shape == (len(x), *frames, *own) and codes.ravel().tolist() == x.ravel().tolist()


@pytest.mark.parametrize("kind", [bool, np.uint8, np.int8, np.int64])
def test_integers_are_taken_as_they_are(kind):
    x = np.ones((2, 4, 784), kind)
    assert quantize_input(SPIKES, x).dtype == np.uint8
    assert quantize_input(SPIKES, x).tolist() == x.astype(int).tolist()


def test_codes_beyond_the_bits_are_refused():
    x = np.zeros((2, 4, 784), np.uint8)
    x[1, 2, 3] = 255
    with pytest.raises(IrError, match=r"^x must be in 0..1 \(unsigned, 1 bits\), not 255$"):
        quantize_input(SPIKES, x)
    with pytest.raises(IrError, match=r"not -1$"):
        quantize_input(SPIKES, -x.astype(np.int16) // 255)


def test_floats_are_real_values():
    model = graph(Input((4,), 8, "direct", 0.5, 10))
    x = np.array([[-5, 0, 0.25, 0.75]], np.float32)
    assert quantize_input(model, x).tolist() == [[0, 10, 10, 12]]       # ties to even


def test_pixels_divided_by_255_come_back():
    codes = np.arange(784)[None] % 256
    for kind in (np.float32, np.float64):
        assert quantize_input(PIXELS, (codes / 255).astype(kind)).tolist() == codes.tolist()


def test_reals_out_of_range_are_refused_with_the_range():
    with pytest.raises(IrError, match=r"^real x must be in \[0, 1\] \(8 bits of 0.00392157\), "
                                      r"not 2.0: pass integers for codes$"):
        quantize_input(PIXELS, np.full((1, 784), 2.0))
    with pytest.raises(IrError, match=r"^x must be finite, not nan$"):
        quantize_input(PIXELS, np.full((1, 784), np.nan))


def test_other_types_are_refused():
    with pytest.raises(IrError, match="x must hold integers, booleans or floats, not complex128"):
        quantize_input(PIXELS, np.zeros((1, 784), complex))
