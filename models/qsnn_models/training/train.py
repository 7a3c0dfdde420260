"""Training: a network's config, a recipe and its data in, the trained module out."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from qsnn_models import data
from qsnn_models.errors import ModelsError
from qsnn_models.network.device import device_of
from qsnn_models.network.inputs import samples
from qsnn_models.network.qsnn import QSNN, NetworkConfig

from . import checkpoint, teacher
from .fitting import fitted, inputs
from .loop import Batch, Bytes, Epoch, Labels, Report, Run, Tick, accuracy_of
from .train_config import TrainConfig

__all__ = ["Batch", "Epoch", "Report", "Tick", "TrainConfig", "accuracy_of", "train"]


def train(network: NetworkConfig, config: TrainConfig, x: Any, y: Any = None, *,
          folder: Path | None = None, resume: bool = False,
          report: Report = lambda epoch: None, tick: Tick = lambda batch: None) -> QSNN:
    """Train *network* on inputs *x* (see `data.encode`) and labels *y* ``[N]``; the trained module,
    on the CPU, in evaluation mode, its batch statistics settled. *x* are integers from 0 to
    2^input_bits - 1, *y* from 0, of any number type; ModelsError says what is not. Where *network*
    takes reals they are a sensor's raw numbers. *x* may also be a `data.Dataset`, to which
    *network* is first fitted (`fitting.fitted`) and whose training part is trained on, or a
    torch Dataset of samples with their labels; *y* is then left out.

    With *folder*, ``NAME.checkpoint.pt`` is written there after every epoch, atomically; *resume*
    continues from it. On the CPU the weights are the same, bit for bit, whenever the configs are,
    resumed or not. *report* is called after each epoch, *tick* after each batch, those of a teacher
    trained first included. The global random state and thread count are restored.
    """
    network, x, y = _given(network, x, y)
    if config.holdout >= len(x):
        raise ModelsError(f"holdout must be below the {len(x)} training images, "
                          f"not {config.holdout!r}")
    threads, device = torch.get_num_threads(), device_of(config.device)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else ()):
        torch.set_num_threads(config.threads)
        try:
            taught = _teacher(network, config, x, y, folder=folder, resume=resume, report=report,
                              tick=tick)
            run = Run(network, config, x, y, taught, device)
            return _repeat(run, folder, resume, report, tick)
        finally:
            torch.set_num_threads(threads)


def _given(network: NetworkConfig, x: Any, y: Any) -> tuple[NetworkConfig, Bytes, Labels]:
    """*network* fitted to the data, and these as it takes them, checked."""
    if isinstance(x, data.Dataset):
        network = fitted(network, x)
        x, y = inputs(network, x.train_x), x.train_y
    elif y is None:
        x, y = data.gathered(x)
    return network, *samples(network, x, y)


def _repeat(run: Run, folder: Path | None, resume: bool, report: Report, tick: Tick) -> QSNN:
    path = checkpoint.path_of(folder, run.network.name) if folder else None
    first = 0
    if resume and path is not None:
        first, state = checkpoint.load(path, run.network, run.config)
        try:
            run.restore(state)
        except checkpoint.UNREADABLE as error:
            raise checkpoint.unreadable(path, error) from None
    elif run.config.start:
        run.begin_from(run.config.start)
    for number in range(first, run.config.epochs):
        epoch = run.epoch(number, tick)
        if path is not None:
            checkpoint.save(path, run.network, run.config, number + 1, run.state())
        report(epoch)
    return run.result().cpu().eval()


def _teacher(network: NetworkConfig, config: TrainConfig, x: Bytes, y: Labels,
             **options: Any) -> teacher.Teacher | None:
    """The teacher that *config* asks for: read from a file, or trained here by the same recipe."""
    if not config.teacher:
        return None
    if config.teacher != teacher.FLOAT:
        return teacher.read(Path(config.teacher), network)
    twin, folder = teacher.float_twin(network), options["folder"]
    begun = folder is not None and checkpoint.path_of(folder, twin.name).exists()
    return train(twin, replace(config, teacher="", start=""), x, y,
                 **options | {"resume": options["resume"] and begun})
