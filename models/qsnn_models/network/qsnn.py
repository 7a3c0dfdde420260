"""A Q-SNN: weight layers and neurons run for T steps, and a readout."""

from dataclasses import dataclass, replace
from typing import Literal, TypeVar, overload

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from qsnn_models.layers.integers import integral
from qsnn_models.layers.membranes import MembraneQuantizer
from qsnn_models.layers.neurons import LIF, Current, Fired
from qsnn_models.layers.pooling import MaxPool, SumPool
from qsnn_models.layers.rounding import round_ste
from qsnn_models.layers.weighted import QConv1d, QConv2d, QDense, QRecurrent
from qsnn_models.layers.weights import WeightQuantizer, progress

from .config import NetworkConfig
from .inputs import shaped, top_of
from .notation import ConvLayer, Layer

__all__ = ["MEASURED", "QSNN", "NetworkConfig", "Output", "PotentialReadout", "Spiking",
           "logits_of", "only"]

MEASURED = 500      # samples at once: frames of images take much memory


@dataclass(frozen=True, eq=False)
class Output:
    """What a network says of a batch: real ``logits`` ``[B, classes]``; per spiking layer the mean
    firing rate and the share of stored membranes that sit at a limit, ``[layers]``. ``each``: the
    logits of every step for itself, ``[T or 1, B, classes]``, whose mean they are, if asked for."""

    logits: Tensor
    rates: Tensor
    saturation: Tensor
    each: Tensor | None = None


