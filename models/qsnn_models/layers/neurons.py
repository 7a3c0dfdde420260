"""Spiking neurons: LIF and IF, in each channel's own units. Everything is an integer in a float.

In training as in hardware a channel counts its current and its membrane in units of its own gain
``G = |γ / σ|``: batch norm is never multiplied out, it becomes a threshold, a bias and a sign.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar, Literal, NamedTuple, overload

import torch
from torch import Tensor, nn

from qsnn_models.errors import ModelsError

from .membranes import MembraneQuantizer, membrane_quantizer
from .released import released
from .rounding import floor_ste, round_ste
from .stepwise import step
from .unroll import Cell, Rules, unroll

Decay = tuple[int, int] | float
SNAP = 1e-6     # a threshold this close to an integer is that integer: exact ties are normal


@dataclass(frozen=True, eq=False)
class Current:
    """What a weight layer hands on: ``values`` ``[T or 1, B, C]`` or ``[T or 1, B, C, H, W]``
    (integers, sign already flipped where γ < 0), ``gain`` ``[C]`` > 0 (worth of one unit) and
    ``bias`` ``[C]`` (real, in units where θ = 1). One step stands for all when they are the same.
    """

    values: Tensor
    gain: Tensor
    bias: Tensor


class Fired(NamedTuple):
    """A neuron layer's ``spikes`` ``[T, B, C, ...]`` (``[1, ...]`` if every step is alike), their
    mean ``rate``, and ``saturation``, the share of stored membranes at a limit."""

    spikes: Tensor
    rate: Tensor
    saturation: Tensor


@dataclass(frozen=True, eq=False)
class ChannelUnits:
    """A neuron's parameters ``[C]`` in channel units: integers in floats, differentiable. *reset*
    is r of a hard reset, ρ of a soft one; *decay* is m; *initial* is u0."""

    bias: Tensor
    threshold: Tensor
    reset: Tensor
    shift: Tensor
    decay: Tensor
    initial: Tensor


def rows(values: Tensor) -> Tensor:
    """``[T, B, C, ...]`` as ``[T, M, C]``; a view where the memory has the channels last."""
    return values.movedim(2, -1).flatten(1, -2)


def images(flat: Tensor, like: Tensor) -> Tensor:
    """The spikes ``[T, M, C]`` of currents *like* ``[T, B, C, ...]``, in its shape."""
    shape = (len(flat), like.shape[1], *like.shape[3:], like.shape[2])
    return flat.view(shape).movedim(-1, 2)


class LIF(nn.Module):
    """A leaky integrate-and-fire layer with a quantised membrane, currents -> spikes.

    In channel units, one step (`qsnn_compile.ir.Neuron`, f = 0)::

        v  = floor(u · 2^k · m / 2^q) + I + b
        s  = [v >= θ]
        v' = r (hard) | v - ρ (soft)         where s = 1
        u' = clip(floor((v' + 2^(k-1)) / 2^k), -2^(U-1), 2^(U-1) - 1)

    u starts at u0; r and u0 are 0 unless the membrane's grid has an origin (`membranes`). *decay*,
    snnTorch's beta, is m / 2^q as (m, q), or a share of 1, rounded to q = 8: 0.9 is (115, 7). With
    *learn_decay* ``m = round(2^q · sigmoid(leak))`` is learnt per channel, from there. The reset is
    detached from the gradient; the spike's surrogate is arctan's, of ``surrogate_width`` 1 (in
    thresholds, where its slope is 1 / (1 + π²) of the largest) unless another is assigned.
    """

    rates: ClassVar[dict[str, float]] = {"leak": 5.0}       # learning rates, to that of the weights

    def __init__(self, channels: int, bits: int = 4, decay: Decay = (1, 1),
                 reset: str = "hard", membrane: str = "trainable",
                 learn_decay: bool = False) -> None:
        super().__init__()
        m, q = fraction(decay)
        if reset not in ("hard", "soft"):
            raise ModelsError(f"reset must be hard or soft, not {reset!r}")
        self.membrane = membrane_quantizer(membrane, bits, channels)
        self.channels, self.reset, self.surrogate_width = channels, reset, 1.0
        self.m, self.q = (m, q) if bits else (0, 0)
        self.fixed: Tensor
        self.register_buffer("fixed", torch.full((channels,), float(self.m)), persistent=False)
        self.leak: nn.Parameter | None = None
        if learn_decay and bits:
            share = torch.tensor(min(m / 2 ** q, 1 - 2.0 ** -(q + 2)))
            self.leak = nn.Parameter(torch.logit(share).repeat(channels))

    @overload
    def forward(self, current: Current, steps: int | None = None, feedback: Tensor | None = None,
                *, statistics: Literal[False] = False) -> Tensor: ...

    @overload
    def forward(self, current: Current, steps: int | None = None, feedback: Tensor | None = None,
                *, statistics: Literal[True]) -> Fired: ...

    def forward(self, current: Current, steps: int | None = None, feedback: Tensor | None = None,
                *, statistics: bool = False) -> Tensor | Fired:
        """The spikes ``[T, B, C, ...]`` for currents of all *steps* (those there are, if None), or
        for one that stands for all; ``[1, B, C, ...]`` where every step is alike. *feedback*
        ``[C, C]``: integer weights by which the spikes of the step before add to I. With
        *statistics* their rate and the share of membranes at a limit too."""
        values = rows(_checked(current).values)
        steps = len(values) if steps is None else steps
        if steps < 1 or len(values) not in (1, steps):
            raise ModelsError(f"currents must be of {steps!r} steps, at least 1, or of one that "
                              f"stands for all, not of {len(values)!r}")
        cell = self._cell(current, values.dtype, feedback)
        hard = self.reset == "hard"
        if self.membrane.name == "released":
            spikes, *rest = released(values, cell, self.membrane.bits, hard, steps,
                                     self.surrogate_width)
        else:
            alike = self.membrane.name == "none" and feedback is None and len(values) == 1
            spikes, *rest = unroll(values, cell, self._rules(hard), 1 if alike else steps)
        spikes = images(spikes, current.values)
        return Fired(spikes, *rest) if statistics else spikes

    def step(self, current: Current, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The spikes ``[B, C, ...]`` of one step and the state after it, what `forward` keeps
        between steps: the stored membrane u · 2^k, in units of I. *current* ``[B, C, ...]`` is the
        step's, *state* what the step before answered; None is the start. Gradients pass through
        the state as they do in `forward`."""
        if self.membrane.name == "released":
            raise ModelsError("a 'released' membrane must run all its steps in one call, as its "
                              "scale is of all of them; call the layer itself")
        cell = self._cell(_checked(current), current.values.dtype, None)
        return step(current.values, cell, self._rules(self.reset == "hard"), state)

    def extra_repr(self) -> str:
        share = f"{self.m}/{2 ** self.q}" if self.q else str(self.m)
        learnt = "learnt from " if self.leak is not None else ""
        return (f"{self.channels}, bits={self.membrane.bits}, decay={learnt}{share}, "
                f"reset={self.reset!r}, membrane={self.membrane.name!r}")

    def _rules(self, hard: bool) -> Rules:
        if self.membrane.name == "float":
            return Rules(None, None, hard, self.surrogate_width)
        return Rules(self.membrane.low, self.membrane.high, hard, self.surrogate_width)

    def decay(self) -> Tensor:
        """m ``[C]``, an integer in a float, differentiable where it is learnt."""
        if self.leak is None:
            return self.fixed
        return round_ste(torch.sigmoid(self.leak) * 2 ** self.q)

    def _cell(self, current: Current, dtype: torch.dtype, feedback: Tensor | None) -> Cell:
        units = channel_units(current, self)
        bias, threshold, reset, step, decay, initial = (x.to(dtype) for x in (
            units.bias, units.threshold, units.reset, torch.exp2(units.shift),
            units.decay / 2 ** self.q, units.initial))
        return Cell(current.gain.to(dtype), bias, threshold, reset, step, decay, initial, feedback)


