"""The spike memory: what the layers send and read, a copy for each bank's reader."""

from amaranth.hdl import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from qsnn_hw.machine.layers import WORD

from .jobs import progress_bits, word_layout
from .memory import table

__all__ = ["SpikeMemory"]


class SpikeMemory(wiring.Component):
    """Lines of ``columns`` words of 16 spikes; every write goes into all copies.

    A clock: 1. a bank's word is written, or with several banks waits for the bank's turn: one clock
    in ``banks``, counted from ``begin`` on; input words (``beats``) are written as they come, while
    no bank has any; 2. ``lines`` of a bank is what stood at its ``address`` where ``enable``. Where
    a readout takes all columns of a line at once and the last line's are not all steps, the word of
    its last step empties the columns behind it. *memories* are its entries of the inventory, by
    their names in it.

    Members
    -------
    ============ === ==================== ==========================================================
    ``begin``    In  1                    a sample begins: rounds count from 0
    ``words``    In  always ready streams `word_layout`: each bank's spikes
    ``beats``    In  stream, always ready `word_layout`: the input's spikes
    ``address``  In  a line a bank        which line the bank reads
    ``enable``   In  a bit a bank         whether it does
    ``lines``    Out words a bank         what it has read, its columns lowest first, until it reads
                                          again
    ``progress`` Out `progress_bits`      rounds that all banks have written
    ============ === ==================== ==========================================================
    """

    def __init__(self, timing, memories):
        self.timing, self.layout, self.memories = timing, timing.layout, memories
        self.parameters = parameters = timing.layout.parameters
        banks, word = parameters.banks, word_layout(self.layout)
        super().__init__({
            "begin": In(1),
            "words": In(stream.Signature(word, always_ready=True)).array(banks),
            "beats": In(stream.Signature(word, always_ready=True)),
            "address": In(data.ArrayLayout(range(max(self.layout.lines, 2)), banks)),
            "enable": In(banks), "lines": Out(data.ArrayLayout(WORD * parameters.columns, banks)),
            "progress": Out(progress_bits(self.timing)),
        })

    def elaborate(self, platform):
        parameters = self.parameters
        m = Module()
        banks = parameters.banks
        granted, written = self.words[0].payload, self.words[0].valid
        if banks > 1:
            granted, written = self._turns(m, platform)
        word, valid, last = Signal(word_layout(self.layout)), Signal(), self._last_column()
        m.d.comb += [word.eq(Mux(self.beats.valid, self.beats.payload.as_value(),
                                 granted.as_value())),
                     valid.eq(self.beats.valid | (written & granted.stored))]
        for bank in range(banks if self.layout.lines else 0):
            for column in range(parameters.columns):
                self._copy(m, bank, column, word, valid, last)
        if banks == 1:
            m.d.sync += self.progress.eq(self.progress + (written & granted.round))
        with m.If(self.begin):
            m.d.sync += self.progress.eq(0)
        return m

    def _copy(self, m, bank, column, word, valid, last):
        """A column of a bank's copy takes every word of that column."""
        name = f"copy{bank}_{column}"
        m.submodules[name] = memory = table(self.memories[name])
        write, read = memory.write_port(), memory.read_port()
        empties = (word.column == last) if column > last else Const(0)
        m.d.comb += [
            write.addr.eq(word.line), write.data.eq(word.spikes & ~empties.replicate(WORD)),
            write.en.eq(valid & ((word.column == column) | empties)),
            read.addr.eq(self.address[bank]), read.en.eq(self.enable[bank]),
            self.lines[bank].word_select(column, WORD).eq(read.data),
        ]

    def _last_column(self):
        """The column of the last step, where somebody looks at those behind it; else the last."""
        parameters = self.parameters
        looked = any(parameters.merged(index) for index in range(len(parameters.layers)))
        return (parameters.steps - 1 if looked else -1) % parameters.columns

    def _turns(self, m, platform):
        """The word of the bank whose turn it is, and whether it has one."""
        banks, layout = self.parameters.banks, word_layout(self.layout)
        turn = Signal(range(banks))
        m.d.sync += turn.eq(Mux(self.begin, 0, turn + 1))
        waiting, held = Signal(banks), Signal(data.ArrayLayout(layout, banks))
        ahead = Signal(data.ArrayLayout(len(self.progress), banks))
        done = Signal(banks)
        for bank in range(banks):
            goes = waiting[bank] & (turn == bank)
            with m.If(goes):
                m.d.sync += waiting[bank].eq(0)
            with m.If(self.words[bank].valid):
                m.d.sync += [waiting[bank].eq(1), held[bank].eq(self.words[bank].payload)]
            m.d.comb += done[bank].eq(ahead[bank] != 0)
            m.d.sync += ahead[bank].eq(ahead[bank] + (goes & held[bank].round) - done.all())
            with m.If(self.begin):
                m.d.sync += ahead[bank].eq(0)
        m.d.sync += self.progress.eq(self.progress + done.all())
        if platform == "formal":
            self._claim(m, waiting, turn)
        chosen = Signal(layout)
        m.d.comb += chosen.eq(held[turn])
        return chosen, waiting.bit_select(turn, 1)

    def _claim(self, m, waiting, turn):
        """A word is written before the bank's next one comes, and before a sample begins."""
        m.d.comb += [Assert(~(self.words[bank].valid & waiting[bank] & (turn != bank)))
                     for bank in range(self.parameters.banks)]
        m.d.comb += Assert(~(self.begin & waiting.any()))
