"""The neuron unit: one LIF/IF update a clock, as a pipeline that never stalls."""

from amaranth.hdl import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .arch import RESETS, field_clocks
from .memory import delays

__all__ = ["NeuronUnit", "field_at", "field_clocks", "field_signals", "shift_right"]


def field_signals(fields):
    """Signature members for the *fields* that are stored: name → In(shape)."""
    return {field.name: In(Shape(field.width, field.signed))
            for field in fields if field.constant is None}


def field_at(owner, fields, name):
    """The value of field *name*: its constant, or base + the port of *owner*."""
    (field,) = (field for field in fields if field.name == name)
    if field.constant is not None:
        return Const(field.constant)
    return getattr(owner, name) + field.base if field.base else getattr(owner, name)


def _port_or_zero(owner, field):
    return Const(0) if field.constant is not None else getattr(owner, field.name)


def shift_right(value, field, port):
    """``value >> field``: the base for free, then one multiplexer a stored bit."""
    base = field.base if field.constant is None else field.constant
    return (value >> base) >> port


class NeuronUnit(wiring.Component):
    """The IR's neuron on I = y·2^f, ``y = 2·acc - sum_x`` (1-bit weights) or ``acc - sum_x``::

        v  = floor(u · 2^k · m / 2^q) + y · 2^f + b
        s  = [v ≥ θ]
        v' = r (hard) | v - ρ (soft) | v (none)      where s = 1, else v
        v' = max(v', lo)                             in a machine that clamps
        u' = clip(floor((v' + 2^(k-1)) / 2^k), -2^(U-1), 2^(U-1) - 1)

    The clocks of a neuron whose ``acc`` is at the shadow's head in clock 0:

    0. y; the membrane memory is read
    1. y flipped (~y: bias holds the + 1) and shifted by f; u (u0 if ``first``) times m
    2. y + b; the leak's shift
    3. v
    4. v - θ, v - ρ
    5. ``spike`` is out; v' chosen
    6. v' clamped; 2·v' >> k
    7. round
    8. clip; ``u_next`` is out, to be written

    ``first`` and ``u`` belong to clock 1; each field to its clock in `field_clocks`; ``sum_x``
    (already Σx·2^(W-1)) and ``doubled`` (1-bit weights) to clock 0.

    In a machine that pools currents a clock comes between 1 and 2, and all behind it is a clock
    later: y becomes ``largest``, the largest (where the field ``minimum`` is 1, the least) of
    itself and ``pooled``, unless it is ``alone``.

    In a machine with synapses one more comes before 2. The clock before it, i (0 if ``i_first``)
    times m; in it

        i' = clip(floor(i · m / 2^q) + y)          (the + 1 of ~y is added here, not in the bias)

    but for the clip, in which the next clock begins: ``i_next`` is out, to be written, and takes
    y's place.
    """

    def __init__(self, machine):
        self.machine = machine
        super().__init__({
            "acc": In(machine.acc_bits),
            "sum_x": In(machine.sum_bits),
            "doubled": In(1),
            "u": In(signed(machine.membrane_bits)),
            "first": In(1),
            "pooled": In(signed(machine.current_bits)), "alone": In(1),
            "largest": Out(signed(machine.current_bits)),
            **({"i": In(signed(machine.synapse_bits)), "i_first": In(1),
                "i_next": Out(signed(machine.synapse_bits))} if machine.synapses else {}),
            "current": Out(signed(machine.current_bits)),
            "spike": Out(1),
            "u_next": Out(signed(machine.membrane_bits)),
            **field_signals(machine.neuron_fields),
        })

    def elaborate(self, platform):
        m = Module()
        v = self._integrate(m)
        v_reset = self._fire(m, v)
        self._quantise(m, v_reset)
        return m

    def _field(self, name):
        return field_at(self, self.machine.neuron_fields, name)

    def _described(self, name):
        (field,) = (f for f in self.machine.neuron_fields if f.name == name)
        return field

    def _integrate(self, m):
        machine = self.machine
        potential = signed(machine.potential_bits)
        flipped = Signal(signed(machine.current_bits), reset_less=True)
        biased, leak, v = (Signal(potential, name=name, reset_less=True)
                           for name in ("biased", "leak", "v"))
        doubled = Mux(self.doubled, self.acc << 1, self.acc)
        u = Mux(self.first, self._field("initial"), self.u)
        scaled = u * self._field("decay")
        product = Signal(Shape.cast(scaled.shape()), reset_less=True)
        m.d.sync += [
            self.current.eq(doubled - self.sum_x),
            product.eq(scaled),
            leak.eq((product << self._field("leak_shift")) >> machine.decay_shift),
            v.eq(biased + leak),
        ]
        flip = self._field("flip").replicate(len(flipped)).as_signed()
        shift = self._described("gain_shift")
        if machine.longer:
            m.d.sync += flipped.eq(self.current ^ flip)
            y = self._pool(m, flipped) if machine.pools else flipped
            y = self._synapse(m, y) if machine.synapses else y
            gained = y << (shift.constant if shift.constant is not None
                           else self._field("gain_shift"))
        elif shift.constant is None:
            gained = Signal(potential, reset_less=True)
            m.d.sync += gained.eq((self.current ^ flip) << self._field("gain_shift"))
        else:
            m.d.sync += flipped.eq(self.current ^ flip)
            gained = flipped << shift.constant
        m.d.sync += biased.eq(gained + self._field("bias"))
        return v

    def _pool(self, m, y):
        """The largest of *y* and ``pooled``."""
        ahead = Signal(signed(len(y) + 1))
        m.d.comb += ahead.eq(y - self.pooled)
        keep = self.alone | (ahead[-1] == Value.cast(self._field("minimum"))[0])
        m.d.sync += self.largest.eq(Mux(keep, y, self.pooled))
        return self.largest

    def _synapse(self, m, y):
        """The synaptic current that integrates *y*."""
        machine, bits = self.machine, self._described("synapse_bits")
        scaled = Mux(self.i_first, 0, self.i) * self._field("synapse_decay")
        product = Signal(Shape.cast(scaled.shape()), name="i_product", reset_less=True)
        flip = self._field("flip")
        if not isinstance(flip, Const):
            flip = delays(m, flip, 2 + machine.pools)[1 + machine.pools]
        total = (product >> machine.synapse_shift) + y + flip
        i = Signal(Shape.cast(total.shape()), name="i_total", reset_less=True)
        m.d.sync += [product.eq(scaled), i.eq(total)]
        m.d.comb += self.i_next.eq(i)
        if bits.constant is not None:
            m.d.comb += self.i_next.eq(_clip(i, bits.constant))
            return self.i_next
        with m.Switch(self._field("synapse_bits")):
            for width in range(bits.base, machine.synapse_bits + 1):
                with m.Case(width):
                    m.d.comb += self.i_next.eq(_clip(i, width))
        return self.i_next

    def _fire(self, m, v):
        potential = v.shape()
        kept, reduced, chosen = (Signal(potential, name=name, reset_less=True)
                                 for name in ("kept", "reduced", "chosen"))
        distance = Signal(signed(len(v) + 1))
        kind, value = self._field("reset"), self._field("reset_value")
        kind_held = Signal.like(kind, name="kind_held", reset_less=True)
        value_held = Signal.like(value, name="value_held", reset_less=True)
        m.d.comb += distance.eq(v - self._field("threshold"))
        m.d.sync += [
            self.spike.eq(~distance[-1]), kept.eq(v), reduced.eq(v - value),
            kind_held.eq(kind), value_held.eq(value),
            chosen.eq(kept),
        ]
        fixed = isinstance(kind, Const)
        held = kind if fixed else kind_held
        reset_to = value if isinstance(value, Const) else value_held
        with m.If(self.spike):
            with m.If(held == RESETS.index("hard")):
                m.d.sync += chosen.eq(reset_to)
            with m.Elif(held == RESETS.index("soft")):
                m.d.sync += chosen.eq(reduced)
        return self._clamp(m, chosen) if self.machine.clamps else chosen

    def _clamp(self, m, v):
        lowest, clamped = self._field("clamp"), Signal(v.shape())
        distance = Signal(signed(len(v) + 1))
        m.d.comb += [distance.eq(v - lowest), clamped.eq(Mux(distance[-1], lowest, v))]
        return clamped

    def _quantise(self, m, v_reset):
        step, bits = self._described("step_shift"), self._described("bits")
        halves = v_reset << 1
        shifted = shift_right(halves, step, _port_or_zero(self, step))
        least = step.base if step.constant is None else step.constant
        scaled = Signal(signed(max(len(halves) - least, 1)), reset_less=True)
        rounded = Signal(signed(len(scaled)), reset_less=True)
        m.d.sync += [scaled.eq(shifted), rounded.eq((scaled + 1) >> 1)]
        if bits.constant is not None:
            m.d.comb += self.u_next.eq(_clip(rounded, bits.constant))
            return
        held = Signal(range(self.machine.membrane_bits + 1), reset_less=True)
        held2 = Signal.like(held, reset_less=True)
        m.d.sync += [held.eq(self._field("bits")), held2.eq(held)]
        with m.Switch(held2):
            for width in range(2, self.machine.membrane_bits + 1):
                with m.Case(width):
                    m.d.comb += self.u_next.eq(_clip(rounded, width))


def _clip(value, bits):
    """*value* saturated to *bits* bits, two's complement."""
    if len(value) <= bits:
        return value
    sign, high = value[-1], value[bits - 1:-1]
    fits = Mux(sign, high.all(), ~high.any())
    limit = Cat((~sign).replicate(bits - 1), sign)
    return Mux(fits, value[:bits], limit).as_signed()

