"""One step of a neuron layer, whose state the caller carries."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from .rounding import apply, floor_ste, round_ste
from .unroll import Cell, Rules


class _Fire(torch.autograd.Function):
    """``[h >= 0]``, its gradient 1 / (1 + (π·h / width)²)."""

    @staticmethod
    def forward(ctx: Any, h: Tensor, width: float) -> Tensor:
        ctx.save_for_backward(h)
        ctx.width = width
        return (h >= 0).to(h.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        h: Tensor = ctx.saved_tensors[0]
        return grads[0] / (1 + (torch.pi / ctx.width * h) ** 2), None


def step(values: Tensor, cell: Cell, rules: Rules, stored: Tensor | None
         ) -> tuple[Tensor, Tensor]:
    """A step of `unroll`, to the bit: currents I ``[B, C, ...]`` and the stored membranes u · 2^k
    (None: u0's) -> spikes and the stored membranes after it. Gradients are those of `unroll`."""
    cell = _over(cell, values.ndim - 2)
    kept = (cell.initial * cell.step.detach() if stored is None else stored) * cell.decay
    v = values + cell.bias + (kept if rules.low is None else floor_ste(kept))
    spikes = apply(_Fire, (v - cell.threshold) * cell.gain, rules.width)
    return spikes, _stored(v, spikes.detach(), cell, rules)


def _over(cell: Cell, axes: int) -> Cell:
    """*cell* ``[C, 1, ...]``, for values of *axes* axes behind their channels."""
    shape = (-1, *[1] * axes)
    return replace(cell, **{name: values.view(shape) for name, values in vars(cell).items()
                            if values is not None})


def _stored(v: Tensor, spikes: Tensor, cell: Cell, rules: Rules) -> Tensor:
    if not rules.hard:
        return _rounded(v - spikes * cell.reset, cell, rules)
    return torch.where(spikes == 1, cell.reset, _rounded(v, cell, rules))


def _rounded(v: Tensor, cell: Cell, rules: Rules) -> Tensor:
    """``clip(floor(v / 2^k + 1/2)) · 2^k``; a clipped one passes no gradient to v."""
    if rules.low is None or rules.high is None:
        return v
    x = v / cell.step
    inside = (x.detach() >= rules.low - 0.5) & (x.detach() < rules.high + 0.5)
    held = torch.where(inside, x, x.detach().clamp(rules.low, rules.high))
    return round_ste(held) * cell.step
