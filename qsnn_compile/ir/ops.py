"""The operators of the fixed-point IR: one small frozen class each, its equation in the docstring.

Arithmetic version 1. Everything is an integer. An activation is unsigned (a spike, a pixel, a
count); a current and a membrane potential are signed. Shapes leave out the sample axis.

An array-valued parameter broadcasts against the shape it applies to, channel first: ``()`` is one
value for the layer, ``(C, 1, 1)`` (or ``(C,)`` for a dense layer) one per channel, the full shape
one per neuron.
"""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Reset = Literal["hard", "soft", "none"]


def ints(value: object) -> Ints:
    """*value* as a read-only int64 array, for the fields of an operator."""
    array = np.array(value, dtype=np.int64)
    array.setflags(write=False)
    return array


def _zero() -> Ints:
    return ints(0)


@dataclass(frozen=True, eq=False)
class Dense:
    """``I[c] = Σ_i w[c, i] · x[i]``, exact.

    ``weight`` is ``[C, N]``; ``bits`` is W: 1 bit holds {-1, +1}, W ≥ 2 two's complement
    (ternary is 2 bits without -2).
    """

    weight: Ints
    bits: int


@dataclass(frozen=True, eq=False)
class Conv2d:
    """``I[c, y, x] = Σ_{i,dy,dx} w[c, i, dy, dx] · X[i, y·sy + dy - top, x·sx + dx - left]``.

    Exact. Outside the image X is ``pad_value``. ``weight`` is ``[C, C_in / groups, kh, kw]``;
    ``padding`` is (top, left, bottom, right); channel c sees the inputs of its group only.
    """

    weight: Ints
    bits: int
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    groups: int = 1
    pad_value: int = 0


@dataclass(frozen=True, eq=False)
class MaxPool:
    """``y[c, i, j] = max over the window of x``: OR of spikes, running maximum of currents.

    On a channel where ``flipped`` is 1 (its sign was flipped to make the gain positive) it is the
    minimum. Windows lie wholly inside the image.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int]
    flipped: Ints = field(default_factory=_zero)


@dataclass(frozen=True, eq=False)
class SumPool:
    """``y[c, i, j] = Σ over the window of x``. An average pool is this, its unit divided by k²."""

    kernel: tuple[int, int]
    stride: tuple[int, int]


@dataclass(frozen=True, eq=False)
class Flatten:
    """``y[c·H·W + y·W + x] = x[c, y, x]``: row-major, channel first."""


@dataclass(frozen=True, eq=False)
class Add:
    """``y = Σ of the inputs``, of equal shape: a residual, feed-forward plus recurrent current."""


@dataclass(frozen=True, eq=False)
class Delay:
    """``y(t) = x(t - 1)``, ``y(0) = 0``. The one operator whose input may be a later node."""


@dataclass(frozen=True, eq=False)
class Synapse:
    """A second state before the membrane: ``i(t) = clip(floor(i(t-1) · m / 2^q) + I)``.

    ``bits`` clips it as a two's complement number; the membrane then integrates ``i`` for ``I``.
    """

    decay: Ints
    decay_shift: int
    bits: int


@dataclass(frozen=True, eq=False)
class Neuron:
    """A LIF/IF neuron with a quantised membrane potential.

    ::

        v  = floor(u · 2^k · m / 2^q) + I · 2^f + b
        s  = [v ≥ θ]
        v' = r (hard) | v - ρ (soft) | v (none)      where s = 1, else v
        v' = max(v', lo)                             with a clamp
        u' = clip(floor((v' + 2^(k-1)) / 2^k), -2^(U-1), 2^(U-1) - 1)      no rounding if k = 0

    u starts at u0. With ``max_spikes`` n > 1 (multi-spike, soft or no reset, θ > 0) a neuron sends
    ``s = min(n, max(0, floor(v / θ)))`` and the soft reset subtracts ``s · ρ``.

    ========= ================ ==========================================================
    symbol    field            meaning
    ========= ================ ==========================================================
    U         bits             width of the stored membrane, two's complement
    k         step_shift       membrane step 2^k, in units of the current
    m, q      decay, decay_shift   decay m / 2^q; IF is (1, 0)
    f         gain_shift       current counts in units of 2^f
    b         bias             added every step
    θ         threshold        fires at v ≥ θ (a strict > is θ + 1)
    r, ρ      reset_value      hard: the new v; soft: what is subtracted; none: unused
    u0        initial          stored membrane before the first step
    lo        clamp            lower bound of v', or None
    ========= ================ ==========================================================
    """

    bits: int
    threshold: Ints
    bias: Ints = field(default_factory=_zero)
    step_shift: Ints = field(default_factory=_zero)
    decay: Ints = field(default_factory=lambda: ints(1))
    decay_shift: int = 0
    gain_shift: int = 0
    reset: Reset = "hard"
    reset_value: Ints = field(default_factory=_zero)
    initial: Ints = field(default_factory=_zero)
    clamp: Ints | None = None
    synapse: Synapse | None = None
    max_spikes: int = 1


Op = Dense | Conv2d | MaxPool | SumPool | Flatten | Add | Delay | Neuron
