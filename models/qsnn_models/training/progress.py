"""What one sees while a network trains: a bar on a terminal, a line an epoch everywhere."""

import time
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from .loop import Batch, Epoch

SMOOTH = 0.3        # of the running values, a refresh
REFRESH = 0.1       # seconds: reading a batch's values waits for the device
SILENT, BUSY = 0.005, 0.95      # a layer's mean firing rate
BEHIND = 0.02                   # a share: evaluation behind training, on the same inputs
AT_LIMIT = 0.5                  # the share of its stored membranes


class TrainingProgress:
    """``report`` and ``tick`` for `train.train`, drawing on *console*. *done* epochs of the network
    called *name* were trained before."""

    def __init__(self, console: Console, name: str, epochs: int, done: int = 0) -> None:
        self.console, self.epochs = console, epochs
        self.bar = Progress(TextColumn("{task.description}"), BarColumn(None),
                            TextColumn("{task.fields[state]}"), TimeRemainingColumn(),
                            console=console, disable=not console.is_terminal)
        self.done = {name: done}
        self.tasks: dict[str, TaskID] = {}
        self.values: list[float] = []
        self.refreshed = 0.0

    def __enter__(self) -> Self:
        self.bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.bar.stop()

    def tick(self, batch: Batch) -> None:
        """Move the bar: running loss, accuracy, and each layer's rate and saturation."""
        now = time.monotonic()
        if self.bar.disable or (now - self.refreshed < REFRESH and batch.share < 1):
            return
        self.refreshed = now
        if batch.network not in self.tasks:
            self.values = []
            self.tasks[batch.network] = self.bar.add_task(batch.network, total=self.epochs,
                                                          state="")
        self._follow([batch.loss.item(), batch.accuracy.item(), *batch.rates.tolist(),
                      *batch.saturation.tolist()])
        self.bar.update(self.tasks[batch.network], state=self._state(),
                        completed=self.done.get(batch.network, 0) + batch.share)

    def _follow(self, rows: list[float]) -> None:
        """Move the running values towards those of a batch."""
        old = self.values or rows
        self.values = [was + SMOOTH * (now - was) for was, now in zip(old, rows, strict=True)]

    def _state(self) -> str:
        loss, accuracy, *layers = self.values
        half = len(layers) // 2
        return (f"loss {loss:.3f} accuracy {accuracy:.1%} rate {percents(layers[:half])} "
                f"at limit {percents(layers[half:])}")

    def report(self, epoch: Epoch) -> None:
        """Print one epoch's line (accuracy, loss, firing rate and saturation of each layer) and
        what is wrong with its layers."""
        self.done[epoch.network] = epoch.number
        held = "".join(f"  {name} {value:.2%}" for name, value in (
            ("in evaluation", epoch.evaluated), ("held out", epoch.holdout)) if value is not None)
        name = f"{epoch.network}: " if len(self.done) > 1 else ""
        self.print(f"{name}epoch {epoch.number:3d}/{self.epochs}  accuracy {epoch.accuracy:.2%}"
                   f"{held}  loss {epoch.loss:.4f}  rate {percents(epoch.rates)}  "
                   f"at limit {percents(epoch.saturation)}")
        for warning in warnings_of(epoch):
            self.print(f"  {warning}")

    def print(self, line: str) -> None:
        """Print *line* above the bar."""
        self.console.print(line, highlight=False, soft_wrap=True, markup=False)


def warnings_of(epoch: Epoch) -> list[str]:
    """One line where evaluation fell behind training in *epoch*, and one for each spiking layer
    that fell silent or saturated."""
    warnings = []
    if epoch.evaluated is not None and epoch.parted and epoch.accuracy - epoch.evaluated > BEHIND:
        warnings.append(f"evaluation is {epoch.accuracy - epoch.evaluated:.1%} below training: the "
                     f"batch statistics of {epoch.parted[0]} part most, by {epoch.parted[1]:.1f} "
                     "deviations; lower learning_rate, or raise batch")
    for number, (rate, limit) in enumerate(zip(epoch.rates, epoch.saturation, strict=True), 1):
        if rate < SILENT:
            warnings.append(f"layer {number} is silent: it fires at {rate:.1%} of the steps; raise "
                         "target_rate or rate_weight, or lower learning_rate")
        elif rate > BUSY:
            warnings.append(f"layer {number} is saturated: it fires at {rate:.1%} of the steps; "
                         "lower target_rate, or raise rate_weight")
        elif limit > AT_LIMIT:
            warnings.append(f"layer {number} is saturated: {limit:.1%} of its stored membranes are "
                         "at a limit; give them more membrane_bits")
    return warnings


def percents(values: Iterable[float]) -> str:
    """``12.3% 4.5%``"""
    return " ".join(f"{value:.1%}" for value in values)
