"""The layers of a dense Q-SNN. Everything between them is an integer held in a float.

In training as in hardware a channel counts its current and its membrane in units of its own gain
``G = |γ / σ|``: batch norm is never multiplied out, it becomes a threshold, a bias and a sign.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from qsnn_models.membrane import Dynamics, run_membrane
from qsnn_models.quantizers import MembraneQuantizer, WeightQuantizer, floor_ste, round_ste

SNAP = 1e-6     # a threshold this close to an integer is that integer: exact ties are normal


@dataclass(frozen=True, eq=False)
class Current:
    """What a QDense hands on: ``values`` ``[..., C]`` (integers, sign already flipped where γ < 0),
    ``gain`` ``[C]`` > 0 (worth of one unit) and ``bias`` ``[C]`` (real, in units where θ = 1)."""

    values: Tensor
    gain: Tensor
    bias: Tensor


class QDense(nn.Module):
    """A fully connected layer with quantised weights and batch norm, ``[..., N]`` -> ``[..., C]``.

    ``I[c] = Σ_i w[c, i] · x[i]``, exact; then ``γ · (I - μ) / σ + β`` handed on as a `Current`,
    unmultiplied. x are integers (pixels, spikes, counts). Use it as `torch.nn.Linear`.
    """

    MOMENTUM = 0.1
    EPSILON = 1e-5          # of the variance, in units of the integer current
    GAIN_FLOOR = 1e-12      # keeps log2 and division finite on a dead channel

    def __init__(self, inputs: int, outputs: int, bits: int = 1) -> None:
        super().__init__()
        self.quantizer = WeightQuantizer(bits)
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / inputs ** 0.5)
        self.gamma = nn.Parameter(torch.ones(outputs))
        self.beta = nn.Parameter(torch.zeros(outputs))
        self.mean: Tensor
        self.var: Tensor
        self.register_buffer("mean", torch.zeros(outputs))
        self.register_buffer("var", torch.ones(outputs))

    def forward(self, x: Tensor) -> Current:
        values = F.linear(x, self._flipped())
        return self._in_channel_units(values, *self._statistics(values))

    def frozen(self) -> Current:
        """The weights in integers ``[C, N]`` as ``values``, flipped, beside gain and bias."""
        with torch.no_grad():
            return self._in_channel_units(self._flipped(), self.mean, self.var)

    def _flipped(self) -> Tensor:
        """Integer weights, their sign flipped where γ < 0: the current then has a gain > 0."""
        weight: Tensor = self.quantizer(self.weight)
        negative = self.gamma < 0
        return weight * torch.where(negative, -1.0, 1.0)[:, None] if negative.any() else weight

    def _in_channel_units(self, values: Tensor, mean: Tensor, var: Tensor) -> Current:
        """*mean* and *var* are those of the flipped current."""
        gain = self.gamma.abs() / (var + self.EPSILON).sqrt()
        return Current(values, gain.clamp(min=self.GAIN_FLOOR), self.beta - gain * mean)

    def _statistics(self, values: Tensor) -> tuple[Tensor, Tensor]:
        if not self.training:
            return self.mean, self.var
        rows = values.flatten(0, -2)
        mean = rows.mean(0)
        var = (rows - mean).square().mean(0)
        with torch.no_grad():
            self.mean.lerp_(mean, self.MOMENTUM)
            self.var.lerp_(var, self.MOMENTUM)
        return mean, var


@dataclass(frozen=True, eq=False)
class ChannelUnits:
    """A neuron's parameters ``[C]`` in channel units: integers in floats, differentiable."""

    bias: Tensor
    threshold: Tensor
    reset: Tensor
    shift: Tensor


def channel_units(current: Current, membrane: MembraneQuantizer) -> ChannelUnits:
    """θ = 1 and the bias counted in units of the gain, rounded to integers.

    ``b_c = round(b / G)``; ``θ_c = ceil(1/G + b_c - b/G)``, so that rounding b moves no first
    spike (snapped to the nearest integer within 1e-6 before ceil); ``ρ_c = round(1/G)``.
    """
    unit = current.gain.double()
    real = current.bias.double() / unit
    bias = round_ste(real)
    threshold = 1 / unit + bias - real
    snapped = torch.floor(threshold.detach() + 0.5)
    near = (threshold.detach() - snapped).abs() < SNAP
    threshold = threshold + torch.where(near, snapped - threshold.detach(), 0.0)
    ceil = -floor_ste(-threshold)
    return ChannelUnits(bias, ceil, round_ste(1 / unit), membrane.shift(unit))


class LIF(nn.Module):
    """A leaky integrate-and-fire layer with a quantised membrane, currents -> spikes.

    In channel units, one step (`qsnn_compile.ir.Neuron`, f = 0)::

        v  = floor(u · 2^k · m / 2^q) + I + b
        s  = [v >= θ]
        v' = 0 (hard) | v - ρ (soft)         where s = 1
        u' = clip(floor((v' + 2^(k-1)) / 2^k), -2^(U-1), 2^(U-1) - 1)

    u starts at 0. The reset is detached from the gradient; the spike's surrogate is arctan's.
    """

    def __init__(self, channels: int, bits: int = 4, decay: tuple[int, int] = (1, 1),
                 reset: str = "hard") -> None:
        super().__init__()
        self.membrane = MembraneQuantizer(bits, channels)
        self.decay, self.reset = decay, reset

    def forward(self, current: Current, steps: int) -> tuple[Tensor, Tensor]:
        """Spikes ``[T, B, C]`` and the share of stored membranes at a limit (a scalar).

        Currents are ``[T, B, C]``, or ``[1, B, C]`` when they are the same at every step.
        """
        units = channel_units(current, self.membrane)
        bias, threshold, reset, shift = (
            x.to(current.values.dtype)
            for x in (units.bias, units.threshold, units.reset, units.shift))
        dynamics = Dynamics(self.decay[0] / 2 ** self.decay[1], self.membrane.low,
                            self.membrane.high, self.reset == "hard")
        return run_membrane(current.values + bias, current.gain, threshold, reset,
                            torch.exp2(shift), dynamics, steps)
