"""Sound as frames of an ear's channels: log energies of mel bands, and where they rise and fall."""

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from qsnn_models.errors import DataError

from .dataset import Bytes

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Cochlea:
    """How a recording becomes frames ``[T, C]`` of integers of ``bits`` bits, C = ``channels``.

    Every ``hop`` samples, a Hann window of ``window`` samples; its power in ``bands`` mel bands
    (triangles between ``lowest`` Hz and half the rate) in decibels below the recording's loudest
    band, the loudest ``span`` decibels as 0..1. Silence at both ends (all bands more than ``quiet``
    decibels below) is cut off. What is left is resampled to ``steps`` frames (``stretch``: slow and
    fast speakers become alike), else padded with zeros or cut to them. With ``edges``, three
    channels a band: its level, and by how much it rose and fell since the frame before, times
    ``gain``.
    """

    steps: int = 25
    bands: int = 24
    bits: int = 4
    edges: bool = True
    stretch: bool = True
    window: int = 256
    hop: int = 100
    lowest: float = 80.0
    span: float = 60.0
    quiet: float = 40.0
    gain: float = 2.0
    rate: int = 8000

    def __post_init__(self) -> None:
        for name, most in (("steps", 1000), ("bands", 256), ("bits", 8), ("hop", 10_000)):
            value = getattr(self, name)
            if not isinstance(value, int) or not 1 <= value <= most:
                raise DataError(f"{name} of sound frames must be within 1 and {most}, "
                                f"not {value!r}")
        if not isinstance(self.window, int) or not 2 <= self.window <= 100_000:
            raise DataError(f"window of sound frames must be within 2 and 100000, not "
                            f"{self.window!r}")
        if not self.lowest < self.rate / 2:
            raise DataError(f"lowest of sound frames must be below half the rate of {self.rate!r}, "
                            f"not {self.lowest!r}")
        for name in ("lowest", "span", "quiet", "gain", "rate"):
            if not getattr(self, name) > 0:
                raise DataError(f"{name} of sound frames must be above 0, "
                                f"not {getattr(self, name)!r}")

    @property
    def channels(self) -> int:
        """Values a frame: levels of all bands, then rises, then falls."""
        return self.bands * (3 if self.edges else 1)


def encode_sound(sound: NDArray[np.int16], ear: Cochlea) -> Bytes:
    """One recording ``[samples]`` as *ear* hears it: ``[T, C]``, uint8."""
    level = _fit(_trim(_levels(sound, ear), ear), ear)
    if ear.edges:
        change = np.diff(level, axis=0, prepend=np.zeros_like(level[:1])) * ear.gain
        level = np.concatenate([level, np.maximum(change, 0), np.maximum(-change, 0)], axis=1)
    top = 2 ** ear.bits - 1
    values: Bytes = np.minimum(level * top + 0.5, top).astype(np.uint8)
    return values


def _levels(sound: NDArray[np.int16], ear: Cochlea) -> Floats:
    """Decibels ``[frames, bands]`` above ``-span``, in units of it: 0..1."""
    padded = np.pad(sound.astype(np.float32), (0, max(0, ear.window - len(sound))))
    pieces = np.lib.stride_tricks.sliding_window_view(padded, ear.window)[::ear.hop]
    spectrum = np.fft.rfft(pieces * np.hanning(ear.window).astype(np.float32))
    power = (spectrum.real ** 2 + spectrum.imag ** 2) @ _triangles(ear)
    decibels = 10 * np.log10(np.maximum(power / max(power.max(), 1e-9), 1e-12))
    values: Floats = np.maximum(1 + decibels / ear.span, 0).astype(np.float32)
    return values


@cache
def _triangles(ear: Cochlea) -> Floats:
    """Weights ``[window / 2 + 1, bands]`` of mel bands, each of sum 1."""
    low, high = (2595 * math.log10(1 + hertz / 700) for hertz in (ear.lowest, ear.rate / 2))
    edges = 700 * (10 ** (np.linspace(low, high, ear.bands + 2) / 2595) - 1)
    hertz = np.fft.rfftfreq(ear.window, 1 / ear.rate)[:, None]
    width = np.maximum(np.diff(edges), ear.rate / ear.window)     # never between two lines
    rise = 1 - (edges[1:-1] - hertz) / width[:-1]
    fall = 1 - (hertz - edges[1:-1]) / width[1:]
    weights = np.maximum(np.minimum(rise, fall), 0)
    values: Floats = (weights / weights.sum(0)).astype(np.float32)
    return values


def _trim(level: Floats, ear: Cochlea) -> Floats:
    loud = np.flatnonzero(level.max(1) > 1 - ear.quiet / ear.span)
    return level[loud[0]:loud[-1] + 1] if len(loud) else level[:1]


def _fit(level: Floats, ear: Cochlea) -> Floats:
    if ear.stretch:
        place = np.linspace(0, len(level) - 1, ear.steps)
        first = place.astype(int)
        share = (place - first)[:, None].astype(np.float32)
        second = np.minimum(first + 1, len(level) - 1)
        values: Floats = level[first] * (1 - share) + level[second] * share
        return values
    return np.pad(level[:ear.steps], ((0, max(0, ear.steps - len(level))), (0, 0)))
