"""Rounding with a straight-through gradient, and the weight and membrane quantisers."""

from typing import Any

import torch
from torch import Tensor, nn

from qsnn_models.errors import ModelsError


class _Floor(torch.autograd.Function):
    """Floor whose gradient is 1. (``x + (floor(x) - x)`` is not exact in floats.)"""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return torch.floor(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return grads[0]


class _Spike(torch.autograd.Function):
    """``[x >= 0]`` forward; backward the derivative of ``atan(π·h) / π``, ``h = x · gain``."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, gain: Tensor) -> Tensor:
        ctx.save_for_backward(x, gain)
        return (x >= 0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor]:
        x, gain = ctx.saved_tensors
        slope = grads[0] / (1 + (torch.pi * gain * x).square())
        down = tuple(range(x.dim() - gain.dim()))
        return slope * gain, (slope * x).sum(down)


class _Sign(torch.autograd.Function):
    """``+1`` where x >= 0, else ``-1``; the gradient passes where ``|x| < window``."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, window: float) -> Tensor:
        ctx.save_for_backward(x)
        ctx.window = window
        return torch.where(x >= 0, 1.0, -1.0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        return grads[0] * (x.abs() < ctx.window), None


def floor_ste(x: Tensor) -> Tensor:
    """``floor(x)``, gradient 1."""
    return _Floor.apply(x)


def round_ste(x: Tensor) -> Tensor:
    """``floor(x + 1/2)``, gradient 1: the rounding of the integer arithmetic, not half-to-even."""
    return _Floor.apply(x + 0.5)


def spike(x: Tensor, gain: Tensor) -> Tensor:
    """``[x >= 0]``; the surrogate gradient is arctan's, of width 1 in units of the threshold.

    *x* ``[..., C]`` is v - θ in channel units and *gain* ``[C]`` what one unit is worth, so that
    ``x · gain`` is measured in units where the threshold is 1.
    """
    return _Spike.apply(x, gain)


class WeightQuantizer(nn.Module):
    """Latent weights ``[C, N]`` -> integers of *bits* bits, per-channel standardised first.

    ::

        ŵ = (w - mean_c) / std_c
        1 bit:    +1 where ŵ >= 0, else -1
        W bits:   clip(round(ŵ / Δ), -(2^(W-1) - 1), 2^(W-1) - 1)     Δ learnt in log2, per layer

    The range is symmetric, so that a channel's sign can be flipped; 2 bits is ternary. The scale
    of ŵ is absorbed by the batch norm that follows. Standardising is the weight half of Q-SNN's
    WS-DR (zero mean: as many -1 as +1); the released code's scale and scheduled gradient are not
    used.
    """

    WIDTHS = (1, 2, 4, 8)
    WINDOW = 1.5        # standard deviations; outside it a 1-bit weight gets no gradient

    def __init__(self, bits: int) -> None:
        super().__init__()
        if bits not in self.WIDTHS:
            raise ModelsError(f"weight bits must be one of 1, 2, 4, 8, not {bits!r}")
        self.bits = bits
        self.limit = 2 ** (bits - 1) - 1
        if bits > 1:    # the widest range that pays for normal weights: 1, 2.7 and 4 deviations
            span = {2: 1.2, 4: 2.7, 8: 4.0}[bits]
            self.log_step = nn.Parameter(torch.tensor(span / self.limit).log2())

    def forward(self, latent: Tensor) -> Tensor:
        w = (latent - latent.mean(1, keepdim=True)) / (latent.std(1, keepdim=True) + 1e-8)
        if self.bits == 1:
            return _Sign.apply(w, self.WINDOW)
        step = torch.exp2(self.log_step)
        quantised = round_ste((w / step).clamp(-self.limit, self.limit)) * step
        return _exact(quantised / step.detach())


def _exact(x: Tensor) -> Tensor:
    """Integers again after a multiplication and a division by the same step; gradient 1."""
    return round_ste(x)


class MembraneQuantizer(nn.Module):
    """The stored membrane, *bits* bits, its step learnt in log2 and held at 2^k channel units.

    The step δ_c (in units where the threshold is 1) is a parameter per channel. In units of the
    channel's gain it is δ_c / gain_c, of which the nearest power of two is used::

        k_c = max(0, round(log2(δ_c / gain_c)))
        u   = clip(floor((v + 2^(k_c-1)) / 2^k_c), -2^(U-1), 2^(U-1) - 1)

    The gradient of δ is the learnt-step one: rounding error inside the range, the limit outside.
    """

    def __init__(self, bits: int, channels: int) -> None:
        super().__init__()
        if not 2 <= bits <= 8:
            raise ModelsError(f"membrane bits must be 2 to 8, not {bits!r}")
        self.bits = bits
        self.low, self.high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
        start = torch.tensor(1 / (self.high + 0.5)).log2()      # the threshold is the range's end
        self.log_step = nn.Parameter(start.repeat(channels))

    def shift(self, gain: Tensor) -> Tensor:
        """``k`` ``[C]`` for channels worth *gain* a unit; differentiable in both."""
        return round_ste(self.log_step - gain.log2()).clamp(min=0)

    def forward(self, v: Tensor, step: Tensor) -> Tensor:
        """``u`` (codes, not values) for v ``[..., C]`` and ``step = 2^k`` ``[C]``."""
        return round_ste((v / step).clamp(self.low, self.high))
