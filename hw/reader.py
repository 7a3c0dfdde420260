"""The reader of a bank: words become events, one a clock."""

from amaranth.hdl import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .arch import WORD
from .walker import request_layout

__all__ = ["Reader"]


class Reader(wiring.Component):
    """Requests in, events for the lanes out.

    A clock: 1. an allowed request goes to the memories (``advance``: the one before has left
    them); 2. what they read stands at ``line``, ``value`` and ``listed_index``, the request beside
    it; a word without spikes is dropped here, unless a pass ends with it; 3. in the word register
    its lowest spike is an event: ``event``, with weight row ``row`` and ``x``; in the clock of its
    last spike the next word moves in. 4. Behind the last event of a pass ``transfer`` takes a clock
    of its own, as soon as ``shadow_free``.

    ``x`` counts 2^``plane``. ``sum_x`` is Σx·2^scale since the last transfer, in the clock of the
    next one. ``arriving`` adds a pixel that goes to the lanes past this reader.
    """

    def __init__(self, machine):
        self.machine = machine
        request = request_layout(machine)
        super().__init__({
            "request": In(request), "request_valid": In(1), "advance": Out(1),
            "line": In(WORD * machine.columns), "value": In(machine.value_bits),
            "listed_index": In(range(max(machine.value_words, 2))),
            "arriving": In(1), "arriving_value": In(machine.value_bits),
            "event": Out(1), "row": Out(request["row"].shape), "x": Out(machine.value_bits),
            "plane": Out(request["plane"].shape),
            "transfer": Out(1), "shadow_free": In(1), "sum_x": Out(machine.sum_bits),
            "quiet": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        machine = self.machine
        fetched, fetched_valid = Signal(request_layout(machine)), Signal()
        word, columns = self._word(m, fetched)
        take, drop = Signal(), Signal()
        m.d.comb += [drop.eq(fetched_valid & ~word.any() & ~fetched.ends),
                     self.advance.eq(~fetched_valid | take | drop)]
        with m.If(self.advance):
            m.d.sync += [fetched.eq(self.request), fetched_valid.eq(self.request_valid)]
        valid, ending, rest = Signal(), Signal(), Signal(WORD)
        spikes, ends, sums, merged = Signal(WORD), Signal(), Signal(), Signal()
        value, scale = Signal(machine.value_bits), Signal.like(fetched.scale)
        base, held = Signal.like(fetched.row), Signal(WORD * machine.columns)
        spent, index = Signal(), lowest_set(spikes)
        m.d.comb += [
            rest.eq(spikes & (spikes - 1)),
            spent.eq(valid & ~ending & ~rest.any()),
            take.eq(fetched_valid & ~drop & (~valid | spent)),
            self.event.eq(valid & ~ending & spikes.any()),
            self.row.eq(base + index),
            self.x.eq(self._amount(value, held, merged, index)),
            self.transfer.eq(ending & self.shadow_free),
            self.quiet.eq(~fetched_valid & ~valid & ~ending),
        ]
        with m.If(self.event):
            m.d.sync += spikes.eq(rest)
        with m.If(spent):
            m.d.sync += [valid.eq(0), ending.eq(ends)]
        with m.If(self.transfer):
            m.d.sync += ending.eq(0)
        with m.If(take):
            m.d.sync += [
                valid.eq(1), spikes.eq(word), ends.eq(fetched.ends), sums.eq(fetched.sums),
                self.plane.eq(fetched.plane), scale.eq(fetched.scale), held.eq(columns),
                base.eq(fetched.row + Mux(fetched.listed, self.listed_index, 0)),
                value.eq(self._value(fetched)), merged.eq(fetched.merged),
            ]
        self._sum(m, sums, scale)
        return m

    def _word(self, m, fetched):
        """What the memories say, as 16 spikes; the columns beside each other."""
        machine = self.machine
        line = Signal(WORD * machine.columns)
        m.d.comb += line.eq(self.line)
        columns = [line.word_select(c, WORD) for c in range(machine.columns)]
        chosen = line.word_select(fetched.column, WORD) if machine.columns > 1 else columns[0]
        merged = columns[0]
        for column in columns[1:]:
            merged = merged | column
        word = Signal(WORD)
        m.d.comb += word.eq(Mux(fetched.merged, merged, chosen))
        with m.If(fetched.value | fetched.listed):
            m.d.comb += word.eq(self.value.any())
        pads = [found.pad for layer in machine.layers for found in layer.maps]
        if any(pads):
            with m.If(fetched.pad):
                m.d.comb += word.eq(Mux(fetched.value, 1, (1 << WORD) - 1))
        with m.If(fetched.skip):
            m.d.comb += word.eq(0)
        return word, line

    def _value(self, fetched):
        """x of every spike of a word, merged ones apart."""
        pads = {found.pad for layer in self.machine.layers for found in layer.maps} - {0}
        if not self.machine.value_words:
            return 1
        value = Mux(fetched.value | fetched.listed, self.value, 1)
        if pads:
            value = Mux(fetched.pad, Mux(fetched.value, max(pads), 1), value)
        return value

    def _amount(self, value, held, merged, index):
        """x of the event: the word's value, or how many columns have the spike."""
        machine = self.machine
        if not any(machine.merged(i) for i in range(len(machine.layers))):
            return value
        count = sum(held.word_select(c, WORD).bit_select(index, 1)
                    for c in range(machine.columns))
        return Mux(merged, count, value)

    def _sum(self, m, sums, scale):
        counted = Signal(self.machine.sum_bits)
        added = Mux(self.event & sums, self.x << scale, 0)
        if self.machine.lists:
            added = Mux(self.arriving, self.arriving_value << self._first_scale(), added)
        m.d.comb += self.sum_x.eq(counted)
        m.d.sync += counted.eq(Mux(self.transfer, 0, counted) + added)

    def _first_scale(self):
        return self.machine.layers[0].windows[0][0].scale


def lowest_set(word):
    """The position of the lowest 1 of a 16-bit *word* (any value if there is none)."""
    nibbles = [word[4 * i:4 * i + 4] for i in range(4)]
    inside = [Cat(~n[0] & (n[1] | ~n[2]), ~n[0] & ~n[1]) for n in nibbles]
    some = [n.any() for n in nibbles]
    which = Cat(~some[0] & (some[1] | ~some[2]), ~some[0] & ~some[1])
    return Cat(Array(inside)[which], which)
