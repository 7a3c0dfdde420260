"""Event recordings of one's own, in the formats of the cameras, to frames."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from qsnn_models.errors import DataError

from .class_folders import files_of, read_file
from .events import Events, Frames, decode, frames, join
from .labelled import Array, Labelled

SUFFIXES = (".aedat4", ".dat", ".raw", ".bs2", ".bin")
EXTRA = "pip install 'qsnn[events]'"
MOST_SIDE = 4096


@dataclass(frozen=True)
class Camera:
    """How recordings become frames ``[N, T, 2, H, W]``: see `Frames`, of the first ``milliseconds``
    (0: of the longest recording's) of a sensor of ``width`` x ``height`` pixels (0: the smallest
    that has all events, a multiple of ``pool``)."""

    steps: int = 10
    bits: int = 1
    pool: int = 1
    width: int = 0
    height: int = 0
    milliseconds: int = 0

    def __post_init__(self) -> None:
        Frames(self.steps, self.bits, self.pool)
        for name, most in (("width", MOST_SIDE), ("height", MOST_SIDE),
                           ("milliseconds", 3_600_000)):
            value = getattr(self, name)
            if not 0 <= value <= most:
                raise DataError(f"{name} of event recordings must be within 0 and {most}, not "
                                f"{value!r}")


def read_events(folder: Path, **options: Any) -> Labelled:
    """Recordings as frames; *options* are a `Camera`'s fields."""
    camera, files = Camera(**options), files_of(folder, SUFFIXES)
    recordings = [read_recording(path) for path in files.paths]
    events = join(recordings)
    width, height = _side(events.x, camera.width, camera.pool), \
        _side(events.y, camera.height, camera.pool)
    for index, own in enumerate(recordings):
        if own.x.max() >= width or own.y.max() >= height:
            raise DataError(f"{folder}: events must lie within {width} x {height} pixels, not at "
                            f"({own.x.max()}, {own.y.max()}) ({files.place(index)}); give the "
                            "sensor's ?width=W&height=H")
    duration = camera.milliseconds * 1000 or int(events.t.max()) + 1
    form = Frames(camera.steps, camera.bits, camera.pool)
    return files.labelled(list(frames(events, form, duration, width, height)), series=True,
                          bits=camera.bits)


def _side(places: Array, given: int, pool: int) -> int:
    return given or -(-(int(places.max()) + 1) // pool) * pool


def read_recording(path: Path) -> Events:
    """The events of the file at *path*, times from 0 on (of N-MNIST's format as they are). Raises
    DataError."""
    if path.suffix.lower() in (".bs2", ".bin"):
        return decode(read_file(path), str(path), 256, 256)
    read_file(path)
    reader = _aedat4 if path.suffix.lower() == ".aedat4" else _prophesee
    try:
        x, y, p, t = (np.asarray(values) for values in reader(path))
    except DataError:
        raise
    except Exception as error:      # noqa: BLE001  the readers raise what they like, panics too
        raise DataError(f"{path} must be a whole {path.suffix} recording, but reading it failed: "
                        f"{error!s:.100}; record or convert it again") from None
    if not len(t):
        raise DataError(f"{path} must hold events, not none; delete it, or record it again")
    t = t.astype(np.int64) - int(t.min())
    return Events(x.astype(np.uint16), y.astype(np.uint16), p.astype(np.uint8),
                  t.clip(0, 2 ** 32 - 1).astype(np.uint32), np.array([0, len(t)]))


Columns = tuple[Array, Array, Array, Array]


def _aedat4(path: Path) -> Columns:
    try:
        import aedat
    except ImportError:
        raise DataError(f"{path}: aedat reads it and is missing; {EXTRA}") from None
    parts = [packet["events"] for packet in aedat.Decoder(str(path)) if "events" in packet]
    if not parts:
        raise DataError(f"{path} must hold events, not none; delete it, or record it again")
    events = np.concatenate(parts)
    return events["x"], events["y"], events["on"], events["t"]


def _prophesee(path: Path) -> Columns:
    try:
        from expelliarmus import Wizard
    except ImportError:
        raise DataError(f"{path}: expelliarmus reads it and is missing; {EXTRA}") from None
    events = Wizard(encoding=_encoding(path)).read(str(path))
    if events is None:
        raise DataError(f"{path} must be a whole {path.suffix} recording of Prophesee's; record or "
                        "convert it again")
    return events["x"], events["y"], events["p"], events["t"]


def _encoding(path: Path) -> str:
    """``dat``, or the version of a .raw file as its header says it."""
    if path.suffix.lower() == ".dat":
        return "dat"
    head = read_file(path)[:4096]
    return "evt3" if b"evt 3" in head.lower() or b"EVT3" in head else "evt2"
