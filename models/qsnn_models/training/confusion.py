"""Which classes are taken for which, as tables of a terminal."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

WIDEST = 20         # classes of a matrix that a terminal can show
WORST = 5

Counts = NDArray[np.int64]


def confusion_tables(counts: Counts, names: Sequence[str] = ()) -> list[Table]:
    """The matrix of *counts* (see `ledger.confusion`), where at most 20 classes have room, and the
    classes with most wrong answers. *names* of the classes; without, their numbers."""
    names = names or [str(number) for number in range(len(counts))]
    return [*([_matrix(counts, names)] if len(counts) <= WIDEST else []), _worst(counts, names)]


def _matrix(counts: Counts, names: Sequence[str]) -> Table:
    table = Table("class", *names, title="answers (columns) to samples of each class")
    for name, row in zip(names, counts, strict=True):
        table.add_row(name, *(f"{count:,}" if count else "" for count in row))
    return table


def _worst(counts: Counts, names: Sequence[str]) -> Table:
    """The classes of most errors, each with the answer that it is most often taken for."""
    wrong = counts * ~np.eye(len(counts), dtype=bool)
    table = Table("class", "samples", "right", "most often taken for", title="worst classes")
    for index in np.argsort(-_share(wrong.sum(1), counts.sum(1)), kind="stable")[:WORST]:
        if wrong[index].any():
            other = int(wrong[index].argmax())
            samples = int(counts[index].sum())
            table.add_row(names[index], f"{samples:,}", f"{counts[index, index] / samples:.1%}",
                          f"{names[other]}, {wrong[index, other]:,} times")
    return table


def _share(part: Counts, whole: Counts) -> NDArray[np.float64]:
    return part / np.maximum(whole, 1)
