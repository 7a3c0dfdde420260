"""Rounding with a straight-through gradient: the one place where integers and gradients meet."""

from typing import Any

import torch
from torch import Tensor


class _Floor(torch.autograd.Function):
    """Floor whose gradient is 1. (``x + (floor(x) - x)`` is not exact in floats.)"""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return torch.floor(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return grads[0]


def apply(function: Any, *inputs: Any) -> Tensor:
    """A `torch.autograd.Function` of one result, typed."""
    result: Tensor = function.apply(*inputs)
    return result


def floor_ste(x: Tensor) -> Tensor:
    """``floor(x)``, gradient 1."""
    return apply(_Floor, x)


def round_ste(x: Tensor) -> Tensor:
    """``floor(x + 1/2)``, gradient 1: the rounding of the integer arithmetic, not half-to-even."""
    return apply(_Floor, x + 0.5)
