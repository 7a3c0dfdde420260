import json

import numpy as np
import pytest
from graphs import graphs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qsnn_compile.ir import (
    Dense,
    Graph,
    Input,
    IrError,
    Neuron,
    Node,
    Readout,
    Synapse,
    equal,
    ints,
    parse,
    to_text,
)

SMALL = Graph("a \"small\" one", 4, Input((3,), 8, "direct", 1 / 255), (
    Node("fc1", Dense(ints([[1, -1, 1], [-1, -1, 1]]), 1), ("x",)),
    Node("lif1", Neuron(4, ints([3, 5]), decay_shift=1, reset="soft", reset_value=ints(4),
                        synapse=Synapse(ints(1), 1, 8), clamp=ints(-8)), ("fc1",)),
), Readout("last", "lif1.u", ints(2)))

TEXT = """\
qsnn.ir 1
graph "a \\"small\\" one" {steps: 4}
input x {shape: (3), bits: 8, coding: direct, scale: 0.00392156862745098}
fc1 = dense(x) {weight: [[1, -1, 1], [-1, -1, 1]], bits: 1}
lif1 = neuron(fc1) {
  bits: 4,
  threshold: [3, 5],
  decay_shift: 1,
  reset: soft,
  reset_value: 4,
  clamp: -8,
  synapse: {decay: 1, decay_shift: 1, bits: 8}
}
readout last(lif1.u) {gain: 2}
"""


def test_prints_what_people_read():
    assert to_text(SMALL) == TEXT


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(graphs(layers=3))
def test_parses_back_equal(graph):
    text = to_text(graph)
    again = parse(text)
    assert equal(again, graph)
    assert to_text(again) == text
    assert max(map(len, text.splitlines())) <= 100


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 64), st.sampled_from([(17,), (3, 40), (40, 3), (2, 3, 3, 5), (0,), (0, 3),
                                            (300, 1, 1), (5000,)]), st.integers(0, 2**32 - 1))
def test_arrays_of_every_width_parse_back(bits, shape, seed):
    rng = np.random.default_rng(seed)
    low, high = -(1 << bits - 1), (1 << bits - 1) - 1
    graph = Graph("wide", 1, Input((1,)), (
        Node("n", Dense(ints(rng.integers(low, high, shape, endpoint=True)), bits), ("x",)),),
        Readout("potential", "n"))
    assert equal(parse(to_text(graph)), graph)


@pytest.mark.parametrize(("bits", "body"), [
    (2, ("9", "6")), (4, ("87", "78")), (8, ("807f", "7f80")),
    (16, ("80007fff", "7fff8000"))])
def test_weights_take_the_narrowest_format_that_holds_both_ends(bits, body):
    """A row of 40 numbers is one end of the range, then the other, and so on."""
    ends = [-(1 << bits - 1), (1 << bits - 1) - 1]
    weight = ints([ends * 20, ends[::-1] * 20])
    graph = Graph("ends", 1, Input((40,)), (Node("n", Dense(weight, bits), ("x",)),),
                  Readout("potential", "n"))
    text = to_text(graph)
    packed = "".join(text[text.index("<") + 1:text.index(">")].split()[2:])
    assert f"<2x40 hex{bits}\n" in text
    assert packed == "".join(pair * 20 for pair in body)
    assert equal(parse(text), graph)


@pytest.mark.parametrize("bits", [2, 4, 8, 16, 32])
def test_one_beyond_either_end_takes_the_next_format(bits):
    low, high = -(1 << bits - 1), (1 << bits - 1) - 1
    for ends in ([low - 1, high], [low, high + 1]):
        text = to_text(Graph("ends", 1, Input((40,)), (
            Node("n", Dense(ints([ends * 20] * 2), 16), ("x",)),), Readout("potential", "n")))
        assert f"<2x40 hex{2 * bits}\n" in text


@pytest.mark.parametrize(("last", "lines"), [("[1, 10]", 1), ("[10, 10]", 5)])
def test_a_synapse_of_84_characters_stays_on_a_line(last, lines):
    decay = ints([1] * 14 + json.loads(last))
    neuron = Neuron(8, ints(3), synapse=Synapse(decay, 1, 8))
    text = to_text(Graph("long", 1, Input((16,)), (Node("n", neuron, ("x",)),),
                         Readout("count", "n")))
    block = text[text.index("  synapse: "):text.index("\n}\nreadout")].splitlines()
    assert len(block) == lines and all(len(line) <= 100 for line in block)


def test_one_bit_weights_take_a_bit_and_a_line_a_channel():
    weight = ints(np.where(np.arange(40).reshape(2, 20) % 3 == 0, 1, -1))
    graph = Graph("bits", 1, Input((20,)), (Node("n", Dense(weight, 1), ("x",)),),
                  Readout("potential", "n"))
    text = to_text(graph)
    assert "  weight: <2x20 bit\n    924920\n    492490>,\n  bits: 1" in text
    assert equal(parse(text), graph)


