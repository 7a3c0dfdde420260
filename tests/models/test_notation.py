import pytest

from qsnn_models.errors import ModelsError
from qsnn_models.network.notation import ConvLayer, DenseLayer, Pool, parse


def test_dense_networks():
    found = parse("784-128R-10")
    assert found.shape == (784,) and found.classes == 10
    assert found.layers == (DenseLayer(784, 128, recurrent=True), DenseLayer(128, 10))
    assert parse("12-3").layers == (DenseLayer(12, 3),)


def test_convolutions_know_their_shapes():
    found = parse("1x28x28-16C5s2-16C3+-32C3g4p0-P2-10")
    assert found.shape == (1, 28, 28)
    first, second, third, last = found.layers
    assert first == ConvLayer((1, 28, 28), 16, 5, 2, 2, 1, False)
    assert (first.shape, second.shape, second.residual) == ((16, 14, 14), (16, 14, 14), True)
    assert third == ConvLayer((16, 14, 14), 32, 3, 1, 0, 4, False, Pool("max", 2))
    assert (third.current, third.shape) == ((32, 12, 12), (32, 6, 6))
    assert last == DenseLayer(32 * 6 * 6, 10)


def test_a_pool_leaves_out_what_does_not_fill_a_window():
    layer = parse("2x7x5-3C3-A3-4").layers[0]
    assert layer.pool == Pool("average", 3) and layer.shape == (3, 2, 1)


@pytest.mark.parametrize(("text", "message"), [
    (784, "layers must be a string such as '784-128-10', not 784"),
    ("784", "the last must be N, the number of classes, not '784'"),
    ("", "the first must be the input's shape, N or CxHxW, not ''"),
    ("1x28-10", "the first must be the input's shape, N or CxHxW, not '1x28'"),
    ("0-10", "the first must be the input's shape, N or CxHxW, not '0'"),
    ("784-0-10", r"a layer must be N, NR, NCk \(then sS, gG, pP, \+\), Pk or Ak, not '0'"),
    ("784-12Q-10", "a layer must be N, NR, NCk .*, not '12Q'"),
    ("784--10", "a layer must be N, NR, NCk .*, not ''"),
    ("784-10R", "the last must be N, the number of classes, not '10R'"),
    ("1x8x8-4C3", "the last must be N, the number of classes, not '4C3'"),
    ("784-16C3-10", "a convolution must follow an image, CxHxW, not '16C3'"),
    ("1x8x8-16-4C3-10", "a convolution must follow an image, CxHxW, not '4C3'"),
    ("1x8x8-4C0-10", "sizes must be at least 1, each option once; .* not '4C0'"),
    ("1x8x8-4C3s0-10", "sizes must be at least 1, each option once; .* not '4C3s0'"),
    ("1x8x8-4C3s1s2-10", "sizes must be at least 1, each option once; .* not '4C3s1s2'"),
    ("3x8x8-4C3g2-10", "groups must divide 3 input and 4 output channels, not '4C3g2'"),
    ("1x8x8-4C9p0-10", r"the kernel must fit in the image \(1, 8, 8\), padding included, not"),
    ("4x8x8-4C3s2+-10", r"with \+ the current must have the input's shape \(4, 8, 8\), but has "
                        r"\(4, 4, 4\): stride 1, padding k // 2, as many channels, not '4C3s2\+'"),
    ("784-128+-10", r"a layer must be .*, not '128\+'"),
    ("784-P2-10", "a pool must follow a convolution, not 'P2'"),
    ("1x8x8-4C3-P2-A2-10", "a pool must follow a convolution, not 'A2'"),
    ("1x8x8-4C3-P0-10", r"a pool must be Pk \(max\) or Ak \(average\), not 'P0'"),
    ("1x8x8-4C3-P9-10", r"the pool must fit in the current \(4, 8, 8\), not 'P9'"),
])
def test_a_bad_token_is_named(text, message):
    with pytest.raises(ModelsError, match=message):
        parse(text)
