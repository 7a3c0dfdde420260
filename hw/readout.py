"""The readout: scores of the last layer as they pass unit 0, and the best of them."""

from amaranth.hdl import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .neuron import field_at, field_signals

__all__ = ["Argmax", "PotentialScore", "result_layout"]


def result_layout(machine):
    """What a result says: the winning class and its score."""
    return data.StructLayout({
        "index": range(max(machine.classes, 2)),
        "score": signed(machine.score_bits),
    })


class PotentialScore(wiring.Component):
    """``score = g · I + b`` of a class; ``bias`` holds b + flip·g because I comes flipped as ~I.

    A clock: 1. the current is flipped, with its gain beside it; 2. g · I; 3. + b.
    ``flip`` and ``gain`` belong to clock 0 (when ``current`` is valid), ``bias`` to clock 2.
    """

    def __init__(self, machine):
        self.machine = machine
        super().__init__({
            "current": In(signed(machine.current_bits)),
            "score": Out(signed(machine.score_bits)),
            **field_signals(machine.readout_fields),
        })

    def elaborate(self, platform):
        m = Module()
        fields = self.machine.readout_fields
        gain = field_at(self, fields, "gain")
        flipped = Signal(self.current.shape(), reset_less=True)
        held = Signal(Shape.cast(gain.shape()), reset_less=True)
        product = Signal(signed(len(flipped) + len(held)), reset_less=True)
        flip = field_at(self, fields, "flip")
        m.d.sync += [
            flipped.eq(self.current ^ flip.replicate(len(flipped))),
            held.eq(gain),
            product.eq(flipped * held),
            self.score.eq(product + field_at(self, fields, "bias")),
        ]
        return m


class Argmax(wiring.Component):
    """The class of the highest score, the lowest index on a tie.

    A clock: 1. a ``valid`` score, the next class in order, is compared with the best so far
    (``first`` is class 0); scores past the last class are ignored; 2. after the ``last`` valid
    one ``result.valid`` goes high, until it is taken.
    """

    def __init__(self, machine):
        self.machine = machine
        super().__init__({
            "score": In(signed(machine.score_bits)),
            "valid": In(1),
            "first": In(1),
            "last": In(1),
            "result": Out(stream.Signature(result_layout(machine))),
        })

    def elaborate(self, platform):
        m = Module()
        index = Signal(range(max(self.machine.classes + 1, 2)))
        position = Mux(self.first, 0, index)
        real = position != self.machine.classes
        best = self.result.payload
        behind = Signal(signed(self.machine.score_bits + 1))    # a subtraction is one carry chain
        m.d.comb += behind.eq(best.score - self.score)
        with m.If(self.result.ready):
            m.d.sync += self.result.valid.eq(0)
        with m.If(self.valid):
            with m.If(real):
                m.d.sync += index.eq(position + 1)
            with m.If(self.first | (real & behind[-1])):
                m.d.sync += [best.index.eq(position), best.score.eq(self.score)]
            with m.If(self.last):
                m.d.sync += self.result.valid.eq(1)
        return m
