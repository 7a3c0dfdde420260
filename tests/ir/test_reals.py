"""Inputs that take a sensor's raw numbers, and the names of classes."""

import numpy as np
import pytest

from qsnn_compile.ir import (
    Dense,
    Graph,
    Input,
    IrError,
    Neuron,
    Node,
    Readout,
    equal,
    ints,
    parse,
    quantize_input,
    to_text,
    verify,
)


def graph(source, names=(), classes=2):
    dense = Dense(ints(np.ones((classes, int(np.prod(source.shape))))), 2)
    return Graph("g", 2, source, (Node("d", dense, ("x",)), Node("n", Neuron(4, ints(1)), ("d",))),
                 Readout("count", "n", names=names))


REAL = graph(Input((3,), 8, "spikes", (0.5, 2.0, 0.25), (10, -100, 0), takes="reals"))


def test_each_channel_has_its_scale_and_zero_point():
    x = np.array([[[-5, 200, 0.125], [0.25, 204, 0.375]]], np.float32)      # ties to even
    assert quantize_input(REAL, x).tolist() == [[[0, 0, 0], [10, 2, 2]]]


def test_what_lies_beyond_the_codes_becomes_the_nearest():
    x = np.array([[[-1e30, 1e30, -1.0], [1e30, 0, 1e308]]])
    assert quantize_input(REAL, x).tolist() == [[[0, 255, 0], [255, 0, 255]]]
    assert REAL.input.beyond(x, 2) == 1.0
    assert REAL.input.beyond(np.zeros((1, 2, 3), np.uint8), 2) == 0.0


@pytest.mark.parametrize("kind", [np.int16, np.int64, np.float32, np.float64])
def test_numbers_of_any_type_are_real(kind):
    x = np.array([[[3, 300, 1], [4, 310, 2]]]).astype(kind)
    assert quantize_input(REAL, x).tolist() == [[[16, 50, 4], [18, 55, 8]]]


def test_bytes_are_codes():
    codes = quantize_input(REAL, np.full((4, 2, 3), 1.5))
    assert quantize_input(REAL, codes).tolist() == codes.tolist()


def test_images_have_a_scale_a_map():
    source = Input((2, 2, 2), 4, "direct", (1.0, 10.0), (0, 5), takes="reals")
    x = np.arange(8.0).reshape(1, 2, 2, 2)
    assert source.quantise(x, 1).tolist() == [[[[0, 1], [2, 3]], [[5, 5], [6, 6]]]]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number_is_refused(value):
    with pytest.raises(IrError, match=f"^x must be finite, not {value}$"):
        quantize_input(REAL, np.full((1, 2, 3), value))


@pytest.mark.parametrize("names", [(), ("yes", 'no "\\ é')])
def test_the_text_form_comes_back(names):
    made = Graph("g", 2, REAL.input, REAL.nodes, Readout("count", "n", names=names))
    verify(made)
    assert equal(parse(to_text(made)), made)


@pytest.mark.parametrize("source, message", [
    (Input((3,), 8, "spikes", (1.0, 1.0, 1.0)), "scale must be one number for codes"),
    (Input((3,), 8, "spikes", 1.0, (0, 0, 0)), "zero_point must be one number for codes"),
    (Input((3,), 8, "spikes", (1.0, 1.0), takes="reals"),
     r"scale must be one number, or one for each of 3 channels, not \(1.0, 1.0\)"),
    (Input((3,), 8, "spikes", (1.0, 0.0, 1.0), takes="reals"), "scale must be a positive number"),
    (Input((3,), 8, "spikes", 1.0, 1 << 41, takes="reals"), "zero_point must be in -1099511627776"),
    (Input((3,), 8, "spikes", takes="volts"), "takes must be one of"),
])
def test_what_is_wrong_is_named(source, message):
    with pytest.raises(IrError, match=f"^input 'x': {message}"):
        verify(graph(source))


@pytest.mark.parametrize("names, message", [
    (("a",), r"names must be those of 2 classes, not \('a',\)"),
    (("a", "a"), "names of classes must each be there once"),
    (("a", ""), "the name of a class must be 1 to 100 characters that print, not ''"),
    (("a", "b\n"), "the name of a class must be 1 to 100 characters that print"),
])
def test_names_that_are_none_are_refused(names, message):
    with pytest.raises(IrError, match=f"^count readout: {message}"):
        verify(graph(REAL.input, names))
