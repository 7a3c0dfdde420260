"""Pooling: of a `Current` before its neuron, or of spikes."""

import math
from dataclasses import replace
from typing import ClassVar, TypeVar

import torch.nn.functional as F
from torch import Tensor, nn

from .neurons import Current

T = TypeVar("T", Tensor, Current)


Pair = int | tuple[int, int]


def both(sizes: Pair) -> tuple[int, int]:
    """(down, across) of *sizes*, of which one number is both."""
    return (sizes, sizes) if isinstance(sizes, int) else sizes


class _Pool(nn.Module):
    """Windows k x k or k x l, side by side, of ``[..., C, H, W]``; what doesn't fill a window is
    left out."""

    sums: ClassVar[bool] = True

    def __init__(self, kernel: Pair) -> None:
        super().__init__()
        self.kernel = both(kernel)

    def forward(self, x: T) -> T:
        if isinstance(x, Current):
            return replace(x, values=self.pooled(x.values))
        return self.pooled(x)

    def pooled(self, x: Tensor) -> Tensor:
        """The integers ``[..., C, H // k, W // l]``."""
        flat = x.flatten(0, -4)
        k = self.kernel
        pooled = F.avg_pool2d(flat, k, divisor_override=1) if self.sums else F.max_pool2d(flat, k)
        return pooled.view(*x.shape[:-3], *pooled.shape[1:])

    def extra_repr(self) -> str:
        return "x".join(map(str, self.kernel))


class MaxPool(_Pool):
    """``y[c, i, j] = max over the window of x``: of spikes OR, of a current the running maximum
    before its neuron. A current's sign is flipped where γ < 0, so its gain is positive and the
    maximum is that of the real currents."""

    sums = False


class SumPool(_Pool):
    """``y[c, i, j] = Σ over the window of x``: spikes become counts."""


class AvgPool(_Pool):
    """``SumPool``, its unit divided by k · l: a current's gain is, nothing is rounded."""

    def forward(self, x: T) -> T:
        if not isinstance(x, Current):
            raise TypeError("AvgPool must pool a Current, not spikes; use SumPool: it counts them")
        return Current(self.pooled(x.values), x.gain / math.prod(self.kernel), x.bias)
