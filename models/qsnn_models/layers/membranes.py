"""Membrane quantisers: how the stored potential is rounded, one class a method.

They choose the grid ``u · 2^k + o`` per channel; `unroll.unroll` does the storing and defines the
gradient. All share a face: ``bits``, ``shift(gain)``, ``origin(...)``, ``step(gain)``, ``rates``,
and ``refusal``, the reason why it has no integer form ('' where it has one).
"""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from qsnn_models.errors import ModelsError

from .rounding import round_ste


def _shift(wanted: Tensor) -> Tensor:
    """``max(0, round(wanted))``, gradient 1: a step below one unit can still grow."""
    k = round_ste(wanted)
    return k + (k.clamp(min=0) - k).detach()


class MembraneQuantizer(nn.Module):
    """The face, and the storing that all grids share, in channel units::

        u = clip(floor((v - o + 2^(k-1)) / 2^k), -2^(U-1), 2^(U-1) - 1)

    ``low``, ``high`` are the codes' limits; ``step`` is 2^k in units where the threshold is 1.
    ``rates``: how many times the learning rate of the weights a parameter has.
    """

    name: ClassVar[str]
    widths: ClassVar[tuple[int, ...]] = tuple(range(2, 17))
    rates: Mapping[str, float] = {}
    refusal: ClassVar[str] = ""

    def __init__(self, bits: int, channels: int) -> None:
        super().__init__()
        if bits not in self.widths:
            allowed = "2 to 16" if len(self.widths) > 1 else str(self.widths[0])
            raise ModelsError(f"membrane bits must be {allowed} for a {self.name!r} membrane, "
                              f"not {bits!r}")
        self.bits, self.channels = bits, channels
        self.low, self.high = -(2 ** (bits - 1)) if bits else 0, 2 ** (bits - 1) - 1 if bits else 0

    def step(self, gain: Tensor) -> Tensor:
        """The step ``[C]`` that is wanted, before it is held at 2^k units of *gain* each."""
        raise NotImplementedError

    def shift(self, gain: Tensor) -> Tensor:
        """``k = max(0, round(log2(step / gain)))`` ``[C]``, gradient as if unrounded."""
        return _shift(self.step(gain).log2() - gain.log2())

    def origin(self, theta: Tensor, shift: Tensor) -> Tensor | None:
        """o ``[C]``, a multiple of 2^k, for thresholds *theta*; None is 0. Its code -o / 2^k, that
        of a potential of 0, must be within the limits."""
        return None


class Trainable(MembraneQuantizer):
    """Step and place of the range are learnt per channel: ``a · 2^k``, a = u + n, n = round(j).

    The step is learnt in log2 and held at the nearest power of two. A hard reset leaves nothing
    above the threshold to be stored, and much below: of 3 bits and more, j starts at -2^(U-2) and
    is held so that 0 has a code; the range is then ``[-(3 · 2^(U-2) + 1/2), 2^(U-2) - 1/2] · step``
    and its upper end starts at the threshold. With 2 bits n is 0. The gradient of the step is the
    learnt-step one (the rounding error inside the range, the limit outside), that of j is 2^k
    outside the range. Both need far larger updates than weights do; with 2 bits, where each move of
    k moves all four levels, held-out images tell no difference (docs/results.md).
    """

    name = "trainable"

    def __init__(self, bits: int, channels: int) -> None:
        super().__init__(bits, channels)
        below = -(2 ** (bits - 2)) if bits > 2 else 0
        self.rates = {"log_step": 10.0, "offset": 10.0} if bits > 2 else {}
        start = torch.tensor(1 / (self.high + below + 0.5)).log2()
        self.log_step = nn.Parameter(start.repeat(channels))
        self.offset = nn.Parameter(torch.full((channels,), float(below))) if below else None

    def step(self, gain: Tensor) -> Tensor:
        return torch.exp2(self.log_step)

    def shift(self, gain: Tensor) -> Tensor:
        return _shift(self.log_step - gain.log2())

    def origin(self, theta: Tensor, shift: Tensor) -> Tensor | None:
        """n · 2^k; the gradient of j passes where it is held, too."""
        if self.offset is None:
            return None
        held = self.offset + (self.offset.clamp(-self.high, -self.low) - self.offset).detach()
        return round_ste(held) * torch.exp2(shift)


