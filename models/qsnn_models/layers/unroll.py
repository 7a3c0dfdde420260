"""A neuron layer's T steps as one autograd function: the inner loop of training.

Rows (a sample, or a sample's position) are independent, so they are taken a few at a time and step
by step: all that a step touches then stays in the processor's cache. Masks are floats and constants
tensors, because torch's CPU kernels for booleans and scalars are several times slower.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

RESET = 4               # which input of the function is Cell.reset
BLOCK = 1 << 16         # values of a block of rows in one step
SAMPLE = 1 << 16        # of the stored membranes, about as many are looked at for saturation


@dataclass(frozen=True)
class Rules:
    """What all channels share: the codes' limits (None: unrounded), hard or soft reset, and the
    width of the surrogate gradient."""

    low: float | None
    high: float | None
    hard: bool
    width: float = 1.0


@dataclass(frozen=True, eq=False)
class Cell:
    """A layer's neurons in channel units, ``[C]`` each: b, θ, the reset's value (hard: r, soft: ρ),
    step 2^k, decay m / 2^q, the first code u0, and *gain*, the worth of one unit where the
    threshold is 1. *feedback* ``[C, C]``: weights of the layer's own spikes of the step before."""

    gain: Tensor
    bias: Tensor
    threshold: Tensor
    reset: Tensor
    step: Tensor
    decay: Tensor
    initial: Tensor
    feedback: Tensor | None = None


def unroll(values: Tensor, cell: Cell, rules: Rules,
           steps: int) -> tuple[Tensor, Tensor, Tensor]:
    """Currents I ``[T or 1, M, C]`` -> spikes ``[T, M, C]``, their mean, and the share of stored
    membranes at a limit.

    Forward, exact in integers held by floats::

        v  = floor(u · 2^k · m / 2^q) + I + Σ_j R[c, j] · s_j(t - 1) + b
        s  = [v >= θ]
        v' = r (hard) | v - ρ (soft)         where s = 1
        u' = clip(floor(v' / 2^k + 1/2))

    Backward: floors are passed straight through; ds/dh = 1 / (1 + (π·h / width)²) with h = gain ·
    (v - θ), arctan's; s is detached in the reset; the gradient of 2^k is the learnt-step one: the
    rounding error inside the range, the limit outside. The potentials r and u0 · 2^k don't depend
    on 2^k.
    """
    run: Callable[..., tuple[Tensor, Tensor, Tensor]] = _Unroll.apply
    return run(values, *vars(cell).values(), rules, steps)


