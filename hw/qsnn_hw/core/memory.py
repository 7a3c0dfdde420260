"""Memories: block RAM tables without collision logic, and the weight memory."""

from types import SimpleNamespace

from amaranth.hdl import *
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from qsnn_hw.machine.memories import ram_style
from qsnn_hw.machine.layers import WORD

__all__ = ["Rom", "SPRAM_VERILOG", "WeightMemory", "delays", "table"]

# Amaranth initialises every memory, and an initialised memory cannot become SPRAM.
SPRAM_VERILOG = """\
module qsnn_spram #(parameter DEPTH = 16384, parameter WIDTH = 14) (
    input clk, input we, input [WIDTH-1:0] addr, input [15:0] wdata, output reg [15:0] rdata
);
    (* ram_style = "huge", no_rw_check *) reg [15:0] mem [0:DEPTH-1];
    always @(posedge clk)
        if (we) mem[addr] <= wdata;
        else rdata <= mem[addr];
endmodule
"""


def table(shape, depth, init=(), *, rom=False, small="auto"):
    """A block RAM in which no read that is used returns a word that is written in that clock.

    A read may meet a write (``en`` and the same address) if nobody uses what it returns: that is
    undefined. Without the attribute synthesis emulates Amaranth's read-old-value on a collision:
    about 70 logic cells a memory on iCE40. Each user says why no used read meets a write. Synthesis
    makes tables of a *rom* up to 16 bits to a block RAM's unit of cost, 100 cells and more.
    """
    style = ram_style(Shape.cast(shape).width * depth, rom=rom, small=small)
    attrs = {"no_rw_check": 1} | ({"ram_style": style} if style else {})
    return memory.Memory(shape=shape, depth=max(depth, 2), init=init, attrs=attrs)


class WeightMemory(wiring.Component):
    """Weight rows of ``lanes`` bits in single-port RAM, written through a stream.

    A clock: 1. while ``load`` is high, an accepted beat is written to the next 16-bit column and
    the address moves on after a row's last column; 2. else ``address`` is read, ``row`` follows
    a clock later. The beat counter wraps after the last row, so loading again starts at row 0.

    Members
    -------
    beats : rows·lanes/16 beats of 16 bits, row-major, lowest lanes first; ready while ``load``
    loaded : goes high with the last beat, low with the first of a new load
    """

    def __init__(self, *, lanes, rows, kind="spram"):
        self.lanes, self.rows, self.kind = lanes, rows, kind
        super().__init__({
            "beats": In(stream.Signature(WORD)),
            "load": In(1),
            "loaded": Out(1),
            "address": In(range(max(rows, 2))),
            "row": Out(lanes),
        })

    def elaborate(self, platform):
        m = Module()
        columns = self.lanes // WORD
        column = Signal(range(columns))
        write_row = Signal(self.address.shape())
        accept = Signal()
        address = Signal.like(self.address)
        m.d.comb += [
            self.beats.ready.eq(self.load),
            accept.eq(self.beats.valid & self.load),
            address.eq(Mux(self.load, write_row, self.address)),
        ]
        for index in range(columns):
            m.submodules[f"ram{index}"] = self._ram(
                address, self.beats.payload, accept & (column == index),
                self.row.word_select(index, WORD))
        with m.If(accept):
            m.d.sync += [column.eq(column + 1), self.loaded.eq(0)]
            with m.If(column == columns - 1):
                m.d.sync += [column.eq(0), write_row.eq(write_row + 1)]
                with m.If(write_row == self.rows - 1):
                    m.d.sync += [write_row.eq(0), self.loaded.eq(1)]
        if platform == "formal":
            self._claim(m, column, write_row)
        return m

    def _claim(self, m, column, write_row):
        """What holds between the registers, in every clock."""
        m.d.comb += [Assert(column < self.lanes // WORD), Assert(write_row < self.rows),
                     Assert(~self.loaded | ((column == 0) & (write_row == 0)))]

    def _ram(self, address, wdata, we, rdata):
        depth = max(self.rows, 2)
        if self.kind == "spram":
            return Instance("qsnn_spram", p_DEPTH=depth, p_WIDTH=len(address), i_clk=ClockSignal(),
                            i_we=we, i_addr=address, i_wdata=wdata, o_rdata=rdata)
        ram = table(WORD, depth)     # loading and reading exclude each other: no collision
        write, read = ram.write_port(), ram.read_port()
        m = Module()
        m.submodules.ram = ram
        m.d.comb += [
            write.addr.eq(address), write.data.eq(wdata), write.en.eq(we),
            read.addr.eq(address), read.en.eq(~we), rdata.eq(read.data),
        ]
        return m


class Rom(wiring.Component):
    """A read-only memory of named columns; a column that never changes is a constant.

    ``word.NAME`` follows ``address`` by a clock, and stays without ``enable``. *small*: as
    `ram_style` takes it.
    """

    def __init__(self, columns, *, small="auto"):
        self.columns = {name: [int(value) for value in values] for name, values in columns.items()}
        self.depth, self.small = len(next(iter(self.columns.values()))), small
        self.stored = {name: _shape(values) for name, values in self.columns.items()
                       if len(set(values)) > 1}
        super().__init__({"address": In(range(max(self.depth, 2))), "enable": In(1, init=1)})
        self.read = Signal(data.StructLayout(self.stored)) if self.stored else None
        self.word = SimpleNamespace(**{
            name: self.read[name] if name in self.stored else Const(values[0])
            for name, values in self.columns.items()})

    def elaborate(self, platform):
        m = Module()
        if self.stored:
            layout = self.read.shape()
            words = [layout.const({name: self.columns[name][i] for name in self.stored})
                     for i in range(self.depth)]
            m.submodules.memory = memory = table(layout, self.depth, words, rom=True,
                                                 small=self.small)
            port = memory.read_port()
            m.d.comb += [port.addr.eq(self.address), port.en.eq(self.enable),
                         self.read.eq(port.data)]
        return m


def _shape(values):
    low, high = min(values), max(values)
    if low < 0:
        return signed(max(high.bit_length(), (~low).bit_length()) + 1)
    return unsigned(max(high.bit_length(), 1))


def delays(m, value, count, *, init=None):
    """*value* and its copies 1 .. count - 1 clocks later; reset only where *init* is given."""
    stages = [value]
    for _ in range(count - 1):
        stage = (Signal(len(value), reset_less=True) if init is None
                 else Signal(len(value), init=init))
        m.d.sync += stage.eq(stages[-1])
        stages.append(stage)
    return stages
