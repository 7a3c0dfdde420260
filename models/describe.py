"""What a network is and where it is trained, told before the training starts."""

from dataclasses import asdict
from math import prod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from qsnn_models.device import device_of
from qsnn_models.network import QSNN, NetworkConfig
from qsnn_models.train_config import TrainConfig


def described(network: NetworkConfig, config: TrainConfig, x: NDArray[np.uint8]) -> list[str]:
    """Lines on the device, the parameters, and the memory on a chip: weights and stored membranes
    in bits. *x* ``[1, ...]`` is one input."""
    with torch.random.fork_rng(devices=()):
        model = QSNN(network)
    weights = [(int(parameter.numel()), _bits(owner))
               for owner, parameter in _weights(model)]
    neurons = _neurons(model, torch.from_numpy(np.array(x)).float())
    total = sum(parameter.numel() for parameter in model.parameters())
    return [
        f"{network.name}: {_shape(network)}, {network.steps} steps, on {config.data}",
        f"device {_device(config)}; {total:,} parameters",
        f"weights {_sum(weights)}; membranes {_sum([(n, network.membrane_bits) for n in neurons])}",
    ]


def _shape(network: NetworkConfig) -> str:
    fields = asdict(network)
    sizes = fields.get("sizes")
    return "-".join(map(str, sizes)) if sizes else str(fields["layers"])


def _device(config: TrainConfig) -> str:
    device = device_of(config.device)
    if device.type == "cuda":
        amp = "float32" if config.amp == "off" else config.amp
        return f"{torch.cuda.get_device_name(device)}, {amp}"
    return f"CPU, {config.threads} thread{'s' * (config.threads > 1)}"


def _weights(model: QSNN) -> list[tuple[nn.Module, nn.Parameter]]:
    """The quantised latent weights, and the layers they belong to."""
    return [(module, module.weight) for module in model.modules()
            if hasattr(module, "quantizer") and isinstance(module.weight, nn.Parameter)]


def _bits(layer: Any) -> int:
    return int(layer.quantizer.bits)


def _neurons(model: QSNN, x: torch.Tensor) -> list[int]:
    """Neurons of each spiking layer: what it fires, of one sample and step."""
    found: list[int] = []
    for neuron in model.neurons:
        neuron.register_forward_hook(lambda module, given, out: found.append(
            prod(out[0].shape[2:])))
    with torch.no_grad():
        model.eval()(x)
    return found


def _sum(parts: list[tuple[int, int]]) -> str:
    """``1,000 of 1 bit + 10 of 8 bits = 1,080 bits``, parts of one width together."""
    widths: dict[int, int] = {}
    for count, bits in parts:
        widths[bits] = widths.get(bits, 0) + count
    listed = " + ".join(f"{count:,} of {bits} bit{'s' * (bits != 1)}"
                        for bits, count in widths.items())
    return f"{listed or 'none'} = {sum(n * bits for bits, n in widths.items()):,} bits"
