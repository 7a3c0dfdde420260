"""The weight memory: a row that was loaded reads as it was last written, for ever."""

import pytest
from amaranth.hdl import Assert, Signal
from benches import block_rams
from prover import Setting, prove

from qsnn_hw.core.memory import WeightMemory
from qsnn_hw.machine.layers import WORD


class Watched(WeightMemory):
    """A weight memory that shows the columns of row ``shown`` as they stand, read or not; it is at
    the place of the beats beside it, ``place``."""

    def __init__(self, lanes, rows):
        super().__init__(block_rams(lanes, rows), rows=rows)
        self.shown = Signal(range(self.rows))
        self.columns = [Signal(WORD, name=f"column{i}") for i in range(self.lanes // WORD)]
        self._next = iter(self.columns)

    def _ram(self, *signals):
        m = super()._ram(*signals)
        port = m.submodules.ram.read_port(domain="comb")
        m.d.comb += [port.addr.eq(self.shown), next(self._next).eq(port.data)]
        return m

    def _claim(self, m, column, write_row):
        super()._claim(m, column, write_row)
        m.d.comb += Assert(self.place == write_row * len(self.columns) + column)


@pytest.mark.parametrize("lanes, rows", [(16, 1), (16, 3), (32, 3), (48, 5)])
def test_row_reads_as_last_written(lanes, rows):
    setting, columns = Setting(), lanes // WORD
    dut = setting.block(Watched(lanes, rows))
    row = setting.fixed(dut.shown.shape(), "row")
    setting.m.d.comb += dut.shown.eq(row)
    setting.assume(row < rows)
    taken = dut.beats.valid & dut.beats.ready
    dut.place = place = setting.count(taken, rows * columns)
    last, written = Signal(lanes), Signal(columns)
    for column in range(columns):
        with setting.m.If(taken & (place == row * columns + column)):
            setting.m.d.sync += [last.word_select(column, WORD).eq(dut.beats.payload),
                                 written[column].eq(1)]
        setting.claim(written[column] | (place <= row * columns + column),
                      ~written[column]
                      | (dut.columns[column] == last.word_select(column, WORD)))
    read = setting.past(~dut.load & (dut.address == row) & written.all())
    setting.claim(setting.first | ~read | (dut.row == setting.past(last)),
                  ~dut.loaded | (written.all() & (place == 0)), dut.beats.ready == dut.load)
    prove(setting, 3)
