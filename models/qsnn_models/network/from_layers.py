"""A network of one's own layers, as one that `freeze` and the exporter know."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import nn

from qsnn_models.errors import ModelsError
from qsnn_models.layers.neurons import LIF
from qsnn_models.layers.weighted import QConv1d, QConv2d, QDense, QRecurrent

from .notation import ConvLayer, Layer
from .qsnn import QSNN, NetworkConfig, Spiking

Block = Spiking | QRecurrent


def network_of(layers: Sequence[nn.Module], shape: tuple[int, ...], *, steps: int,
               name: str = "network", coding: Literal["direct", "spikes"] = "direct",
               input_bits: int = 8, input_scale: float = 1 / 255) -> QSNN:
    """The `QSNN` of *layers* (a list or an `nn.Sequential`), these very modules, one behind the
    other: a QDense, QConv1d or QConv2d (with its pool) and the LIF that takes its current,
    QRecurrent with its own; last a QDense alone, whose potentials are the scores, or with an LIF,
    whose spikes are counted. A Flatten between them changes nothing.

    *shape* is an input's, (N,), (C, H, W), or (C, L) for a QConv1d, of integers of *input_bits*
    bits, each worth *input_scale*; with *coding* "direct" it stands for all *steps*, with "spikes"
    there is one a step. ``freeze(network_of(…)).graph()`` is what `onnx_export.save` writes. Raises
    ModelsError naming the layer that does not fit.
    """
    blocks, readout = _blocks(layers)
    weights = [block if isinstance(block, QRecurrent) else block.layer for block in blocks]
    weights += [readout] if readout is not None else []
    text = "-".join(["x".join(map(str, shape)), *map(_token, weights)])
    config = NetworkConfig(name, text, steps=steps, coding=coding, input_bits=input_bits,
                           input_scale=input_scale,
                           readout="count" if readout is None else "potential")
    for number, (module, layer) in enumerate(zip(weights, config.structure.layers, strict=True), 1):
        _check(number, module, layer)
    with torch.random.fork_rng(devices=[]):
        model = QSNN(config)
    model.blocks, model.classifier = nn.ModuleList(blocks), readout
    return model.train(layers[0].training)


def _blocks(layers: Sequence[nn.Module]) -> tuple[list[Block], QDense | None]:
    """Weight layers with their neurons, and the readout where the last one has none."""
    blocks: list[Block] = []
    waiting: QDense | QConv2d | None = None
    for number, module in enumerate(layers, 1):
        if isinstance(module, nn.Flatten):      # a QDense flattens an image by itself
            continue
        if waiting is not None and isinstance(module, LIF):
            _channels(number, module, len(waiting.weight))
            blocks.append(Spiking(waiting, module))
            waiting = None
        elif waiting is None and isinstance(module, QDense | QConv2d):
            waiting = module
        elif waiting is None and isinstance(module, QRecurrent):
            blocks.append(module)
        else:
            wanted = "an LIF" if waiting is not None else "a QDense, QConv1d, QConv2d or QRecurrent"
            raise ModelsError(f"module {number} must be {wanted}, not {type(module).__name__}; "
                              "weight layers and neurons take turns")
    if isinstance(waiting, QConv2d) or not (blocks or waiting):
        raise ModelsError("the last layer must be a QDense, alone or with an LIF, not "
                          f"{type(layers[-1]).__name__ if layers else 'nothing'}")
    return blocks, waiting


def _channels(number: int, neuron: LIF, outputs: int) -> None:
    if neuron.channels != outputs:
        raise ModelsError(f"module {number} (LIF) must have the {outputs} channels of its current, "
                          f"not {neuron.channels!r}")


def _token(layer: QDense | QConv2d | QRecurrent) -> str:
    """*layer* in the notation, see `notation.parse`."""
    outputs = len(layer.weight)
    if not isinstance(layer, QConv2d):
        return f"{outputs}{'R' * isinstance(layer, QRecurrent)}"
    pool = "" if layer.pool is None else (
        f"-{'A' if layer.pool.sums else 'P'}{_sizes(layer.pool.kernel)}")
    return (f"{outputs}C{_sizes(layer.weight.shape[2:])}s{_sizes(layer.stride)}g{layer.groups}"
            f"p{_sizes(layer.padding)}{'+' * (layer.skip is not None)}{pool}")


def _sizes(pair: Sequence[int]) -> str:
    return "x".join(map(str, pair))


def _check(number: int, module: QDense | QConv2d | QRecurrent, layer: Layer) -> None:
    name = f"weight layer {number} ({type(module).__name__})"
    inputs = module.weight.shape[1] * (module.groups if isinstance(module, QConv2d) else 1)
    if inputs != layer.inputs:
        raise ModelsError(f"{name} must take the {layer.inputs} inputs before it, not {inputs!r}")
    if isinstance(module, QConv1d) and isinstance(layer, ConvLayer) and layer.source[1] != 1:
        raise ModelsError(f"{name} must follow a line, (C, L), not an image {layer.source}; use a "
                          "QConv2d")