class PotentialReadout(nn.Module):
    """``score_c = g_c · Σ_t I_c + b_c``, g an integer of 8 bits (at most 127), b an integer.

    Classes are compared with each other, so the gain can't be divided away: the largest becomes
    127, which sets the unit of the scores.
    """

    LIMIT = 127

    def integers(self, gain: Tensor, bias: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """g ``[C]``, b ``[C]`` and the unit that a score counts in (a scalar, detached)."""
        gain = gain.double()
        unit = gain.detach().max() / self.LIMIT
        return round_ste(gain / unit), round_ste(bias.double() / unit), unit

    def forward(self, current: Current) -> Tensor:
        """Real scores ``[B, C]`` for summed currents ``[B, C]``."""
        gain, bias, unit = (x.to(current.values.dtype)
                            for x in self.integers(current.gain, current.bias))
        return (current.values * gain + bias) * unit


class Spiking(nn.Module):
    """A weight layer and its neurons: ``[T or 1, B, ...]`` -> what `LIF.forward` answers. A QConv1d
    reads and answers images ``[.., C, 1, L]``."""

    def __init__(self, layer: QDense | QConv2d, neuron: LIF) -> None:
        super().__init__()
        self.layer, self.neuron = layer, neuron

    @overload
    def forward(self, x: Tensor, steps: int | None = None, *,
                statistics: Literal[False] = False) -> Tensor: ...

    @overload
    def forward(self, x: Tensor, steps: int | None = None, *,
                statistics: Literal[True]) -> Fired: ...

    def forward(self, x: Tensor, steps: int | None = None, *, statistics: bool = False
                ) -> Tensor | Fired:
        line = isinstance(self.layer, QConv1d)
        current = self.layer(x.flatten(2) if isinstance(self.layer, QDense) else
                             x.squeeze(-2) if line else x)
        fired: Fired = self.neuron(current, steps, statistics=True)
        fired = fired._replace(spikes=fired.spikes.unsqueeze(-2)) if line else fired
        return fired if statistics else fired.spikes


M = TypeVar("M", bound=nn.Module)


def only(kind: type[M], modules: nn.ModuleList) -> list[M]:
    """*modules*, all of which are of *kind*, as a typed list."""
    return [module for module in modules if isinstance(module, kind)]


class QSNN(nn.Module):
    """The trainable network of a `NetworkConfig`, in evaluation as its frozen integers will be.

    Layer by layer, not step by step: a direct-coded layer's currents are computed once, a
    convolution runs all steps as one batch, and a `potential` readout is one pass over spike
    counts, all exactly as in the IR's arithmetic.
    """

    COUNT_TEMPERATURE = 2.0     # logits of a spike count, in training only

    def __init__(self, config: NetworkConfig, dropout: float = 0.0) -> None:
        super().__init__()
        self.config, self.dropout = config, dropout
        layers = config.structure.layers
        potential = config.readout == "potential"
        spiking = layers[:-1] if potential else layers
        self.blocks = nn.ModuleList(_block(config, layer, bits) for layer, bits in
                                    zip(spiking, config.widths, strict=False))
        self.classifier: QDense | None = None
        if potential:
            last = layers[-1]
            self.classifier = QDense(last.inputs, last.outputs, config.widths[-1], config.weights)
        self.readout = PotentialReadout()
        self.tells_each = False         # whether `Output.each` is wanted

    @property
    def neurons(self) -> list[LIF]:
        """The neurons of each spiking layer."""
        return [block.neuron for block in self.blocks
                if isinstance(block, Spiking | QRecurrent)]

    def refusals(self) -> list[str]:
        """Why the network has no integer form: nothing where it has one."""
        reasons = [module.refusal for module in self.modules()
                 if isinstance(module, WeightQuantizer | MembraneQuantizer)]
        return sorted({reason for reason in reasons if reason})

    def progress(self, share: float) -> None:
        """*share* (0 to 1) of the training is done: schedules of the quantisers go on."""
        progress(self, share)

    def forward(self, x: Tensor) -> Output:
        """*x*: ``[B, *shape]`` (direct) or ``[B, T, *shape]`` (spikes), integers in floats; the
        shape may be flat. Raises ModelsError where *x* is of another shape or is no integers."""
        values = stacked(self.config, x)
        fired = list[Fired]()
        for block in self.blocks:
            fired.append(block(values, self.config.steps, statistics=True))
            values = self._drop(fired[-1].spikes)
        nothing = values.new_zeros(0)
        logits, each = self._scores(values)
        return Output(logits,
                      torch.stack([layer.rate for layer in fired]) if fired else nothing,
                      torch.stack([layer.saturation for layer in fired]) if fired else nothing,
                      each)

    def _scores(self, values: Tensor) -> tuple[Tensor, Tensor | None]:
        steps = self.config.steps
        total = values.sum(0) * (steps if len(values) == 1 else 1)
        if self.classifier is None:
            return (total * self.COUNT_TEMPERATURE,
                    values * steps * self.COUNT_TEMPERATURE if self.tells_each else None)
        current = self.classifier(total.flatten(1))
        if not self.tells_each:
            return self.readout(current), None
        own = F.linear(values.flatten(2) * steps, self.classifier.integers())
        return self.readout(current), self.readout(replace(current, values=own))

    def _drop(self, spikes: Tensor) -> Tensor:
        """One mask for all steps of an image: a neuron is absent, not noisy."""
        if not self.training or self.dropout == 0:
            return spikes
        kept = torch.rand_like(spikes[0]) >= self.dropout
        return spikes * (kept / (1 - self.dropout))


def stacked(config: NetworkConfig, x: Tensor) -> Tensor:
    """Inputs ``[B, ...]`` as ``[T or 1, B, *shape]``, checked (`inputs`)."""
    shape = config.structure.shape
    shaped(config, tuple(x.shape))
    integral("x", x, top_of(config), f"input_bits is {config.input_bits}")
    if config.coding == "direct":
        return x.reshape(1, len(x), *shape)
    return x.reshape(len(x), config.steps, *shape).transpose(0, 1)


def _block(config: NetworkConfig, layer: Layer, bits: int) -> Spiking | QRecurrent:
    neuron = LIF(layer.outputs, config.membrane_bits, config.decay, config.reset, config.membrane,
                 config.learn_decay)
    if isinstance(layer, ConvLayer):
        return Spiking(_conv(config, layer, bits), neuron)
    if layer.recurrent:
        return QRecurrent(layer.inputs, layer.outputs, neuron, bits, config.weights)
    return Spiking(QDense(layer.inputs, layer.outputs, bits, config.weights), neuron)


def _conv(config: NetworkConfig, layer: ConvLayer, bits: int) -> QConv2d:
    pool: MaxPool | SumPool | None = None
    if layer.pool:
        pool = (MaxPool if layer.pool.kind == "max" else SumPool)(layer.pool.kernel)
    return QConv2d(layer.inputs, layer.outputs, layer.kernel, layer.stride, layer.padding,
                   layer.groups, bits, config.weights, layer.residual, pool)


def logits_of(model: nn.Module, x: Tensor) -> Tensor:
    """The logits ``[N, classes]`` of *model*'s `Output` for inputs *x* ``[N, ...]``, a few samples
    at a time and without gradients; in evaluation or not, as *model* is."""
    with torch.no_grad():
        parts = [model(x[at:at + MEASURED].float()).logits for at in range(0, len(x), MEASURED)]
    return torch.cat(parts)
