"""Layers in integers: modules whose buffers are int64, one a trainable layer, see `freeze`."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from qsnn_models.layers.integers import EXACT, integral
from qsnn_models.layers.neurons import LIF, ChannelUnits


class FrozenDense(nn.Module):
    """``I[c] = Σ_i w[c, i] · x[i]`` in integers; int64 ``[..., N]`` -> int64 ``[..., C]``."""

    weight: Tensor

    def __init__(self, weight: Tensor, bits: int) -> None:
        super().__init__()
        self.bits = bits
        self.register_buffer("weight", weight.long())

    def forward(self, x: Tensor) -> Tensor:
        # torch has no fast integer product; below 2^53 a double sum is exact
        return (x.double() @ self.weight.double().T).long()


class FrozenConv2d(nn.Module):
    """``I[c, y, x] = Σ_{i,dy,dx} w[c, i, dy, dx] · X[i, y·s + dy - p, x·s + dx - p]``, 0 outside;
    int64 ``[..., C_in, H, W]`` -> int64 ``[..., C, H', W']``."""

    weight: Tensor

    def __init__(self, weight: Tensor, bits: int, stride: tuple[int, int] = (1, 1),
                 padding: tuple[int, int] = (0, 0), groups: int = 1) -> None:
        super().__init__()
        self.bits, self.stride, self.padding, self.groups = bits, stride, padding, groups
        self.register_buffer("weight", weight.long())

    def forward(self, x: Tensor) -> Tensor:
        flat = x.double().flatten(0, -4)        # exact, as in FrozenDense
        sums = F.conv2d(flat, self.weight.double(), None, self.stride, self.padding, 1,
                         self.groups)
        return sums.long().view(*x.shape[:-3], *sums.shape[1:])


class FrozenPool(nn.Module):
    """The largest or the sum of each window of *kernel*, side by side, of ``[..., C, H, W]``."""

    def __init__(self, kernel: tuple[int, int], sums: bool) -> None:
        super().__init__()
        self.kernel, self.sums = kernel, sums

    def forward(self, x: Tensor) -> Tensor:
        down, across = self.kernel
        windows = x.unfold(-2, down, down).unfold(-2, across, across)
        return windows.sum((-2, -1)) if self.sums else windows.amax((-2, -1))


class FrozenLIF(nn.Module):
    """`qsnn_compile.ir.Neuron` with f = 0, in int64, parameters ``[C]``::

        v  = floor(u · 2^k · m / 2^q) + I + b
        s  = [v >= θ]
        v' = r (hard) | v - ρ (soft)         where s = 1
        u' = clip(floor((v' + 2^(k-1)) / 2^k), -2^(U-1), 2^(U-1) - 1)

    u starts at u0. A membrane that carries nothing has m = 0, and 2 bits that never matter.
    """

    bias: Tensor
    threshold: Tensor
    reset_value: Tensor
    step_shift: Tensor
    decay: Tensor
    initial: Tensor

    def __init__(self, units: ChannelUnits, neuron: LIF) -> None:
        super().__init__()
        self.bits, self.decay_shift = neuron.membrane.bits or 2, neuron.q
        self.reset, self.carries = neuron.reset, neuron.membrane.bits > 0
        for name, value in (("bias", units.bias), ("threshold", units.threshold),
                            ("reset_value", units.reset), ("step_shift", units.shift),
                            ("decay", units.decay), ("initial", units.initial)):
            self.register_buffer(name, value.detach().long())

    def start(self, current: Tensor) -> Tensor:
        """u0 for currents ``[N, C, ...]`` of one step."""
        return _over(self.initial, current).expand_as(current)

    def step(self, current: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        """The spikes and the stored membrane of one step, each ``[N, C, ...]``."""
        k, m, bias, threshold, reset = (_over(x, current) for x in (
            self.step_shift, self.decay, self.bias, self.threshold, self.reset_value))
        v = ((u << k) * m >> self.decay_shift) + current + bias
        s = (v >= threshold).long()
        v = torch.where(s == 1, reset, v) if self.reset == "hard" else v - s * reset
        u = (v + ((1 << k) >> 1)) >> k
        return s, u.clamp(-(1 << self.bits - 1), (1 << self.bits - 1) - 1)


def _over(parameter: Tensor, current: Tensor) -> Tensor:
    """``[C]`` so that it broadcasts over ``[N, C, ...]``."""
    return parameter.view(-1, *[1] * (current.ndim - 2))


class FrozenLayer(nn.Module):
    """A weight layer and its neurons in integers; the parts that a layer lacks are None.

    ``I = w · x + g · x + r · s(t - 1)``, pooled; then `FrozenLIF`. *skip* is g as a convolution
    1 x 1 of 8 bits, a channel at a time; *recurrent* is r.
    """

    def __init__(self, weights: FrozenDense | FrozenConv2d, neuron: FrozenLIF,
                 skip: FrozenConv2d | None = None, pool: FrozenPool | None = None,
                 recurrent: FrozenDense | None = None) -> None:
        super().__init__()
        self.weights, self.neuron, self.skip = weights, neuron, skip
        self.pool, self.recurrent = pool, recurrent

    def forward(self, x: Tensor, steps: int) -> Tensor:
        """Spikes ``[T, N, C, ...]`` for ``[T, N, ...]``, or ``[1, N, ...]`` if always the same."""
        integral("the inputs of a frozen layer", x, EXACT)
        currents = self._currents(x.long())
        currents = currents.expand(steps, *currents.shape[1:])
        u, spikes = self.neuron.start(currents[0]), [torch.zeros_like(currents[0])]
        for now in currents:
            own = 0 if self.recurrent is None else self.recurrent(spikes[-1])
            s, u = self.neuron.step(now + own, u)
            spikes.append(s)
        return torch.stack(spikes[1:])

    def _currents(self, x: Tensor) -> Tensor:
        flat = x.flatten(2) if isinstance(self.weights, FrozenDense) else x
        current: Tensor = self.weights(flat)
        if self.skip is not None:
            current = current + self.skip(flat)
        return current if self.pool is None else self.pool(current)
