"""The membrane of Q-SNN's released code, for comparison: tanh, and the batch's largest value."""

import torch
from torch import Tensor

from .rounding import round_ste
from .unroll import Cell


def released(values: Tensor, cell: Cell, bits: int, hard: bool, steps: int,
             width: float = 1.0) -> tuple[Tensor, Tensor, Tensor]:
    """`unroll.unroll` in real numbers, where the threshold is 1, with this storing::

        û = round(clip(tanh(v') / α) · L) · α / L       α = max |tanh(v')|, L = 2^(U-1) - 1

    The maximum is over the batch at that step. Membranes at a limit are those at ±L.
    """
    limit = 2 ** (bits - 1) - 1
    kept: Tensor | None = None
    fires: list[Tensor] = []
    at_limit = values.new_zeros(())
    for t in range(steps):
        v = (values[t if len(values) > 1 else 0] + cell.bias) * cell.gain
        if cell.feedback is not None and t:
            v = v + fires[-1] @ cell.feedback.T * cell.gain
        v = v if kept is None else v + kept * cell.decay
        h = v - cell.threshold * cell.gain
        fired = (h >= 0).to(v.dtype)
        slope = torch.pi / width
        surrogate = torch.atan(slope * h) / slope       # its derivative is 1 / (1 + (slope · h)²)
        fires.append(surrogate + (fired - surrogate).detach())
        after = v * (1 - fired) if hard else v - fired * cell.reset * cell.gain
        kept, share = _stored(after, limit)
        at_limit = at_limit + share / steps
    spikes = torch.stack(fires)
    return spikes, spikes.mean(), at_limit


def _stored(v: Tensor, limit: int) -> tuple[Tensor, Tensor]:
    bounded = torch.tanh(v)
    alpha = bounded.detach().abs().max().clamp(min=1e-12)
    code = round_ste((bounded / alpha).clamp(-1, 1) * limit)
    return code * alpha / limit, (code.detach().abs() >= limit).to(v.dtype).mean()
