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
    """See `run_membrane`."""

    @staticmethod
    def forward(ctx: Any, drive: Tensor, gain: Tensor, threshold: Tensor, reset: Tensor,
                step: Tensor, dynamics: Dynamics, steps: int) -> tuple[Tensor, Tensor]:
        potentials = drive.new_empty(steps, *drive.shape[1:])
        spikes = torch.empty_like(potentials)
        scaled = torch.zeros_like(potentials)       # v' / step; the last is never looked at
        kept = torch.zeros_like(drive[0])           # what the next step starts from
        for t, now in enumerate(drive.expand_as(potentials)):
            v = torch.add(now, kept, out=potentials[t])
            torch.ge(v, threshold, out=spikes[t])
            if t < steps - 1:
                x = _after(v, spikes[t], reset, dynamics).mul_(1 / step)
                scaled[t] = x
                kept = _stored(x, dynamics).mul_(step * dynamics.decay).floor_()
        ctx.save_for_backward(potentials, spikes, scaled, gain, threshold)
        ctx.dynamics, ctx.shared = dynamics, len(drive) == 1
        saturation = _share_at_limit(scaled[:-1], dynamics)
        ctx.mark_non_differentiable(saturation)
        return spikes, saturation

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Everything but the carry from step to step is one operation on all steps."""
        v, spikes, x, gain, threshold = ctx.saved_tensors
        dynamics = ctx.dynamics
        distance = v - threshold
        slope = grads[0] / (distance * (gain * torch.pi)).square_().add_(1)
        fired = slope * gain
        inside = ((x >= dynamics.low) & (x <= dynamics.high)).to(v.dtype)
        through = inside * dynamics.decay           # from the next step's v to v', then to v
        onto = torch.addcmul(through, through, spikes, value=-1) if dynamics.hard else through
        drive = fired.clone()
        for t in range(len(v) - 2, -1, -1):
            drive[t].addcmul_(onto[t], drive[t + 1])
        carried, error = drive[1:], torch.addcmul(_stored(x, dynamics), x, inside, value=-1)[:-1]
        sums = [(slope * distance).sum((0, 1)), -fired.sum((0, 1)),
                -(carried * through[:-1] * spikes[:-1]).sum((0, 1)) * (not dynamics.hard),
                (carried * error).sum((0, 1)) * dynamics.decay]
        return (drive.sum(0, keepdim=True) if ctx.shared else drive, *sums, None, None)


def _after(v: Tensor, s: Tensor, reset: Tensor, dynamics: Dynamics) -> Tensor:
    """v': 0 (hard) or v - ρ (soft) where s = 1."""
    return torch.addcmul(v, s, v if dynamics.hard else reset, value=-1)


def _stored(x: Tensor, dynamics: Dynamics) -> Tensor:
    """The code u for x = v' / step."""
    return (x + 0.5).floor_().clamp_(dynamics.low, dynamics.high)


def _share_at_limit(x: Tensor, dynamics: Dynamics) -> Tensor:
    """The share of stored membranes that are the lowest or the highest code."""
    if not len(x):
        return x.new_zeros(())
    return ((x < dynamics.low + 0.5) | (x >= dynamics.high - 0.5)).sum() / x.numel()
