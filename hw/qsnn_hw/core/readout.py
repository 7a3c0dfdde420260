"""The readout: scores of the last layer as they pass unit 0 of each bank, and the best of them."""

from amaranth.hdl import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from qsnn_hw.machine.fields import SCORE_CLOCK

from .jobs import slot_layout
from .memory import Rom, delays, table
from .neuron import field_at, field_signals

__all__ = ["Argmax", "PotentialScore", "Readout", "result_layout"]


def result_layout(*, classes, score_bits, exit_margin=None):
    """What a result says: the winning class and its score; with an exit margin, whether it leads
    the next by so much."""
    settled = {} if exit_margin is None else {"settled": 1}
    return data.StructLayout({
        "index": range(max(classes, 2)), "score": signed(score_bits), **settled})


class PotentialScore(wiring.Component):
    """``score = g · I + b`` of a class; ``bias`` holds b + flip·g because I comes flipped as ~I.

    A clock: 1. the current is flipped, with its gain beside it; 2. g · I; 3. + b.

    Members
    -------
    =========== === ================ ===============================
    ``current`` In  ``current_bits`` I of a class
    ``score``   Out ``score_bits``   its score, 3 clocks later
    ``flip``    In  a stored field   in clock 0, that of ``current``
    ``gain``    In  a stored field   in clock 0
    ``bias``    In  a stored field   in clock 2
    =========== === ================ ===============================
    """

    def __init__(self, fields, *, current_bits, score_bits):
        self.fields = fields
        super().__init__({
            "current": In(signed(current_bits)), "score": Out(signed(score_bits)),
            **field_signals(fields),
        })

    def elaborate(self, platform):
        m = Module()
        fields = self.fields
        gain = field_at(self, fields, "gain")
        flipped = Signal(self.current.shape(), reset_less=True)
        held = Signal(Shape.cast(gain.shape()), reset_less=True)
        product = Signal(signed(len(flipped) + len(held)), reset_less=True)
        flip = field_at(self, fields, "flip")
        m.d.sync += [
            flipped.eq(self.current ^ flip.replicate(len(flipped))),
            held.eq(gain),
            product.eq(flipped * held),
            self.score.eq(product + field_at(self, fields, "bias")),
        ]
        return m


