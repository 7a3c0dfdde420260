"""Batch statistics of the weights that a network ends with.

Latent weights near 0 change sign until the last batch, and a sign can move a current's mean by
deviations: the running statistics, 20 batches old, are then of another network.
"""

import torch
from torch import Tensor, nn

from qsnn_models.device import precision
from qsnn_models.errors import ExportError
from qsnn_models.layers import QRecurrent, WeightLayer

BATCHES, BATCH = 50, 128    # with batch norm's momentum of 0.1 old statistics are 0.5 % then
LIMIT = 0.5                 # deviations between batches and running statistics, to be frozen


def settle(model: nn.Module, x: Tensor, batch: int = BATCH) -> dict[str, float]:
    """Measure the batch statistics of *model*'s weight layers anew, for the weights it has now, on
    up to 50 batches of its training inputs *x* ``[N, ...]``, drawn evenly.

    Nothing else of *model* changes; there is no dropout. The same weights and inputs give the same
    statistics. Returns by how many deviations those of each layer parted at most, by its name.
    """
    layers = weight_layers(model)
    modes = {module: module.training for module in model.modules()}
    model.eval()
    for layer in layers.values():
        layer.training = True       # not what is inside it
    try:
        with torch.no_grad(), precision("off", x.device):
            return _measured(model, layers, x, batch)
    finally:
        for module, mode in modes.items():
            module.training = mode
        for layer in layers.values():
            layer.momentum = layer.MOMENTUM
            layer.drift.zero_()
            layer.seen.fill_(torch.nan)


def _measured(model: nn.Module, layers: dict[str, WeightLayer], x: Tensor,
              batch: int) -> dict[str, float]:
    if not layers:
        return {}
    like = next(iter(layers.values())).weight
    stride = max(1, len(x) // batch)
    feedback = any(isinstance(layer, QRecurrent) for layer in layers.values())
    drifts = []
    for number in range(BATCHES if feedback else min(stride, BATCHES)):
        for layer in layers.values():
            layer.drift.zero_()
            layer.seen.fill_(torch.inf)         # each batch counts in the drift
            mean = 0.0 if isinstance(layer, QRecurrent) else 1 / (number + 1)
            layer.momentum = max(mean, layer.MOMENTUM)
        model(x[number % stride::stride].to(like))
        drifts.append(torch.stack([layer.drift for layer in layers.values()]))
    return dict(zip(layers, torch.stack(drifts).amax(0).tolist(), strict=True))


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
