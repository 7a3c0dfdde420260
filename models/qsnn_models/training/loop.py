"""The training loop: batches, losses, the moving average, and the state that a resume needs."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from qsnn_models.errors import ModelsError
from qsnn_models.network.device import precision
from qsnn_models.network.qsnn import QSNN, NetworkConfig, Output, logits_of
from qsnn_models.network.settle import settle

from . import augment, losses, teacher
from .average import Average
from .optimizers import optimizer_of
from .train_config import TrainConfig
from .warm_start import warm_start

Bytes = NDArray[np.uint8]
Labels = NDArray[np.int64]
EVALUATED = 5000        # training inputs, drawn evenly


@dataclass(frozen=True, eq=False)
class Batch:
    """How a batch of network ``network`` went: ``share`` of its epoch is done. The values are
    tensors on the training's device (reading one waits for it): scalars ``loss`` and ``accuracy``,
    and per spiking layer ``rates`` and ``saturation``."""

    network: str
    share: float
    loss: Tensor
    accuracy: Tensor
    rates: Tensor
    saturation: Tensor


@dataclass(frozen=True)
class Epoch:
    """What epoch ``number`` (from 1) did: loss, accuracy on the training batches, mean firing rate
    and share of membranes at a limit of each spiking layer.

    Of the settled network: ``holdout``, the accuracy on the held-out images, if any; ``evaluated``,
    that on training inputs in evaluation, as it would be exported; ``parted``, the weight layer
    whose batch statistics parted most when they were settled, and by how many deviations."""

    number: int
    loss: float
    accuracy: float
    rates: tuple[float, ...]
    saturation: tuple[float, ...]
    holdout: float | None = None
    network: str = ""
    evaluated: float | None = None
    parted: tuple[str, float] | None = None


Report = Callable[[Epoch], None]
Tick = Callable[[Batch], None]


class Run:
    """One training: a network, its optimiser, its data on the device."""

    def __init__(self, network: NetworkConfig, config: TrainConfig, x: Bytes, y: Labels,
                 taught: teacher.Teacher | None, device: torch.device) -> None:
        torch.manual_seed(config.seed)
        self.network, self.config, self.device = network, config, device
        self.model = QSNN(network, config.dropout)
        self.model.to(device)
        kept, held = divided(len(x), config.holdout)
        self.x, self.y = _on(device, x[kept], y[kept])
        self.held_x, self.held_y = _on(device, x[held], y[held])
        self.batches = max(1, len(self.x) // config.batch)
        self.moves, self.mixing = augment.parse(config.augment), augment.mixing(config.augment)
        self.ground = augment.Ground.of(network.entry, device)
        self.model.tells_each = losses.checked(network, config) == "tet"
        for neuron in self.model.neurons:
            neuron.surrogate_width = config.surrogate_width
        self.targets = torch.tensor(config.targets(len(self.model.neurons)), device=device)
        self.optimizer = optimizer_of(self.model, config)
        self.average = Average(self.model, config.ema) if config.ema else None
        self.taught = taught.to(device) if taught else None
        self.logits = logits_of(taught, self.x) if taught and not config.augment else None

    def epoch(self, number: int, tick: Tick) -> Epoch:
        """Train epoch *number*, counted from 0; settle the result and measure it."""
        self.model.train()
        order = torch.randperm(len(self.x)).to(self.device)
        rows = []
        for index in range(self.batches):
            self._advance(number + index / self.batches)
            chosen = order[index * self.config.batch:(index + 1) * self.config.batch]
            rows.append(self._step(chosen))
            if self.average:
                self.average.update(number * self.batches + index)
            tick(self._batch((index + 1) / self.batches, rows[-1]))
        return self._report(number + 1, torch.stack(rows).mean(0).tolist())

    def result(self) -> QSNN:
        """The network that this training is for, settled after each epoch: the model, or its
        moving average."""
        return self.average.model if self.average else self.model

    def begin_from(self, path: str) -> None:
        """Start from the weights in the checkpoint at *path*, see `warm_start`."""
        warm_start(self.model, path)
        if self.average:
            self.average.model.load_state_dict(self.model.state_dict())

    def state(self) -> dict[str, Any]:
        """What `restore` needs to go on as if nothing had been between: tensors and plain values.
        ``average`` is the result, where that is not the model."""
        return {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(),
                "average": self.average.model.state_dict() if self.average else None,
                "random": torch.get_rng_state(),
                "cuda": torch.cuda.get_rng_state(self.device) if self._on_cuda() else None}

    def restore(self, state: dict[str, Any]) -> None:
        """Put back what `state` told. Raises RuntimeError, ValueError, KeyError or TypeError where
        it is that of another network."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.average:
            self.average.model.load_state_dict(state["average"])
        torch.set_rng_state(state["random"])
        if self._on_cuda() and state["cuda"] is not None:
            torch.cuda.set_rng_state(state["cuda"], self.device)

    def _on_cuda(self) -> bool:
        return self.device.type == "cuda"

    def _step(self, chosen: Tensor) -> Tensor:
        """One update; a row of loss, accuracy, rates and saturation."""
        x, y = self._moved(self.x[chosen]).float(), self.y[chosen]
        wanted = augment.Wanted(y)
        if self.mixing:
            x, wanted = augment.mixed(self.mixing, x, y)
        with precision(self.config.amp, self.device):
            output = self.model(x)
            loss = self._task(output, wanted, chosen, x)
            self.optimizer.zero_grad()
            torch.autograd.backward(loss + self._regulariser(output))
        self.optimizer.step()
        hits = (output.logits.argmax(1) == y).float().mean()
        return torch.cat([torch.stack((loss, hits)), output.rates, output.saturation]).detach()

    def _moved(self, x: Tensor) -> Tensor:
        return augment.apply(self.moves, x, self.network.coding == "spikes", self.ground) \
            if self.moves else x

    def _task(self, output: Output, wanted: augment.Wanted, chosen: Tensor, x: Tensor) -> Tensor:
        """Cross entropy, and the teacher's share of the loss where there is one."""
        config = self.config
        loss = losses.cross_entropy(output, wanted, config.label_smoothing)
        if self.taught is None:
            return loss
        theirs = self.logits[chosen] if self.logits is not None else logits_of(self.taught, x)
        kept = teacher.divergence(output.logits, theirs, config.teacher_temperature)
        return (1 - config.teacher_weight) * loss + config.teacher_weight * kept

    def _regulariser(self, output: Output) -> Tensor | float:
        if self.config.rate_weight == 0 or not len(self.targets):
            return 0.0
        return self.config.rate_weight * (output.rates - self.targets).square().mean()

    def _advance(self, done: float) -> None:
        """*done* epochs: a cosine from the learning rate to 0, and the model's schedules."""
        share = done / self.config.epochs
        rate = self.config.learning_rate * (1 + math.cos(math.pi * share)) / 2
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["factor"]
        self.model.progress(share)

    def _batch(self, share: float, row: Tensor) -> Batch:
        layers = (len(row) - 2) // 2
        return Batch(self.network.name, share, row[0], row[1], row[2:2 + layers], row[2 + layers:])

    def _report(self, number: int, row: list[float]) -> Epoch:
        if not math.isfinite(row[0]):
            raise ModelsError(f"the loss must stay a number, but is {row[0]} after epoch {number}; "
                              "lower learning_rate")
        if not all(bool(values.isfinite().all()) for values in self.model.parameters()):
            raise ModelsError(f"the parameters must stay numbers, but some are none after epoch "
                              f"{number}; lower learning_rate")
        layers = len(self.model.neurons)
        parted = self._settled()
        held = None
        if self.config.holdout:
            held = accuracy_of(self.result(), self.held_x, self.held_y)
        every = -(-len(self.x) // EVALUATED)
        evaluated = accuracy_of(self.result(), self.x[::every], self.y[::every])
        return Epoch(number, row[0], row[1], tuple(row[2:2 + layers]),
                     tuple(row[len(row) - layers:]), held, self.network.name, evaluated, parted)

    def _settled(self) -> tuple[str, float]:
        """Settle the result; the layer whose statistics parted most, and by how much."""
        if self.average:
            self.average.begin()
        drifts = settle(self.result(), self.x)
        return max(drifts.items(), key=lambda named: named[1])


def divided(count: int, holdout: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which of *count* samples are trained on, and which *holdout* of them are held back.

    Drawn once, the same for every seed: what is judged by them is judged by the same images.
    """
    held = np.random.default_rng(0).permutation(count)[:holdout]
    return np.setdiff1d(np.arange(count), held), held


def _on(device: torch.device, x: Bytes, y: Labels) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(x).to(device), torch.from_numpy(y).to(device).long()


def accuracy_of(model: QSNN, x: Tensor, y: Tensor) -> float:
    """The share of *x* that *model* classifies as *y* ``[N]``, in evaluation mode and float32."""
    if y.shape != (len(x),):
        raise ModelsError(f"y must be one label for each of {len(x)} inputs, {(len(x),)}, not "
                          f"{tuple(y.shape)}")
    was_training = model.training
    model.eval()
    with precision("off", x.device):
        hits = int((logits_of(model, x).argmax(1) == y).sum())
    model.train(was_training)
    return hits / len(x)
