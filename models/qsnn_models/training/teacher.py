"""Knowledge transfer: a full-precision network whose logits the low-bit one matches.

Hinton, Vinyals, Dean: Distilling the Knowledge in a Neural Network, arXiv 1503.02531.
"""

import zipfile
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from qsnn_compile.system.files import opened
from qsnn_models.errors import CheckpointError
from qsnn_models.network.qsnn import QSNN, NetworkConfig, Output

from . import checkpoint
from .warm_start import tensors

FLOAT = "float"
EXPORTED = ".pt2"


class Exported(nn.Module):
    """Any network, an ANN too, as a teacher: *call* takes the student's inputs, integers in floats
    ``[B, *shape]`` (spikes: ``[B, T, *shape]``), on the CPU, to logits ``[B, classes]``."""

    def __init__(self, call: Callable[[Tensor], Tensor], student: NetworkConfig) -> None:
        super().__init__()
        self.call, self.student = call, student

    def forward(self, x: Tensor) -> Output:
        steps = () if self.student.coding == "direct" else (self.student.steps,)
        logits = self.call(x.cpu().reshape(len(x), *steps, *self.student.structure.shape))
        nothing = logits.new_zeros(0)
        return Output(logits.to(x.device), nothing, nothing)


Teacher = QSNN | Exported


def float_twin(network: NetworkConfig) -> NetworkConfig:
    """The spiking network of the same layers with float weights and membranes."""
    return replace(network, name=f"{network.name}_teacher", weights="float",
                   membrane="float")


def read(path: Path, student: NetworkConfig) -> Teacher:
    """The trained network in *path*, as the teacher of *student*: a checkpoint, or a program that
    `torch.export.save` wrote (.pt2), its batch size dynamic.

    Raises ModelsError where it takes other inputs or tells other classes apart.
    """
    return _exported(path, student) if path.suffix == EXPORTED else _trained(path, student)


def _exported(path: Path, student: NetworkConfig) -> Exported:
    """The network in the .pt2 file *path*. Raises CheckpointError."""
    steps = 1 if student.coding == "direct" else student.steps
    program = Exported(_program(path), student)
    wanted = (3, student.structure.classes)
    try:
        answer = program(torch.zeros(3, steps, *student.structure.shape)).logits.shape
    except (RuntimeError, TypeError, ValueError, AssertionError) as error:
        raise CheckpointError(f"teacher must take the student's inputs, any number of them, which "
                              f"{path} does not: {str(error).splitlines()[0]}") from None
    if answer != wanted:
        raise CheckpointError(f"teacher must answer 3 inputs with {wanted}, not {tuple(answer)!r} "
                              f"as {path} does")
    return program


def _program(path: Path) -> Callable[[Tensor], Tensor]:
    try:
        with opened(path, most=checkpoint.LARGEST) as file:
            if not zipfile.is_zipfile(file):
                raise ValueError("no archive")
        return torch.export.load(path).module()
    except (*checkpoint.UNREADABLE, SyntaxError, ImportError):
        raise CheckpointError(f"{path} must be a file that torch.export.save wrote; name one, or a "
                              "checkpoint of qsnn train") from None


def _trained(path: Path, student: NetworkConfig) -> QSNN:
    program = checkpoint.read(path)
    try:
        known = {field.name for field in fields(NetworkConfig)}
        config = NetworkConfig(**{k: v for k, v in program["network"].items() if k in known})
        model = QSNN(config)
        model.load_state_dict(tensors(path))
    except checkpoint.UNREADABLE as error:
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
