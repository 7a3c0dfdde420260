"""The reader of a bank: words become events, one a clock."""

from amaranth.hdl import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .arch import WORD
from .memory import delays
from .walker import request_layout

__all__ = ["Reader"]


class Reader(wiring.Component):
    """Requests in, events for the lanes out.

    A clock: 1. an allowed request goes to the memories (``advance``: the one before has left
    them); 2. what they read stands at ``line``, ``value`` and ``listed_index``, the request beside
    it; a word without spikes is dropped here, unless a pass ends with it; 3. in the word register
    its lowest spike is an event (``event``); in the clock of its last spike the next word moves in.
    Behind the last event of a pass ``transfer`` takes a clock of its own, as soon as
    ``shadow_free``.

    What belongs to an event follows it: ``row``, its weight row, after 1 clock; ``x``, already
    times 2^plane, after 3. ``sum_x``, Σx·2^scale, follows a transfer by 4. A pixel that goes to
    the lanes past the word register (``arriving``) counts as an event of the clock before.
    """

    def __init__(self, machine):
        self.machine = machine
        request = request_layout(machine)
        super().__init__({
            "request": In(request), "request_valid": In(1), "advance": Out(1),
            "line": In(WORD * machine.columns), "value": In(machine.value_bits),
            "listed_index": In(range(max(machine.value_words, 2))),
            "arriving": In(1), "arriving_index": In(range(max(machine.value_words, 2))),
            "arriving_value": In(machine.value_bits),
            "event": Out(1), "row": Out(request["row"].shape),
            "x": Out(machine.value_bits + machine.planes - 1),
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
        spikes, columns_held = Signal(WORD), Signal(WORD * machine.columns)
        word_of = Signal(_event_layout(machine))
        spent = Signal()
        m.d.comb += [
            rest.eq(spikes & (spikes - 1)),
            spent.eq(valid & ~ending & ~rest.any()),
            take.eq(fetched_valid & ~drop & (~valid | spent)),
            self.event.eq(valid & ~ending & spikes.any()),
            self.transfer.eq(ending & self.shadow_free),
            self.quiet.eq(~fetched_valid & ~valid & ~ending),
        ]
        ends = Signal()
        with m.If(self.event):
            m.d.sync += spikes.eq(rest)
        with m.If(spent):
            m.d.sync += [valid.eq(0), ending.eq(ends)]
        with m.If(self.transfer):
            m.d.sync += ending.eq(0)
        with m.If(take):
            m.d.sync += [
                valid.eq(1), spikes.eq(word), ends.eq(fetched.ends), columns_held.eq(columns),
                word_of.plane.eq(fetched.plane), word_of.scale.eq(fetched.scale),
                word_of.sums.eq(fetched.sums), word_of.merged.eq(fetched.merged),
                word_of.row.eq(fetched.row + Mux(fetched.listed, self.listed_index, 0)),
                word_of.value.eq(self._value(fetched)),
            ]
        self._follow(m, word_of, columns_held, lowest_set(spikes))
        return m

    def _follow(self, m, word, columns, index):
        """Row, x and Σx of each event, clock by clock behind it."""
        machine = self.machine
        event = Signal(_event_layout(machine), reset_less=True)
        held, place = Signal.like(columns, reset_less=True), Signal(4, reset_less=True)
        m.d.sync += [event.eq(word), held.eq(columns), place.eq(index)]
        usually = (event.row + place, event.value, event.plane, event.scale, event.sums, event.merged)
        row, value, plane, scale, sums, merged = usually
        if machine.lists:
            first = machine.layers[0].windows[0][0]
            pixel = (self.arriving_index, self.arriving_value, first.plane, first.scale, 1, 0)
            row, value, plane, scale, sums, merged = (
                Mux(self.arriving, now, usual) for now, usual in zip(pixel, usually, strict=True))
        m.d.comb += self.row.eq(row)
        second = Signal(_event_layout(machine), reset_less=True)
        bits = Signal(machine.columns, reset_less=True)
        m.d.sync += [second.value.eq(value), second.plane.eq(plane), second.scale.eq(scale),
                     second.sums.eq(sums), second.merged.eq(merged)]
        amount = second.value
        if any(machine.merged(i) for i in range(len(machine.layers))):
            m.d.sync += bits.eq(Cat(held.word_select(c, WORD).bit_select(place, 1)
                                    for c in range(machine.columns)))
            amount = Mux(second.merged, sum(bits), second.value)
        third, plane3, scale3, sums3 = (
            Signal(machine.value_bits, reset_less=True), Signal.like(second.plane, reset_less=True),
            Signal.like(second.scale, reset_less=True), Signal(reset_less=True))
        m.d.sync += [third.eq(amount), plane3.eq(second.plane), scale3.eq(second.scale),
                     sums3.eq(second.sums)]
        m.d.comb += self.x.eq(third << plane3)
        happens = delays(m, self.event, 4, init=0)
        if machine.lists:
            late = delays(m, self.arriving, 3, init=0)
            happens[3] = happens[3] | late[2]
        ended = delays(m, self.transfer, 4, init=0)[3]
        counted = Signal(machine.sum_bits)
        m.d.sync += counted.eq(Mux(ended, 0, counted) + Mux(happens[3] & sums3, third << scale3, 0))
        with m.If(ended):
            m.d.sync += self.sum_x.eq(counted)

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


def _event_layout(machine):
    request = request_layout(machine)
    return data.StructLayout({
        "row": request["row"].shape, "value": machine.value_bits, "plane": request["plane"].shape,
        "scale": request["scale"].shape, "sums": 1, "merged": 1})


def lowest_set(word):
    """The position of the lowest 1 of a 16-bit *word* (any value if there is none)."""
    nibbles = [word[4 * i:4 * i + 4] for i in range(4)]
    inside = [Cat(~n[0] & (n[1] | ~n[2]), ~n[0] & ~n[1]) for n in nibbles]
    some = [n.any() for n in nibbles]
    which = Cat(~some[0] & (some[1] | ~some[2]), ~some[0] & ~some[1])
    return Cat(Array(inside)[which], which)
