"""What a network is and where it is trained, told before the training starts."""

from math import prod

import torch

from qsnn_models.layers.weighted import QConv2d, QRecurrent, WeightLayer
from qsnn_models.network.device import device_of
from qsnn_models.network.qsnn import QSNN, NetworkConfig

from .train_config import TrainConfig

Parts = list[tuple[int, int]]       # how many, of how many bits


def described(network: NetworkConfig, config: TrainConfig) -> list[str]:
    """Lines on the device, the parameters, and the memory on a chip: weights and stored membranes
    in bits."""
    with torch.random.fork_rng(devices=()):
        model = QSNN(network)
    total = sum(parameter.numel() for parameter in model.parameters())
    return [
        f"{network.name}: {network.layers}, {network.steps} steps, on {config.data}",
        f"device {_device(config)}; {total:,} parameters",
        f"weights {_sum(weight_parts(model))}; membranes {_sum(membrane_parts(model))}",
    ]


def weight_parts(model: QSNN) -> Parts:
    """The weights of each layer, in order, and their width."""
    parts = []
    for layer in model.modules():
        if isinstance(layer, WeightLayer):
            parts.append((layer.weight.numel(), layer.quantizer.bits))
        if isinstance(layer, QRecurrent):
            parts.append((layer.recurrent.numel(), layer.recurrent_quantizer.bits))
        if isinstance(layer, QConv2d) and layer.skip is not None:
            parts.append((layer.skip.numel(), layer.SKIP_BITS))
    return parts


def membrane_parts(model: QSNN) -> Parts:
    """The neurons of each spiking layer and the width of their stored membrane."""
    return [(prod(layer.shape), neuron.membrane.bits) for layer, neuron in
            zip(model.config.structure.layers, model.neurons, strict=False)]


def _device(config: TrainConfig) -> str:
    device = device_of(config.device)
    if device.type == "cuda":
        amp = "float32" if config.amp == "off" else config.amp
        return f"{torch.cuda.get_device_name(device)}, {amp}"
    return f"CPU, {config.threads} thread{'s' * (config.threads > 1)}"


def _sum(parts: Parts) -> str:
    """``1,000 of 1 bit + 10 of 8 bits = 1,080 bits``, parts of one width together."""
    widths: dict[int, int] = {}
    for count, bits in parts:
        widths[bits] = widths.get(bits, 0) + count
    listed = " + ".join(f"{count:,} of {bits} bit{'s' * (bits != 1)}"
                        for bits, count in widths.items())
    return f"{listed or 'none'} = {sum(n * bits for bits, n in widths.items()):,} bits"
