"""A log that TensorBoard reads: one event file a run, one point a value and epoch."""

from pathlib import Path
from tempfile import TemporaryFile
from types import TracebackType
from typing import Any, Self

from qsnn_models.errors import ModelsError

from .loop import Epoch

MISSING = ("--log writes nothing: the package tensorboard is missing; "
           "pip install 'qsnn[train]'")


class BoardLog:
    """``report`` for `train.train`, writing to ``folder/NETWORK``; a context manager.

    Epochs after *done*, which a resumed training repeats, are taken out of an older log.
    Raises ImportError where tensorboard is missing.
    """

    def __init__(self, folder: Path, text: str, done: int = 0) -> None:
        from torch.utils.tensorboard import SummaryWriter
        self.kind: Any = SummaryWriter
        self.folder, self.text, self.done = folder, text, done
        try:
            folder.mkdir(parents=True, exist_ok=True)
            TemporaryFile(dir=folder).close()
        except OSError as error:
            raise ModelsError(f"--log must be a folder that can be written, not {str(folder)!r}: "
                              f"{error.strerror}; choose another") from None
        self.writers: dict[str, Any] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        for writer in self.writers.values():
            writer.close()

    def report(self, epoch: Epoch) -> None:
        """Write *epoch*'s values, the first time with the configuration as a text."""
        writer = self._writer(epoch.network)
        for name, value in scalars(epoch).items():
            writer.add_scalar(name, value, epoch.number)
        writer.flush()

    def _writer(self, network: str) -> Any:
        if network not in self.writers:
            writer = self.kind(str(self.folder / network), purge_step=self.done + 1)
            writer.add_text("configuration", f"```toml\n{self.text}```")
            self.writers[network] = writer
        return self.writers[network]


def scalars(epoch: Epoch) -> dict[str, float]:
    """What is logged of *epoch*, by TensorBoard's tags."""
    values = {"loss": epoch.loss, "accuracy/training": epoch.accuracy}
    for name, value in (("evaluation", epoch.evaluated), ("held_out", epoch.holdout)):
        if value is not None:
            values[f"accuracy/{name}"] = value
    for number, (rate, limit) in enumerate(zip(epoch.rates, epoch.saturation, strict=True), 1):
        values |= {f"firing_rate/layer{number}": rate, f"membranes_at_limit/layer{number}": limit}
    return values
