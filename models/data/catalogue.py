"""The data sets by name, and one function that loads any of them."""

from collections.abc import Callable
from dataclasses import dataclass
from inspect import Parameter, signature
from pathlib import Path
from typing import Any

from qsnn_models.data import images, nmnist, spoken, tonic_sets
from qsnn_models.data.dataset import Bytes, Dataset
from qsnn_models.errors import DataError


@dataclass(frozen=True)
class Entry:
    """One row of the table: the names (``part`` is what follows a colon), who loads it, what."""

    name: str
    load: Callable[..., Dataset]
    what: str
    part: str = ""


CATALOGUE = {entry.name: entry for entry in (
    Entry("mnist", images.load_idx, "60,000 and 10,000 images, 28 x 28"),
    Entry("fashion-mnist", images.load_idx, "60,000 and 10,000 images, 28 x 28"),
    Entry("digits", images.load_digits, "scikit-learn's, 1,438 and 359 images, 8 x 8"),
    Entry("mnist-rows", images.load_rows, "MNIST as 28 frames, a row of 28 pixels each"),
    Entry("fashion-mnist-rows", images.load_rows, "Fashion-MNIST likewise"),
    Entry("mnist-saccades", nmnist.load_saccades,
          "MNIST converted by a simulated event camera, 10 frames of 2 x 17 x 17"),
    Entry("nmnist-subset", nmnist.load_subset,
          "1,000 genuine N-MNIST recordings in 5 folds, 10 frames of 2 x 34 x 34", "FOLD"),
    Entry("spoken-digits", spoken.load_spoken,
          "3,000 spoken digits, 25 frames of 72 channels; official split, or a speaker held out",
          "[SPEAKER]"),
    Entry("nmnist", tonic_sets.load_nmnist,
          "N-MNIST, 60,000 and 10,000 recordings, 10 frames of 2 x 17 x 17; by tonic"),
    Entry("shd", tonic_sets.load_shd,
          "Spiking Heidelberg Digits, 20 classes, 50 frames of 140 channels; by tonic"),
    Entry("dvs-gesture", tonic_sets.load_gesture,
          "DVS-Gesture, 11 classes, 20 frames of 2 x 32 x 32; by tonic"),
)}


def load(name: str, folder: str | Path | None = None, **options: Any) -> Dataset:
    """The data set *name* of the `CATALOGUE`; *options* are those of its loader.

    Looked for in *folder*, else in ``$QSNN_DATA``, ``./data`` and ``~/.cache/qsnn``. Raises
    DataError naming how to get what is missing, or what is wrong with what is there.
    """
    entry = _entry(name)
    known = signature(entry.load).parameters
    if not any(p.kind is Parameter.VAR_KEYWORD for p in known.values()):
        allowed = [option for option, p in known.items() if p.kind is Parameter.KEYWORD_ONLY]
        wrong = next((option for option in options if option not in allowed), None)
        if wrong is not None:
            raise DataError(f"an option of {entry.name} must be one of "
                            f"{', '.join(allowed) or '(none)'}, not {wrong!r}")
    return entry.load(name, folder, **options)


def load_test(name: str, folder: str | Path | None = None, **options: Any) -> tuple[Bytes, Bytes]:
    """Only the test part of *name*: inputs and labels ``[N]``. See `load`."""
    if name in images.SOURCES and not options:
        return images.load_idx_test(name, folder)
    found = load(name, folder, **options)
    return found.test_x, found.test_y


def _entry(name: str) -> Entry:
    base, colon, _ = name.partition(":")
    entry = CATALOGUE.get(base)
    if entry is None or (colon and not entry.part):
        raise DataError(f"data set must be one of {', '.join(CATALOGUE)}, not {name!r}")
    return entry
