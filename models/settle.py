"""Batch statistics of the weights that a network ends with.

Latent weights near 0 change sign until the last batch, and a sign can move a current's mean by
deviations: the running statistics, 20 batches old, are then of another network.
"""

from contextlib import suppress

import torch
from torch import Tensor, nn

from qsnn_models.device import precision
from qsnn_models.errors import ExportError, ModelsError
from qsnn_models.layers import QRecurrent, WeightLayer

BATCHES, BATCH = 30, 128
FEEDBACK = 50               # batches: with a momentum of 0.1 old statistics are 0.5 % then
LIMIT = 0.5                 # deviations between batches and running statistics, to be frozen


class _Measured(Exception):
    """The layer has seen the batch; what comes behind it need not run."""


def settle(model: nn.Module, x: Tensor, batch: int = BATCH) -> dict[str, float]:
    """Measure the batch statistics of *model*'s weight layers anew, for the weights it has now, on
    up to 30 batches of its training inputs *x* ``[N, ...]``, drawn evenly.

    Layer by layer, those before it in evaluation: their integers, not those of one batch, are what
    a layer will be given. Nothing else of *model* changes; there is no dropout. The same weights
    and inputs give the same statistics. Returns by how many deviations those of each layer parted
    at most, by its name. Raises ModelsError where *x* holds no inputs.
    """
    if not isinstance(x, Tensor) or not x.numel():
        what = f"empty, of shape {list(x.shape)}" if isinstance(x, Tensor) else type(x).__name__
        raise ModelsError(f"x must be a tensor of training inputs [N, ...], not {what}; give those "
                          "that the network was trained on")
    names = {layer: name for name, layer in weight_layers(model).items()}
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.no_grad(), precision("off", x.device):
            parted = {layer: _measured(model, layer, once, x, batch)
                      for layer, once in _order(model, list(names), x).items()}
    finally:
        for module, mode in modes.items():
            module.training = mode
    return {names[layer]: float(drift) for layer, drift in parted.items()}


def _order(model: nn.Module, layers: list[WeightLayer], x: Tensor) -> dict[WeightLayer, bool]:
    """The layers as they are called, and whether once."""
    calls: list[WeightLayer] = []
    hooks = [layer.register_forward_hook(lambda layer, *_: calls.append(layer))
             for layer in layers]
    if layers:
        model(x[:1].to(layers[0].weight))
    for hook in hooks:
        hook.remove()
    return {layer: calls.count(layer) == 1 for layer in calls}


def _measured(model: nn.Module, layer: WeightLayer, once: bool, x: Tensor, batch: int) -> Tensor:
    """Settle *layer*; by how many deviations its statistics parted."""
    stride = max(1, len(x) // batch)
    feedback = isinstance(layer, QRecurrent)
    calls, worst = 0, torch.zeros_like(layer.drift)

    def seen(*_: object) -> None:
        nonlocal calls
        calls += 1
        layer.momentum = layer.MOMENTUM if feedback else 1 / (calls + 1)
        torch.maximum(worst, layer.drift, out=worst)
        layer.seen.fill_(torch.inf)         # each batch counts in the drift
        if once:
            raise _Measured
    layer.momentum = layer.MOMENTUM if feedback else 1.0
    layer.seen.fill_(torch.inf)
    layer.training = True                   # not what is inside it
    try:
        with layer.register_forward_hook(seen):
            for number in range(FEEDBACK if feedback else min(stride, BATCHES)):
                with suppress(_Measured):
                    model(x[number % stride::stride].to(layer.weight))
    finally:
        layer.training, layer.momentum = False, layer.MOMENTUM
    layer.drift.zero_()
    layer.seen.fill_(torch.nan)
    return worst


def weight_layers(model: nn.Module) -> dict[str, WeightLayer]:
    """The weight layers in *model*, named by number and kind: ``weight layer 1 (QDense)``."""
    layers = [module for module in model.modules() if isinstance(module, WeightLayer)]
    return {f"weight layer {number} ({type(layer).__name__})": layer
            for number, layer in enumerate(layers, 1)}


def check(name: str, layer: WeightLayer, top: int) -> None:
    """Refuse to freeze *layer*, called *name*, for inputs of 0 to *top* if it was trained on
    others, its numbers are none, or its statistics are of other weights. Raises ExportError."""
    if layer.largest > top:
        raise ExportError(f"{name} must be trained on integers from 0 to {top}, as it is frozen "
                          f"for, not {layer.largest:g}; give it the input_bits and steps of the "
                          "training")
    for part, values in layer.state_dict().items():
        if not bool(values.isfinite().all()):
            raise ExportError(f"{name} must hold numbers, but its {part} has some that are none; "
                              "train again with a lower learning rate")
    drift = float(layer.drift)
    if drift > LIMIT:
        raise ExportError(
            f"{name} must have the batch statistics of its weights, but in the latest batches they "
            f"parted by {drift:.1f} deviations; settle(model, x) or freeze(model, x) measures them "
            "anew, x training inputs [N, ...]")
