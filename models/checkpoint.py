"""Checkpoints: tensors and plain values, written whole or not at all, checked when read."""

import os
import pickle
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from qsnn_models.errors import CheckpointError
from qsnn_models.network import QSNN

if TYPE_CHECKING:
    from qsnn_models.train import TrainConfig

VERSION = 1
# what torch.load was seen to raise on damaged files
UNREADABLE = (RuntimeError, ValueError, KeyError, IndexError, TypeError, AttributeError, EOFError,
              OSError, pickle.UnpicklingError)


def path_of(folder: Path, network: str) -> Path:
    """The checkpoint's file for the network of that name."""
    return folder / f"{network}.checkpoint.pt"


def save(path: Path, model: QSNN, optimizer: torch.optim.Optimizer, config: "TrainConfig",
         epochs: int) -> None:
    """Write the state after *epochs* epochs: weights, optimiser, random state, both configs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    torch.save({"version": VERSION, "network": asdict(model.config), "config": asdict(config),
                "epochs": epochs, "model": model.state_dict(),
                "optimizer": optimizer.state_dict(), "random": torch.get_rng_state()}, part)
    os.replace(part, path)


def load(path: Path, model: QSNN, optimizer: torch.optim.Optimizer,
         config: "TrainConfig") -> int:
    """Restore what `save` wrote into *model*, *optimizer* and the global random state.

    Returns the number of epochs done. Raises CheckpointError when *path* is not a checkpoint, or
    is one of another network or recipe.
    """
    state = read(path)
    _same(path, "network", state["network"], asdict(model.config))
    _same(path, "training recipe", state["config"], asdict(config))
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    torch.set_rng_state(state["random"])
    return int(state["epochs"])


def epochs(folder: Path, network: str) -> int:
    """How many epochs the checkpoint in *folder* has behind it. Raises CheckpointError."""
    return int(read(path_of(folder, network))["epochs"])


def read(path: Path) -> dict[str, Any]:
    """The plain content of a checkpoint file. Raises CheckpointError."""
    if not path.is_file():
        raise CheckpointError(f"{path}: no checkpoint there; train without --resume first")
    try:
        state = torch.load(path, weights_only=True)
        version = state["version"]
    except UNREADABLE as error:
        raise CheckpointError(f"{path} must be a checkpoint of qsnn train; it can't be read "
                              f"({type(error).__name__}). Delete it and train again") from None
    if version != VERSION:
        raise CheckpointError(f"{path}: checkpoint version must be {VERSION}, not {version!r}")
    return dict(state)


def _same(path: Path, what: str, theirs: dict[str, Any], ours: dict[str, Any]) -> None:
    for key, value in ours.items():
        if theirs.get(key) != value:
            raise CheckpointError(
                f"{path} must be a checkpoint of this {what}: its {key} is {theirs.get(key)!r}, "
                f"not {value!r}. Give the same options, another --out, or drop --resume")
