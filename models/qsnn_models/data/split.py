"""What is trained on and what is tested: a split by class and by recording, and windows of both."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from qsnn_models.errors import DataError

from .labelled import Array, Labelled


def split(given: Labelled, y: NDArray[np.uint8], names: tuple[str, ...], share: float, seed: int
          ) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Which recordings are trained on and which tested: *share* of every class, at least one and
    never all, drawn by *seed*. Raises DataError where a class has only one."""
    if not 0 < share < 1:
        raise DataError(f"{given.source}: share, the test part, must be above 0 and below 1, not "
                        f"{share!r}; 0.2 is usual")
    rng, tested = np.random.default_rng(seed), []
    for label in np.unique(y):
        own = np.flatnonzero(y == label)
        if len(own) < 2:
            name = repr(names[label]) if names else str(label)
            raise DataError(f"{given.source}: a class must have 2 samples or more to be split into "
                            f"training and test, but class {name} has {len(own)}; record more, or "
                            "name a test part: test = \"…\"")
        count = min(max(round(share * len(own)), 1), len(own) - 1)
        tested.append(rng.permutation(own)[:count])
    test = np.sort(np.concatenate(tested))
    return np.setdiff1d(np.arange(len(y)), test), test


def windows(given: Labelled, length: int, stride: int) -> Labelled:
    """The series of *given* cut into windows of *length* steps, one every *stride* (0: *length*)
    steps; what is left at the end is dropped. Raises DataError for a recording that is shorter."""
    if not given.series:
        raise DataError(f"{given.source}: window must be left out, not {length!r}: its samples "
                        "have no time axis ([N, T, C])")
    if length < 1 or stride < 0:
        raise DataError(f"{given.source}: window must be 1 step or more and stride not negative, "
                        f"not {length!r} and {stride!r}")
    cut, origin = list[Array](), list[int]()
    for index, sample in enumerate(given.x):
        if len(sample) < length:
            raise DataError(f"{given.source}: a recording must have {length} steps, a window, or "
                            f"more, not {len(sample)} ({given.place(index)}); drop it, or take a "
                            "shorter window")
        starts = range(0, len(sample) - length + 1, stride or length)
        cut += [sample[start:start + length] for start in starts]
        origin += [index] * len(starts)
    return replace(given, x=cut, y=given.y[origin],
                   place=lambda number: f"a window of {given.place(origin[number])}")


def chosen(given: Labelled, which: NDArray[np.intp]) -> Labelled:
    """The samples *which* of *given*."""
    return replace(given, x=[given.x[index] for index in which], y=given.y[which],
                   place=lambda number: given.place(int(which[number])))
