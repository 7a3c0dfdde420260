"""The neuron unit is its docstring's equation, for all inputs whose sums have the bits that were
proved of them. The unit is a pipeline without a loop: a proof of one neuron on its way through,
with any neurons before and behind it, is complete."""

import pytest
from amaranth.hdl import Const, Mux, Signal, Value, signed
from prover import Setting, bound

from qsnn_hw.core.neuron import NeuronUnit
from qsnn_hw.machine.fields import NEURON_FIELDS, RESETS, Field, field_clocks
from qsnn_hw.machine.parameters import Arithmetic

USUAL = {"decay": 1, "threshold": 1, "bits": 3}
BITS = {"bias": 4, "threshold": 4, "reset_to": 3, "initial": 3, "reduction": 3,
        "lowest": 3}                                                                # signed
SHIFT = 1


def unit(*stored, pools=False, synapse_bits=0, clamps=False, **constants):
    """A unit of 3-bit membranes that stores the fields *stored*."""
    usual = USUAL | constants | {"leak_shift": SHIFT, "synapse_bits": synapse_bits}
    kinds = {"bits": Field("bits", 1, base=2), "reset": Field("reset", 2),
             "synapse_bits": Field("synapse_bits", 1, base=2)}
    fields = [Field(name, 0, constant=usual.get(name, 0)) if name not in stored
              else kinds.get(name, Field(name, BITS.get(name, 1), name in BITS))
              for name in NEURON_FIELDS]
    return NeuronUnit(Arithmetic(
        clamps=clamps, synapse_bits=synapse_bits, synapse_shift=SHIFT,
        neuron_fields=tuple(fields), decay_shift=SHIFT, acc_bits=3, sum_bits=3, current_bits=5,
        potential_bits=6, scaled_bits=7, membrane_bits=3), pools=pools)


class Neuron:
    """One neuron on its way through the unit: what it was given, as it stands when it is out."""

    def __init__(self, dut):
        self.setting, self.dut, self.arithmetic = Setting(), dut, dut.arithmetic
        self.clocks = field_clocks(dut.arithmetic.neuron_fields, dut.pools,
                                   dut.arithmetic.synapses)
        self.setting.block(dut)
        self.end, self.clock = dut.clocks["clip"], self.setting.count(1, 32)

    def given(self, port, clock):
        """What *port* was in *clock* of the neuron."""
        return self.later(port, self.end - clock)

    def later(self, value, clocks):
        for _ in range(clocks):
            value = self.setting.past(value)
        return value

    def field(self, name):
        (field,) = (f for f in self.arithmetic.neuron_fields if f.name == name)
        if field.constant is not None:
            return Const(field.constant)
        value = self.given(getattr(self.dut, name), self.clocks[name])
        return value + field.base

    def number(self, value, bits=None):
        """*value* as a number, wide enough; assumed to have at most *bits*."""
        number = Signal(signed(24))
        self.setting.m.d.comb += number.eq(value)
        if bits is not None:
            limit = 1 << bits - 1
            fits = (number >= -limit) & (number < limit)
            self.setting.assume((self.clock != self.end) | fits)
        return number

    def integrated(self):
        """y, past pools and synapses, and what the stored bias has too much."""
        dut, number, flip = self.dut, self.number, self.field("flip")
        acc, sum_x = self.given(dut.acc, 0), self.given(dut.sum_x, 0)
        acc = Mux(self.given(dut.doubled, 0), 2 * acc, acc)
        y = number(acc - sum_x, self.arithmetic.current_bits)
        self.largest = largest = self.pooled(number(Mux(flip, ~y, y)))      # of what is stored
        y = number(largest + flip)
        if not self.arithmetic.synapses:
            return y, number(flip << self.field("gain_shift"))
        self.i_next = self.synapse(y)
        return self.i_next, Const(0)

    def pooled(self, y):
        if not self.dut.pools:
            return y
        clock = self.dut.clocks["pool"]
        other, alone = (self.given(port, clock) for port in (self.dut.pooled, self.dut.alone))
        takes_y = Mux(self.field("minimum"), y < other, y > other)
        return self.number(Mux(alone | takes_y, y, other))

    def synapse(self, y):
        """i'."""
        clock = self.clocks["synapse_decay"]
        i, first = (self.given(port, clock) for port in (self.dut.i, self.dut.i_first))
        decayed = self.number(Mux(first, 0, i) * self.field("synapse_decay") >> SHIFT)
        return self.clipped(self.number(decayed + y), self.field("synapse_bits"))

    def clipped(self, value, bits):
        top = self.number((Const(1, 8) << (bits - 1).as_unsigned()) - 1)
        return self.number(Mux(value > top, top, Mux(value < ~top, ~top, value)))

    def potential(self):
        """v, and v' but for a hard reset."""
        dut, number, sums = self.dut, self.number, self.arithmetic.potential_bits
        (y, spare), f = self.integrated(), self.field("gain_shift")
        clock = self.dut.clocks["product"]
        u = Mux(self.given(dut.first, clock), self.field("initial"), self.given(dut.u, clock))
        k = self.field("leak_shift")            # k - q + SHIFT
        leak = number((u * self.field("decay") << k) >> SHIFT, sums)
        current = number((y << f) + self.field("bias") - spare, sums)
        v = number(leak + current, sums)
        number(v - self.field("threshold"), sums + 1)
        return v

    def next(self, v, spike):
        """u'."""
        reset, number = self.field("reset"), self.number
        soft, hard = (reset == RESETS.index(kind) for kind in ("soft", "hard"))
        after = number(Mux(spike & soft, v - self.field("reduction"), v),
                       self.arithmetic.potential_bits)
        k = Value.cast(self.field("step_shift"))
        number((2 * after) >> k, self.arithmetic.scaled_bits)
        rounded = number((2 * after + (Const(1, 2) << k)) >> (k + 1))
        clipped = self.clipped(rounded, self.field("bits"))
        if self.arithmetic.clamps:
            lowest = self.field("lowest")
            clipped = Mux(clipped < lowest, lowest, clipped)
        return number(Mux(spike & hard, self.field("reset_to"), clipped))


