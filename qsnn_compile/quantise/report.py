"""What quantisation did, number by number: the material of `--explain`."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True)
class Rounding:
    """One parameter of a layer. ``given`` is the real number, ``stored`` the integer, both as
    people read them; ``error`` the largest rounding error relative to the largest number."""

    what: str
    given: str
    stored: str
    error: float = 0.0


@dataclass(frozen=True)
class Layer:
    """One node: its name in the source and in the IR, what it computes, what was rounded."""

    name: str
    node: str
    kind: str
    origin: str
    equation: str
    roundings: tuple[Rounding, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Report:
    """``nodes`` gives the IR's name of each node of the normal form; ``input`` says how x became
    codes, ``ranges`` where the membranes' ranges are from, ``notes`` what the front end assumed,
    ``warnings`` what may be wrong with that."""

    layers: tuple[Layer, ...]
    nodes: dict[str, str] = field(default_factory=dict)
    input: str = ""
    ranges: str = ""
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def span(values: ArrayLike) -> str:
    """One number, or the smallest and the largest."""
    array = np.asarray(values, dtype=np.float64)
    low, high = float(array.min()), float(array.max())
    return f"{low:.6g}" if low == high else f"{low:.4g} … {high:.4g}"


def rounding(what: str, given: ArrayLike, stored: ArrayLike, unit: ArrayLike) -> Rounding:
    """*given* in real numbers against ``stored · unit``."""
    real = np.asarray(given, dtype=np.float64)
    back = np.asarray(stored, dtype=np.float64) * np.asarray(unit, dtype=np.float64)
    finite = np.isfinite(real) & np.isfinite(back)
    peak = float(np.abs(np.where(finite, real, 0)).max())
    error = float(np.abs(np.where(finite, back - real, 0)).max())
    return Rounding(what, span(real), span(stored), error / peak if peak else error)
