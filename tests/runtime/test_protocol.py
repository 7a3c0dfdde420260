import numpy as np
import pytest

from qsnn_hw import frames
from qsnn_hw.arch import Image, Layer, Machine
from qsnn_runtime import protocol


def machine(**changes):
    given = dict(
        name="tiny", steps=2, coding="direct", input_bits=8,
        layers=(Layer("hidden", 3, 32, 1), Layer("out", 32, 3, 1)), readout="count",
        neuron_fields=(), readout_fields=(), acc_bits=12, sum_bits=10, current_bits=12,
        potential_bits=12, membrane_bits=4, score_bits=3, decay_shift=1, lanes=32, units=2,
        digest="0123456789abcdef")
    return Machine(**(given | changes))


def test_identification():
    reply = protocol.identification(machine())
    assert reply == b"\x01\x01\x23\x45\x67"
    assert len(reply) == protocol.IDENTIFICATION_BYTES
    protocol.check_identification(machine(), reply)


def test_a_machine_without_digest_has_an_identification():
    assert protocol.identification(machine(digest="")) == b"\x01\0\0\0\0"


@pytest.mark.parametrize("reply,message", [
    (b"\x02\x01\x23\x45\x67", "the board's protocol version must be 1, not 2: is it the right "),
    (b"\x01\x01\x23\x45\x68", "the board's program must be '01234567', not '01234568': program ")])
def test_another_board_is_refused(reply, message):
    with pytest.raises(protocol.ProtocolError, match=message):
        protocol.check_identification(machine(), reply)


def test_load_sends_rows_lowest_lanes_first():
    one_row = machine(layers=(Layer("out", 2, 3, 1),))
    frame = protocol.load(one_row, Image(weights=(0x44332211, 0x88776655)))
    assert frame == b"W\x11\x22\x33\x44\x55\x66\x77\x88"
    assert len(frame) == 1 + frames.weight_bytes(one_row)


def test_a_direct_sample_is_a_byte_a_pixel():
    frame = protocol.sample(machine(), np.array([1, 2, 255], np.uint8))
    assert frame == b"X\x01\x02\xff"
    assert len(frame) == 1 + frames.input_bytes(machine())


@pytest.mark.parametrize("inputs", [1, 15, 16, 17, 33])
def test_a_spike_sample_is_words_step_by_step(inputs):
    spiking = machine(coding="spikes", input_bits=1, layers=(Layer("out", inputs, 3, 1),))
    x = np.random.default_rng(inputs).integers(0, 2, (2, inputs), dtype=np.uint8)
    frame = protocol.sample(spiking, x)
    assert len(frame) == 1 + frames.input_bytes(spiking)
    words = np.frombuffer(frame[1:], "<u2").reshape(2, -1)
    naive = [[words[t, i // 16] >> i % 16 & 1 for i in range(inputs)] for t in range(2)]
    assert np.array_equal(naive, x)


@pytest.mark.parametrize("classes", [2, 256, 257, 1000])
@pytest.mark.parametrize("score", [0, -1, 2**31 - 1, -2**31])
def test_result_round_trip(classes, score):
    wide = machine(layers=(Layer("out", 3, classes, 1),))
    reply = protocol.result(wide, classes - 1, score)
    assert len(reply) == protocol.result_bytes(wide) == (5 if classes <= 256 else 6)
    assert protocol.parse_result(wide, reply) == protocol.Result(classes - 1, score)


def test_a_class_that_there_is_not():
    with pytest.raises(protocol.ProtocolError, match="class must be below 3, not 3: bytes were "):
        protocol.parse_result(machine(), b"\x03\0\0\0\0")
