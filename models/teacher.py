"""Knowledge transfer: a full-precision network whose logits the low-bit one matches.

Hinton, Vinyals, Dean: Distilling the Knowledge in a Neural Network, arXiv 1503.02531.
"""

from dataclasses import fields, replace
from pathlib import Path

import torch.nn.functional as F
from torch import Tensor

from qsnn_models import checkpoint
from qsnn_models.errors import CheckpointError
from qsnn_models.network import QSNN, NetworkConfig

FLOAT = "float"


def float_twin(network: NetworkConfig) -> NetworkConfig:
    """The spiking network of the same layers with float weights and membranes."""
    return replace(network, name=f"{network.name}_teacher", weights="float",
                   membrane="float")


def read(path: Path, student: NetworkConfig) -> QSNN:
    """The trained network in checkpoint *path*, as the teacher of *student*.

    Raises ModelsError where it takes other inputs or tells other classes apart.
    """
    found = checkpoint.read(path)
    try:
        known = {field.name for field in fields(NetworkConfig)}
        config = NetworkConfig(**{k: v for k, v in found["network"].items() if k in known})
        model = QSNN(config)
        model.load_state_dict(found["state"]["average"] or found["state"]["model"])
    except (RuntimeError, TypeError, KeyError) as error:
        raise checkpoint.unreadable(path, error) from None
    for what, theirs, ours in zip(("input", "coding", "frames", "classes"), _face(config),
                                  _face(student),
                                  strict=True):
        if theirs != ours:
            raise CheckpointError(f"teacher must have the student's {what} {ours!r}, not {theirs!r}"
                                  f" as {path} has; name another checkpoint")
    return model.eval()


def _face(config: NetworkConfig) -> tuple[object, ...]:
    structure = config.structure
    frames = config.steps if config.coding == "spikes" else 1
    return (structure.shape, config.input_bits), config.coding, frames, structure.classes


def divergence(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """``τ² · KL(softmax(teacher / τ) ‖ softmax(student / τ))``, the mean of a batch of logits.

    τ² keeps the gradient's size from depending on τ.
    """
    theirs = F.log_softmax(teacher / temperature, 1)
    ours = F.log_softmax(student / temperature, 1)
    return F.kl_div(ours, theirs, reduction="batchmean", log_target=True) * temperature ** 2
