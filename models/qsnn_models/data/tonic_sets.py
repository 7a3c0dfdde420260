"""N-MNIST, SHD and DVS-Gesture as tonic keeps them, for those who have the files."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qsnn_models.errors import DataError

from .dataset import Bytes, Dataset
from .events import Events, Frames, frames
from .folders import roots


@dataclass(frozen=True)
class Source:
    """A class of tonic.datasets, its sensor's columns and rows, and its samples per part."""

    kind: str
    size: tuple[int, int]
    samples: tuple[int, int]


BROKEN = (OSError, ValueError, KeyError, IndexError, EOFError)     # what tonic's readers raise

SOURCES = {
    "nmnist": Source("NMNIST", (34, 34), (60_000, 10_000)),
    "shd": Source("SHD", (700, 1), (8_156, 2_264)),
    "dvs-gesture": Source("DVSGesture", (128, 128), (1_077, 264)),
}


def load_nmnist(name: str, folder: str | Path | None = None, *, steps: int = 10, bits: int = 1,
                pool: int = 2) -> Dataset:
    """N-MNIST, 60,000 and 10,000 recordings as frames ``[N, T, 2, 34 / pool, 34 / pool]`` of their
    315 ms (see `Frames`)."""
    return _load(name, folder, Frames(steps, bits, pool), 315)


def load_gesture(name: str, folder: str | Path | None = None, *, steps: int = 20, bits: int = 1,
                 pool: int = 4, milliseconds: int = 1500) -> Dataset:
    """DVS-Gesture, 11 gestures, 1,077 and 264 recordings as frames ``[N, T, 2, 128 / pool,
    128 / pool]`` of their first ``milliseconds``."""
    return _load(name, folder, Frames(steps, bits, pool), milliseconds)


def load_shd(name: str, folder: str | Path | None = None, *, steps: int = 50, bits: int = 2,
             pool: int = 5, milliseconds: int = 1000) -> Dataset:
    """Spiking Heidelberg Digits, 20 classes, 8,156 and 2,264 recordings as frames ``[N, T, 700 /
    pool]``: spikes of ``pool`` neighbouring channels in the first ``milliseconds``."""
    return _load(name, folder, Frames(steps, bits, pool), milliseconds)


def _load(name: str, folder: str | Path | None, form: Frames, milliseconds: int) -> Dataset:
    if not isinstance(milliseconds, int) or milliseconds < 1:
        raise DataError(f"milliseconds must be at least 1, not {milliseconds!r}")
    source = SOURCES[name]
    form.shape(*source.size)
    train, test = (_part(name, source, folder, form, milliseconds * 1000, part)
                   for part in (True, False))
    return Dataset(name, *train, *test, bits=form.bits)


def _part(name: str, source: Source, folder: str | Path | None, form: Frames, duration: int,
          train: bool) -> tuple[Bytes, Bytes]:
    recordings = _open(name, source, folder, train)
    wanted = source.samples[0 if train else 1]
    if len(recordings) != wanted:
        raise DataError(f"{name}: {recordings.location_on_system} must hold {wanted:,} "
                        f"{'training' if train else 'test'} recordings, not "
                        f"{len(recordings):,}; delete the folder and get it again")
    x, y = zip(*_frames(name, source, recordings, form, duration), strict=True)
    return np.stack(x), np.array(y, np.uint8)


def _frames(name: str, source: Source, recordings: Any, form: Frames, duration: int
            ) -> Iterator[tuple[Bytes, int]]:
    for index in range(len(recordings)):
        try:
            array, label = recordings[index]
            frame = frames(_events(array), form, duration, *source.size)[0]
        except BROKEN as error:
            raise DataError(f"{name}: recording {index} in {recordings.location_on_system} must be "
                            f"whole: {error}; delete the folder and get it again") from None
        yield frame, int(label)


def _events(table: NDArray[Any]) -> Events:
    """One recording, a structured array of tonic's; SHD's has no rows."""
    y = table["y"] if "y" in (table.dtype.names or ()) else np.zeros(len(table))
    return Events(table["x"].astype(np.uint16), y.astype(np.uint16), table["p"].astype(np.uint8),
                  table["t"].astype(np.uint32), np.array([0, len(table)]))


def _open(name: str, source: Source, folder: str | Path | None, train: bool) -> Any:
    """tonic's data set where it already is: nothing is downloaded here."""
    try:
        from tonic import datasets
    except ImportError:
        raise DataError(f"{name}: tonic reads it and is missing; pip install 'qsnn[events]'"
                        ) from None
    kind = getattr(datasets, source.kind)
    local = type(source.kind, (kind,), {"download": _refuse})
    for root in roots(folder):
        try:
            return local(str(root), train=train)
        except _NotThereError:
            continue
        except BROKEN as error:
            raise DataError(f"{name}: {root / source.kind} must hold whole files: {error}; "
                            "delete the folder and get it again") from None
    raise DataError(f"{name}: {source.kind} not found, or not whole, in "
                    f"{', '.join(map(str, roots(folder)))}. tonic downloads it: "
                    f"python -c \"from tonic.datasets import {source.kind} as D; "
                    f"[D('{roots(folder)[-1]}', train=t) for t in (True, False)]\"")


class _NotThereError(Exception):
    """tonic would download now."""


def _refuse(recordings: Any) -> None:
    raise _NotThereError
