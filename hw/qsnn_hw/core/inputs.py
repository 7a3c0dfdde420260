"""The input: pixels into the list or the value memory, spike words into the spike memory."""

from amaranth.hdl import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .jobs import entry_layout, word_layout
from .memory import table

__all__ = ["Inputs"]


class Inputs(wiring.Component):
    """Takes a sample's beats and keeps them for the banks.

    A clock: 1. a beat is taken; in a list, a pixel that is not 0 goes to ``pixels`` a clock later;
    else a value goes into a copy for each bank, a word of spikes to ``words``; 2. a bank reads what
    stands at its ``address``, where ``enable``: it is at ``entries`` a clock later. *memories* are
    its entries of the inventory, by their names in it.

    Members
    -------
    ============ === ==================== ======================================================
    ``beats``    In  stream, always ready a sample's beats
    ``finished`` In  1                    the sample is over
    ``begin``    Out 1                    this clock's beat is a sample's first
    ``filling``  Out 1                    a sample has begun, and beats of it are to come
    ``ready``    Out 1                    a whole sample is there; until ``finished``
    ``pixels``   Out stream, always ready `entry_layout`: the next entry of the list
    ``count``    Out 0 .. words           entries of the list
    ``words``    Out stream, always ready `word_layout`: for the spike memory
    ``address``  In  a number a bank      which value or entry the bank reads
    ``enable``   In  a bit a bank         whether it does
    ``entries``  Out an entry a bank      `entry_layout`: what it has read, until it reads again
    ============ === ==================== ======================================================
    """

    def __init__(self, layout, memories):
        self.layout, self.parameters, self.memories = layout, layout.parameters, memories
        banks, words = self.parameters.banks, self.layout.value_words
        self.entry = entry_layout(layout)
        super().__init__({
            "beats": In(stream.Signature(self.layout.beat_bits, always_ready=True)),
            "finished": In(1), "begin": Out(1), "filling": Out(1), "ready": Out(1),
            "pixels": Out(stream.Signature(self.entry, always_ready=True)),
            "count": Out(range(words + 1)),
            "words": Out(stream.Signature(word_layout(layout), always_ready=True)),
            "address": In(data.ArrayLayout(range(max(words, 2)), banks)), "enable": In(banks),
            "entries": Out(data.ArrayLayout(self.entry, banks)),
        })

    def elaborate(self, platform):
        m = Module()
        beat = Signal(range(max(self.layout.input_beats, 2)))
        last = Signal()
        m.d.comb += [
            last.eq(beat == self.layout.input_beats - 1), self.filling.eq(beat != 0),
            self.begin.eq(self.beats.valid & (beat == 0)),
        ]
        with m.If(self.finished):
            m.d.sync += self.ready.eq(0)
        with m.If(self.beats.valid):
            m.d.sync += beat.eq(Mux(last, 0, beat + 1))
            with m.If(last):
                m.d.sync += self.ready.eq(1)
        if self.parameters.lists:
            self._list(m, beat)
        elif self.layout.value_words:
            self._values(m, beat)
        else:
            self._spikes(m, beat, platform)
        if platform == "formal":
            self._claim(m, beat)
        return m

    def _claim(self, m, beat):
        """What holds between the registers, in every clock."""
        layout = self.layout
        m.d.comb += [Assert(beat < layout.input_beats), Assert(~self.ready | (beat == 0)),
                     Assert(self.count <= Mux(self.filling, beat, layout.value_words))]

    def _list(self, m, beat):
        active, count = self.beats.valid & (self.beats.payload != 0), Mux(self.begin, 0, self.count)
        position = Signal.like(self.count)
        m.d.sync += [self.pixels.valid.eq(active), self.pixels.payload.index.eq(beat),
                     self.pixels.payload.value.eq(self.beats.payload), position.eq(count)]
        with m.If(self.beats.valid):
            m.d.sync += self.count.eq(count + active)
        m.submodules.list = memory = table(self.memories["list"], self.entry)
        write, read = memory.write_port(), memory.read_port()
        m.d.comb += [
            write.addr.eq(position), write.data.eq(self.pixels.payload),
            write.en.eq(self.pixels.valid),
            # in a layer of pixels all banks do the same, clock by clock
            read.addr.eq(self.address[0]), read.en.eq(self.enable[0]),
            *(entry.eq(read.data) for entry in self.entries),
        ]

    def _values(self, m, beat):
        for bank in range(self.parameters.banks):
            name = f"values{bank}"
            m.submodules[name] = memory = table(self.memories[name])
            write, read = memory.write_port(), memory.read_port()
            m.d.comb += [
                write.addr.eq(beat), write.data.eq(self.beats.payload),
                write.en.eq(self.beats.valid),
                read.addr.eq(self.address[bank]), read.en.eq(self.enable[bank]),
                self.entries[bank].value.eq(read.data),
            ]

    def _spikes(self, m, beat, platform):
        """A step's words fill a column; then the next column, and behind the last one new lines."""
        word = self.words.payload
        parameters, layout = self.parameters, self.layout
        line, first = Signal.like(word.line), Signal.like(word.line)
        column, index = Signal.like(word.column), Signal(range(max(layout.frame_words, 2)))
        m.d.comb += [word.line.eq(line), word.column.eq(column), word.spikes.eq(self.beats.payload),
                     self.words.valid.eq(self.beats.valid)]
        with m.If(self.beats.valid):
            m.d.sync += [index.eq(index + 1), line.eq(line + 1)]
            with m.If(index == layout.frame_words - 1):
                m.d.sync += [index.eq(0), column.eq(column + 1), line.eq(first)]
                with m.If(column == parameters.columns - 1):
                    m.d.sync += [column.eq(0), line.eq(line + 1), first.eq(line + 1)]
        with m.If(self.finished):
            m.d.sync += [index.eq(0), column.eq(0), line.eq(0), first.eq(0)]
        if platform == "formal":
            place = first * parameters.columns + column * layout.frame_words + index
            m.d.comb += [Assert(index < layout.frame_words), Assert(column < parameters.columns),
                         Assert(first % layout.frame_words == 0), Assert(line == first + index),
                         Assert(self.ready | (beat == place))]
