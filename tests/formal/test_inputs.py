"""The input: beats, entries and lines in range, for ever."""

import pytest
from amaranth.hdl import Assert
from benches import dense, entries, layout
from prover import Setting, prove

from qsnn_hw.core.inputs import Inputs
from qsnn_hw.machine.memories import inputs


def core(kind, pixels, **changes):
    layers = (dense("a", pixels, 3, kind=kind), dense("out", 3, 3, source=0))
    return layout(layers=layers, coding="spikes" if kind == "spikes" else "direct", **changes)


CORES = {"list": core("list", 11), "one pixel": core("list", 1), "values": core("values", 7),
         "spikes": core("spikes", 40, steps=5, columns=2),
         "one word a step": core("spikes", 9, steps=4, columns=4)}


class Watched(Inputs):
    """An input whose beat number is that of the beats beside it, ``counted``."""

    def _claim(self, m, beat):
        super()._claim(m, beat)
        m.d.comb += Assert(beat == self.counted)


@pytest.mark.parametrize("m", CORES.values(), ids=list(CORES))
def test_counts_in_range(m):
    setting = Setting()
    dut = setting.block(Watched(m, entries(inputs(m), "inputs")))
    # as the core drives it: beats until ``ready``, then none until ``finished``
    setting.assume(~(dut.beats.valid & dut.ready), ~dut.finished | (dut.ready & ~dut.beats.valid))
    dut.counted = beats = setting.count(dut.beats.valid, m.input_beats)
    setting.claim(dut.filling == (beats != 0), ~dut.ready | (beats == 0),
                  dut.begin == (dut.beats.valid & (beats == 0)))
    if m.parameters.lists:
        setting.claim(dut.count <= m.value_words, ~dut.filling | (dut.count <= beats),
                      ~dut.pixels.valid | (dut.pixels.payload.index < m.value_words))
    if not m.value_words:
        setting.claim(~dut.words.valid | (dut.words.payload.line < m.line[0]),
                      ~dut.words.valid | (dut.words.payload.column < m.parameters.columns))
    prove(setting, 3)
