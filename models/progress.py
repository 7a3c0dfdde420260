"""What one sees while a network trains: a bar on a terminal, a line an epoch everywhere."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from qsnn_models.train import Epoch

SMOOTH = 0.05       # of the running loss and accuracy


class TrainingProgress:
    """``report`` and ``tick`` for `train.train`, drawing on *console*."""

    def __init__(self, console: Console, name: str, epochs: int, done: int = 0) -> None:
        self.console, self.epochs, self.epoch = console, epochs, done
        self.loss = self.accuracy = float("nan")
        self.bar = Progress(TextColumn("{task.description}"), BarColumn(None),
                            TextColumn("{task.fields[state]}"), TimeRemainingColumn(),
                            console=console, disable=not console.is_terminal)
        self.task = self.bar.add_task(name, total=epochs, completed=done, state="")

    def __enter__(self) -> Self:
        self.bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.bar.stop()

    def tick(self, share: float, loss: float, accuracy: float) -> None:
        """*share* of the epoch is done; the batch had this loss and accuracy."""
        first = self.loss != self.loss      # still NaN
        self.loss = loss if first else self.loss + SMOOTH * (loss - self.loss)
        self.accuracy = accuracy if first else self.accuracy + SMOOTH * (accuracy - self.accuracy)
        self.bar.update(self.task, completed=self.epoch + share,
                        state=f"loss {self.loss:.3f} accuracy {self.accuracy:.1%}")

    def report(self, epoch: Epoch) -> None:
        """Print one epoch's line: accuracy, loss, firing rate and saturation of each layer."""
        self.epoch = epoch.number
        held = "" if epoch.holdout is None else f"  held out {epoch.holdout:.2%}"
        self.console.print(
            f"epoch {epoch.number:3d}/{self.epochs}  accuracy {epoch.accuracy:.2%}{held}  "
            f"loss {epoch.loss:.4f}  rate {_percents(epoch.rates)}  "
            f"at limit {_percents(epoch.saturation)}", highlight=False, soft_wrap=True)


def _percents(values: tuple[float, ...]) -> str:
    return " ".join(f"{value:.1%}" for value in values)
