import pytest

from qsnn_models.errors import ModelsError
from qsnn_models.network.notation import ConvLayer, DenseLayer, Pool, parse


def test_dense_networks():
    network = parse("784-128R-10")
    assert network.shape == (784,) and network.classes == 10
    assert network.layers == (DenseLayer(784, 128, recurrent=True), DenseLayer(128, 10))
    assert parse("12-3").layers == (DenseLayer(12, 3),)


def test_convolutions_know_their_shapes():
    network = parse("1x28x28-16C5s2-16C3+-32C3g4p0-P2-10")
    assert network.shape == (1, 28, 28)
    first, second, third, last = network.layers
    assert first == ConvLayer((1, 28, 28), 16, (5, 5), (2, 2), (2, 2), 1, False)
    assert (first.shape, second.shape, second.residual) == ((16, 14, 14), (16, 14, 14), True)
    assert third == ConvLayer((16, 14, 14), 32, (3, 3), (1, 1), (0, 0), 4, False,
                              Pool("max", (2, 2)))
    assert (third.current, third.shape) == ((32, 12, 12), (32, 6, 6))
    assert last == DenseLayer(32 * 6 * 6, 10)


def test_a_pool_leaves_out_what_does_not_fill_a_window():
    layer = parse("2x7x5-3C3-A3-4").layers[0]
    assert layer.pool == Pool("average", (3, 3)) and layer.shape == (3, 2, 1)


def test_kernels_strides_paddings_and_pools_of_two_sizes():
    layer = parse("2x9x7-3C5x1s2x1p0x2-P2x3-4").layers[0]
    assert layer == ConvLayer((2, 9, 7), 3, (5, 1), (2, 1), (0, 2), 1, False, Pool("max", (2, 3)))
    assert (layer.current, layer.shape) == ((3, 3, 11), (3, 1, 3))
    assert parse("1x8x8-2C3x5-4").layers[0].current == (2, 8, 8)      # padding k // 2 each way


def test_a_line_is_an_image_one_pixel_high():
    network = parse("6x50-16C5s2-P2-8C3g2p0-4")
    assert network.shape == (6, 1, 50)
    first, second, last = network.layers
    assert first == ConvLayer((6, 1, 50), 16, (1, 5), (1, 2), (0, 2), 1, False, Pool("max", (1, 2)))
    assert second == ConvLayer((16, 1, 12), 8, (1, 3), (1, 1), (0, 0), 2, False)
    assert last == DenseLayer(8 * 10, 4)


@pytest.mark.parametrize(("text", "message"), [
    (784, "layers must be a string such as '784-128-10', not 784"),
    ("784", "the last must be N, the number of classes, not '784'"),
    ("", "the first must be the input's shape, N, CxL or CxHxW, not ''"),
    ("1x2x3x4-10", "the first must be the input's shape, N, CxL or CxHxW, not '1x2x3x4'"),
    ("0-10", "the first must be the input's shape, N, CxL or CxHxW, not '0'"),
    ("784-0-10", r"a layer must be N, NR, NCk \(then sS, gG, pP, \+\), Pk or Ak, k a number or "
                 "HxW, not '0'"),
    ("784-12Q-10", "a layer must be N, NR, NCk .*, not '12Q'"),
    ("784--10", "a layer must be N, NR, NCk .*, not ''"),
    ("784-10R", "the last must be N, the number of classes, not '10R'"),
    ("1x8x8-4C3", "the last must be N, the number of classes, not '4C3'"),
    ("784-16C3-10", "a convolution must follow an image, CxHxW, or a line, CxL, not '16C3'"),
    ("1x8x8-16-4C3-10", "a convolution must follow an image, CxHxW, or a line, CxL, not '4C3'"),
    ("1x8x8-4C0-10", "sizes must be at least 1, each option once; .* not '4C0'"),
    ("1x8x8-4C3s0-10", "sizes must be at least 1, each option once; .* not '4C3s0'"),
    ("1x8x8-4C3s1s2-10", "sizes must be at least 1, each option once; .* not '4C3s1s2'"),
    ("3x8x8-4C3g2-10", "groups must divide 3 input and 4 output channels, not '4C3g2'"),
    ("1x8x8-4C9p0-10", r"the kernel must fit in the image \(1, 8, 8\), padding included, not"),
    ("4x8x8-4C3s2+-10", r"with \+ the current must have the input's shape \(4, 8, 8\), but has "
                        r"\(4, 4, 4\): stride 1, padding k // 2, as many channels, not '4C3s2\+'"),
    ("784-128+-10", r"a layer must be .*, not '128\+'"),
    ("1x8x8-4C3g2x2-10", "sizes must be at least 1, each option once; .* not '4C3g2x2'"),
    ("1x8x8-4C3x0-10", "sizes must be at least 1, each option once; .* not '4C3x0'"),
    ("1x8x8-4C3x3x3-10", "a layer must be N, NR, NCk .*, not '4C3x3x3'"),
    ("1x8x8-4C1x9p0-10", r"the kernel must fit in the image \(1, 8, 8\), padding included, not"),
    ("1x8x8-4C3-P9x1-10", r"the pool must fit in the current \(4, 8, 8\), not 'P9x1'"),
    ("6x50-4C3x3p0-10", r"the kernel must fit in the image \(6, 1, 50\), padding included, not"),
    ("784-P2-10", "a pool must follow a convolution, not 'P2'"),
    ("1x8x8-4C3-P2-A2-10", "a pool must follow a convolution, not 'A2'"),
    ("1x8x8-4C3-P0-10", r"a pool must be Pk \(max\) or Ak \(average\), not 'P0'"),
    ("1x8x8-4C3-P9-10", r"the pool must fit in the current \(4, 8, 8\), not 'P9'"),
])
def test_a_bad_token_is_named(text, message):
    with pytest.raises(ModelsError, match=message):
        parse(text)
