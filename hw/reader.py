"""The reader of a bank: words become events, one a clock."""

from types import SimpleNamespace

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
    it; 3. the word waits, unless it is without spikes: then it is dropped, if no pass ends with
    it; 4. its lowest spike is an event (``event``); in the clock of its last spike the next word
    moves in. Behind the last event of a pass ``transfer`` takes a clock of its own, as soon as
    ``shadow_free``.

    What belongs to an event follows it: ``row``, its weight row, after 1 clock; ``x``, already
    times 2^plane, after 3. ``sum_x``, Σx·2^scale, follows a transfer by 4. A pixel that goes to
    the lanes past the words (``arriving``) counts as an event of the clock before.
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
            "x": Out(x_bits(machine)),
            "transfer": Out(1), "shadow_free": In(1), "sum_x": Out(machine.sum_bits),
            "quiet": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        fetched, fetched_valid = Signal(request_layout(self.machine)), Signal()
        waiting, moves = self._wait(m, fetched, fetched_valid)
        m.d.comb += self.advance.eq(~fetched_valid | ~waiting.valid | moves)
        with m.If(self.advance):
            m.d.sync += [fetched.eq(self.request), fetched_valid.eq(self.request_valid)]
        held, spikes = Signal(_word_layout(self.machine)), Signal(WORD)
        valid, ending, some, single, spent = (Signal(name=name) for name in (
            "valid", "ending", "some", "single", "spent"))
        rest = Signal(WORD)
        m.d.comb += [
            rest.eq(spikes & (spikes - 1)), spent.eq(valid & ~ending & single),
            moves.eq(waiting.valid & (~valid | spent)),
            self.event.eq(valid & ~ending & some), self.transfer.eq(ending & self.shadow_free),
            self.quiet.eq(~fetched_valid & ~waiting.valid & ~valid & ~ending),
        ]
        with m.If(self.event):
            m.d.sync += [spikes.eq(rest), single.eq(~_more_than(2, spikes))]
        with m.If(spent):
            m.d.sync += [valid.eq(0), ending.eq(held.ends)]
        with m.If(self.transfer):
            m.d.sync += ending.eq(0)
        with m.If(moves):
            m.d.sync += [
                valid.eq(1), spikes.eq(waiting.word.spikes), some.eq(waiting.word.spikes.any()),
                single.eq(~_more_than(1, waiting.word.spikes)), held.eq(waiting.word),
            ]
        lowest = spikes & ~rest
        bits = Cat(Const(0, 0), *((column & lowest).any() for column in held.columns))
        self._follow(m, held.event, bits, lowest_set(spikes))
        return m

    def _wait(self, m, fetched, fetched_valid):
        """The word between the memories and the events, and the signal that it moves on."""
        waiting = SimpleNamespace(valid=Signal(name="waits"),
                                  word=Signal(_word_layout(self.machine), name="waiting"))
        moves = Signal()
        spikes, columns = self._word(m, fetched)
        with m.If(~waiting.valid | moves):
            m.d.sync += [
                waiting.valid.eq(fetched_valid & (spikes.any() | fetched.ends)),
                waiting.word.spikes.eq(spikes), waiting.word.ends.eq(fetched.ends),
                *(waiting.word.columns[i].eq(columns[i])
                  for i in range(len(waiting.word.columns))),
                waiting.word.event.plane.eq(fetched.plane),
                waiting.word.event.scale.eq(fetched.scale),
                waiting.word.event.sums.eq(fetched.sums),
                waiting.word.event.merged.eq(fetched.merged),
                waiting.word.event.paired.eq(fetched.paired),
                waiting.word.event.value.eq(self._value(fetched)),
                waiting.word.event.row.eq(
                    fetched.row + Mux(fetched.listed, self.listed_index, 0)),
            ]
        return waiting, moves

    def _follow(self, m, word, bits, index):
        """Row, x and Σx of each event, clock by clock behind it."""
        machine = self.machine
        event, place = Signal(_event_layout(machine), reset_less=True), Signal(4, reset_less=True)
        counted = Signal(len(bits), reset_less=True)
        m.d.sync += [event.eq(word), place.eq(index), counted.eq(bits)]
        usual = {**{name: event[name] for name in _event_layout(machine).members},
                 "row": event.row + place}
        if machine.lists:
            first = machine.layers[0].windows[0][0]
            pixel = {"row": self.arriving_index, "value": self.arriving_value,
                     "plane": first.plane, "scale": first.scale, "sums": 1, "merged": 0,
                     "paired": 0}
            usual = {name: Mux(self.arriving, pixel[name], usual[name]) for name in usual}
        m.d.comb += self.row.eq(usual["row"])
        second = Signal(_event_layout(machine), reset_less=True)
        m.d.sync += [second[name].eq(usual[name]) for name in usual if name != "row"]
        amount, upper = second.value, Signal(reset_less=True)
        if _counts(machine):
            total = Signal(machine.value_bits, reset_less=True)
            m.d.sync += [total.eq(Mux(event.paired, counted[0], sum(counted))),
                         upper.eq(event.paired & counted[1 % len(counted)])]
            amount = Mux(second.merged, total, second.value)
        self._amount(m, second, amount, upper & second.paired)

    def _amount(self, m, second, amount, upper):
        """x of the event whose fields are *second*, and its part of Σx; *upper*: of the step that
        sits above the other."""
        machine = self.machine
        above = Signal(reset_less=True)
        m.d.sync += above.eq(upper)
        value, plane, scale, sums = (
            Signal(machine.value_bits, reset_less=True), Signal.like(second.plane, reset_less=True),
            Signal.like(second.scale, reset_less=True), Signal(reset_less=True))
        m.d.sync += [value.eq(amount), plane.eq(second.plane), scale.eq(second.scale),
                     sums.eq(second.sums)]
        whole = Cat(value, C(0, 0))
        if machine.batch_bits:
            whole = value | above << machine.batch_bits
        m.d.comb += self.x.eq(whole << plane)
        happens = delays(m, self.event, 4, init=0)[3]
        if machine.lists:
            happens = happens | delays(m, self.arriving, 3, init=0)[2]
        ended = delays(m, self.transfer, 4, init=0)[3]
        counted = Signal(machine.sum_bits)
        m.d.sync += counted.eq(Mux(ended, 0, counted) + Mux(happens & sums, whole << scale, 0))
        with m.If(ended):
            m.d.sync += self.sum_x.eq(counted)

    def _word(self, m, fetched):
        """What the memories say, as 16 spikes; the columns beside each other."""
        machine = self.machine
        columns = [self.line.word_select(c, WORD) for c in range(machine.columns)]
        chosen = self.line.word_select(fetched.column, WORD)
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
        pad = fetched.pad.replicate(WORD) if any(pads) else Const(0)
        return word, [column | pad for column in columns]

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
        "scale": request["scale"].shape, "sums": 1, "merged": 1, "paired": 1})