class Argmax(wiring.Component):
    """The class of the highest score, the lowest index on a tie.

    A clock: 1. a ``valid`` score, the next class in order, is compared with the best so far
    (``first`` is class 0); scores past the last class are ignored; 2. after the ``last`` valid
    one ``result.valid`` goes high, until it is taken.

    With an exit margin: 2. the best is compared with the next best; 3. ``result.valid`` goes high
    if it leads by the margin, or at a window's last step (``ending``); that of a stream
    (*streaming*) always does.

    Members
    -------
    ========== === ============== ========================================
    ``score``  In  ``score_bits`` of a class
    ``valid``  In  1              there is one; none is refused
    ``first``  In  1              it is class 0's
    ``last``   In  1              it is the last of the step
    ``ending`` In  1              the step is the last of its window
    ``result`` Out stream         `result_layout`: the class and its score
    ========== === ============== ========================================
    """

    def __init__(self, *, classes, score_bits, exit_margin=None, streaming=False):
        self.classes, self.score_bits = classes, score_bits
        self.exit_margin, self.streaming = exit_margin, streaming
        result = result_layout(classes=classes, score_bits=score_bits, exit_margin=exit_margin)
        super().__init__({
            "score": In(signed(score_bits)),
            "valid": In(1),
            "first": In(1),
            "last": In(1),
            "ending": In(1),
            "result": Out(stream.Signature(result)),
        })

    def elaborate(self, platform):
        m = Module()
        leads = self.exit_margin is not None
        index = Signal(range(max(self.classes + 1, 2)))
        position = Mux(self.first, 0, index)
        real = position != self.classes
        best = Signal.like(self.result.payload, name="best") if leads else self.result.payload
        behind = Signal(signed(self.score_bits + 1))        # a subtraction is one carry chain
        better = self.first | (real & behind[-1])
        m.d.comb += behind.eq(best.score - self.score)
        with m.If(self.result.ready):
            m.d.sync += self.result.valid.eq(0)
        with m.If(self.valid):
            with m.If(real):
                m.d.sync += index.eq(position + 1)
            with m.If(better):
                m.d.sync += [best.index.eq(position), best.score.eq(self.score)]
        if leads:
            self._decide(m, best, better, real)
        else:
            with m.If(self.valid & self.last):
                m.d.sync += self.result.valid.eq(1)
        if platform == "formal":
            self._claim(m, index)
        return m

    def _claim(self, m, index):
        """What holds in every clock."""
        m.d.comb += Assert(index <= self.classes)

    def _decide(self, m, best, better, real):
        """Whether the best leads the next by the margin. Scores of the next step may follow at
        once, so the result is kept apart from the best so far."""
        least = C(-(1 << self.score_bits - 1), signed(self.score_bits))
        second = Signal.like(best.score, name="second")
        above = Signal(signed(self.score_bits + 1))
        m.d.comb += above.eq(second - self.score)
        with m.If(self.valid):
            with m.If(better):
                m.d.sync += second.eq(Mux(self.first, least, best.score))
            with m.Elif(real & above[-1]):
                m.d.sync += second.eq(self.score)
        complete, ending, settled = Signal(), Signal(), Signal()
        m.d.sync += [complete.eq(self.valid & self.last), ending.eq(self.ending)]
        alone = self.classes == 1
        m.d.comb += settled.eq(alone | (best.score - second >= self.exit_margin))
        with m.If(complete & (settled | ending | self.streaming)):
            m.d.sync += [self.result.valid.eq(1), self.result.payload.eq(best),
                         self.result.payload.settled.eq(settled)]


