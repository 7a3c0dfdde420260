"""A dense Q-SNN: layers of QDense and LIF run for T steps, and a readout."""

from dataclasses import dataclass
from typing import Literal, TypeVar

import torch
from torch import Tensor, nn

from qsnn_models.errors import ModelsError
from qsnn_models.layers import LIF, Current, QDense
from qsnn_models.quantizers import round_ste


@dataclass(frozen=True)
class NetworkConfig:
    """A dense network: ``sizes`` are inputs, hidden layers and classes.

    ``weight_bits`` is one width or one a layer. ``decay`` is (m, q): m / 2^q. Direct-coded input is
    ``[N, sizes[0]]``, unsigned of ``input_bits`` bits; spike input ``[N, T, sizes[0]]``.
    """

    name: str
    sizes: tuple[int, ...]
    steps: int = 4
    weight_bits: int | tuple[int, ...] = 1
    membrane_bits: int = 4
    coding: Literal["direct", "spikes"] = "direct"
    input_bits: int = 8
    input_scale: float = 1 / 255
    reset: Literal["hard", "soft"] = "hard"
    decay: tuple[int, int] = (1, 1)
    readout: Literal["count", "potential"] = "potential"

    def __post_init__(self) -> None:
        if len(self.sizes) < 2 or min(self.sizes) < 1:
            raise ModelsError(f"sizes must be at least inputs and classes, not {self.sizes!r}")
        if self.steps < 1:
            raise ModelsError(f"steps must be at least 1, not {self.steps!r}")
        for name, allowed in (("coding", ("direct", "spikes")), ("reset", ("hard", "soft")),
                              ("readout", ("count", "potential"))):
            if getattr(self, name) not in allowed:
                raise ModelsError(f"{name} must be {' or '.join(allowed)}, "
                                  f"not {getattr(self, name)!r}")
        widths = (1,) if self.coding == "spikes" else (4, 8)
        if self.input_bits not in widths:
            raise ModelsError(f"input bits must be {' or '.join(map(str, widths))} for "
                              f"{self.coding} coding, not {self.input_bits!r}")
        m, q = self.decay
        if not (0 <= q <= 8 and 0 < m <= 2 ** q):
            raise ModelsError(f"decay must be (m, q) with 0 < m <= 2^q, not {self.decay!r}")
        if len(self.widths) != self.layers:
            raise ModelsError(f"weight bits must be one width or {self.layers}, "
                              f"not {self.weight_bits!r}")

    @property
    def layers(self) -> int:
        """Weight layers, the readout's included."""
        return len(self.sizes) - 1

    @property
    def widths(self) -> tuple[int, ...]:
        """The weight width of each layer."""
        if isinstance(self.weight_bits, int):
            return (self.weight_bits,) * self.layers
        return tuple(self.weight_bits)


@dataclass(frozen=True, eq=False)
class Output:
    """What a network says of a batch: real ``logits`` ``[B, classes]``; per spiking layer the mean
    firing rate and the share of stored membranes that sit at a limit, ``[layers]``."""

    logits: Tensor
    rates: Tensor
    saturation: Tensor


class PotentialReadout(nn.Module):
    """``score_c = g_c · Σ_t I_c + b_c``, g an integer of 8 bits (at most 127), b an integer.

    Classes are compared with each other, so the gain can't be divided away: the largest becomes
    127, which sets the unit of the scores.
    """

    LIMIT = 127

    def integers(self, current: Current) -> tuple[Tensor, Tensor, Tensor]:
        """g ``[C]``, b ``[C]`` and the unit that a score counts in (a scalar, detached)."""
        gain = current.gain.double()
        unit = gain.detach().max() / self.LIMIT
        return round_ste(gain / unit), round_ste(current.bias.double() / unit), unit

    def forward(self, current: Current) -> Tensor:
        """Real scores ``[B, C]`` for summed currents ``[B, C]``."""
        gain, bias, unit = (x.to(current.values.dtype) for x in self.integers(current))
        return (current.values * gain + bias) * unit


M = TypeVar("M", bound=nn.Module)


def only(kind: type[M], modules: nn.ModuleList) -> list[M]:
    """*modules*, all of which are of *kind*, as a typed list."""
    return [module for module in modules if isinstance(module, kind)]


class QSNN(nn.Module):
    """The trainable network of a `NetworkConfig`, in evaluation as its frozen integers will be.

    Layer by layer, not step by step: a direct-coded layer's currents are computed once, and a
    `potential` readout is one pass over spike counts, both exactly as in the IR's arithmetic.
    """

    COUNT_TEMPERATURE = 2.0     # logits of a spike count, in training only

    def __init__(self, config: NetworkConfig, dropout: float = 0.0) -> None:
        super().__init__()
        self.config, self.dropout = config, dropout
        pairs = zip(config.sizes, config.sizes[1:], config.widths, strict=False)
        self.dense = nn.ModuleList(QDense(n, c, bits) for n, c, bits in pairs)
        spiking = config.sizes[1:] if config.readout == "count" else config.sizes[1:-1]
        self.neurons = nn.ModuleList(
            LIF(c, config.membrane_bits, config.decay, config.reset) for c in spiking)
        self.readout = PotentialReadout()

    def forward(self, x: Tensor) -> Output:
        """*x*: ``[B, N]`` (direct) or ``[B, T, N]`` (spikes), integers in floats."""
        values = x.unsqueeze(0) if self.config.coding == "direct" else x.transpose(0, 1)
        rates, saturation = [], []
        for dense, neuron in zip(self.dense, self.neurons, strict=False):
            values, limits = neuron(dense(values), self.config.steps)
            rates.append(values.mean())
            saturation.append(limits)
            values = self._drop(values)
        empty = [values.new_zeros(())] if not rates else []
        return Output(self._scores(values), torch.stack(rates or empty),
                      torch.stack(saturation or empty))

    def _scores(self, values: Tensor) -> Tensor:
        if self.config.readout == "count":
            return values.sum(0) * self.COUNT_TEMPERATURE
        repeat = self.config.steps if len(values) == 1 else 1
        scores: Tensor = self.readout(self.dense[-1](values.sum(0) * repeat))
        return scores

    def _drop(self, spikes: Tensor) -> Tensor:
        """One mask for all steps of an image: a neuron is absent, not noisy."""
        if not self.training or self.dropout == 0:
            return spikes
        kept = torch.rand_like(spikes[0]) >= self.dropout
        return spikes * (kept / (1 - self.dropout))
