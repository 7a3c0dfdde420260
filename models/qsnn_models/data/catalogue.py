"""The data sets by name, and one function that loads any of them."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import Any

from qsnn_models.errors import DataError

from . import cifar, images, nmnist, own, spoken, tonic_sets
from .cochlea import Cochlea
from .dataset import Bytes, Dataset
from .folders import roots

KINDS = {int: "an integer", float: "a number", bool: "true or false", str: "a text"}


@dataclass(frozen=True)
class Entry:
    """One row of the table: the names (``part`` is what follows a colon, one of ``folds``), who
    loads it, what; its options are the keywords of ``form``, else of the loader."""

    name: str
    load: Callable[..., Dataset]
    what: str
    part: str = ""
    folds: tuple[str, ...] = ()
    form: Callable[..., Any] | None = None

    @property
    def options(self) -> dict[str, Any]:
        """The loader's options and their defaults."""
        known = signature(self.form or self.load).parameters
        return {name: p.default for name, p in known.items()
                if name != "folder" and p.default is not p.empty}


CATALOGUE = {entry.name: entry for entry in (
    Entry("mnist", images.load_idx, "60,000 and 10,000 images, 28 x 28"),
    Entry("fashion-mnist", images.load_idx, "60,000 and 10,000 images, 28 x 28"),
    Entry("digits", images.load_digits, "scikit-learn's, 1,438 and 359 images, 8 x 8"),
    Entry("cifar-10", cifar.load_binary, "50,000 and 10,000 images in colour, 32 x 32"),
    Entry("cifar-10-jpeg", cifar.load_jpeg, "CIFAR-10 as a JPEG copy, a point harder"),
    Entry("mnist-rows", images.load_rows, "MNIST as 28 frames, a row of 28 pixels each"),
    Entry("fashion-mnist-rows", images.load_rows, "Fashion-MNIST likewise"),
    Entry("mnist-saccades", nmnist.load_saccades,
          "MNIST converted by a simulated event camera, 10 frames of 2 x 17 x 17"),
    Entry("nmnist-subset", nmnist.load_subset,
          "1,000 genuine N-MNIST recordings in 5 folds, 10 frames of 2 x 34 x 34", "FOLD",
          tuple(map(str, range(nmnist.FOLDS)))),
    Entry("spoken-digits", spoken.load_spoken,
          "3,000 spoken digits, 25 frames of 72 channels; official split, or a speaker held out",
          "[SPEAKER]", spoken.SPEAKERS, Cochlea),
    Entry("nmnist", tonic_sets.load_nmnist,
          "N-MNIST, 60,000 and 10,000 recordings, 10 frames of 2 x 17 x 17; by tonic"),
    Entry("shd", tonic_sets.load_shd,
          "Spiking Heidelberg Digits, 20 classes, 50 frames of 140 channels; by tonic"),
    Entry("dvs-gesture", tonic_sets.load_gesture,
          "DVS-Gesture, 11 classes, 20 frames of 2 x 32 x 32; by tonic"),
)}


def load(name: str, folder: str | Path | None = None, *, test_data: str = "",
         **options: Any) -> Dataset:
    """The data set *name* of the `CATALOGUE`, or one's own at the path *name*, *test_data* the path
    of its test part (`own.load_own`). *options* are those of its loader, and may stand in the name
    as in an address: ``nmnist-subset:0?pool=2&simulated=4000``, ``gesture.npz?window=32``.

    Looked for in *folder*, else in ``$QSNN_DATA``, ``./data`` and ``~/.cache/qsnn``; a path in the
    current folder, then in these. Raises DataError naming how to get what is missing, or what is
    wrong with what is there.
    """
    name, _, query = name.partition("?")
    options = _read(query) | options
    if not is_listed(name):
        path = place_of(name, folder)
        kind = own.kind_of(path)
        _check_all(kind, options)
        return own.load_own(path, place_of(test_data, folder) if test_data else None, options)
    entry = _entry(name)
    if test_data:
        raise DataError(f"test must be left out, not {test_data!r}: {name} has a test part of its "
                        "own")
    _check_all(entry, options)
    return entry.load(name, folder, **options)


def is_listed(name: str) -> bool:
    """Whether *name*, maybe with a part and options, is of the `CATALOGUE`."""
    return name.partition("?")[0].partition(":")[0] in CATALOGUE


def place_of(name: str, folder: str | Path | None = None) -> Path:
    """Where the file or folder *name* is: here, or where data sets are looked for. Raises
    DataError."""
    for place in (Path(), *roots(folder)):
        if name and (place / name).exists():
            return place / name
    shown = ", ".join(map(str, roots(folder)))
    raise DataError(f"data set must be one of {', '.join(CATALOGUE)}, or a file or folder that is "
                    f"here or in {shown}, not {name!r}")


def load_test(name: str, folder: str | Path | None = None, **options: Any) -> tuple[Bytes, Bytes]:
    """Only the test part of *name*: inputs and labels ``[N]``. See `load`."""
    if name in images.SOURCES and not options:
        return images.load_idx_test(name, folder)
    loaded = load(name, folder, **options)
    return loaded.test_x, loaded.test_y


def folds(name: str) -> list[str]:
    """The names of all folds of the data set of *name* (its own fold may be in it), with the
    options of *name*: of every one another part is for testing.

    Raises DataError naming the sets that have folds.
    """
    name, question, query = name.partition("?")
    entry = _entry(name)
    if not entry.folds:
        known = " or ".join(entry.name for entry in CATALOGUE.values() if entry.folds)
        raise DataError(f"a data set with folds must be {known}, not {name!r}")
    return [f"{entry.name}:{fold}{question}{query}" for fold in entry.folds]


def _read(query: str) -> dict[str, Any]:
    """``pool=2&edges=false`` as options: numbers, true and false."""
    options: dict[str, Any] = {}
    for given in query.split("&") if query else ():
        option, equals, text = given.partition("=")
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        number = type(value) in (int, float) and math.isfinite(value)
        if not (option and equals) or option in options or not (
                number or type(value) in (bool, str)):
            raise DataError("an option of a data set must be NAME=VALUE, each once, joined by &, "
                            f"not {given!r}")
        options[option] = value
    return options


def _check_all(entry: Entry | own.Kind, options: dict[str, Any]) -> None:
    for option, value in options.items():
        _check(entry, option, value)


def _check(entry: Entry | own.Kind, option: str, value: Any) -> None:
    known = entry.options
    if option not in known:
        raise DataError(f"an option of {entry.name} must be one of "
                        f"{', '.join(known) or '(none)'}, not {option!r}")
    kind = type(known[option])
    if type(value) is not kind and (kind, type(value)) != (float, int):
        raise DataError(f"option {option} of {entry.name} must be {KINDS[kind]}, not {value!r}")


def _entry(name: str) -> Entry:
    base, colon, _ = name.partition(":")
    entry = CATALOGUE.get(base)
    if entry is None or (colon and not entry.part):
        raise DataError(f"data set must be one of {', '.join(CATALOGUE)}, not {name!r}")
    return entry
