"""The optimiser that a recipe names."""

from typing import Any

import torch
from torch import nn

from qsnn_models.network.parameter_groups import parameter_groups

from .train_config import TrainConfig

MOMENTUM = 0.9              # of SGD
BETAS = (0.9, 0.99)         # of Adam and AdamW


def optimizer_of(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """The optimiser of *config* for the parameters of *model*, whose weights alone decay: neither
    batch norms nor membranes do."""
    groups = parameter_groups(model, config.learning_rate)
    if config.weight_decay:
        groups = [part for group in groups for part in _decaying(group, config.weight_decay)]
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, momentum=MOMENTUM, nesterov=True)
    kind = torch.optim.AdamW if config.optimizer == "adamw" else torch.optim.Adam
    return kind(groups, betas=BETAS, weight_decay=0.0, fused=True)


def _decaying(group: dict[str, Any], decay: float) -> list[dict[str, Any]]:
    """*group* as its weights, which decay, and the rest, which does not."""
    weights = [values for values in group["params"] if values.ndim > 1]
    rest = [values for values in group["params"] if values.ndim <= 1]
    return [group | {"params": params, "weight_decay": share}
            for params, share in ((weights, decay), (rest, 0.0)) if params]
