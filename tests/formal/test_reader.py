"""Each spike of each word gives one event a plane, lowest first, and the transfer comes behind
them, for ever. Any one word is watched on its way, with any words before and behind it."""

from dataclasses import replace

import pytest
from amaranth.hdl import Array, Assert, Cat, Const, Mux, Signal, Value
from benches import dense, layout
from prover import Setting, prove

from qsnn_hw.core.reader import Reader
from qsnn_hw.machine.layers import WORD

PAD = 5
FETCHED, WAITING, NOW, ENDING = range(1, 5)         # where the word is; 0: nowhere


def core(kind, bits=(1, 1), columns=1, pad=0, shift=0, **changes):
    """The layout of a machine whose readers see *kind*, and two layers of weights of *bits*."""
    direct = kind != "spikes"
    layers = (dense("a", 20, 16, kind=kind, bits=bits[0], pad=pad),
              dense("out", 16, 3, source=0, bits=bits[1], fires=False))
    shifted = tuple(replace(source, shift=shift) for source in layers[1].maps)
    return layout(layers=(layers[0], replace(layers[1], maps=shifted)), steps=4, columns=columns,
                  coding="direct" if direct else "spikes", input_bits=4 if direct else 1,
                  readout="potential", **changes)


class Watched(Reader):
    """A reader and one word of it, chosen by ``watch`` where it is taken: ``at`` says where it is,
    ``ask`` is its request, ``left`` its spikes to come, ``plane`` that of its next event."""

    def __init__(self, core, watch):
        super().__init__(core, sum_bits=12)
        self.watch, self.at = watch, Signal(3)
        self.ask, self.base = Signal.like(self.requests.payload), Signal(self.row.shape())
        self.left, self.plane = Signal(WORD), Signal(4)

    def spikes(self):
        """Those of the request, by what the memories say of it."""
        ask, columns = self.ask, [self.line.word_select(c, WORD)
                                  for c in range(self.parameters.columns)]
        single = ask.value | ask.listed
        padded = ask.pad & any(source.pad for layer in self.parameters.layers
                               for source in layer.maps)
        bits = []
        for bit in range(WORD):
            seen = [column[bit] & (ask.merged | (ask.column == c))
                    for c, column in enumerate(columns)]
            word = ~single & Cat(*seen).any() | (single & self.entry.value.any() if bit == 0 else 0)
            bits.append(~ask.skip & (word | (padded & (~single if bit else 1)))[0])
        return Cat(*bits)

    def _claim(self, m, fetched, waiting, moves, now):
        super()._claim(m, fetched, waiting, moves, now)
        at, ask, depths = self.at, self.ask, [planes for planes, _, _ in self.parameters.formats]
        planes, first, begun = Array(depths)[ask.format], self.spikes(), Value.cast(ask.begun)
        with m.If((at == 0) & self.watch & self.requests.valid & self.requests.ready):
            m.d.sync += [at.eq(FETCHED), ask.eq(self.requests.payload)]
        with m.If((at == FETCHED) & (~waiting.valid | moves)):
            listed = Mux(ask.listed, self.entry.index * self.parameters.layers[0].maps[0].planes, 0)
            m.d.sync += [at.eq(Mux(first.any() | ask.ends, WAITING, 0)), self.left.eq(first),
                         self.base.eq(ask.row + listed), self.plane.eq(begun if len(begun) else 0)]
        with m.If((at == WAITING) & moves):
            m.d.sync += at.eq(NOW)
        with m.If((at == NOW) & self.event):
            low, last = self.left & (~self.left + 1)[:WORD], self.plane == planes - 1
            m.d.sync += [self.plane.eq(Mux(last, 0, self.plane + 1)),
                         self.left.eq(Mux(last, self.left ^ low, self.left))]
        with m.If((at == NOW) & now.spent):
            m.d.sync += at.eq(Mux(ask.ends, ENDING, 0))
        with m.If((at == ENDING) & self.transfers.valid & self.transfers.ready):
            m.d.sync += at.eq(0)
        self._stands(m, fetched, waiting, now, planes)

    def _stands(self, m, fetched, waiting, now, planes):
        """Where the word is, its bits are."""
        at, ask, begun = self.at, self.ask, Value.cast(self.ask.begun)
        places = {WAITING: (waiting.valid, waiting.word, waiting.word.spikes),
                  NOW: (now.valid, now.word, now.spikes)}
        m.d.comb += [Assert((at == 0) | ~ask.listed | self.parameters.lists),
                     Assert((at != FETCHED) | (fetched.valid & (fetched.word == ask))),
                     Assert((at != ENDING) | now.ending),
                     Assert(at <= ENDING)]
        for place, (valid, word, spikes) in places.items():
            event = word.event
            there = at == place
            m.d.comb += [Assert(~there | valid), Assert(~there | (word.ends == ask.ends)),
                         Assert(~there | (spikes == self.left)),
                         Assert(~there | (event.row == self.base)),
                         Assert(~there | (event.format == ask.format)),
                         Assert(~there | (event.begun == ask.begun))]
        m.d.comb += Assert((at != WAITING) | (self.plane == (begun if len(begun) else 0)))
        m.d.comb += Assert((at != NOW) | (now.number == planes - 1 - self.plane) | ~self.left.any())


def events(core):
    """A watched word of a reader, and a setting that claims its events."""
    setting = Setting()
    dut = Watched(core, setting.free(1, "watch"))
    setting.block(dut)
    kept = ~setting.past(dut.requests.ready)           # what the memories read stays until the next
    for port in (dut.line, dut.entry.value, dut.entry.index):
        setting.assume(~kept | (port == setting.past(port)))
    ask, formats = dut.requests.payload, core.parameters.formats
    planes = Array([planes for planes, _, _ in formats])
    setting.assume(Value.cast(ask.format) < len(formats), ~ask.listed | core.parameters.lists,
                   ~dut.requests.valid | (Value.cast(ask.begun) == 0) | (planes[ask.format] > 1),
                   ~setting.past(dut.event) | ~dut.pixels.valid)
    now, ended = dut.at == NOW, dut.at == ENDING
    lowest = Const(0)
    for bit in reversed(range(WORD)):
        lowest = Mux(dut.left[bit], bit, lowest)
    row = (dut.base + lowest * planes[dut.ask.format] + dut.plane)[:len(dut.row)]
    happens = setting.past(now & dut.event)
    leaves = setting.past(now) & (dut.at != NOW)
    setting.claim(~(now & dut.event) | dut.left.any(), ~happens | (dut.row == setting.past(row)),
                  ~leaves | ~dut.left.any(), ~(ended & dut.event),
                  ~(dut.event & dut.transfers.valid),
                  ~(dut.quiet & (dut.at != 0)))
    return setting


CORES = {"spikes": core("spikes"), "columns": core("spikes", columns=2, pad=1),
         "planes": core("spikes", (2, 4)), "values": core("values", (1, 2), pad=PAD),
         "list": core("list", (4, 1))}


@pytest.mark.parametrize("m", CORES.values(), ids=list(CORES))
def test_each_spike_is_an_event(m):
    prove(events(m), 2)
