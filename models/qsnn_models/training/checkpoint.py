"""Checkpoints: tensors and plain values, written whole or not at all, checked when read."""

import io
import os
import pickle
import struct
import zipfile
import zlib
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import torch

from qsnn_compile.system.files import opened
from qsnn_models.errors import CheckpointError
from qsnn_models.files import whole
from qsnn_models.network.qsnn import NetworkConfig

from .train_config import TrainConfig

VERSION = 4         # from here on its batch statistics are settled
# what torch.load was seen to raise on damaged files
UNREADABLE = (RuntimeError, ValueError, KeyError, IndexError, TypeError, AttributeError, EOFError,
              OSError, OverflowError, MemoryError, AssertionError, struct.error, zlib.error,
              pickle.UnpicklingError, zipfile.BadZipFile)
KINDS = {"network": dict, "config": dict, "epochs": int, "state": dict}
LARGEST = 1 << 30               # bytes of the tensors: far beyond any network that fits a chip


def path_of(folder: Path, network: str) -> Path:
    """The checkpoint's file for the network of that name."""
    return folder / f"{network}.checkpoint.pt"


def save(path: Path, network: NetworkConfig, config: TrainConfig, epochs: int,
         state: dict[str, Any]) -> None:
    """Write *state* (tensors and plain values) after *epochs* epochs, beside both configs.

    It is on the disk before the old file is replaced: whenever the process or the machine dies,
    one whole checkpoint is there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    content = io.BytesIO()              # torch's own writing hides what a full disk says
    torch.save({"version": VERSION, "network": asdict(network), "config": asdict(config),
                "epochs": epochs, "state": state}, content)
    with whole(path) as part, part.open("wb") as file:
        file.write(content.getbuffer())
        file.flush()
        os.fsync(file.fileno())


def load(path: Path, network: NetworkConfig, config: TrainConfig) -> tuple[int, dict[str, Any]]:
    """The epochs done and the state that `save` wrote.

    Raises CheckpointError when *path* is not a checkpoint, or is one of another network or recipe.
    """
    content = read(path)
    _same(path, "network", content["network"], network)
    _same(path, "training recipe", content["config"], config)
    return int(content["epochs"]), dict(content["state"])


def epochs(folder: Path, network: str) -> int:
    """How many epochs the checkpoint in *folder* has behind it. Raises CheckpointError."""
    return int(read(path_of(folder, network))["epochs"])


def read(path: Path) -> dict[str, Any]:
    """The plain content of a checkpoint file, its tensors on the CPU. Raises CheckpointError."""
    if not path.is_file():
        raise CheckpointError(f"{path}: no checkpoint there; name one that qsnn "
                              "train wrote, or train without --resume first")
    try:
        with opened(path, most=LARGEST) as file:
            _whole(zipfile.ZipFile(file))
            file.seek(0)
            content = dict(torch.load(file, weights_only=True, map_location="cpu"))
        version = content["version"]
    except UNREADABLE as error:
        raise unreadable(path, error) from None
    if version != VERSION:
        raise CheckpointError(f"{path}: checkpoint version must be {VERSION}, not {version!r}; "
                              "delete it and train again")
    for name, kind in KINDS.items():
        if type(content.get(name)) is not kind:
            raise unreadable(path, TypeError() if name in content else KeyError())
    return content


def _whole(archive: zipfile.ZipFile) -> None:
    """Raise ValueError unless the *archive* is undamaged, and of a size that memory takes."""
    if sum(info.file_size for info in archive.infolist()) > LARGEST:
        raise ValueError(f"larger than {LARGEST:,} bytes")
    if (damaged := archive.testzip()) is not None:
        raise ValueError(damaged)


def unreadable(path: Path, error: Exception) -> CheckpointError:
    """What to say of a file that *error* shows to be no checkpoint, or a damaged one."""
    return CheckpointError(f"{path} must be a checkpoint of qsnn train; it can't be read "
                           f"({type(error).__name__}). Delete it and train again")


def _same(path: Path, what: str, theirs: dict[str, Any], ours: NetworkConfig | TrainConfig
          ) -> None:
    """A field that *theirs*, of an older version, lacks, had its default."""
    theirs = {field.name: field.default for field in fields(ours)} | theirs
    for key, value in asdict(ours).items():
        if theirs[key] != value:
            raise CheckpointError(
                f"{path} must be a checkpoint of this {what}: its {key} is {theirs[key]!r}, "
                f"not {value!r}. Give the same options, another --out, or drop --resume")
