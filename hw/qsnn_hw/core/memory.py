"""Memories: block RAM tables without collision logic, read-only ones, the weights'."""

from types import SimpleNamespace

from amaranth.hdl import *
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

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


def table(entry, shape=None, init=()):
    """The memory of an *entry* of the inventory, its words of *shape* where that says more than
    their width.

    A read that meets a write (``en`` and the same address) returns anything: the entry says why
    nobody uses it. Without the attribute synthesis emulates Amaranth's read-old-value on a
    collision: about 70 logic cells a memory on iCE40. Synthesis makes read-only tables up to 16
    bits to a block RAM's unit of cost, 100 cells and more.
    """
    attrs = {"no_rw_check": 1} | ({"ram_style": entry.style} if entry.style else {})
    return memory.Memory(shape=entry.width if shape is None else shape, depth=max(entry.depth, 2),
                         init=init, attrs=attrs)


class WeightMemory(wiring.Component):
    """*rows* weight rows, 16 lanes in each of *memories*, written through a stream.

    A clock: 1. while ``load`` is high, an accepted beat is written to the next 16-bit column and
    the address moves on after a row's last column; 2. else ``address`` is read, ``row`` follows
    a clock later. The beat counter wraps after the last row, so loading again starts at row 0.

    Members
    -------
    =========== === ============ ==============================================================
    ``beats``   In  stream       rows·lanes/16 beats of 16 bits, row-major, lowest lanes first;
                                 ready while ``load``
    ``load``    In  1            rows are written, not read
    ``loaded``  Out 1            goes high with the last beat, low with the first of a new load
    ``address`` In  a row        which row is read
    ``row``     Out a bit a lane the row, a clock later
    =========== === ============ ==============================================================
    """

    def __init__(self, memories, *, rows):
        self.memories, self.rows = tuple(memories), rows
        self.lanes = lanes = WORD * len(self.memories)
        super().__init__({
            "beats": In(stream.Signature(WORD)),
            "load": In(1),
            "loaded": Out(1),
            "address": In(range(max(rows, 2))),
            "row": Out(lanes),
        })

    def elaborate(self, platform):
        m = Module()
        columns = len(self.memories)
        column = Signal(range(columns))
        write_row = Signal(self.address.shape())
        accept = Signal()
        address = Signal.like(self.address)
        m.d.comb += [
            self.beats.ready.eq(self.load),
            accept.eq(self.beats.valid & self.load),
            address.eq(Mux(self.load, write_row, self.address)),
        ]
        for index, entry in enumerate(self.memories):
            m.submodules[f"ram{index}"] = self._ram(
                entry, address, self.beats.payload, accept & (column == index),
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
        m.d.comb += [Assert(column < len(self.memories)), Assert(write_row < self.rows),
                     Assert(~self.loaded | ((column == 0) & (write_row == 0)))]

    def _ram(self, entry, address, wdata, we, rdata):
        if entry.single_port:
            return Instance("qsnn_spram", p_DEPTH=entry.depth, p_WIDTH=len(address),
                            i_clk=ClockSignal(), i_we=we, i_addr=address, i_wdata=wdata,
                            o_rdata=rdata)
        ram = table(entry)
        write, read = ram.write_port(), ram.read_port()
        m = Module()
        m.submodules.ram = ram
        m.d.comb += [
            write.addr.eq(address), write.data.eq(wdata), write.en.eq(we),
            read.addr.eq(address), read.en.eq(~we), rdata.eq(read.data),
        ]
        return m


class Rom(wiring.Component):
    """A read-only *entry* of the inventory; a column that never changes is a constant.

    ``word.NAME`` follows ``address`` by a clock.

    Members
    -------
    =========== == ====== ======================================
    ``address`` In a word which word is read
    ``enable``  In 1      whether it is; else the last one stays
    =========== == ====== ======================================
    """

    def __init__(self, entry):
        self.entry, self.depth = entry, entry.depth
        self.columns = {name: [int(value) for value in values]
                        for name, values in entry.columns.items()}
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
            m.submodules.memory = memory = table(self.entry, layout, words)
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
