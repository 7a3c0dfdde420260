"""The training loop: seeds, progress, and a checkpoint after every epoch."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from qsnn_models import checkpoint
from qsnn_models.errors import ModelsError
from qsnn_models.network import QSNN, NetworkConfig, Output

Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class TrainConfig:
    """How a network is trained. ``target_rate`` is where the regulariser pulls each spiking layer's
    mean firing rate (the spike half of WS-DR, with a target that buys energy);
    ``holdout`` training images are kept back and only measured. The last epoch's weights are
    the result: no choice is made on any accuracy. ``threads`` is fixed because the order of float
    sums, and so the trained weights, depend on it."""

    data: str
    epochs: int = 40
    batch: int = 128
    learning_rate: float = 2e-3
    dropout: float = 0.05
    label_smoothing: float = 0.05
    target_rate: float = 0.18
    rate_weight: float = 2.0
    seed: int = 1
    holdout: int = 0
    threads: int = 1

    def __post_init__(self) -> None:
        for name in ("epochs", "batch", "threads"):
            if getattr(self, name) < 1:
                raise ModelsError(f"{name} must be at least 1, not {getattr(self, name)!r}")
        if self.holdout < 0:
            raise ModelsError(f"holdout must be at least 0, not {self.holdout!r}")


@dataclass(frozen=True)
class Epoch:
    """What one epoch did: loss, accuracy on the training batches (and on the held-out images, if
    any), mean firing rate and share of membranes at a limit of each spiking layer."""

    number: int
    loss: float
    accuracy: float
    rates: tuple[float, ...]
    saturation: tuple[float, ...]
    holdout: float | None = None


Report = Callable[[Epoch], None]
Tick = Callable[[float, float, float], None]


def train(network: NetworkConfig, config: TrainConfig, x: Bytes, y: Bytes, *,
          folder: Path | None = None, resume: bool = False,
          report: Report = lambda epoch: None,
          tick: Tick = lambda share, loss, accuracy: None) -> QSNN:
    """Train *network* on images *x* (see `encode`) and labels *y* ``[N]``; the trained module.

    With *folder*, ``NAME.checkpoint.pt`` is written there after every epoch, atomically; *resume*
    continues from it and ends with the same weights, bit for bit, as an uninterrupted run.
    *report* is called after each epoch, *tick* after each batch with the share of the epoch done,
    loss and accuracy. The global random state and thread count are restored.
    """
    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=()):
        torch.set_num_threads(config.threads)
        try:
            return _Run(network, config, x, y).run(folder, resume, report, tick)
        finally:
            torch.set_num_threads(threads)


class _Run:
    def __init__(self, network: NetworkConfig, config: TrainConfig, x: Bytes, y: Bytes) -> None:
        torch.manual_seed(config.seed)
        self.config, self.model = config, QSNN(network, config.dropout)
        kept = len(x) - config.holdout
        if kept < 1:
            raise ModelsError(f"holdout must be below the {len(x)} training images, "
                              f"not {config.holdout!r}")
        self.x, self.y = torch.from_numpy(np.array(x)), torch.from_numpy(np.array(y)).long()
        self.held = self.x[kept:], self.y[kept:]
        self.x, self.y = self.x[:kept], self.y[:kept]
        self.batches = max(1, kept // config.batch)
        self.optimizer = torch.optim.Adam(self.model.parameters(), betas=(0.9, 0.99),
                                          fused=True)

    def run(self, folder: Path | None, resume: bool, report: Report, tick: Tick) -> QSNN:
        path = checkpoint.path_of(folder, self.model.config.name) if folder else None
        first = 0
        if resume and path is not None:
            first = checkpoint.load(path, self.model, self.optimizer, self.config)
        for number in range(first, self.config.epochs):
            epoch = self._epoch(number, tick)
            if path is not None:
                checkpoint.save(path, self.model, self.optimizer, self.config, number + 1)
            report(epoch)
        return self.model.eval()

    def _epoch(self, number: int, tick: Tick) -> Epoch:
        self.model.train()
        order = torch.randperm(len(self.x))
        sums = torch.zeros(2)
        layers = torch.zeros(2, max(1, len(self.model.neurons)))
        for index in range(self.batches):
            chosen = order[index * self.config.batch:(index + 1) * self.config.batch]
            self._set_rate((number + index / self.batches) / self.config.epochs)
            loss, hits, output = self._step(self.x[chosen].float(), self.y[chosen])
            sums += torch.tensor([loss, hits])
            layers += torch.stack((output.rates.detach(), output.saturation))
            tick((index + 1) / self.batches, loss, hits)
        loss, accuracy = (sums / self.batches).tolist()
        rates, saturation = (layers / self.batches).tolist()
        held = accuracy_of(self.model, *self.held) if self.config.holdout else None
        return Epoch(number + 1, loss, accuracy, tuple(rates), tuple(saturation), held)

    def _step(self, x: Tensor, y: Tensor) -> tuple[float, float, Output]:
        output = self.model(x)
        loss = F.cross_entropy(output.logits, y, label_smoothing=self.config.label_smoothing)
        excess = (output.rates - self.config.target_rate).square().sum()
        self.optimizer.zero_grad()
        (loss + self.config.rate_weight * excess).backward()
        self.optimizer.step()
        hits = (output.logits.argmax(1) == y).float().mean()
        return loss.item(), hits.item(), output

    def _set_rate(self, progress: float) -> None:
        """A cosine from the learning rate to 0."""
        rate = self.config.learning_rate * (1 + math.cos(math.pi * progress)) / 2
        for group in self.optimizer.param_groups:
            group["lr"] = rate


def accuracy_of(model: QSNN, x: Tensor, y: Tensor) -> float:
    """The share of *x* that *model* classifies as *y*, in evaluation mode."""
    was_training = model.training
    model.eval()
    hits = 0
    with torch.no_grad():
        for start in range(0, len(x), 2000):
            found = model(x[start:start + 2000].float()).logits.argmax(1)
            hits += int((found == y[start:start + 2000]).sum())
    model.train(was_training)
    return hits / len(x)