class _Unroll(torch.autograd.Function):
    """See `unroll`. Potentials are kept as ``w = v / 2^k + 1/2``, so that storing is a floor."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, *rest: Any) -> tuple[Tensor, Tensor, Tensor]:
        cell, rules, steps = Cell(*rest[:-2]), rest[-2], rest[-1]
        scaled = _Scaled(cell, rules)
        w = values.new_empty(steps, *values.shape[1:])
        spikes = torch.empty_like(w)
        for block, room in blocks(w, 3):
            scaled.run(values[:, block], w[:, block], spikes[:, block], room)
        ctx.save_for_backward(w, spikes, *rest[:-2])
        ctx.rules, ctx.shared = rules, len(values) == 1
        saturation = scaled.at_limit(w[:-1], spikes[:-1])
        ctx.mark_non_differentiable(saturation)
        return spikes, spikes.mean(), saturation

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        w, spikes, *parameters = ctx.saved_tensors
        back = _Backward(Cell(*parameters), ctx.rules, grads[1] / max(1, w.numel()),
                         ctx.needs_input_grad[RESET])
        drive = w.new_empty(1 if ctx.shared else len(w), *w.shape[1:])
        for block, room in blocks(w, 8):
            back.run(w[:, block], spikes[:, block], grads[0][:, block], drive[:, block], room)
        return (drive, *back.gradients(), None, None)


def blocks(w: Tensor, buffers: int) -> Iterator[tuple[slice, Tensor]]:
    """Rows of ``[T, M, C]`` to take at a time, all of them where the device isn't a CPU, and room
    for so many results of a step, the same for each block."""
    _, rows, channels = w.shape
    size = max(1, BLOCK // max(1, channels)) if w.device.type == "cpu" else max(1, rows)
    room = w.new_empty(buffers, min(size, rows), channels)
    for start in range(0, rows, size):
        stop = min(start + size, rows)
        yield slice(start, stop), room[:, :stop - start]


class _Scaled:
    """A cell in units of its step, counted from a hard reset's value: every potential is divided by
    2^k and less *zero* = r / 2^k, exactly. A reset is then to 0."""

    def __init__(self, cell: Cell, rules: Rules) -> None:
        inverse = 1 / cell.step
        self.rules, self.inverse, self.decay = rules, inverse, cell.decay
        self.reset = cell.reset * inverse
        self.zero = self.reset if rules.hard else torch.zeros_like(inverse)
        self.moved = bool(self.zero.any())
        self.half = 0.0 if rules.low is None else 0.5
        self.leak = cell.step * cell.decay          # floors are left out where they do nothing
        self.floors = rules.low is not None and bool(self.leak.frac().any())
        kept = self.zero * self.leak
        whole = kept.floor() if self.floors else kept
        self.rest = kept - whole
        self.offset = (cell.bias + whole) * inverse + self.half - self.zero
        self.threshold = cell.threshold * inverse + self.half - self.zero
        self.low, self.high = self._limit(rules.low), self._limit(rules.high)
        first = cell.initial - self.zero
        self.first = first if first.any() else None
        self.feedback = None if cell.feedback is None else (cell.feedback * inverse[:, None]).T

    def _limit(self, code: float | None) -> Tensor | None:
        return None if code is None else code - self.zero

    def run(self, values: Tensor, w: Tensor, spikes: Tensor, room: Tensor) -> None:
        """Fill the potentials and spikes of a block."""
        shared, u = len(values) < len(w), self.first
        for t in range(len(w)):
            now, fired = w[t], spikes[t]
            drive = now if not shared else w[0] if self.first is None else room[2]
            if t < len(values):
                torch.addcmul(self.offset, values[t], self.inverse, out=drive)
            if u is not None:
                self._add_kept(drive, u, now)
            if self.feedback is not None and t:
                now.addmm_(spikes[t - 1], self.feedback)
            torch.ge(now, self.threshold, out=fired)
            if t < len(w) - 1:
                u = self.stored(self.after(now, fired, room[0]), fired, room[1])

    def after(self, w: Tensor, spikes: Tensor, out: Tensor) -> Tensor:
        """w less a soft reset; a hard one is left to `stored`."""
        return w if self.rules.hard else torch.addcmul(w, spikes, self.reset, value=-1, out=out)

    def stored(self, x: Tensor, spikes: Tensor, out: Tensor) -> Tensor:
        """The codes u' of `after`."""
        if self.low is None:
            u = out.copy_(x)
        else:
            u = torch.floor(x, out=out).clamp_(self.low, self.high)
        return u.addcmul_(u, spikes, value=-1) if self.rules.hard else u

    def _add_kept(self, drive: Tensor, u: Tensor, out: Tensor) -> None:
        if self.floors:
            kept = torch.addcmul(self.rest, u, self.leak).floor_()
            torch.addcmul(drive, kept, self.inverse, out=out)
        else:
            torch.addcmul(drive, u, self.decay, out=out)

    def at_limit(self, w: Tensor, spikes: Tensor) -> Tensor:
        """The share of stored codes that are the lowest or highest; of a sample, if many."""
        if not w.numel() or self.low is None or self.high is None:
            return w.new_zeros(())
        every = max(1, w.numel() // SAMPLE)
        w, spikes = w[:, ::every], spikes[:, ::every]
        u = self.stored(self.after(w, spikes, torch.empty_like(w)), spikes, torch.empty_like(w))
        return (u != u.clamp(self.low + 1, self.high - 1)).to(w.dtype).mean()


class _Backward:
    """The gradient, block by block. e is that of v; it is carried from the next step to this one.
    What the parameters need is summed up over all rows and steps."""

    def __init__(self, cell: Cell, rules: Rules, rate: Tensor, reset_learns: bool) -> None:
        self.cell, self.rules = cell, rules
        scaled = self.scaled = _Scaled(cell, rules)
        self.resets = not rules.hard or scaled.moved or reset_learns
        self.slope = torch.pi / rules.width
        self.steepness = cell.gain * cell.step * self.slope
        self.offset = -scaled.threshold * self.steepness
        self.one, self.rate = torch.ones_like(cell.gain), rate.expand_as(cell.gain)
        self.low = torch.full_like(cell.gain, -torch.inf) if scaled.low is None else scaled.low
        self.top = torch.full_like(cell.gain, torch.inf) if scaled.high is None else scaled.high + 1
        if rules.hard:
            self.top = torch.minimum(self.top, scaled.threshold)
        self.sums = {name: torch.zeros_like(cell.gain) for name in
                     ("distance", "drive", "first", "carried", "kept", "passed", "reset")}
        self.feedback = None if cell.feedback is None else torch.zeros_like(cell.feedback)

    def run(self, w: Tensor, spikes: Tensor, grads: Tensor, drive: Tensor, room: Tensor) -> None:
        """The gradient of a block's currents into *drive*; the parameters' are summed up."""
        shared, last = len(drive) < len(w), len(w) - 1
        after = self._fired(w[last], grads[last], drive[-1], room)
        for t in range(last - 1, -1, -1):
            now, grad = w[t], grads[t]
            if self.cell.feedback is not None:
                grad = torch.addmm(grad, after, self.cell.feedback)
            e = self._fired(now, grad, room[6 + t % 2] if shared else drive[t], room)
            self._carried(now, spikes[t], after, e, room)
            if shared:
                drive[0].add_(e)
            after = e
        for e in drive:
            self._add("drive", e)
        self._add("first", after)

    def _fired(self, w: Tensor, grad: Tensor, e: Tensor, room: Tensor) -> Tensor:
        """The gradient of v through this step's spikes, into *e*."""
        h = torch.addcmul(self.offset, w, self.steepness, out=room[0])
        slope = torch.addcmul(self.one, h, h, out=room[1])
        torch.div(torch.add(grad, self.rate, out=e), slope, out=slope)
        self._add("distance", h.mul_(slope))
        return torch.mul(slope, self.cell.gain, out=e)

    def _carried(self, w: Tensor, spikes: Tensor, after: Tensor, e: Tensor, room: Tensor) -> None:
        """Add to *e* what the next step's v makes of this one's, through the stored code."""
        x = self.scaled.after(w, spikes, room[2])
        passed = torch.lt(x, self.top, out=room[3])
        passed.mul_(torch.ge(x, self.low, out=room[4])).mul_(after)
        e.addcmul_(passed, self.cell.decay)
        self._add("passed", passed)
        self._add("carried", self.scaled.stored(x, spikes, room[4]).mul_(after))
        if self.resets:
            through = after if self.rules.hard else passed
            self._add("reset", torch.mul(through, spikes, out=room[5]))
        if self.feedback is not None:
            self.feedback.addmm_(after.T, spikes)
        self._add("kept", passed.mul_(x))

    def _add(self, name: str, values: Tensor) -> None:
        self.sums[name] += values.sum(0)

    def gradients(self) -> list[Tensor | None]:
        """One a field of `Cell`, in order."""
        cell, sums, zero = self.cell, self.sums, self.scaled.zero
        fired = sums["drive"] - cell.decay * sums["passed"]     # e without what was carried
        later = sums["drive"] - sums["first"]
        error = sums["carried"] - sums["kept"] + self.scaled.half * sums["passed"]
        if self.scaled.moved:       # zero · (what was clipped)
            error = error + zero * (later - sums["passed"] - sums["reset"])
        carried = sums["carried"] + zero * later + cell.initial * sums["first"]
        reset = cell.decay * sums["reset"] if self.rules.hard else -cell.decay * sums["reset"]
        return [sums["distance"] / (cell.gain * self.slope), sums["drive"], -fired,
                reset if self.resets else None, cell.decay * error, cell.step * carried,
                cell.step * cell.decay * sums["first"], self.feedback]