def _word_layout(machine):
    """A word on its way: its columns only where they are counted."""
    return data.StructLayout({
        "spikes": WORD,
        "columns": data.ArrayLayout(WORD, machine.columns if _counts(machine) else 0),
        "ends": 1, "event": _event_layout(machine)})


def _counts(machine):
    """Whether some layer looks at all columns of a line."""
    return any(machine.merged(i) or machine.paired(i) for i in range(len(machine.layers)))


def x_bits(machine):
    """Bits of x as the lanes add it."""
    return max(machine.value_bits, machine.batch_bits + 1) + machine.planes - 1


def lowest_set(word):
    """The position of the lowest 1 of a 16-bit *word* (any value if there is none)."""
    nibbles = [word[4 * i:4 * i + 4] for i in range(4)]
    inside = [Cat(~n[0] & (n[1] | ~n[2]), ~n[0] & ~n[1]) for n in nibbles]
    some = [n.any() for n in nibbles]
    which = Cat(~some[0] & (some[1] | ~some[2]), ~some[0] & ~some[1])
    return Cat(Array(inside)[which], which)


def _more_than(few, word):
    """Whether more than *few* (1 or 2) bits of *word* are 1: counts to 3 in a tree."""
    counts = [_count(*word[4 * i:4 * i + 4]) for i in range(len(word) // 4)]
    while len(counts) > 1:
        counts = [_add(*counts[i:i + 2]) for i in range(0, len(counts), 2)]
    return counts[0][few]


def _count(a, b, c, d):
    """At least 1, 2, 3 of four bits."""
    return (a | b | c | d, (a & b) | (c & d) | ((a | b) & (c | d)),
            (a & b & (c | d)) | (c & d & (a | b)))


def _add(left, right):
    """At least 1, 2, 3 in two parts."""
    return (left[0] | right[0], left[1] | right[1] | (left[0] & right[0]),
            left[2] | right[2] | (left[1] & right[0]) | (left[0] & right[1]))
