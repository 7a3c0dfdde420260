"""A byte that `UartTx` took comes out of `UartRx`, once and whole, for ever: whenever bytes are
given, whenever they are taken. The clocks of both are one; divisors are equal."""

import pytest
from amaranth.hdl import Assert, Cat, Const, Mux, Signal
from prover import Setting, prove

from qsnn_hw.link.uart_link import BYTE, UartRx, UartTx

BITS = BYTE + 2             # with start and stop bit
WAY = 3                     # clocks from the sender's line to the receiver's ``busy``


class Sender(UartTx):
    """A sender whose registers are those of ``age``, its clocks since ``byte`` was taken, or 0."""

    def __init__(self, **size):
        super().__init__(**size)
        self.age, self.byte = Signal(range(BITS * self.divisor + 1)), Signal(BYTE)

    def _claim(self, m, timer, left, shift):
        super()._claim(m, timer, left, shift)
        frame = Cat(Const(0, 1), self.byte, Const(1, 1))
        sent, clock = (self.age - 1) // self.divisor, (self.age - 1) % self.divisor
        ones = Const((1 << BITS) - 1, BITS)
        rest = frame >> sent[:4] | ~(ones >> sent[:4])[:BITS]       # ones follow what is sent
        m.d.comb += [Assert((self.age == 0) == (left == 0)),
                     Assert(self.age <= BITS * self.divisor),
                     Assert((self.age == 0) | (left == BITS - sent)),
                     Assert((self.age == 0) | (timer == self.divisor - 1 - clock)),
                     Assert((self.age == 0) | (shift == rest[:len(shift)])),
                     Assert((self.age != 0) | shift.all())]


class Receiver(UartRx):
    """A receiver whose registers are those of ``age`` and ``byte`` of what is on its way."""

    def __init__(self, **size):
        super().__init__(**size)
        self.age, self.byte = Signal(range(BITS * self.divisor + 1)), Signal(BYTE)
        self.half = self.divisor // 2
        self.end = self.half + (BITS - 1) * self.divisor    # the clock of the stop bit's sample

    def _claim(self, m, busy, timer, bit, shift):
        super()._claim(m, busy, timer, bit, shift)
        since = self.age - 1 + self.divisor - self.half
        number, clock = since // self.divisor, since % self.divisor
        there = (shift >> Mux(bit == 0, BYTE, BITS - 1 - bit)[:4])[:BYTE]
        mask = ((1 << Mux(bit == 0, 0, bit - 1)[:4]) - 1)[:BYTE]
        m.d.comb += [Assert(busy == ((self.age != 0) & (self.age <= self.end))),
                     Assert(~busy | (bit == number)),
                     Assert(~busy | (timer == self.divisor - 1 - clock)),
                     Assert(~busy | (there == (self.byte & mask)))]


def line(divisor):
    """A sender, a receiver at its line, and the byte that the receiver must show, if any."""
    setting = Setting()
    m = setting.m
    sender = setting.block(Sender(divisor=divisor))
    m.submodules.receiver = receiver = Receiver(divisor=divisor)
    taken = sender.bytes.valid & sender.bytes.ready
    with m.If(taken):
        m.d.sync += [sender.age.eq(1), sender.byte.eq(sender.bytes.payload)]
    with m.Elif(sender.age != 0):
        m.d.sync += sender.age.eq(Mux(sender.age == BITS * divisor, 0, sender.age + 1))
    age, byte = sender.age, sender.byte
    for _ in range(WAY):
        age, byte = setting.past(age), setting.past(byte)
    m.d.comb += [receiver.age.eq(age), receiver.byte.eq(byte), receiver.rx.eq(sender.tx),
                 receiver.bytes.ready.eq(setting.free(1, "ready"))]
    return setting, receiver


def claim(setting, receiver):
    m, out = setting.m, receiver.bytes
    shows, shown = Signal(), Signal(BYTE)
    with m.If(~shows | out.ready):
        m.d.sync += [shows.eq(receiver.age == receiver.end), shown.eq(receiver.byte)]
    setting.claim(out.valid == shows, ~shows | (out.payload == shown), ~receiver.broken)


@pytest.mark.parametrize("divisor", [4, 5, 8])
def test_byte_comes_out_as_it_went_in(divisor):
    setting, receiver = line(divisor)
    claim(setting, receiver)
    prove(setting, 5)
