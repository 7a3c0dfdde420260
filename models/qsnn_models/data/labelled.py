"""Samples of one's own with their labels, as they were read, and what must hold of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qsnn_models.errors import DataError

Array = NDArray[Any]
MOST_CLASSES = 256


def by_number(index: int) -> str:
    """What a sample without a name of its own is called."""
    return f"sample {index}"


@dataclass(frozen=True, eq=False)
class Labelled:
    """Samples ``x``, arrays that may differ in length, and their labels ``y`` ``[N]``: numbers from
    0, or texts. ``source`` begins every message about them, ``place(n)`` is what sample n is
    called.

    ``series``: the first axis of a sample is time. ``shape`` and ``bits`` are those of `Dataset`.
    """

    source: str
    x: Sequence[Array] | Array
    y: Array
    names: tuple[str, ...] = ()
    series: bool = False
    shape: tuple[int, ...] = ()
    bits: int = 8
    place: Callable[[int], str] = by_number

    def __post_init__(self) -> None:
        if not len(self.x):
            raise DataError(f"{self.source}: x must hold samples, not none; record some")
        if self.y.shape != (len(self.x),):
            raise DataError(f"{self.source}: y must be one label for each of {len(self.x)} "
                            f"samples, not {list(self.y.shape)!r}; of one-hot rows store "
                            "y.argmax(1)")
        for index, sample in enumerate(self.x):
            _check_numbers(self, index, sample)


def _check_numbers(given: Labelled, index: int, sample: Array) -> None:
    if sample.dtype.kind not in "biuf" or not sample.size:
        what = f"of type {sample.dtype}" if sample.size else f"empty, of shape {sample.shape}"
        raise DataError(f"{given.source}: x must be numbers, not {what} ({given.place(index)}); "
                        "drop it, or store numbers")
    finite = np.isfinite(sample)
    if not finite.all():
        raise DataError(f"{given.source}: x must be finite numbers, not "
                        f"{float(sample[~finite][0])!r} ({given.place(index)}); fill the gap, or "
                        "drop the sample")


def numbered(given: Labelled, names: tuple[str, ...] = ()) -> tuple[NDArray[np.uint8],
                                                                    tuple[str, ...]]:
    """The labels of *given* as numbers from 0, and the names of the classes where there are any:
    *names*, else its own, else its labels where they are texts, sorted. Raises DataError."""
    y, names = given.y, names or given.names
    if y.dtype.kind in "US":
        texts = [str(label) for label in y.tolist()]
        names = names or tuple(sorted(set(texts), key=_order))
        unknown = next((text for text in texts if text not in names), None)
        if unknown is not None:
            raise DataError(f"{given.source}: y must be classes of the training part, "
                            f"{', '.join(names)}, not {unknown!r}; add it there, or drop it")
        y = np.array([names.index(text) for text in texts])
    _check_labels(given, y, len(names))
    return y.astype(np.uint8), names


def _order(name: str) -> tuple[int, str]:
    """Names that are numbers in their own order, the others by letters."""
    return (int(name), "") if name.isdecimal() and name.isascii() and len(name) < 9 else (1 << 30,
                                                                                         name)


def _check_labels(given: Labelled, y: Array, named: int) -> None:
    whole = y.dtype.kind in "biuf" and np.isfinite(y).all() and (y == np.floor(y)).all()
    if not whole or y.min() < 0:
        wrong = y.min() if whole else next(v for v in y.tolist() if not _is_label(v))
        raise DataError(f"{given.source}: y must be labels from 0, or texts, not {wrong!s}; number "
                        "the classes from 0")
    most = named or MOST_CLASSES
    if y.max() >= most:
        raise DataError(f"{given.source}: y must be labels below {most}, the number of classes, "
                        f"not {int(y.max())!r}; number the classes from 0")


def _is_label(value: Any) -> bool:
    return isinstance(value, int | float) and value == value and value >= 0 and value == int(value)


def check_classes(source: str, y: NDArray[np.uint8], names: tuple[str, ...]) -> None:
    """Raise DataError unless the training labels *y* have every class from 0 on, and two or more.
    """
    present = np.unique(y)
    if present[0] == 1:
        raise DataError(f"{source}: y must be labels from 0, not 1 to {int(present[-1])}; store "
                        "y - 1")
    if len(present) < 2:
        only = repr(names[present[0]]) if names else str(present[0])
        raise DataError(f"{source}: y must be of two classes or more, not only {only}; a network "
                        "tells classes apart")
    missing = sorted(set(range(len(names) or int(present[-1]) + 1)) - set(present.tolist()))
    if missing:
        which = repr(names[missing[0]]) if names else str(missing[0])
        raise DataError(f"{source}: every class must have samples to train on, but class {which} "
                        "has none; record some, or number the classes without a gap")


def same_shape(given: Labelled) -> Array:
    """The samples of *given* as one array ``[N, ...]``. Raises DataError naming two that differ."""
    first = given.x[0].shape
    for index, sample in enumerate(given.x):
        if sample.shape != first:
            what = ("of one length" if given.series and sample.shape[1:] == first[1:] else
                    "of one shape")
            raise DataError(f"{given.source}: samples must be {what}, not {_size(first)} "
                            f"({given.place(0)}) and {_size(sample.shape)} ({given.place(index)}); "
                            + ("cut them, or add ?window=STEPS to the data's name" if given.series
                               else "make them alike"))
    return np.stack(list(given.x))


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
