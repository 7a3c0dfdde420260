import numpy as np
import pytest

from qsnn_hw.link import frames
from qsnn_hw.machine.arch import Image, Machine
from qsnn_hw.machine.layers import Layer, Map, Word
from qsnn_hw.machine.parameters import Arithmetic, Parameters
from qsnn_runtime import protocol


def layer(name, inputs, channels, banks=1, fires=True):
    window = (Word(0, 0, 0, 0, 0, ends=True, final=True),)
    return Layer(name, channels, (Map("spikes", -1, words=-(-inputs // 16)),), (window,) * banks,
                 inputs, fires=fires)


def machine(score_bits=3, digest="0123456789abcdef", **changes):
    given = dict(
        name="tiny", steps=2, coding="direct", input_bits=8,
        input_map=Map("list", -1, words=3), layers=(layer("hidden", 3, 32), layer("out", 32, 3)),
        readout="count", lanes=32, units=2)
    return Machine(parameters=Parameters(**given | changes), digest=digest,
                   arithmetic=Arithmetic(score_bits=score_bits))


def test_identification():
    reply = protocol.identification(machine())
    assert reply == b"\x02\x01\x23\x45\x67\xa5\x5a"
    assert len(reply) == protocol.IDENTIFICATION_BYTES
    protocol.check_identification(machine(), reply)


def test_a_machine_without_digest_has_an_identification():
    assert protocol.identification(machine(digest="")) == b"\x02\0\0\0\0\xa5\x5a"


@pytest.mark.parametrize("reply,message", [
    (b"\x03\x01\x23\x45\x67\xa5\x5a",
     "the board's protocol version must be 2, not 3: is it the right "),
    (b"\x02\x01\x23\x45\x68\xa5\x5a",
     "the board's program must be '01234567', not '01234568': program ")])
def test_another_board_is_refused(reply, message):
    with pytest.raises(protocol.ProtocolError, match=message):
        protocol.check_identification(machine(), reply)


def test_load_sends_bank_by_bank_lowest_lanes_first():
    two = machine(layers=(layer("out", 2, 3, banks=2),), banks=2, lanes=16)
    rows = ((0x2211, 0x4433), (0x6655, 0x8877))
    frame = protocol.load(two, Image(weights=rows))
    assert frame == b"W\x11\x22\x33\x44\x55\x66\x77\x88\xa5\x5a"
    assert len(frame) == 1 + frames.weight_bytes(two) + 2
    assert frames.weights_from_bytes(two, frame[1:-2]) == rows


def test_a_direct_sample_is_a_byte_a_pixel():
    frame = protocol.sample(machine(), np.array([1, 2, 255], np.uint8))
    assert frame == b"X\x01\x02\xff\xa5\x5a"
    assert len(frame) == 1 + frames.input_bytes(machine()) + 2


def test_an_image_goes_place_by_place():
    image = machine(input_map=Map("values", -1, 2, 2, 3, 2))
    x = np.arange(12, dtype=np.uint8).reshape(3, 2, 2)
    frame = protocol.sample(image, x)
    assert frame[1:-2] == bytes([0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11])
    assert len(frame) == 1 + frames.input_bytes(image) + 2


def test_counts_are_a_byte_each():
    counts = machine(coding="spikes", input_bits=3, input_map=Map("values", -1, 1, 2, 2, 2))
    x = np.arange(8, dtype=np.uint8).reshape(2, 2, 1, 2)
    frame = protocol.sample(counts, x)
    assert frame[1:-2] == bytes([0, 2, 1, 3, 4, 6, 5, 7])
    assert len(frame) == 1 + frames.input_bytes(counts) + 2


@pytest.mark.parametrize("shape", [(1, 1, 1), (15, 1, 1), (16, 2, 1), (17, 2, 3), (33, 1, 2)])
def test_a_spike_sample_is_words_step_by_step_and_place_by_place(shape):
    channels, height, width = shape
    words = -(-channels // 16)
    spiking = machine(coding="spikes", input_bits=1,
                      input_map=Map("spikes", -1, height, width, words, width))
    x = np.random.default_rng(channels).integers(0, 2, (2, *shape), dtype=np.uint8)
    frame = protocol.sample(spiking, x)
    assert len(frame) == 1 + frames.input_bytes(spiking) + 2
    values = np.frombuffer(frame[1:-2], "<u2").reshape(2, height, width, words)
    naive = [[[[int(values[t, y, z, c // 16]) >> c % 16 & 1 for z in range(width)]
               for y in range(height)] for c in range(channels)] for t in range(2)]
    assert np.array_equal(naive, x)


@pytest.mark.parametrize("classes", [2, 256, 257, 1000])
@pytest.mark.parametrize("score", [0, -1, 2**31 - 1, -2**31])
def test_result_round_trip(classes, score):
    wide = machine(layers=(layer("out", 3, classes, fires=False),), readout="potential",
                   score_bits=32)
    reply = protocol.result(wide, classes - 1, score)
    assert len(reply) == protocol.result_bytes(wide) == (7 if classes <= 256 else 8)
    assert protocol.parse_result(wide, reply) == protocol.Result(classes - 1, score)


def test_a_class_that_there_is_not():
    with pytest.raises(protocol.ProtocolError, match="class must be below 3, not 3: bytes were "):
        protocol.parse_result(machine(), b"\x03\0\0\0\0\xa5\x5a")


@pytest.mark.parametrize("changes,least,most", [
    ({}, 0, 2),                                 # at most a spike a step
    ({"streaming": True, "order": "step"}, 0, 3),
    ({"readout": "potential", "score_bits": 9,
      "layers": (layer("out", 3, 3, fires=False),)}, -256, 255)])
def test_a_score_that_there_is_not(changes, least, most):
    made = machine(**changes)
    for score in (least, most):
        assert protocol.parse_result(made, protocol.result(made, 1, score)).score == score
    for score in (least - 1, most + 1):
        with pytest.raises(protocol.ProtocolError, match=f"the board's score must be within {least}"
                           f" and {most}, not {score}: bytes were changed on the link; load "):
            protocol.parse_result(made, protocol.result(made, 1, score))


@pytest.mark.parametrize("given,settled", [((), False), ((False,), False), ((True,), True)])
def test_a_result_is_settled_only_where_it_says_so(given, settled):
    made = machine(exit_margin=1, order="step")
    reply = protocol.result(made, 1, 2, *given)
    assert reply == bytes([1, 2, 0, 0, 0, settled]) + frames.END
    assert protocol.parse_result(made, reply) == protocol.Result(1, 2, settled)


def test_a_reply_that_is_neither_settled_nor_not():
    made = machine(exit_margin=1, order="step")
    with pytest.raises(protocol.ProtocolError, match="settled must be 0 or 1, not 2: bytes were "):
        protocol.parse_result(made, b"\x01\0\0\0\0\2\xa5\x5a")


def test_a_reply_that_ends_elsewhere():
    message = ("reply must end with 'a55a', not '67a5': bytes were lost, added or changed on the "
               "link; load the network again")
    with pytest.raises(protocol.ProtocolError, match=message):
        protocol.check_identification(machine(), b"\x02\x01\x01\x23\x45\x67\xa5")
    with pytest.raises(protocol.ProtocolError, match=message.replace("67a5", "a55b")):
        protocol.parse_result(machine(), b"\x01\0\0\0\0\xa5\x5b")
