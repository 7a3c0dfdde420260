"""The spike memory loses no word that waits for its turn, and a line reads as it was last sent."""

import pytest
from amaranth.hdl import Cat, Signal
from benches import dense, entries, timing
from prover import Setting, bound, prove

from qsnn_hw.core.spikes import SpikeMemory
from qsnn_hw.machine.layers import WORD
from qsnn_hw.machine.memories import spikes


def memory(banks, columns):
    """A spike memory as a core drives it: a bank's words are *banks* clocks apart or more; a sample
    begins when all are written; input words come while no bank has any."""
    layers = (dense("a", 16, 16, banks=banks), dense("out", 16, 3, source=0, banks=banks))
    setting = Setting()
    when = timing(layers=layers, coding="spikes", banks=banks, columns=columns)
    dut = setting.block(SpikeMemory(when, entries(spikes(when.layout), "spikes")))
    valid = Cat(word.valid for word in dut.words)
    before = valid
    for ago in range(1, banks + 1):
        before = setting.past(before)
        setting.assume((~dut.begin & ~dut.beats.valid) | ~before.any())
        if ago < banks:
            setting.assume((valid & before) == 0)
    setting.assume(~dut.beats.valid | ~valid.any())
    return setting, dut


@pytest.mark.parametrize("banks", [2, 4])
def test_no_word_is_lost(banks):
    setting, _ = memory(banks, columns=1)
    prove(setting, 2 * banks + 1)


@pytest.mark.parametrize("banks, columns", [(1, 2), (2, 1), (2, 2)])
def test_line_reads_as_last_sent(banks, columns):
    """Bounded: 12 clocks from power-up."""
    setting, dut = memory(banks, columns)
    m, line = setting.m, setting.fixed(dut.beats.payload.line.shape(), "line")
    column = setting.fixed(dut.beats.payload.column.shape(), "column")
    setting.assume(column < columns, line < dut.layout.lines)
    last, age, known = Signal(WORD), Signal(4), Signal()
    m.d.sync += age.eq(age + (age != 15))
    for number in range(banks):
        word = dut.words[number].payload
        sent = dut.words[number].valid & word.stored & (word.line == line) & (word.column == column)
        if number:                          # a line is one bank's
            setting.assume(~sent)
        with m.If(sent):
            m.d.sync += [last.eq(word.spikes), age.eq(1), known.eq(1)]
    beat = dut.beats.payload
    with m.If(dut.beats.valid & (beat.line == line) & (beat.column == column)):
        m.d.sync += [last.eq(beat.spikes), age.eq(1), known.eq(1)]
    for bank in range(banks):
        asked = dut.enable[bank] & (dut.address[bank] == line) & known & (age > banks)
        read = dut.lines[bank].word_select(column[:1] if columns > 1 else 0, WORD)
        setting.claim(setting.first | ~setting.past(asked) | (read == setting.past(last)))
    bound(setting, 12)
