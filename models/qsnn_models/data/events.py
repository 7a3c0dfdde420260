"""Recordings of an event camera, and frames made of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qsnn_models.errors import DataError

from .dataset import Bytes


@dataclass(frozen=True, eq=False)
class Events:
    """Recordings one behind the other: of every event its column ``x``, row ``y``, polarity ``p``
    (N-MNIST: 0 brighter, 1 darker) and time ``t`` in microseconds; recording n has the events
    ``starts[n]`` to ``starts[n + 1]``."""

    x: NDArray[np.uint16]
    y: NDArray[np.uint16]
    p: Bytes
    t: NDArray[np.uint32]
    starts: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.starts) - 1


def join(recordings: Sequence[Events]) -> Events:
    """Several `Events` as one."""
    first = np.cumsum([0, *(len(r.t) for r in recordings)])
    starts = [r.starts[1:] + place for r, place in zip(recordings, first, strict=False)]
    x, y, p, t = (np.concatenate([getattr(r, name) for r in recordings])
                  for name in ("x", "y", "p", "t"))
    return Events(x, y, p, t, np.concatenate([[0], *starts]))


def decode(content: bytes, name: str, width: int = 34, height: int = 34) -> Events:
    """One recording in N-MNIST's format (``.bin``, ``.bs2``): 5 bytes an event, x, y, then one bit
    of polarity and 23 bits of microseconds, the highest first. *name* is for the errors."""
    if not content or len(content) % 5:
        raise DataError(f"{name} must hold events of 5 bytes, not {len(content)} bytes: "
                        "truncated; get it again")
    x, y, high, middle, low = np.frombuffer(content, np.uint8).reshape(-1, 5).astype(np.uint32).T
    if x.max() >= width or y.max() >= height:
        raise DataError(f"{name} must have events within {width} x {height} pixels, not at "
                        f"({x.max()}, {y.max()}): not a recording of this camera")
    t = ((high & 127) << 16 | middle << 8 | low).astype(np.uint32)
    return Events(x.astype(np.uint16), y.astype(np.uint16), (high >> 7).astype(np.uint8), t,
                  np.array([0, len(t)]))


@dataclass(frozen=True)
class Frames:
    """How events become frames ``[N, T, 2, H, W]``: in ``steps`` bins of equal time, counted in
    fields of ``pool`` x ``pool`` pixels, up to ``2^bits - 1`` (1 bit: was there any?)."""

    steps: int = 10
    bits: int = 1
    pool: int = 1

    def __post_init__(self) -> None:
        for name, most in (("steps", 1000), ("bits", 8), ("pool", 64)):
            value = getattr(self, name)
            if not isinstance(value, int) or not 1 <= value <= most:
                raise DataError(f"{name} of event frames must be within 1 and {most}, "
                                f"not {value!r}")

    def shape(self, width: int, height: int) -> tuple[int, ...]:
        """One frame of a sensor of *width* x *height*: (2, H, W); of a line (SHD), (W,)."""
        if width % self.pool or (height > 1 and height % self.pool):
            raise DataError(f"pool must divide the sensor's {width} x {height} pixels, "
                            f"not {self.pool!r}")
        if height == 1:
            return (width // self.pool,)
        return 2, height // self.pool, width // self.pool

    def clip(self, counts: NDArray[np.integer]) -> Bytes:
        """Counts ``[..., H, W]`` of single pixels as frames' values."""
        *front, height, width = counts.shape
        _, rows, columns = self.shape(width, height)
        if self.pool > 1:
            counts = counts.reshape(*front, rows, self.pool, columns, self.pool).sum((-3, -1))
        kept: Bytes = np.minimum(counts, 2 ** self.bits - 1).astype(np.uint8)
        return kept


def frames(events: Events, form: Frames, duration: int, width: int = 34, height: int = 34
           ) -> Bytes:
    """Every recording as frames ``[N, T, *form.shape(width, height)]`` of its first *duration*
    microseconds; later events are left out. A line of pixels (height 1) has no polarity."""
    shape = form.shape(width, height)
    made = np.empty((len(events), form.steps, *shape), np.uint8)
    for first in range(0, len(events), 64):
        last = min(first + 64, len(events))
        made[first:last] = _count(events, first, last, form, duration, shape)
    return made


def _count(events: Events, first: int, last: int, form: Frames, duration: int,
           frame: tuple[int, ...]) -> Bytes:
    chosen = slice(int(events.starts[first]), int(events.starts[last]))
    kept = events.t[chosen] < duration
    x, y, p, t = (getattr(events, name)[chosen][kept] for name in ("x", "y", "p", "t"))
    sample = np.repeat(np.arange(last - first), np.diff(events.starts[first:last + 1]))[kept]
    step = t.astype(np.int64) * form.steps // duration
    cell = (x // form.pool,) if len(frame) == 1 else (p, y // form.pool, x // form.pool)
    shape = (last - first, form.steps, *frame)
    place = np.ravel_multi_index((sample, step, *cell), shape)
    counts = np.bincount(place, minlength=int(np.prod(shape))).reshape(shape)
    values: Bytes = np.minimum(counts, 2 ** form.bits - 1).astype(np.uint8)
    return values
