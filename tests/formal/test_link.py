"""The byte link: streams that hold, frames as long as `frames` says, for ever."""

import pytest
from amaranth.hdl import Assert, Mux, Signal
from benches import machine
from prover import Setting, prove

from qsnn_hw import frames
from qsnn_hw.link import Framer, UartRx, UartTx


def test_receiver_holds_its_byte():
    setting = Setting()
    dut = setting.block(UartRx(divisor=6))
    setting.claim(setting.holds(dut.bytes))
    prove(setting, 3)


def test_sender_counts_in_range_and_rests_high():
    setting = Setting()
    dut = setting.block(UartTx(divisor=5))
    setting.claim(~dut.bytes.ready | dut.tx)
    prove(setting, 3)


class Watched(Framer):
    """A framer whose state is that of the bytes beside it: ``place`` is 0 at a command, 1 and 2 in
    its data, ``left`` of which are to come, 3 and 4 at its end, 5 when lost."""

    PLACES = ("COMMAND", "WEIGHTS", "INPUT", "END0", "END1", "LOST")

    def __init__(self, core):
        super().__init__(core)
        self.place, self.left = Signal(3), Signal(24)

    def _claim(self, m, receive, left, reply, position):
        super()._claim(m, receive, left, reply, position)
        for number, name in enumerate(self.PLACES):
            m.d.comb += Assert(receive.ongoing(name) == (self.place == number))
        inside = (self.place == 1) | (self.place == 2)
        m.d.comb += Assert(~inside | (left == self.left - 1))


def frame(setting, dut):
    """Follows ``place`` and ``left`` by the bytes alone."""
    m, place, left, byte = setting.m, dut.place, dut.left, dut.received.payload
    taken = dut.received.valid & dut.received.ready
    commands = {frames.WEIGHTS: (1, frames.weight_bytes(dut.machine)),
                frames.INPUT: (2, frames.input_bytes(dut.machine)), frames.IDENTIFY: (3, 0)}
    with m.If(taken & (place == 0)):
        m.d.sync += place.eq(5)
        for command, (data, size) in commands.items():
            with m.If(byte == command):
                m.d.sync += [place.eq(data), left.eq(size)]
    with m.Elif(taken & ((place == 1) | (place == 2))):
        m.d.sync += left.eq(left - 1)
        with m.If(left == 1):
            m.d.sync += place.eq(3)
    for at, expected in enumerate(frames.END, 3):
        with m.If(taken & (place == at)):
            m.d.sync += place.eq(Mux(byte == expected, (at + 1) % 5, 5))


def framer(core):
    """A framer between a host and a core that hold their streams."""
    setting = Setting()
    dut = setting.block(Watched(core))
    setting.assume(setting.holds(dut.received), setting.holds(dut.result))
    frame(setting, dut)
    return setting, dut


@pytest.mark.parametrize("core", [machine(), machine(lanes=32, exit_margin=3, order="step")],
                         ids=["bytes", "margin"])
def test_framer_holds_its_streams(core):
    setting, dut = framer(core)
    setting.claim(*(setting.holds(stream) for stream in (dut.weights, dut.inputs, dut.replies)),
                  ~dut.result.ready | dut.result.valid)
    prove(setting, 3)


def test_frames_are_as_long_as_they_say():
    setting, dut = framer(machine())
    byte = dut.received
    weights = byte.valid & (dut.place == 1) & dut.left[0]       # the second byte of two
    setting.claim(dut.weights.valid == weights,
                  dut.inputs.valid == (byte.valid & (dut.place == 2)),
                  (dut.place == 1) | (dut.place == 2) | byte.ready)
    prove(setting, 3)
