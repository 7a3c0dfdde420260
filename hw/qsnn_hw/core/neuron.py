"""The neuron unit: one LIF/IF update a clock, as a pipeline that never stalls."""

from amaranth.hdl import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from qsnn_hw.machine.fields import RESETS, unit_clocks

from .jobs import optional
from .memory import delays

__all__ = ["NeuronUnit", "field_at", "field_signals", "shift_right"]


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
        v' = max(v', lo)                             where it is clamped
        u' = clip(floor((v' + 2^(k-1)) / 2^k), -2^(U-1), 2^(U-1) - 1)

    The stages of a neuron whose ``acc`` is at the shadow's head in clock 0, each in its clock of
    `unit_clocks`:

    - current: y
    - turn, where some weights are complemented or shifts stored: ~y (bias holds the + 1), 2^f
    - pool, where currents are pooled: ``largest``, the largest (where the field ``minimum`` is 1,
      the least) of y and ``pooled``, unless it is ``alone``
    - synapse, in a machine with synapses: y becomes i' = clip(floor(i · m / 2^q) + y), where the
      + 1 of ~y is added, not in the bias; i (0 if ``i_first``) times m in the clock before, the
      clip in that of bias, where ``i_next`` is out, to be written
    - bias: y + b
    - product: u (u0 if ``first``) times m, in the clock of leak where m is a constant 2^n
    - leak: the shift
    - sum: v
    - fire: v - θ, a clock before ``spike`` is out
    - reduce, where some reset is soft: v - ρ; chosen with the spike
    - scale: 2·v' >> k, of v itself where no reset is soft
    - round: + 1, >> 1
    - clip: ``u_next`` is out, to be written; in a machine that clamps at least the field
      ``lowest``; after a hard reset ``reset_to``. Rounding and clipping keep the order, so what
      v' is bounded by or reset to can be rounded and clipped beforehand.

    Fields that are stored are members, each in its clock in `field_clocks`; of the others
    *arithmetic* knows the constant. *pools*: some layer of the machine pools currents.

    Members
    -------
    ================= === ================= =======================================================
    ``acc``           In  ``acc_bits``      the sum at the shadow's head, in clock 0
    ``sum_x``         In  ``sum_bits``      Σx·2^(W-1), in clock 0
    ``doubled``       In  1                 weights have 1 bit, in clock 0
    ``u``             In  ``membrane_bits`` in the clock of product
    ``first``         In  1                 u0 is taken, not ``u``; in the clock of product
    ``pooled``        In  ``current_bits``  the largest current so far, in the clock of pool
    ``alone``         In  1                 it does not count, in the clock of pool
    ``largest``       Out ``current_bits``  the largest with this one, to be kept, a clock after
                                            pool
    ``i``             In  ``synapse_bits``  synaptic current, in the clock before synapse (machines
                                            with synapses)
    ``i_first``       In  1                 0 is taken, not ``i``; as ``i``
    ``i_next``        Out ``synapse_bits``  to be written, in the clock of bias; as ``i``
    ``current``       Out ``current_bits``  y, in clock 1
    ``spike``         Out 1                 s, a clock after fire
    ``u_next``        Out ``membrane_bits`` u', in the clock of clip
    ``minimum``       In  a stored field    the least of a window counts
    ``flip``          In  a stored field    weights are complemented
    ``gain_shift``    In  a stored field    f
    ``bias``          In  a stored field    b
    ``synapse_decay`` In  a stored field    m of i
    ``synapse_bits``  In  a stored field    bits of i'
    ``decay``         In  a stored field    m
    ``leak_shift``    In  a stored field    k - q + ``decay_shift``
    ``initial``       In  a stored field    u0
    ``threshold``     In  a stored field    θ
    ``reset``         In  a stored field    number of the kind in `RESETS`
    ``reduction``     In  a stored field    ρ
    ``reset_to``      In  a stored field    u' after a hard reset
    ``lowest``        In  a stored field    least u'
    ``step_shift``    In  a stored field    k
    ``bits``          In  a stored field    U
    ================= === ================= =======================================================
    """

    def __init__(self, arithmetic, *, pools=False):
        self.arithmetic, self.pools = arithmetic, pools
        self.clocks = unit_clocks(arithmetic.neuron_fields, pools, arithmetic.synapses)
        synaptic = signed(max(arithmetic.synapse_bits, 1))
        super().__init__({
            "acc": In(arithmetic.acc_bits),
            "sum_x": In(arithmetic.sum_bits),
            "doubled": In(1),
            "u": In(signed(arithmetic.membrane_bits)),
            "first": In(1),
            "pooled": In(signed(arithmetic.current_bits)), "alone": In(1),
            "largest": Out(signed(arithmetic.current_bits)),
            **optional(arithmetic.synapses, i=In(synaptic), i_first=In(1), i_next=Out(synaptic)),
            "current": Out(signed(arithmetic.current_bits)),
            "spike": Out(1),
            "u_next": Out(signed(arithmetic.membrane_bits)),
            **field_signals(arithmetic.neuron_fields),
        })

    def elaborate(self, platform):
        m = Module()
        v = self._integrate(m)
        v_reset = self._fire(m, v)
        self._quantise(m, v_reset)
        return m

    def _field(self, name):
        return field_at(self, self.arithmetic.neuron_fields, name)

    def _described(self, name):
        (field,) = (f for f in self.arithmetic.neuron_fields if f.name == name)
        return field

    def _takes(self, stage, following):
        """Whether *stage* has a clock of its own, before that of *following*."""
        return self.clocks[stage] < self.clocks[following]

    def _integrate(self, m):
        arithmetic = self.arithmetic
        biased, leak, v = (Signal(signed(arithmetic.potential_bits), name=name, reset_less=True)
                           for name in ("biased", "leak", "v"))
        doubled = Mux(self.doubled, self.acc << 1, self.acc)
        m.d.sync += [
            self.current.eq(doubled - self.sum_x),
            biased.eq(self._gained(m) + self._field("bias")),
            leak.eq((self._product(m) << self._field("leak_shift")) >> arithmetic.decay_shift),
            v.eq(biased + leak),
        ]
        return v

    def _product(self, m):
        product = Mux(self.first, self._field("initial"), self.u) * self._field("decay")
        if not self._takes("product", "leak"):
            return product
        held = Signal(Shape.cast(product.shape()), reset_less=True)
        m.d.sync += held.eq(product)
        return held

    def _gained(self, m):
        """y · 2^f, in the clock of bias."""
        arithmetic, pools = self.arithmetic, self.pools
        y, shift = self.current, self._described("gain_shift")
        gain = self._field("gain_shift")
        if self._takes("turn", "pool"):
            y = y ^ self._field("flip").replicate(len(y)).as_signed()
            if shift.constant is None and not (pools or arithmetic.synapses):
                y, gain = y << gain, Const(0)
            turned = Signal(signed(len(y)), reset_less=True)
            m.d.sync += turned.eq(y)
            y = turned
        if pools:
            self._pool(m, y)
            y = self.largest
        if arithmetic.synapses:
            y = self._synapse(m, y)
        return y << gain

    def _pool(self, m, y):
        """The largest of *y* and ``pooled``."""
        ahead = Signal(signed(len(y) + 1))
        m.d.comb += ahead.eq(y - self.pooled)
        keep = self.alone | (ahead[-1] == Value.cast(self._field("minimum"))[0])
        m.d.sync += self.largest.eq(Mux(keep, y, self.pooled))

    def _synapse(self, m, y):
        """The synaptic current that integrates *y*."""
        arithmetic = self.arithmetic
        scaled = Mux(self.i_first, 0, self.i) * self._field("synapse_decay")
        product = Signal(Shape.cast(scaled.shape()), name="i_product", reset_less=True)
        flip = self._field("flip")
        if not isinstance(flip, Const):
            flip = delays(m, flip, 1 + self.clocks["synapse"] - self.clocks["turn"])[-1]
        total = (product >> arithmetic.synapse_shift) + y + flip
        i = Signal(Shape.cast(total.shape()), name="i_total", reset_less=True)
        m.d.sync += [product.eq(scaled), i.eq(total)]
        m.d.comb += self.i_next.eq(self._clipped(m, i, "synapse_bits", arithmetic.synapse_bits))
        return self.i_next

    def _fire(self, m, v):
        """The spike; v' but for hard resets, in the clock of scale."""
        distance = Signal(signed(len(v) + 1))
        m.d.comb += distance.eq(v - self._field("threshold"))
        m.d.sync += self.spike.eq(~distance[-1])
        if not self._takes("reduce", "scale"):
            return v
        kept, reduced = (Signal(v.shape(), name=name, reset_less=True)
                         for name in ("kept", "reduced"))
        m.d.sync += [kept.eq(v), reduced.eq(v - self._field("reduction"))]
        soft = self._field("reset") == RESETS.index("soft")
        return Mux(self.spike & soft, reduced, kept)

    def _quantise(self, m, v_reset):
        step = self._described("step_shift")
        shifted = shift_right(v_reset << 1, step, _port_or_zero(self, step))
        least = step.base if step.constant is None else step.constant
        width = min(len(v_reset) + 1 - least, self.arithmetic.scaled_bits)
        scaled = Signal(signed(max(width, 1)), reset_less=True)
        rounded = Signal(signed(len(scaled)), reset_less=True)
        m.d.sync += [scaled.eq(shifted), rounded.eq((scaled + 1) >> 1)]
        u = self._clipped(m, rounded, "bits", self.arithmetic.membrane_bits)
        if self.arithmetic.clamps:
            lowest = self._field("lowest")
            u = Mux(u < lowest, lowest, u)
        m.d.comb += self.u_next.eq(Mux(self._resets(m), self._field("reset_to"), u))

    def _clipped(self, m, value, name, most):
        """*value* saturated to as many bits as the field *name* says, at most *most*."""
        bits = self._described(name)
        if bits.constant is not None:
            return _clip(value, bits.constant)
        clipped = Signal(signed(most), name=f"clipped_{name}")
        with m.Switch(self._field(name)):
            for width in range(bits.base, most + 1):
                with m.Case(width):
                    m.d.comb += clipped.eq(_clip(value, width))
        return clipped

    def _resets(self, m):
        """Whether a hard reset takes place, in the clock of clip."""
        clocks, hard = self.clocks, self._field("reset") == RESETS.index("hard")
        spike = delays(m, self.spike, clocks["clip"] - clocks["fire"])[-1]
        if self._described("reset").constant is None:
            hard = delays(m, hard, 1 + clocks["clip"] - clocks["scale"])[-1]
        return hard & spike


def _clip(value, bits):
    """*value* saturated to *bits* bits, two's complement."""
    if len(value) <= bits:
        return value
    sign, high = value[-1], value[bits - 1:-1]
    fits = Mux(sign, high.all(), ~high.any())
    limit = Cat((~sign).replicate(bits - 1), sign)
    return Mux(fits, value[:bits], limit).as_signed()

