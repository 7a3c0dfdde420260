"""Weight layers: integer weights, exact integer sums, and a batch norm that is handed on as a gain
and a bias, unmultiplied. Use them as `torch.nn.Linear` and `torch.nn.Conv2d`."""

import math
from dataclasses import replace
from typing import Literal, overload

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from qsnn_models.errors import ModelsError
from qsnn_models.layers.integers import EXACT, integral

from .moments import moments
from .neurons import LIF, Current, Fired
from .pooling import MaxPool, Pair, SumPool, both
from .rounding import round_ste
from .weights import weight_quantizer


class WeightLayer(nn.Module):
    """What QDense, QConv2d and QRecurrent share: the quantised weights and the batch norm.

    ``drift``: how far the statistics of the latest batches lay from the running ones, in
    deviations, the largest of all channels: of batches behind which weights had changed. 0 once
    the statistics are settled (`settle.settle`).
    """

    MOMENTUM = 0.1
    EPSILON = 1e-5          # of the variance, in units of the integer current
    GAIN_FLOOR = 1e-12      # keeps log2 and division finite on a dead channel

    def __init__(self, shape: tuple[int, ...], bits: int, weights: str) -> None:
        super().__init__()
        self.quantizer = weight_quantizer(weights, bits)
        self.weight = nn.Parameter(torch.randn(shape) / math.prod(shape[1:]) ** 0.5)
        self.gamma = nn.Parameter(torch.ones(shape[0]))
        self.beta = nn.Parameter(torch.zeros(shape[0]))
        self.mean: Tensor
        self.var: Tensor
        self.register_buffer("mean", torch.zeros(shape[0]))
        self.register_buffer("var", torch.ones(shape[0]))
        self.drift: Tensor
        self.register_buffer("drift", torch.zeros(()))
        self.momentum = self.MOMENTUM
        self.largest = 0.0                  # input in training
        self.seen: Tensor                   # the weights' sum at the latest batch
        self.register_buffer("seen", torch.tensor(torch.nan), persistent=False)

    def integers(self) -> Tensor:
        """The integer weights, their sign flipped where γ < 0: the current then has a gain > 0."""
        weight: Tensor = self.quantizer(self.weight.flatten(1))
        return self.flipped(weight.view_as(self.weight))

    def flipped(self, values: Tensor) -> Tensor:
        """*values* ``[C, ...]``, negated where γ < 0."""
        negative = self.gamma < 0
        if not negative.any():
            return values
        return values * torch.where(negative, -1.0, 1.0).view(-1, *[1] * (values.ndim - 1))

    def units(self) -> tuple[Tensor, Tensor]:
        """Gain and bias of the settled statistics: those of evaluation."""
        return self._gain_and_bias(self.mean, self.var)

    def _gain_and_bias(self, mean: Tensor, var: Tensor) -> tuple[Tensor, Tensor]:
        """*mean* and *var* are those of the flipped current."""
        gain = self.gamma.abs() / (var + self.EPSILON).sqrt()
        return gain.clamp(min=self.GAIN_FLOOR), self.beta - gain * mean

    def _normalised(self, flat: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Currents ``[M, C]``, to go on with, and their gain and bias."""
        if not self.training:
            return flat, *self.units()
        flat, mean, var = moments(flat)
        self._follow(mean, var)
        return flat, *self._gain_and_bias(mean, var)

    @torch.no_grad()
    def _follow(self, mean: Tensor, var: Tensor) -> None:
        """Move the running statistics towards a batch's."""
        old, new = (self.var + self.EPSILON).sqrt(), (var + self.EPSILON).sqrt()
        apart = torch.maximum((mean - self.mean).abs(), (new - old).abs())
        now = (apart / torch.maximum(old, new)).amax() * self._changed()
        torch.maximum(self.drift * (1 - self.momentum), now, out=self.drift)
        self.mean.lerp_(mean, self.momentum)
        self.var.lerp_(var, self.momentum)

    def _changed(self) -> Tensor:
        """Whether the weights are others than at the batch before, if there was one. Fused
        optimisers leave a tensor's version as it is, so that their sum must tell."""
        now = self.weight.sum()
        changed = (now != self.seen) & ~self.seen.isnan()
        self.seen.copy_(now)
        return changed

    def _check(self, x: Tensor, form: str, axis: int, inputs: int) -> None:
        """Refuse *x* that is not ``[form]``, of *inputs* inputs on *axis*, or that holds anything
        but integers from 0."""
        name = f"{type(self).__name__} of weights {list(self.weight.shape)}"
        if x.ndim < 1 + form.count(",") or x.shape[axis] != inputs:
            raise ModelsError(f"the inputs of {name} must be [{form}], not {list(x.shape)}; move "
                              "the axes, or make a layer of other inputs")
        largest = integral(f"the inputs of {name}", x, EXACT, dropped=self.training)
        self.largest = max(self.largest, largest * self.training)

    def extra_repr(self) -> str:
        inputs = self.weight.shape[1] * getattr(self, "groups", 1)
        return (f"{inputs}, {len(self.weight)}, bits={self.quantizer.bits}, "
                f"weights={self.quantizer.name!r}")


class QDense(WeightLayer):
    """A fully connected layer, ``[..., N]`` -> a `Current` ``[..., C]``.

    ``I[c] = Σ_i w[c, i] · x[i]``, exact; then ``γ · (I - μ) / σ + β`` handed on as a `Current`,
    unmultiplied. x are integers (pixels, spikes, counts) of *inputs* features, for a neuron behind
    it ``[T or 1, B, N]``; *outputs* is C. *weights* names the quantiser of *bits* bits (`weights`).
    """

    def __init__(self, inputs: int, outputs: int, bits: int = 1,
                 weights: str = "standardised") -> None:
        super().__init__((outputs, inputs), bits, weights)

    def forward(self, x: Tensor) -> Current:
        inputs = self.weight.shape[1]
        self._check(x, f"..., {inputs}", -1, inputs)
        values = F.linear(x, self.integers())
        flat, gain, bias = self._normalised(values.flatten(0, -2))
        return Current(flat.view_as(values), gain, bias)


class QConv2d(WeightLayer):
    """A convolution, ``[..., C_in, H, W]`` -> a `Current` ``[..., C, H', W']``; padding is zeros.

    ``I[c, y, x] = Σ_{i,dy,dx} w[c, i, dy, dx] · X[i, y·s + dy - p, x·s + dx - p]``, exact, then
    batch norm per channel, over all steps, samples and positions, as in `QDense`; for a neuron
    behind it x is ``[T or 1, B, C_in, H, W]``. *kernel*, *stride* s and *padding* p count pixels,
    one number for both ways or (down, across); each of *groups* groups of channels sees its own
    inputs alone.

    *residual* adds the input to its own current, ``I[c] + g_c · X[c]``, g a learnt integer of 8
    bits per channel; one batch norm for the sum. *pool* then pools the integers, before the batch
    norm: the neuron's input is what is normalised.
    """

    SKIP_BITS = 8
    SKIP_LIMIT = (1 << SKIP_BITS - 1) - 1

    def __init__(self, inputs: int, outputs: int, kernel: Pair, stride: Pair = 1,
                 padding: Pair = 0, groups: int = 1, bits: int = 1, weights: str = "standardised",
                 residual: bool = False, pool: MaxPool | SumPool | None = None) -> None:
        kernel, self.stride, self.padding = both(kernel), both(stride), both(padding)
        super().__init__((outputs, inputs // groups, *kernel), bits, weights)
        self.groups, self.pool = groups, pool
        self.skip: nn.Parameter | None = None
        if residual:
            same = tuple(2 * p + 1 for p in self.padding) == kernel
            if (inputs, self.stride) != (outputs, (1, 1)) or not same:
                raise ModelsError("a residual convolution must keep its input's shape (stride 1, "
                                  "padding k // 2, k odd, as many outputs as inputs), not "
                                  f"{(inputs, outputs, kernel, self.stride, self.padding)!r}")
            self.skip = nn.Parameter(torch.ones(outputs))
            self.skip_start = self._skip_start()

    def forward(self, x: Tensor) -> Current:
        inputs = self.weight.shape[1] * self.groups
        self._check(x, f"..., {inputs}, H, W", -3, inputs)
        return self._current(x)

    def _current(self, x: Tensor) -> Current:
        weight = self._with_skip(self.integers()).contiguous(memory_format=torch.channels_last)
        flat = x.flatten(0, -4).contiguous(memory_format=torch.channels_last)
        values = F.conv2d(flat, weight, None, self.stride, self.padding, 1, self.groups)
        values = (self.pool.pooled(values) if self.pool else values).movedim(1, -1)
        normal, gain, bias = self._normalised(values.flatten(0, -2))
        images = normal.view(*x.shape[:-3], *values.shape[1:]).movedim(-1, -3)
        return Current(images, gain, bias)

    def skip_gain(self) -> Tensor | None:
        """g ``[C]``, flipped where γ < 0; None without a residual."""
        if self.skip is None:
            return None
        limit = float(self.SKIP_LIMIT)
        return self.flipped(round_ste((self.skip * self.skip_start).clamp(-limit, limit)))

    def _with_skip(self, weight: Tensor) -> Tensor:
        """A residual is a weight more at the kernel's centre, from a channel to itself."""
        gain = self.skip_gain()
        if gain is None:
            return weight
        channel = torch.arange(len(gain), device=gain.device)
        centre = (torch.full_like(channel, size // 2) for size in weight.shape[2:])
        place = (channel, channel % weight.shape[1], *centre)
        return weight.index_put(place, gain, accumulate=True)

    @torch.no_grad()
    def _skip_start(self) -> float:
        """About the deviation of a current of spikes: half the root of its weights' squares."""
        size = self.quantizer(self.weight.flatten(1)).square().sum(1).mean().sqrt()
        return max(1.0, min(float(size) / 2, self.SKIP_LIMIT))


class QConv1d(QConv2d):
    """A convolution along a line, ``[..., C_in, L]`` -> a `Current` ``[..., C, L']``: `QConv2d` of
    images one pixel high, as which it is compiled; its weights are ``[C, C_in / groups, 1, k]``, a
    pool's kernel (1, k)."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, padding: int = 0,
                 groups: int = 1, bits: int = 1, weights: str = "standardised",
                 residual: bool = False, pool: MaxPool | SumPool | None = None) -> None:
        if pool is not None and pool.kernel[0] != 1:
            raise ModelsError(f"the pool of a QConv1d must have a kernel (1, k), not "
                              f"{pool.kernel!r}")
        super().__init__(inputs, outputs, (1, kernel), (1, stride), (0, padding), groups, bits,
                         weights, residual, pool)

    def forward(self, x: Tensor) -> Current:
        inputs = self.weight.shape[1] * self.groups
        self._check(x, f"..., {inputs}, L", -2, inputs)
        current = self._current(x.unsqueeze(-2))
        return replace(current, values=current.values.squeeze(-2))


class QRecurrent(WeightLayer):
    """A fully connected layer with its neurons, which also read their own spikes of the step
    before: ``[T or 1, B, N]`` -> `Fired` ``[T, B, C]``. Use it as `torch.nn.RNN`.

    ``I[c](t) = Σ_i w[c, i] · x[i](t) + Σ_j r[c, j] · s[j](t - 1)``, exact, one batch norm for the
    sum. A step's statistics depend on the steps before, so training normalises with the running
    ones (of the input's part at the very first batch), and updates them after each batch.
    """

    started: Tensor

    def __init__(self, inputs: int, outputs: int, neuron: LIF, bits: int = 1,
                 weights: str = "standardised") -> None:
        super().__init__((outputs, inputs), bits, weights)
        self.neuron = neuron
        self.recurrent = nn.Parameter(torch.randn(outputs, outputs) / outputs ** 0.5)
        self.recurrent_quantizer = weight_quantizer(weights, bits)
        self.register_buffer("started", torch.zeros((), dtype=torch.bool))

    def feedback(self) -> Tensor:
        """The integer recurrent weights ``[C, C]``, flipped where γ < 0."""
        return self.flipped(self.recurrent_quantizer(self.recurrent))

    @overload
    def forward(self, x: Tensor, steps: int | None = None, *,
                statistics: Literal[False] = False) -> Tensor: ...

    @overload
    def forward(self, x: Tensor, steps: int | None = None, *,
                statistics: Literal[True]) -> Fired: ...

    def forward(self, x: Tensor, steps: int | None = None, *, statistics: bool = False
                ) -> Tensor | Fired:
        """As `LIF.forward`."""
        values = self._sums(x.flatten(2) if x.ndim > 3 else x, "T or 1, B")
        if self.training and not self.started:
            self._start(values.detach())
        gain, bias = self._gain_and_bias(self.mean.clone(), self.var.clone())
        feedback = self.feedback()
        fired: Fired = self.neuron(Current(values, gain, bias), steps, feedback, statistics=True)
        if self.training:
            self._observe(values.detach(), fired.spikes.detach(), feedback.detach())
        return fired if statistics else fired.spikes

    def step(self, x: Tensor, state: tuple[Tensor, Tensor] | None = None
             ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """The spikes ``[B, C]`` of one step's *x* ``[B, N]``, and the state after it: membranes as
        in `LIF.step`, and these spikes. The statistics stay as they are."""
        values = self._sums(x, "B")
        if state is not None:
            values = values + F.linear(state[1], self.feedback())
        current = Current(values, *self.units())
        spikes, stored = self.neuron.step(current, None if state is None else state[0])
        return spikes, (stored, spikes)

    def _sums(self, x: Tensor, form: str) -> Tensor:
        inputs = self.weight.shape[1]
        self._check(x, f"{form}, {inputs}", -1, inputs)
        return F.linear(x, self.integers())

    def _start(self, values: Tensor) -> None:
        var, mean = torch.var_mean(values.flatten(0, -2), 0, correction=0)
        self.mean.copy_(mean)
        self.var.copy_(var)
        self.started.fill_(True)

    def _observe(self, values: Tensor, spikes: Tensor, feedback: Tensor) -> None:
        sums = F.linear(spikes, feedback).roll(1, 0)
        sums[0] = 0
        _, mean, var = moments((sums + values).flatten(0, -2))
        self._follow(mean, var)