CASES = {
    "hard": unit("bias", "threshold", "reset_to", "flip"),
    "soft": unit("bias", "threshold", "reduction", "decay", "step_shift", reset=1),
    "none": unit("bias", "threshold", "gain_shift", "leak_shift", reset=2),
    "mixed": unit("bias", "threshold", "reduction", "reset", "reset_to", "initial", "bits"),
    "clamped": unit("bias", "threshold", "reset", "reset_to", "reduction", "lowest", clamps=True),
    "pooled": unit("bias", "threshold", "flip", "minimum", pools=True),
    "pooled, shifted": unit("bias", "gain_shift", "minimum", pools=True, reset=2),
    "synapses": unit("bias", "threshold", "flip", "synapse_decay", "synapse_bits", synapse_bits=3,
                     reset=2),
    "pooled synapses": unit("bias", "flip", "minimum", "synapse_decay", "gain_shift",
                            pools=True, synapse_bits=3, clamps=True),
}


@pytest.mark.parametrize("dut", CASES.values(), ids=list(CASES))
def test_unit_is_its_equation(dut):
    case = Neuron(dut)
    setting, end = case.setting, case.end
    v = case.potential()
    spike = v >= case.field("threshold")
    u = case.next(v, spike)
    clock = case.clock
    out = case.later(dut.spike, end - dut.clocks["fire"] - 1)
    setting.claim((clock != end) | (dut.u_next == u), (clock != end) | (out == spike))
    if dut.pools:
        largest = case.later(dut.largest, end - dut.clocks["pool"] - 1)
        setting.claim((clock != end) | (largest == case.largest))
    if dut.arithmetic.synapses:
        i_next = case.later(dut.i_next, end - dut.clocks["bias"])
        setting.claim((clock != end) | (i_next == case.i_next))
    bound(setting, end + 1)