class Fixed(MembraneQuantizer):
    """Nothing is learnt: the range ends at the threshold, ``(2^(U-1) - 1/2) · step = 1``."""

    name = "fixed"

    def step(self, gain: Tensor) -> Tensor:
        return torch.full_like(gain, 1 / (self.high + 0.5))


class Shared(MembraneQuantizer):
    """One step for the whole layer, shared with the weights: MINT (Yin et al., ASP-DAC 2024).

    Weights and membrane count in one scale; here the integer weights' unit is that scale, and the
    membrane's step is 2^k of it, k learnt and the same for all channels. It starts where the
    layer's median channel, at the first training batch, has the threshold at its range's end.
    """

    name = "mint"
    started: Tensor

    def __init__(self, bits: int, channels: int) -> None:
        super().__init__(bits, channels)
        self.log_step = nn.Parameter(torch.zeros(()))
        self.register_buffer("started", torch.zeros((), dtype=torch.bool))

    def step(self, gain: Tensor) -> Tensor:
        return torch.exp2(self.shift(gain)) * gain

    def shift(self, gain: Tensor) -> Tensor:
        if self.training and not self.started:
            with torch.no_grad():
                self.log_step.copy_(-(gain.median() * (self.high + 0.5)).log2())
                self.started.fill_(True)
        return _shift(self.log_step.to(gain.dtype)).expand(self.channels)


class Centred(MembraneQuantizer):
    """Uniform levels over a range tied to the threshold, as snnTorch's ``state_quant``.

    The range is ``[-θ · (1 + lo), θ · (1 + up)]`` with lo = 0, up = 0.2. Its middle isn't 0, so
    the grid is ``u · 2^k + o``; the potential's axis is shifted by o to store u alone.
    """

    name = "centred"
    LOWER, UPPER = 0.0, 0.2

    def step(self, gain: Tensor) -> Tensor:
        return torch.full_like(gain, (2 + self.LOWER + self.UPPER) / (2 ** self.bits - 1))

    def origin(self, theta: Tensor, shift: Tensor) -> Tensor | None:
        """The multiple that brings the range's middle nearest, while 0 stays in the range."""
        step = torch.exp2(shift)
        middle = theta * (self.UPPER - self.LOWER) / 2 / step + 0.5
        codes = torch.floor(middle + 0.5).clamp(-self.high, -self.low)
        return (codes * step).detach()


class Released(MembraneQuantizer):
    """``round(clip(tanh(v) / α) · L) · α / L``, α the batch's largest |tanh(v)|, L = 2^(U-1) - 1.

    Q-SNN's released code, for comparison: a value depends on the other samples of its batch.
    """

    name = "released"
    refusal = ("the 'released' membrane has no integer form: its scale is the largest tanh of each "
               "batch; train with membrane='trainable' to export")


class Float(MembraneQuantizer):
    """Carried unrounded, for comparison. Of 32 bits, whatever width is asked for."""

    name = "float"
    refusal = ("the 'float' membrane has no integer form: it is carried unrounded; "
               "train with membrane='trainable' to export")

    def __init__(self, bits: int, channels: int) -> None:
        super().__init__(8, channels)
        self.bits = 32


class Nothing(MembraneQuantizer):
    """Nothing is carried: each step starts at 0. In the IR a decay of 0."""

    name = "none"
    widths = (0,)

    def step(self, gain: Tensor) -> Tensor:
        return torch.ones_like(gain)

    def shift(self, gain: Tensor) -> Tensor:
        return torch.zeros_like(gain)


MEMBRANES: dict[str, type[MembraneQuantizer]] = {
    kind.name: kind for kind in (Trainable, Fixed, Shared, Centred, Released, Float, Nothing)}


def membrane_quantizer(name: str, bits: int, channels: int) -> MembraneQuantizer:
    """The quantiser called *name*. Raises ModelsError for a name or width that isn't there."""
    if name not in MEMBRANES:
        raise ModelsError(f"membrane must be one of {', '.join(MEMBRANES)}, not {name!r}")
    return MEMBRANES[name](bits, channels)
