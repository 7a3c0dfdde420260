"""An exponential moving average of latent weights, with batch statistics of its own."""

from copy import deepcopy

import torch
from torch import Tensor

from qsnn_models.network.qsnn import QSNN


class Average:
    """A copy of *model* whose parameters follow it: ``a += (1 - d) · (p - a)`` after each batch.

    d grows to *decay*, as ``(1 + n) / (10 + n)`` after n batches: the beginning is forgotten.
    Averaged latent weights are other integers than the model's, with other currents: their batch
    statistics begin with the model's (`begin`) and are then measured anew (`settle.settle`).
    """

    def __init__(self, model: QSNN, decay: float) -> None:
        self.source, self.decay = model, decay
        self.model = deepcopy(model)
        self.model.dropout = 0.0
        self.ours: list[Tensor] = list(self.model.parameters())
        self.theirs: list[Tensor] = list(model.parameters())

    def update(self, count: int) -> None:
        """Follow the model, *count* batches after the first."""
        step = 1 - min(self.decay, (1 + count) / (10 + count))
        with torch.no_grad():
            torch._foreach_lerp_(self.ours, self.theirs, weight=step)

    def begin(self) -> None:
        """Take the model's buffers."""
        for ours, theirs in zip(self.model.buffers(), self.source.buffers(), strict=True):
            ours.copy_(theirs)
