"""A trained network as integers: a module with integer buffers, and the IR graph of the same.

Every function here works on the parameters that training itself computed with
(`neurons.channel_units`), so freezing rounds nothing that evaluation had not rounded already.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from qsnn_compile.ir import Graph
from qsnn_models.errors import ExportError
from qsnn_models.layers.constant_trains import DEAD, constant_units
from qsnn_models.layers.integers import EXACT
from qsnn_models.layers.neurons import LIF, ChannelUnits, Current, channel_units
from qsnn_models.layers.weighted import QConv2d, QDense, QRecurrent
from qsnn_models.network.inputs import top_of
from qsnn_models.network.qsnn import QSNN, NetworkConfig, Spiking, stacked
from qsnn_models.network.settle import check, settle, weight_layers

from .freeze_graph import graph_of
from .frozen import FrozenConv2d, FrozenDense, FrozenLayer, FrozenLIF, FrozenPool


class FrozenNetwork(nn.Module):
    """A network whose buffers are all integers; see `freeze`."""

    gain: Tensor
    bias: Tensor

    def __init__(self, config: NetworkConfig, layers: Sequence[FrozenLayer],
                 classifier: FrozenDense | None, gain: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.config = config
        self.layers = nn.ModuleList(layers)
        self.classifier = classifier
        self.register_buffer("gain", gain.long())
        self.register_buffer("bias", bias.long())

    def forward(self, x: Tensor) -> Tensor:
        """Scores ``[N, classes]``, int64, for integers ``[N, *shape]`` (direct) or
        ``[N, T, *shape]``. Raises ModelsError where they are none in range."""
        return self.trace(x)[0]

    def trace(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The scores, and each spiking layer's spikes ``[T, N, C, ...]``."""
        steps, values = self.config.steps, stacked(self.config, x).long()
        spikes = []
        for layer in self.layers:
            values = layer(values, steps)
            spikes.append(values)
        if self.classifier is not None:
            values = self.classifier(values.flatten(2)).expand(steps, -1, -1)
        return values.sum(0) * self.gain + self.bias, spikes

    def graph(self) -> Graph:
        """The same network in the fixed-point IR: nodes conv1, pool1, lif1, dense2, …"""
        layers = [layer for layer in self.layers if isinstance(layer, FrozenLayer)]
        return graph_of(self.config, layers, self.classifier, self.gain, self.bias)


def freeze(model: QSNN, x: Tensor | None = None) -> FrozenNetwork:
    """The integers that *model* computes with in evaluation.

    With *x*, training inputs ``[N, ...]``, the batch statistics are first measured anew (`settle`),
    in *model* itself. `train` has done so; a loop of one's own must, or give *x*.

    - batch norm and gain: folded into θ, b and the sign of the weights, in channel units;
    - the membrane step: 2^k of that unit;
    - a channel whose gain is near zero becomes a constant train (`constant_units`);
    - a potential readout's gains: 8-bit integers.

    Raises ExportError where a quantiser has no integer form, with its reason, and naming the layer
    whose statistics are of other weights, that was trained on larger inputs, or that holds NaN.
    """
    if model.refusals():
        raise ExportError("; ".join(model.refusals()))
    if x is not None:
        settle(model, x)
    top = top_of(model.config)
    largest = top if len(model.blocks) else top * model.config.steps
    for name, weights in weight_layers(model).items():
        check(name, weights, largest)
        largest = model.config.steps        # of spikes and their counts
    layers: list[FrozenLayer] = []
    with torch.no_grad():
        for block in model.blocks:
            if isinstance(block, Spiking | QRecurrent):
                layers.append(freeze_layer(block, top))
            top = 1
        if model.classifier is None:
            one = torch.ones((), dtype=torch.int64)
            return FrozenNetwork(model.config, layers, None, one, one * 0)
        gain, bias, _ = model.readout.integers(*model.classifier.units())
        return FrozenNetwork(model.config, layers, _dense(model.classifier), gain, bias)


def freeze_layer(block: Spiking | QRecurrent, top: int) -> FrozenLayer:
    """A layer and its neurons in integers, for inputs of 0 to *top*. Raises ExportError where its
    statistics are of other weights: `settle` measures them anew; or where *top* is no such
    number."""
    if not isinstance(top, int) or not 1 <= top <= EXACT:
        raise ExportError(f"top must be an integer from 1 to {EXACT}, not {top!r}; give the "
                          "largest x of the layer, 1 for spikes")
    layer = block if isinstance(block, QRecurrent) else block.layer
    check(f"the {type(layer).__name__}", layer, top)
    with torch.no_grad():
        reach = _reach(layer, top)
        neuron = FrozenLIF(_units(layer, block.neuron, reach), block.neuron)
        if isinstance(layer, QConv2d):
            return FrozenLayer(_conv(layer), neuron, _skip(layer), _pool(layer))
        if isinstance(layer, QRecurrent):
            recurrent = FrozenDense(layer.feedback(), layer.recurrent_quantizer.bits)
            return FrozenLayer(_dense(layer), neuron, recurrent=recurrent)
        return FrozenLayer(_dense(layer), neuron)


def _dense(layer: QDense | QRecurrent) -> FrozenDense:
    return FrozenDense(layer.integers(), layer.quantizer.bits)


def _conv(layer: QConv2d) -> FrozenConv2d:
    return FrozenConv2d(layer.integers(), layer.quantizer.bits, layer.stride, layer.padding,
                        layer.groups)


def _skip(layer: QConv2d) -> FrozenConv2d | None:
    gain = layer.skip_gain()
    if gain is None:
        return None
    return FrozenConv2d(gain[:, None, None, None], layer.SKIP_BITS, groups=len(gain))


def _pool(layer: QConv2d) -> FrozenPool | None:
    return None if layer.pool is None else FrozenPool(layer.pool.kernel, layer.pool.sums)


def _reach(layer: QDense | QConv2d | QRecurrent, top: int) -> Tensor:
    """The largest magnitude of each channel's current ``[C]``, all of its terms together."""
    most = layer.integers().flatten(1).abs().sum(1).double() * top
    if isinstance(layer, QRecurrent):
        return most + layer.feedback().abs().sum(1)
    if isinstance(layer, QConv2d):
        gain = layer.skip_gain()
        most = most if gain is None else most + gain.abs() * top
        return most * math.prod(layer.pool.kernel) if layer.pool and layer.pool.sums else most
    return most


def _units(layer: QDense | QConv2d | QRecurrent, neuron: LIF, reach: Tensor) -> ChannelUnits:
    """Channel units, with constant trains where all of the current is worth less than `DEAD`."""
    gain, bias = layer.units()
    current = Current(gain, gain, bias)         # the values play no part
    units = channel_units(current, neuron)
    dead = gain * reach.clamp(min=1) < DEAD
    if not dead.any():
        return units
    fixed = constant_units(current, neuron, int(reach.max()))
    return ChannelUnits(*(torch.where(dead, getattr(fixed, name), getattr(units, name))
                          for name in vars(units)))
