"""The reader of a bank: words become events, one a clock."""

from types import SimpleNamespace

from amaranth.hdl import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from qsnn_hw.machine.layers import WORD

from .jobs import entry_layout, listed_planes, request_layout
from .memory import delays

__all__ = ["Reader"]


class Reader(wiring.Component):
    """Requests in, events for the lanes out.

    A clock: 1. a request is taken and goes to the memories (``requests.ready``: the one before has
    left them); 2. what they read stands at ``line`` and ``entry``, the request beside it; 3. the
    word waits, unless it is without spikes: then it is dropped, if no pass ends with it; 4. its
    lowest spike is an event for each plane of its weights, plane 0 first; in the clock of its last
    event the next word moves in. Behind the last event of a pass the transfer takes a clock of its
    own.

    Members
    -------
    ============= === ==================== =========================================================
    ``requests``  In  stream               `request_layout`: the words to read
    ``line``      In  a word a column      what the spike memory has read for the last request
    ``entry``     In  `entry_layout`       what the value memory or the list has
    ``pixels``    In  stream, always ready `entry_layout`: a pixel that goes to the lanes past the
                                           words: an event of the clock before, of plane 0
    ``event``     Out 1                    an event; what belongs to it follows
    ``row``       Out a row                its weight row, 1 clock behind it
    ``x``         Out `x_bits`             its x, times 2^(plane + shift), 3 clocks behind it
    ``transfers`` Out stream, empty        a pass has ended; taken when the shadow is free
    ``sum_x``     Out ``sum_bits``         Σx·2^(planes - 1 + sum_shift), 4 clocks behind a transfer
    ``quiet``     Out 1                    no word is on its way
    ============= === ==================== =========================================================
    """

    def __init__(self, layout, *, sum_bits):
        self.layout, self.parameters, self.sum_bits = layout, layout.parameters, sum_bits
        request, entry = request_layout(layout), entry_layout(layout)
        super().__init__({
            "requests": In(stream.Signature(request)),
            "line": In(WORD * self.parameters.columns), "entry": In(entry),
            "pixels": In(stream.Signature(entry, always_ready=True)),
            "event": Out(1), "row": Out(request["row"].shape), "x": Out(x_bits(layout)),
            "transfers": Out(stream.Signature(0)), "sum_x": Out(sum_bits), "quiet": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        fetched, fetched_valid = Signal(request_layout(self.layout)), Signal()
        waiting, moves = self._wait(m, fetched, fetched_valid)
        m.d.comb += self.requests.ready.eq(~fetched_valid | ~waiting.valid | moves)
        with m.If(self.requests.ready):
            m.d.sync += [fetched.eq(self.requests.payload), fetched_valid.eq(self.requests.valid)]
        held, spikes = Signal(_word_layout(self.layout)), Signal(WORD)
        valid, ending, some, single, spent = (Signal(name=name) for name in (
            "valid", "ending", "some", "single", "spent"))
        below = Signal(WORD)
        planes = self._planes(m, waiting.word, moves, held, spikes)
        m.d.comb += [
            below.eq(lower_ones(spikes)), spent.eq(valid & ~ending & single),
            moves.eq(waiting.valid & (~valid | spent)),
            self.event.eq(valid & ~ending & some), self.transfers.valid.eq(ending),
            self.quiet.eq(~fetched_valid & ~waiting.valid & ~valid & ~ending),
        ]
        with m.If(self.event):
            m.d.sync += single.eq(planes.next_single)
            with m.If(planes.last):
                m.d.sync += [spikes.eq(spikes & below),
                             *(column.eq(column & below) for column in held.columns)]
        with m.If(spent):
            m.d.sync += [valid.eq(0), ending.eq(held.ends)]
        with m.If(self.transfers.valid & self.transfers.ready):
            m.d.sync += ending.eq(0)
        with m.If(moves):
            m.d.sync += [
                valid.eq(1), spikes.eq(waiting.word.spikes), some.eq(waiting.word.spikes.any()),
                single.eq(planes.single), held.eq(waiting.word),
            ]
        counted = Cat(Const(0, 0), *((column & ~below).any() for column in held.columns))
        self._follow(m, held.event, counted, lowest_set(spikes), planes)
        if platform == "formal":
            self._claim(m, SimpleNamespace(valid=fetched_valid, word=fetched), waiting, moves,
                        SimpleNamespace(valid=valid, word=held, spikes=spikes, some=some,
                                        single=single, spent=spent, ending=ending,
                                        number=planes.number))
        return m

    def _claim(self, m, fetched, waiting, moves, now):
        """What holds between the registers of each word on its way, in every clock."""
        tops = [planes - 1 for planes, _, _ in self.parameters.formats]
        if listed_planes(self.parameters) > 1:
            m.d.comb += [Assert(~valid | ~word.begun | (_chosen(word.format, tops) != 0))
                         for valid, word in ((fetched.valid, fetched.word),
                                             (waiting.valid, waiting.word.event))]
        last = (now.number == 0) & ~_more_than(1, now.spikes)
        m.d.comb += [Assert(~now.valid | (now.some == now.spikes.any())),
                     Assert(~now.valid | (now.single == (last | ~now.spikes.any()))),
                     Assert(~now.valid | (now.number <= _chosen(now.word.event.format, tops)))]

    def _wait(self, m, fetched, fetched_valid):
        """The word between the memories and the events, and the signal that it moves on."""
        waiting = SimpleNamespace(valid=Signal(name="waits"),
                                  word=Signal(_word_layout(self.layout), name="waiting"))
        moves, event = Signal(), waiting.word.event
        spikes, columns = self._word(m, fetched)
        entry = self.entry.index << _log(listed_planes(self.parameters))
        with m.If(~waiting.valid | moves):
            m.d.sync += [
                waiting.valid.eq(fetched_valid & (spikes.any() | fetched.ends)),
                waiting.word.spikes.eq(spikes), waiting.word.ends.eq(fetched.ends),
                *(waiting.word.columns[i].eq(columns[i])
                  for i in range(len(waiting.word.columns))),
                *(event[name].eq(fetched[name]) for name in (
                    "format", "merged", "paired", "begun")),
                event.value.eq(self._value(fetched)),
                event.row.eq(fetched.row + Mux(fetched.listed, entry, 0)),
            ]
        return waiting, moves

    def _planes(self, m, word, moves, held, spikes):
        """Whether the event at hand is the ``first`` or the ``last`` of its spike, and its
        ``number``: W - 1 - plane; whether it is the only one of a *word* that moves in
        (``single``), and the next one that of the *held* word (``next_single``)."""
        tops = [planes - 1 for planes, _, _ in self.parameters.formats]
        if tops == [0]:
            return SimpleNamespace(number=Const(0, 0), first=Const(1), last=Const(1),
                                   single=~_more_than(1, word.spikes),
                                   next_single=~_more_than(2, spikes))
        number, start = (Signal(range(self.parameters.planes), name=name) for name in (
            "number", "start"))
        begun = word.event.begun if listed_planes(self.parameters) > 1 else 0
        first, top, last = Signal(), _chosen(held.event.format, tops), number == 0
        m.d.comb += start.eq(_chosen(word.event.format, tops) - begun)
        with m.If(self.event):
            m.d.sync += [number.eq(Mux(last, top, number - 1)), first.eq(last)]
        with m.If(moves):
            m.d.sync += [number.eq(start), first.eq(1)]
        return SimpleNamespace(
            number=number, first=first, last=last,
            single=Mux(start == 0, ~_more_than(1, word.spikes), ~word.spikes.any()),
            next_single=Mux(last, (top == 0) & ~_more_than(2, spikes),
                            (number == 1) & ~_more_than(1, spikes)))

    def _follow(self, m, word, columns, index, planes):
        """Row, x and Σx of each event, clock by clock behind it."""
        layout = _event_layout(self.layout)
        parameters = self.parameters
        event, counted = Signal(layout, reset_less=True), Signal(len(columns), reset_less=True)
        place = Signal(len(index) + _log(parameters.planes), reset_less=True)
        m.d.sync += [
            counted.eq(columns if parameters.batch_bits else Mux(word.merged, columns, 0)),
            event.first.eq(planes.first), event.last.eq(planes.last),
            place.eq(_chosen(word.format, [Cat(~planes.number[:_log(depth)], index)
                                           for depth, _, _ in parameters.formats])),
            *(event[name].eq(word[name]) for name in ("row", "value", "format", "paired"))]
        x = event.value if len(event.value) else 1
        if parameters.batch_bits:
            x |= Mux(event.paired, counted[0] | counted[1] << parameters.batch_bits, sum(counted))
        else:
            x += counted
        usual = {name: event[name] for name in _flags_layout(self.layout).members} | {
            "row": event.row + place, "x": x}
        if parameters.lists:
            pixel = self._pixel()
            usual = {name: Mux(self.pixels.valid, pixel[name], usual[name]) for name in usual}
        m.d.comb += self.row.eq(usual.pop("row"))
        self._amount(m, usual)

    def _pixel(self):
        """The event of a pixel as it arrives."""
        source, pixel = self.parameters.layers[0].maps[0], self.pixels.payload
        return {"row": pixel.index << _log(source.planes), "x": pixel.value,
                "format": self.parameters.formats.index(source.format),
                "first": 1, "last": int(source.planes == 1)}

    def _amount(self, m, usual):
        """x of the events that are as *usual* says, doubled from plane to plane, and their part of
        Σx: a spike's last x."""
        second, third = (Signal(_amount_layout(self.layout), name=name, reset_less=True)
                         for name in ("second", "third"))
        m.d.sync += [third.eq(second), *(second[name].eq(usual[name]) for name in usual)]
        happens = delays(m, self.event, 4, init=0)[3]
        if self.parameters.lists:
            happens = happens | delays(m, self.pixels.valid, 3, init=0)[2]
        if self.parameters.planes > 1:
            m.d.sync += third.x.eq(Mux(second.first, second.x, third.x << 1))
            happens &= third.last
        lanes, sums = (_chosen(third.format, list(shifts))
                       for shifts in tuple(zip(*self.parameters.formats, strict=True))[1:])
        m.d.comb += self.x.eq(third.x << lanes)
        ended = delays(m, self.transfers.valid & self.transfers.ready, 4, init=0)[3]
        counted = Signal(self.sum_bits)
        with m.If(happens):                     # not with a transfer
            m.d.sync += counted.eq(counted + (third.x << sums))
        with m.If(ended):
            m.d.sync += [counted.eq(0), self.sum_x.eq(counted)]

    def _word(self, m, fetched):
        """What the memories say, as 16 spikes; the columns beside each other, or the bits of how
        many have a spike beyond one."""
        columns = [self.line.word_select(c, WORD) for c in range(self.parameters.columns)]
        pads = any(source.pad for layer in self.parameters.layers for source in layer.maps)
        pad, value = fetched.pad & pads & ~fetched.skip, fetched.value | fetched.listed
        word = Mux(~value & pad, (1 << WORD) - 1, 0) | (
            value & ~fetched.skip & (pad | self.entry.value.any()))
        for number, column in enumerate(columns):
            looked = ~value & ~fetched.skip & (fetched.merged | (fetched.column == number))
            word |= column & looked.replicate(WORD)
        columns = [column | pad.replicate(WORD) for column in columns]
        if self.parameters.batch_bits:
            return word[:WORD], [column & fetched.merged.replicate(WORD) for column in columns]
        return word[:WORD], further(columns)

    def _value(self, fetched):
        """x of every spike of a word in its first plane, columns apart."""
        pads = {source.pad for layer in self.parameters.layers for source in layer.maps} - {0}
        spike = ~fetched.merged if self.parameters.batch_bits else 1
        if not self.layout.value_words:
            return spike
        value = Mux(fetched.value | fetched.listed, self.entry.value, spike)
        if pads:
            value = Mux(fetched.pad, Mux(fetched.value, max(pads), spike), value)
        several = listed_planes(self.parameters) > 1
        return Mux(fetched.begun, value << 1, value) if several else value


def _carried_layout(layout):
    """What a word's events have in common: a ``value`` only where it is not always 1."""
    request = request_layout(layout)
    value = layout.value_bits if layout.value_words else int(layout.parameters.batch_bits > 0)
    return data.StructLayout({
        "value": value + (listed_planes(layout.parameters) > 1), "merged": 1, "paired": 1,
        **{name: request[name].shape for name in ("row", "format", "begun")}})


def _event_layout(layout):
    carried = _carried_layout(layout)
    return data.StructLayout({
        **{name: carried[name].shape for name in ("row", "value", "paired")},
        **_flags_layout(layout).members})


def _amount_layout(layout):
    return data.StructLayout({"x": _amount_bits(layout), **_flags_layout(layout).members})


def _flags_layout(layout):
    """What is known of an event's plane."""
    several = int(layout.parameters.planes > 1)
    return data.StructLayout({"format": request_layout(layout)["format"].shape,
                              "first": several, "last": several})


def _word_layout(layout):
    """A word on its way: its columns only where they are counted."""
    parameters = layout.parameters
    columns = parameters.columns if parameters.batch_bits else (parameters.columns - 1).bit_length()
    return data.StructLayout({
        "spikes": WORD, "columns": data.ArrayLayout(WORD, columns if _counts(layout) else 0),
        "ends": 1, "event": _carried_layout(layout)})


def _counts(layout):
    """Whether some layer looks at all columns of a line."""
    parameters = layout.parameters
    return any(parameters.merged(i) or parameters.paired(i) for i in range(len(parameters.layers)))


def x_bits(layout):
    """Bits of x as the lanes add it."""
    return _amount_bits(layout) + max(shift for _, shift, _ in layout.parameters.formats)


def _amount_bits(layout):
    parameters = layout.parameters
    return max(layout.value_bits, parameters.batch_bits + 1) + parameters.planes - 1


def _log(planes):
    """Bits of a plane's number."""
    return max(planes - 1, 0).bit_length()


def _chosen(number, values):
    """The value of format *number*."""
    return Value.cast(values[0]) if len(values) == 1 else Array(values)[number]


def lowest_set(word):
    """The position of the lowest 1 of a 16-bit *word* (any value if there is none)."""
    nibbles = [word[4 * i:4 * i + 4] for i in range(4)]
    inside = [Cat(~n[0] & (n[1] | ~n[2]), ~n[0] & ~n[1]) for n in nibbles]
    some = [n.any() for n in nibbles]
    which = Cat(~some[0] & (some[1] | ~some[2]), ~some[0] & ~some[1])
    return Cat(Array(inside)[which], which)


def further(columns):
    """The bits of a number for each bit of *columns*: how many of them have it beyond one."""
    some, number = Const(0, WORD), [Const(0, WORD)] * (len(columns) - 1).bit_length()
    for column in columns:
        carry = some & column
        some |= column
        for i, bits in enumerate(number):
            number[i], carry = bits ^ carry, bits & carry
    return number


def lower_ones(word):
    """For each bit of a 16-bit *word*, whether a lower one is 1."""
    bits, before = [], Const(0, 1)
    for nibble in (word[i:i + 4] for i in range(0, WORD, 4)):
        bits += [before | nibble[:i].any() for i in range(4)]
        before |= nibble.any()
    return Cat(*bits)


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
