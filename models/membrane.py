"""The membrane's T steps as one autograd function: the inner loop of training."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Dynamics:
    """What all channels share: m / 2^q, the codes' limits, hard or soft reset."""

    decay: float
    low: int
    high: int
    hard: bool


def run_membrane(drive: Tensor, gain: Tensor, threshold: Tensor, reset: Tensor, step: Tensor,
                 dynamics: Dynamics, steps: int) -> tuple[Tensor, Tensor]:
    """Currents -> spikes ``[T, B, C]`` and the share of stored membranes at a limit.

    Inputs: *drive* I + b ``[T or 1, B, C]``; per channel ``[C]``: *gain* (worth of one unit where
    the threshold is 1), θ, ρ and *step* 2^k. Forward, exact in integers held by floats::

        v  = floor(u · step · m / 2^q) + drive
        s  = [v >= θ]
        v' = 0 (hard) | v - ρ (soft)         where s = 1
        u' = floor(clip(v' / step) + 1/2)

    Backward: floors are passed straight through; ds/dh = 1 / (1 + (π·h)²) with h = gain · (v - θ),
    arctan's; the reset is detached; the step's gradient is the learnt-step one: the rounding
    error inside the range, the limit outside.
    """
    run: Callable[..., tuple[Tensor, Tensor]] = _Membrane.apply
    return run(drive, gain, threshold, reset, step, dynamics, steps)


class _Membrane(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, drive: Tensor, gain: Tensor, threshold: Tensor, reset: Tensor,
                step: Tensor, dynamics: Dynamics, steps: int) -> tuple[Tensor, Tensor]:
        potentials, limits = [], 0.0
        kept: Tensor | None = None
        for now in drive.expand(steps, -1, -1):
            v = now if kept is None else kept.add_(now)
            potentials.append(v)
            _, u = _store(v, threshold, reset, step, dynamics)
            limits += _share_at_limit(u, dynamics)
            kept = u.mul_(step * dynamics.decay).floor_()
        v = torch.stack(potentials)
        ctx.save_for_backward(v, gain, threshold, reset, step)
        ctx.dynamics, ctx.shared = dynamics, len(drive) == 1
        saturation = torch.tensor(limits / steps)
        ctx.mark_non_differentiable(saturation)
        return (v >= threshold).to(v.dtype), saturation

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        potentials, gain, threshold, reset, step = ctx.saved_tensors
        sums = {name: torch.zeros_like(gain) for name in ("gain", "threshold", "reset", "step")}
        driven: list[Tensor] = []
        carried: Tensor | None = None       # the gradient of what the next step kept
        for v, grad in zip(potentials.flip(0), grads[0].flip(0), strict=True):
            distance = v - threshold
            slope = grad / (distance * (gain * torch.pi)).square_().add_(1)
            sums["gain"] += (slope * distance).sum(0)
            grad_v = slope.mul_(gain)
            sums["threshold"] -= grad_v.sum(0)
            if carried is not None:
                grad_v += _through_store(v, carried, (threshold, reset, step), ctx.dynamics, sums)
            driven.append(grad_v)
            carried = grad_v
        drive = torch.stack(driven[::-1])
        if ctx.shared:
            drive = drive.sum(0, keepdim=True)
        return (drive, sums["gain"], sums["threshold"], sums["reset"], sums["step"], None, None)


def _store(v: Tensor, threshold: Tensor, reset: Tensor, step: Tensor,
           dynamics: Dynamics) -> tuple[Tensor, Tensor]:
    """v' / step, and the code u it is stored as."""
    fired = v >= threshold
    after = v.masked_fill(fired, 0) if dynamics.hard else v - fired * reset
    x = after.div_(step)
    return x, (x + 0.5).floor_().clamp_(dynamics.low, dynamics.high)


def _share_at_limit(u: Tensor, dynamics: Dynamics) -> float:
    return ((u == dynamics.low) | (u == dynamics.high)).float().mean().item()


def _through_store(v: Tensor, carried: Tensor, channel: tuple[Tensor, Tensor, Tensor],
                   dynamics: Dynamics, sums: dict[str, Tensor]) -> Tensor:
    """The gradient of v from that of ``u · step · decay``; adds to *sums* on the way."""
    threshold, reset, step = channel
    x, u = _store(v, threshold, reset, step, dynamics)
    carried = carried * dynamics.decay
    inside = (x >= dynamics.low) & (x <= dynamics.high)
    sums["step"] += (carried * (u - x * inside)).sum(0)
    grad = carried.mul_(inside)
    fired = v >= threshold
    if dynamics.hard:
        return grad.masked_fill_(fired, 0)
    sums["reset"] -= (grad * fired).sum(0)
    return grad