def fraction(decay: Decay) -> tuple[int, int]:
    """*decay* as (m, q), lowest terms where it was a share. Raises ModelsError for what is none."""
    if isinstance(decay, bool | int | float):
        if not 0 < decay <= 1 or isinstance(decay, bool):
            raise ModelsError("decay must be a share of the membrane that is kept, above 0 and at "
                              f"most 1, or (m, q), not {decay!r}")
        share = Fraction(max(1, round(decay * 256)), 256)
        return share.numerator, share.denominator.bit_length() - 1
    m, q = decay if isinstance(decay, tuple | list) and len(decay) == 2 else (0, 0)
    if not all(type(value) is int for value in (m, q)) or not (0 <= q <= 8 and 0 < m <= 2 ** q):
        raise ModelsError(f"decay must be (m, q) with 0 < m <= 2^q, q <= 8, not {decay!r}")
    return m, q


def _checked(current: Current) -> Current:
    if not isinstance(current, Current):
        raise ModelsError("a neuron layer must be given the current of a QDense, QConv1d or "
                          f"QConv2d, not {type(current).__name__}; put one before it")
    return current


class IF(LIF):
    """An integrate-and-fire layer: a `LIF` that doesn't leak, m / 2^q = 1."""

    def __init__(self, channels: int, bits: int = 4, reset: str = "hard",
                 membrane: str = "trainable") -> None:
        super().__init__(channels, bits, (1, 0), reset, membrane)


def channel_units(current: Current, neuron: LIF, shift: Tensor | None = None) -> ChannelUnits:
    """θ = 1 and the bias counted in units of the gain, rounded to integers.

    ``b_c = round(b / G)``; ``θ_c = ceil(1/G + b_c - b/G)``, so that rounding b moves no first
    spike (snapped to the nearest integer within 1e-6 before ceil); ``ρ_c = round(1/G)``. Where the
    grid has an origin o, the axis is shifted by it, u and v count from o: θ - o, r = -o,
    u0 = -o / 2^k and ``b - o - floor(-o · m / 2^q)``: neither is a first spike moved by this.
    *shift* is k ``[C]``, the membrane quantiser's own where it is None.
    """
    unit = current.gain.double()
    real = current.bias.double() / unit
    bias = round_ste(real)
    threshold = 1 / unit + bias - real
    snapped = torch.floor(threshold.detach() + 0.5)
    near = (threshold.detach() - snapped).abs() < SNAP
    threshold = threshold + torch.where(near, snapped - threshold.detach(), 0.0)
    ceil = -floor_ste(-threshold)
    soft, m = neuron.reset == "soft", neuron.decay().double()
    reset = round_ste(1 / unit) if soft else torch.zeros_like(unit)
    shift = grid(neuron.membrane, unit) if shift is None else shift
    origin = neuron.membrane.origin(1 / unit, shift)
    if origin is None:
        return ChannelUnits(bias, ceil, reset, shift, m, torch.zeros_like(unit))
    bias = bias - origin - floor_ste(-origin * m / 2 ** neuron.q)
    return ChannelUnits(bias, ceil - origin, reset if soft else -origin, shift, m,
                        -origin / torch.exp2(shift.detach()))


def grid(membrane: MembraneQuantizer, unit: Tensor) -> Tensor:
    """k ``[C]``; 0 where nothing is rounded."""
    return torch.zeros_like(unit) if membrane.refusal else membrane.shift(unit)
