"""Weight layers: integer weights, exact integer sums, and a batch norm that is handed on as a gain
and a bias, unmultiplied. Use them as `torch.nn.Linear` and `torch.nn.Conv2d`."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from qsnn_models.errors import ModelsError
from qsnn_models.layers.integers import EXACT, integral

from .moments import moments
from .neurons import LIF, Current, Fired
from .pooling import MaxPool, SumPool
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
    the same both ways; each of *groups* groups of channels sees its own inputs alone.

    *residual* adds the input to its own current, ``I[c] + g_c · X[c]``, g a learnt integer of 8
    bits per channel; one batch norm for the sum. *pool* then pools the integers, before the batch
    norm: the neuron's input is what is normalised.
    """

    SKIP_BITS = 8
    SKIP_LIMIT = (1 << SKIP_BITS - 1) - 1

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, padding: int = 0,
                 groups: int = 1, bits: int = 1, weights: str = "standardised",
                 residual: bool = False, pool: MaxPool | SumPool | None = None) -> None:
        super().__init__((outputs, inputs // groups, kernel, kernel), bits, weights)
        self.stride, self.padding, self.groups, self.pool = stride, padding, groups, pool
        self.skip: nn.Parameter | None = None
        if residual:
            if (inputs, stride, 2 * padding + 1) != (outputs, 1, kernel):
                raise ModelsError("a residual convolution must keep its input's shape (stride 1, "
                                  "padding k // 2, k odd, as many outputs as inputs), not "
                                  f"{(inputs, outputs, kernel, stride, padding)!r}")
            self.skip = nn.Parameter(torch.ones(outputs))
            self.skip_start = self._skip_start()

    def forward(self, x: Tensor) -> Current:
        inputs = self.weight.shape[1] * self.groups
        self._check(x, f"..., {inputs}, H, W", -3, inputs)
        weight = self._with_skip(self.integers()).contiguous(memory_format=torch.channels_last)
        flat = x.flatten(0, -4).contiguous(memory_format=torch.channels_last)
        values = F.conv2d(flat, weight, None, self.stride, self.padding, 1, self.groups)
        values = (self.pool.pooled(values) if self.pool else values).movedim(1, -1)
        normal, gain, bias = self._normalised(values.flatten(0, -2))
        found = normal.view(*x.shape[:-3], *values.shape[1:]).movedim(-1, -3)
        return Current(found, gain, bias)

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
        depth, centre = weight.shape[1], weight.shape[2] // 2
        channel = torch.arange(len(gain), device=gain.device)
        place = (channel, channel % depth, torch.full_like(channel, centre),
                 torch.full_like(channel, centre))
        return weight.index_put(place, gain, accumulate=True)

    @torch.no_grad()
    def _skip_start(self) -> float:
        """About the deviation of a current of spikes: half the root of its weights' squares."""
        size = self.quantizer(self.weight.flatten(1)).square().sum(1).mean().sqrt()
        return max(1.0, min(float(size) / 2, self.SKIP_LIMIT))


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

    def forward(self, x: Tensor, steps: int) -> Fired:
        inputs = self.weight.shape[1]
        x = x.flatten(2) if x.ndim > 3 else x
        self._check(x, f"T or 1, B, {inputs}", -1, inputs)
        values = F.linear(x, self.integers())
        if self.training and not self.started:
            self._start(values.detach())
        gain, bias = self._gain_and_bias(self.mean.clone(), self.var.clone())
        feedback = self.feedback()
        fired: Fired = self.neuron(Current(values, gain, bias), steps, feedback)
        if self.training:
            self._observe(values.detach(), fired.spikes.detach(), feedback.detach())
        return fired

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
