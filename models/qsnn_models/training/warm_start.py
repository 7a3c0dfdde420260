"""Beginning from another run's weights."""

from pathlib import Path

from torch import Tensor, nn

from qsnn_models.errors import CheckpointError

from . import checkpoint


def warm_start(model: nn.Module, path: str) -> None:
    """Give *model* what the checkpoint at *path* has under the same names.

    Quantisers may differ between the two, so a name that only one of them knows is left as it is;
    a shape that differs, or nothing in common, is refused.
    """
    if not Path(path).is_file():
        raise CheckpointError(f"start must be a checkpoint of qsnn train, but {path} is not there; "
                              "train that network first, or name another file")
    theirs, ours = tensors(Path(path)), model.state_dict()
    shared = {name: value for name, value in theirs.items() if name in ours}
    for name, value in shared.items():
        if value.shape != ours[name].shape:
            raise CheckpointError(f"start must be a checkpoint of the same layers: {name} is "
                                  f"{tuple(value.shape)} in {path}, not {tuple(ours[name].shape)}")
    if not shared:
        raise CheckpointError(f"start must be a checkpoint of the same layers; {path} has none "
                              "of this network's parameters")
    model.load_state_dict(shared, strict=False)


def tensors(path: Path) -> dict[str, Tensor]:
    """The tensors that the training of the checkpoint at *path* came to, by their names. Raises
    CheckpointError."""
    state = checkpoint.read(path)["state"]
    theirs = state.get("average") or state.get("model")
    if not isinstance(theirs, dict) or not all(isinstance(value, Tensor)
                                               for value in theirs.values()):
        raise checkpoint.unreadable(path, TypeError())
    return dict(theirs)