@pytest.mark.parametrize("change", [
    {"name": "other"}, {"steps": 5}, {"input": Input((3,), 8, "direct")},
    {"nodes": SMALL.nodes[:1]}, {"readout": Readout("last", "lif1.u", ints([2]))}])
def test_unequal_graphs(change):
    assert not equal(SMALL, Graph(**{**SMALL.__dict__, **change}))


def test_comments_and_spaces_mean_nothing():
    spaced = TEXT.replace(", ", " ,\n  ").replace("fc1 =", "# a note\n\nfc1   =")
    assert equal(parse(spaced), SMALL)


def test_names_of_onnx_values_parse_back():
    graph = Graph("names", 1, Input((3,), name="/in.0:1"), (
        Node("/fc/Gemm-1$", SMALL["fc1"].op, ("/in.0:1",)),
        Node("readout", SMALL["fc1"].op, ("/in.0:1",))), Readout("potential", "/fc/Gemm-1$"))
    assert equal(parse(to_text(graph)), graph)


@pytest.mark.parametrize(("old", "new", "message"), [
    ("qsnn.ir 1", "qsnn.ir 2", r"^line 1: the first line must be 'qsnn.ir 1', not 'qsnn.ir 2'$"),
    ("qsnn.ir 1", "qsnn.ir 0", r"^line 1: the first line must be 'qsnn.ir 1', not 'qsnn.ir 0'$"),
    ("steps: 4", "step: 4", r"^line 2: field of graph must be one of steps, not 'step'$"),
    ("{steps: 4}", "{}", r"^line 2: fields of graph must include steps, not \[\]$"),
    ("shape: (3)", "shape: (3.5)", r"^line 3: number must be an integer, not '3.5'$"),
    ("shape: (3), ", "", r"^line 3: fields of input must include shape, not \['bits', "),
    ("direct", "indirect", r"^line 3: coding must be one of direct, spikes, not 'indirect'$"),
    ("dense(x)", "dense x", r"^line 4: expected '\(', not 'x'$"),
    ("= dense", "= dens", r"^line 4: operator must be one of dense, conv2d, .*, not 'dens'$"),
    (" {weight: [[1, -1, 1], [-1, -1, 1]], bits: 1}", "", r"^line 5: expected '{', not 'lif1'$"),
    ("fc1 = dense", "fc1 dense", r"^line 4: expected '=', not 'dense'$"),
    ("bits: 1}", "bits 1}", r"^line 4: expected a field and ':', or '}', not 'bits'$"),
    ("[-1, -1, 1]", "[-1, -1]", r"^line 4: rows of 'weight' must be equally long"),
    ("[[1, -1, 1], [-1, -1, 1]]", "<2x4 bit a0 b>",
     r"^line 4: body must hold 2x4 numbers in bit, not 'a0 b'$"),
    ("[[1, -1, 1], [-1, -1, 1]]", "<2x4 hex8 a0b1>",
     r"^line 4: body must hold 2x4 numbers in hex8, not 'a0b1'$"),
    ("[[1, -1, 1], [-1, -1, 1]]", "<2y4>", r"^line 4: array must be <SHAPE FORMAT BODY>, not "),
    ("  bits: 4,", "  bits: 4",
     r"^line 7: field 'bits' must be followed by ',' or '}', not 'threshold:'$"),
    ("  bits: 4,", "  bits: 4, bits: 4,", r"^line 6: field of neuron must be given once, not "),
    ("readout last", "readout mean", r"^line 14: readout must be one of count, .*, not 'mean'$"),
    ("{gain: 2}", r'{names: ("\q")}',
     r"^line 14: text must be a string of JSON, not '\"\\\\q\"'$"),
    ("{gain: 2}", "{gain: 2} x", r"^line 14: the readout must be the last statement, not 'x'$"),
    ("readout last(lif1.u) {gain: 2}\n", "", r"^line 14: expected a node's name or 'readout', "),
    ("steps: 4", "steps: 4 ;", r"^line 2: expected a name, number or mark, not ';'$"),
])
def test_errors_name_line_and_expectation(old, new, message):
    with pytest.raises(IrError, match=message):
        parse(TEXT.replace(old, new, 1))


def outcome(text):
    try:
        parse(text)
    except IrError as error:
        return str(error)
    return None


@pytest.mark.parametrize("threshold, message", [
    ("[" * 5000, r"line 7: lists must be at most 8 deep, not '.'$"),
    ("<1 dec " + "9" * 100_000 + ">", r"body must hold 1 numbers in dec, not '9{32}'$"),
    ("(" * 5000, r"line 7: expected a number, not '.'$"),
])
def test_endless_values_end_in_one_short_line(threshold, message):
    with pytest.raises(IrError, match=message) as caught:
        parse(TEXT.replace("threshold: [3, 5]", f"threshold: {threshold}"))
    assert len(str(caught.value)) < 300



@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(TEXT)), st.integers(0, 30), st.text("{}()[]<>=,: \n\"x1-.", max_size=5))
def test_any_damage_is_an_ir_error_or_a_graph(start, length, patch):
    message = outcome(TEXT[:start] + patch + TEXT[start + length:])
    assert message is None or message.startswith("line ")
