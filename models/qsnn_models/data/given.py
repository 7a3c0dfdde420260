"""Data that a program holds: arrays, tensors, torch Datasets."""

from typing import Any

import numpy as np

from qsnn_models.errors import DataError

from .dataset import Dataset
from .labelled import Array
from .own import SCALED, SPLIT, WINDOWS, dataset
from .tables import of_arrays


def from_arrays(x: Any, y: Any = None, *, test: Any = None, names: tuple[str, ...] = (),
                frames: bool = False, name: str = "x", window: int = WINDOWS["window"],
                stride: int = WINDOWS["stride"], share: float = SPLIT["share"],
                seed: int = int(SPLIT["seed"]), scaling: str = SCALED["scaling"]) -> Dataset:
    """*x* ``[N, ...]`` and labels *y* ``[N]``, arrays or tensors, as a `Dataset`; or *x* a torch
    Dataset of samples with their labels, and *y* left out. *test* is the test part, a pair (x, y)
    or a torch Dataset; without one, *share* of every class is.

    Bytes are images, or with *frames* one a step; other numbers are real, ``[N, C]`` or series
    ``[N, T, C]``, maybe cut into windows. Raises DataError, as for a file (`data.load`).
    """
    pairs = (x, y) if y is not None else gathered(x)
    tested = None if test is None else test if isinstance(test, tuple) else gathered(test)
    parts = [None if pair is None else of_arrays(source, _array(pair[0]), _array(pair[1]),
                                                 names=tuple(names), frames=frames)
             for source, pair in ((name, pairs), (f"{name}, test", tested))]
    options = {"window": window, "stride": stride, "share": share, "seed": seed,
               "scaling": scaling}
    assert parts[0] is not None
    return dataset(name, parts[0], parts[1], options)


def gathered(given: Any) -> tuple[Array, Array]:
    """The samples and labels of *given*, a torch Dataset or anything of a length and of pairs.
    Raises DataError where it is none, or its samples are of several shapes."""
    try:
        pairs = [given[index] for index in range(len(given))]
        x, y = ([_array(pair[place]) for pair in pairs] for place in (0, 1))
        if any(len(pair) != 2 for pair in pairs) or not pairs:
            raise TypeError
    except (TypeError, KeyError, IndexError):
        raise DataError("data must be x and y, or a Dataset of samples with their labels (x, y) "
                        f"and of a length, not {type(given).__name__}") from None
    other = next((sample.shape for sample in x if sample.shape != x[0].shape), None)
    if other is not None:
        raise DataError(f"samples of a Dataset must be of one shape, not {list(x[0].shape)} and "
                        f"{list(other)}; cut or pad them")
    return np.stack(x), np.array([label.item() if label.size == 1 else label for label in y])


def _array(values: Any) -> Array:
    """*values* as an array; of a tensor its numbers, wherever it lies."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        values = values.float() if str(values.dtype) == "torch.bfloat16" else values
    try:
        return np.asarray(values)
    except ValueError:
        raise DataError("x must be an array of numbers, not rows of several lengths; cut them to "
                        "one length, or store a CSV file a recording") from None