class Readout(wiring.Component):
    """The last layer's scores, and the class of the best.

    A slot: 1. in its clock its address is read; 2. `count` adds its spike to those of the steps
    before; `potential` the currents of all banks, in a machine that runs step by step to those of
    all steps; a stream's sums are halved (towards 0) when the job ``halves``; 3. its score goes to
    the `Argmax`. *memories* are its entries of the inventory, by their names in it.

    Members
    -------
    ============ === ==================== ==========================================================
    ``slots``    In  stream, always ready `slot_layout`: the slots of bank 0
    ``currents`` In  a current a bank     of the slot, a clock behind it
    ``spike``    In  1                    unit 0's of the slot, ``timing.spike_clock`` clocks behind
                                          it
    ``stop``     In  1                    the scores under way are dropped
    ``result``   Out stream               `result_layout`: the class and its score
    ============ === ==================== ==========================================================
    """

    def __init__(self, timing, memories):
        self.timing, self.arithmetic, self.memories = timing, timing.arithmetic, memories
        self.layout, self.parameters = timing.layout, timing.layout.parameters
        parameters = self.parameters
        self.argmax = Argmax(classes=parameters.classes, score_bits=self.arithmetic.score_bits,
                             exit_margin=parameters.exit_margin, streaming=parameters.streaming)
        current = signed(self.arithmetic.current_bits)
        super().__init__({
            "slots": In(stream.Signature(slot_layout(self.layout), always_ready=True)),
            "currents": In(data.ArrayLayout(current, parameters.banks)),
            "spike": In(1), "stop": In(1),
            "result": Out(self.argmax.signature.members["result"].signature),
        })

    def elaborate(self, platform):
        m = Module()
        slot, job = self.slots.payload, self.slots.payload.job
        last = len(self.parameters.layers) - 1
        settled = job.settled & (slot.step == self.timing.replays[last] - 1)
        last_slot = slot.number == (self.parameters.classes - 1) % self.layout.group_size[last]
        ours = self.slots.valid & slot.last_layer
        m.submodules.argmax = argmax = self.argmax
        wiring.connect(m, argmax.result, wiring.flipped(self.result))
        address = Value.cast(job.slot + slot.number)[:len(job.slot)]
        start = job.start & (slot.step == 0)
        counts = self.parameters.readout == "count"
        clock = (self._count if counts else self._potential)(m, ours, address, start, argmax)
        ending = job.ending if self.parameters.exits else Const(1)
        m.submodules.marks = ResetInserter(self.stop)(under_way := Module())
        marks = delays(under_way, Cat(ours & settled, job.opening & (slot.number == 0),
                                      job.final & last_slot, ending), clock + 1, init=0)[clock]
        m.d.comb += [argmax.valid.eq(marks[0]), argmax.first.eq(marks[1]), argmax.last.eq(marks[2]),
                     argmax.ending.eq(marks[3])]
        return m

    def _count(self, m, ours, address, start, argmax):
        """Σ_t s of each class; the clock of a slot in which its score is there."""
        clock = self.timing.spike_clock
        m.submodules.totals = memory = table(self.memories["totals"])
        write, read = memory.write_port(), memory.read_port()
        places = delays(m, address, clock + 2)
        fresh = delays(m, start, clock + 1)[clock]
        valid = delays(m, ours, clock + 2, init=0)[clock + 1]
        before = read.data
        if self.parameters.streaming:
            before = before >> delays(m, self.slots.payload.job.halves, clock + 1)[clock]
        total = Signal(self.memories["totals"].width, reset_less=True)
        m.d.sync += total.eq(Mux(fresh, 0, before) + self.spike)
        m.d.comb += [
            read.addr.eq(places[clock - 1]), write.addr.eq(places[clock + 1]),
            write.data.eq(total), write.en.eq(valid), argmax.score.eq(total),
        ]
        return clock + 1

    def _potential(self, m, ours, address, start, argmax):
        """g · Σ_t I + b; the clock of a slot in which its score is there."""
        clock = 1
        current = self.currents[0]
        if self.parameters.banks > 1:
            current = Signal(signed(self.arithmetic.current_bits), reset_less=True)
            m.d.sync += current.eq(sum(self.currents[1:], self.currents[0]))
            clock += 1
        if self.parameters.order == "step":
            current, clock = self._total(m, ours, address, start, current, clock), clock + 1
        m.submodules.score = score = PotentialScore(
            self.arithmetic.readout_fields, current_bits=len(current),
            score_bits=self.arithmetic.score_bits)
        m.d.comb += [score.current.eq(current), argmax.score.eq(score.score)]
        places = delays(m, address, clock + 3)
        for at in sorted(set(SCORE_CLOCK.values())):
            if f"readout{at}" in self.memories:
                m.submodules[f"readout{at}"] = rom = Rom(self.memories[f"readout{at}"])
                m.d.comb += rom.address.eq(places[clock + at - 2])
                m.d.comb += [getattr(score, name).eq(getattr(rom.word, name))
                             for name in rom.columns]
        return clock + 3

    def _total(self, m, ours, address, start, current, clock):
        """Σ_t I, a clock later."""
        m.submodules.totals = memory = table(self.memories["totals"])
        write, read = memory.write_port(), memory.read_port()
        places = delays(m, address, clock + 2)
        fresh = delays(m, start, clock + 1)[clock]
        valid = delays(m, ours, clock + 2, init=0)[clock + 1]
        before = read.data.as_signed()
        if self.parameters.streaming:
            halves = delays(m, self.slots.payload.job.halves, clock + 1)[clock]
            before = (before >> halves) + (halves & before[-1] & before[0])
        total = Signal(signed(self.memories["totals"].width), reset_less=True)
        m.d.sync += total.eq(Mux(fresh, 0, before) + current)
        m.d.comb += [read.addr.eq(places[clock - 1]), write.addr.eq(places[clock + 1]),
                     write.data.eq(total), write.en.eq(valid)]
        return total
