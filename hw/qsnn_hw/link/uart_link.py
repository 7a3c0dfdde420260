"""The byte link: a UART and the framer that joins its bytes to the core's streams.

`qsnn_hw.link.frames` says what the bytes mean. The receiver holds one byte: a host that sends while
the core does not take its input loses bytes, so it waits for each reply.
"""

from amaranth.hdl import *
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from qsnn_hw.core.core import machine_result
from qsnn_hw.core.jobs import optional
from qsnn_hw.machine.layers import WORD

from . import frames

__all__ = ["Framer", "UartRx", "UartTx", "keeps_baud", "uart_divisor"]

BYTE = 8


def uart_divisor(clock_hz, baud):
    """Clocks of a bit, at least 4 and within 2.5 % of the wanted rate."""
    if not keeps_baud(clock_hz, baud):
        raise ValueError(f"Baud rate must be a divisor of {clock_hz:.0f} Hz by 4 or more, within "
                         f"2.5 %, not {baud!r}")
    return round(clock_hz / baud)


def keeps_baud(clock_hz, baud):
    """Whether a clock has such a divisor: from 20 times the rate on, each has."""
    divisor = round(clock_hz / baud)
    return divisor >= 4 and abs(clock_hz / divisor / baud - 1) <= 0.025


class UartRx(wiring.Component):
    """Receives bytes: 8 data bits, lowest first, no parity, one stop bit.

    A clock: 1. ``rx`` passes two flip-flops; 2. while idle, a falling line starts a byte; 3. half a
    bit later, and then each ``divisor`` clocks, the line is sampled: a high start bit was a
    glitch, data bits shift in; 4. at the stop bit the byte goes to ``bytes``; if the last one
    was not taken yet, the new one is lost. A low stop bit raises ``broken`` for one clock; what is
    left of a break is no byte.

    Members
    -------
    ========== === ====== ======================================================================
    ``rx``     In  1      the line
    ``bytes``  Out stream the bytes; one that is not taken before the next is there is kept, the
                          next lost
    ``broken`` Out 1      a low stop bit, for one clock
    ========== === ====== ======================================================================
    """

    def __init__(self, *, divisor):
        if divisor < 4:
            raise ValueError(f"Divisor must be an integer of at least 4, not {divisor!r}")
        self.divisor = divisor
        super().__init__({
            "rx": In(1, init=1),
            "bytes": Out(stream.Signature(BYTE)),
            "broken": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        line, before = Signal(init=1), Signal(init=1)
        m.submodules.line = FFSynchronizer(self.rx, line, init=1)
        m.d.sync += before.eq(line)
        timer = Signal(range(self.divisor))
        shift = Signal(BYTE)
        bit = Signal(range(BYTE + 2))
        sample = Signal()
        stop = Signal()
        busy = Signal()
        m.d.comb += [
            sample.eq(busy & (timer == 0)),
            stop.eq(sample & (bit == BYTE + 1)),
            self.broken.eq(stop & ~line),
        ]
        with m.If(~busy):
            m.d.sync += [busy.eq(before & ~line), timer.eq(self.divisor // 2 - 1), bit.eq(0)]
        with m.Elif(~sample):
            m.d.sync += timer.eq(timer - 1)
        with m.Else():
            m.d.sync += [
                timer.eq(self.divisor - 1),
                bit.eq(bit + 1),
                busy.eq(~stop & ~((bit == 0) & line)),
            ]
            with m.If(~stop):
                m.d.sync += shift.eq(Cat(shift[1:], line))
        free = ~self.bytes.valid | self.bytes.ready
        with m.If(free):
            m.d.sync += [self.bytes.valid.eq(stop & line), self.bytes.payload.eq(shift)]
        if platform == "formal":
            self._claim(m, busy, timer, bit, shift)
        return m

    def _claim(self, m, busy, timer, bit, shift):
        """What holds between the registers, in every clock."""
        m.d.comb += [Assert(timer < self.divisor), Assert(~busy | (bit <= BYTE + 1))]


class UartTx(wiring.Component):
    """Sends bytes: a start bit, 8 data bits, lowest first, one stop bit.

    A clock: 1. when idle, a byte is taken and the start bit is on ``tx`` from the next clock;
    2. each ``divisor`` clocks the next bit follows; 3. after the whole stop bit it is idle.

    Members
    -------
    ========= === ====== =========
    ``bytes`` In  stream the bytes
    ``tx``    Out 1      the line
    ========= === ====== =========
    """

    def __init__(self, *, divisor):
        if divisor < 1:
            raise ValueError(f"Divisor must be a positive integer, not {divisor!r}")
        self.divisor = divisor
        super().__init__({
            "bytes": In(stream.Signature(BYTE)),
            "tx": Out(1, init=1),
        })

    def elaborate(self, platform):
        m = Module()
        timer = Signal(range(self.divisor))
        shift = Signal(BYTE + 1, init=-1)
        left = Signal(range(BYTE + 3))
        m.d.comb += [self.tx.eq(shift[0]), self.bytes.ready.eq(left == 0)]
        with m.If(self.bytes.ready):
            m.d.sync += timer.eq(self.divisor - 1)
            with m.If(self.bytes.valid):
                m.d.sync += [shift.eq(Cat(0, self.bytes.payload)), left.eq(BYTE + 2)]
        with m.Elif(timer != 0):
            m.d.sync += timer.eq(timer - 1)
        with m.Else():
            m.d.sync += [
                timer.eq(self.divisor - 1),
                shift.eq(Cat(shift[1:], 1)),
                left.eq(left - 1),
            ]
        if platform == "formal":
            self._claim(m, timer, left, shift)
        return m

    def _claim(self, m, timer, left, shift):
        """What holds between the registers, in every clock."""
        m.d.comb += [Assert(timer < self.divisor), Assert(left <= BYTE + 2),
                     Assert(~Cat(1, shift) >> left == 0)]           # ones follow what is sent


class Framer(wiring.Component):
    """Command bytes in, the core's streams between, reply bytes out, as `frames` defines them.

    A received byte: 1. a command byte sets the number of data bytes to come; 2. the first byte of
    a two-byte beat is kept; 3. the last byte of a beat is passed on with the kept one and waits
    until the core takes the beat; 4. the two bytes of END are compared, and only then is the
    command's reply due. Another command or another end: what comes is taken and dropped until the
    reset. A reply: the identification, when asked for, goes before a waiting result; a result is
    taken from the core with its last byte.

    Members
    -------
    ============ === ============== ===============================
    ``received`` In  stream         bytes from the host
    ``replies``  Out stream         bytes to the host
    ``weights``  Out stream         the core's weights
    ``inputs``   Out stream         the core's input beats
    ``result``   In  stream         the core's result
    ``restart``  Out 1, in a stream the next sample is a first step
    ============ === ============== ===============================
    """

    def __init__(self, machine):
        if machine.arithmetic.score_bits > 8 * frames.SCORE_BYTES:
            raise ValueError(f"Score must have at most {8 * frames.SCORE_BYTES} bits on the byte "
                             f"link, not {machine.arithmetic.score_bits!r}")
        self.machine = machine
        super().__init__({
            "received": In(stream.Signature(BYTE)),
            "replies": Out(stream.Signature(BYTE)),
            "weights": Out(stream.Signature(WORD)),
            "inputs": Out(stream.Signature(machine.layout.beat_bits)),
            "result": In(stream.Signature(machine_result(machine))),
            **optional(machine.parameters.streaming, restart=Out(1)),
        })

    def elaborate(self, platform):
        m = Module()
        asked, due = Signal(), Signal()         # an identification, a result
        receive = self._receive(m, asked, due)
        reply = self._reply(m, asked, due)
        if platform == "formal":
            self._claim(m, *receive, *reply)
        return m

    def _claim(self, m, receive, left, reply, position):
        """What holds between the registers, in every clock."""
        sizes = {"WEIGHTS": frames.weight_bytes(self.machine),
                 "INPUT": frames.input_bytes(self.machine)}
        m.d.comb += [Assert(~receive.ongoing(state) | (left < size))
                     for state, size in sizes.items()]
        end = len(frames.END) - 1
        lasts = {"IDLE": 0, "IDENTIFY": len(frames.identification(self.machine)) + end,
                 "RESULT": frames.result_bytes(self.machine) + end}
        m.d.comb += [Assert(~reply.ongoing(state) | (position <= last))
                     for state, last in lasts.items()]
        m.d.comb += [Assert(~reply.ongoing("RESULT") | self.result.valid)]

    def _receive(self, m, asked, due):
        parameters = self.machine.parameters
        weight_bytes = frames.weight_bytes(self.machine)
        input_bytes = frames.input_bytes(self.machine)
        byte = self.received
        kept = Signal(BYTE)
        left = Signal(range(max(weight_bytes, input_bytes)))
        with m.If(byte.valid & byte.ready):
            m.d.sync += [kept.eq(byte.payload), left.eq(left - 1)]
        identify, restart, sample = Signal(), Signal(), Signal()
        with m.FSM(name="receive") as states:
            with m.State("COMMAND"):
                m.d.comb += byte.ready.eq(1)
                m.d.sync += [
                    identify.eq(byte.payload == frames.IDENTIFY),
                    restart.eq(byte.payload == frames.RESTART),
                    sample.eq(byte.payload == frames.INPUT),
                ]
                with m.If(byte.valid), m.Switch(byte.payload):
                    with m.Case(frames.WEIGHTS):
                        m.d.sync += left.eq(weight_bytes - 1)
                        m.next = "WEIGHTS"
                    with m.Case(frames.INPUT):
                        m.d.sync += left.eq(input_bytes - 1)
                        m.next = "INPUT"
                    with m.Case(frames.IDENTIFY, *[frames.RESTART] * parameters.streaming):
                        m.next = "END0"
                    with m.Default():
                        m.next = "LOST"
            for state, beats, size in (("WEIGHTS", self.weights, WORD // BYTE),
                                       ("INPUT", self.inputs, frames.beat_bytes(self.machine))):
                whole = ~left[0] if size == 2 else C(1)     # of an even count, evens remain
                with m.State(state):
                    m.d.comb += [
                        beats.valid.eq(byte.valid & whole),
                        beats.payload.eq(Cat(kept, byte.payload) if size == 2 else byte.payload),
                        byte.ready.eq(beats.ready | ~whole),
                    ]
                    with m.If(byte.valid & byte.ready & (left == 0)):
                        m.next = "END0"
            for number, after in enumerate(("END1", "COMMAND")):
                with m.State(f"END{number}"):
                    m.d.comb += byte.ready.eq(1)
                    with m.If(byte.valid & (byte.payload != frames.END[number])):
                        m.next = "LOST"
                    with m.Elif(byte.valid):
                        m.next = after
                        if after == "COMMAND":
                            m.d.sync += [asked.eq(asked | identify), due.eq(due | sample)]
                            if parameters.streaming:
                                m.d.comb += self.restart.eq(restart)
            with m.State("LOST"):
                m.d.comb += byte.ready.eq(1)
        return states, left

    def _reply(self, m, asked, due):
        own = frames.identification(self.machine) + frames.END
        known = C(int.from_bytes(own, "little"), BYTE * len(own))
        score = Signal(signed(BYTE * frames.SCORE_BYTES))
        index = Signal(BYTE * frames.index_bytes(self.machine))
        settled = Signal(BYTE * frames.settled_bytes(self.machine))
        result = Cat(index, score, settled, C(int.from_bytes(frames.END, "little"), 2 * BYTE))
        if len(settled):
            m.d.comb += settled.eq(self.result.payload.settled)
        m.d.comb += [score.eq(self.result.payload.score), index.eq(self.result.payload.index)]
        position = Signal(range(max(len(known), len(result)) // BYTE))
        with m.FSM(name="reply") as states:
            with m.State("IDLE"):
                with m.If(asked):
                    m.d.sync += asked.eq(0)
                    m.next = "IDENTIFY"
                with m.Elif(self.result.valid & due):
                    m.d.sync += due.eq(0)
                    m.next = "RESULT"
            for state, text in (("IDENTIFY", known), ("RESULT", result)):
                last = position == len(text) // BYTE - 1
                with m.State(state):
                    m.d.comb += [
                        self.replies.valid.eq(1),
                        self.replies.payload.eq(text.word_select(position, BYTE)),
                    ]
                    with m.If(self.replies.ready):
                        m.d.sync += position.eq(position + 1)
                        with m.If(last):
                            m.d.sync += position.eq(0)
                            m.d.comb += self.result.ready.eq(state == "RESULT")
                            m.next = "IDLE"
        return states, position
