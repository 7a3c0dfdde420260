"""Rounding with a straight-through gradient, and the weight and membrane quantisers."""

from typing import Any

import torch
from torch import Tensor, nn

from qsnn_models.errors import ModelsError

VARIANCE_FLOOR = 1e-16      # of latent weights: a constant row stays finite


class _Floor(torch.autograd.Function):
    """Floor whose gradient is 1. (``x + (floor(x) - x)`` is not exact in floats.)"""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return torch.floor(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return grads[0]


class _Binary(torch.autograd.Function):
    """Latent weights ``[C, N]`` -> the sign of ``ŵ = (w - mean_c) / std_c``, +1 where ŵ >= 0.

    The gradient passes straight to ŵ where ``|ŵ| < window``, and on through the standardising.
    """

    @staticmethod
    def forward(ctx: Any, latent: Tensor, window: float) -> Tensor:
        centred = latent - latent.mean(1, keepdim=True)
        std = (centred.square().mean(1, keepdim=True) + VARIANCE_FLOOR).sqrt_()
        ctx.save_for_backward(centred, std)
        ctx.window = window
        return (centred >= 0).to(latent.dtype).mul_(2).sub_(1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        centred, std = ctx.saved_tensors
        grad = grads[0] * (centred.abs() < ctx.window * std)
        along = (grad * centred).mean(1, keepdim=True) / std.square()
        grad -= grad.mean(1, keepdim=True)
        return grad.sub_(centred * along).div_(std), None


def _apply(function: Any, *inputs: Any) -> Tensor:
    result: Tensor = function.apply(*inputs)
    return result


def floor_ste(x: Tensor) -> Tensor:
    """``floor(x)``, gradient 1."""
    return _apply(_Floor, x)


def round_ste(x: Tensor) -> Tensor:
    """``floor(x + 1/2)``, gradient 1: the rounding of the integer arithmetic, not half-to-even."""
    return _apply(_Floor, x + 0.5)


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
        if self.bits == 1:
            return _apply(_Binary, latent, self.WINDOW)
        centred = latent - latent.mean(1, keepdim=True)
        w = centred / (centred.square().mean(1, keepdim=True) + VARIANCE_FLOOR).sqrt()
        step = torch.exp2(self.log_step)
        quantised = round_ste((w / step).clamp(-self.limit, self.limit)) * step
        return round_ste(quantised / step.detach())     # the division is not exact


class MembraneQuantizer(nn.Module):
    """The stored membrane, *bits* bits, its step learnt in log2 and held at 2^k channel units.

    The step δ_c (in units where the threshold is 1) is a parameter per channel. In units of the
    channel's gain it is δ_c / gain_c, of which the nearest power of two is used::

        k_c = max(0, round(log2(δ_c / gain_c)))
        u   = clip(floor((v + 2^(k_c-1)) / 2^k_c), -2^(U-1), 2^(U-1) - 1)

    `membrane.run_membrane` does the storing and defines the gradient.
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
