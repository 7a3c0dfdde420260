"""Data of one's own, by the path of a file or a folder, and what may be said of each kind."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np

from qsnn_models.errors import DataError

from . import class_folders, event_files, tables
from .cochlea import Cochlea
from .dataset import Dataset
from .labelled import Labelled, check_classes, numbered, same_shape
from .split import chosen, split, windows

SCALINGS = ("standardise", "range", "none")
PARTS = {"train", "test"}
SPLIT = {"share": 0.2, "seed": 0}
WINDOWS = {"window": 0, "stride": 0}
SCALED = {"scaling": SCALINGS[0]}


@dataclass(frozen=True)
class Kind:
    """One kind of data: who reads a path of it, the endings of its files; its options are the
    keywords of ``form`` (a sound's rate is in its file), else of the reader, and ``more``.
    ``folders``: it is a folder a class."""

    name: str
    read: Callable[..., Labelled]
    suffixes: tuple[str, ...]
    folders: bool
    more: Mapping[str, Any]
    form: Callable[..., Any] | None = None

    @property
    def options(self) -> dict[str, Any]:
        """All options and their defaults."""
        known = signature(self.form or self.read).parameters.values()
        own = {p.name: p.default for p in known if p.default is not p.empty and p.name != "rate"}
        return own | dict(self.more) | SPLIT


KINDS = (
    Kind("an .npz file", tables.read_arrays, (".npz",), False, WINDOWS | SCALED),
    Kind("a CSV file", tables.read_csv, (".csv",), False, WINDOWS | SCALED),
    Kind("a folder of images", class_folders.read_images, class_folders.IMAGES, True, {}),
    Kind("a folder of wav files", class_folders.read_sounds, class_folders.SOUNDS, True, {},
         Cochlea),
    Kind("a folder of CSV files", class_folders.read_tables, class_folders.TABLES, True,
         WINDOWS | SCALED),
    Kind("a folder of event recordings", event_files.read_events, event_files.SUFFIXES, True, {},
         event_files.Camera),
)


def kind_of(path: Path) -> Kind:
    """What *path* is. Raises DataError naming what it could be."""
    if not path.is_dir():
        for kind in KINDS:
            if not kind.folders and path.suffix.lower() in kind.suffixes:
                return kind
        raise DataError(f"{path}: data must be an .npz or a CSV file, or a folder of a folder a "
                        f"class, not a file *{path.suffix}")
    folder = path / "train" if has_parts(path) else path
    suffixes = {file.suffix.lower() for place in class_folders.class_folders(folder)
                for file in place.rglob("*") if file.is_file() and file.name[0] != "."}
    kinds = [kind for kind in KINDS if kind.folders and suffixes & set(kind.suffixes)]
    if len(kinds) != 1:
        what = " and ".join(kind.name.removeprefix("a folder of ") for kind in kinds) or "none"
        raise DataError(f"{folder}: data must be folders, one a class, of images, of wav files, of "
                        f"CSV files or of event recordings, not {what}; name the folder above the "
                        "classes")
    return kinds[0]


def has_parts(folder: Path) -> bool:
    """Whether *folder* holds a training and a test part, and nothing else."""
    return {place.name for place in class_folders.class_folders(folder)} == PARTS


def is_own(path: Path) -> bool:
    """Whether *path* is data: a file, or a folder of folders of files that a `Kind` reads."""
    try:
        kind_of(path)
    except DataError:
        return path.is_file()
    return True


def load_own(path: Path, test: Path | None, options: Mapping[str, Any]) -> Dataset:
    """The data at *path*; *test* is its test part, else the folder ``test`` beside ``train`` in it,
    else a share of every class (`split`). *options* are of its `Kind`, checked. Raises DataError,
    before anything is trained, for whatever can't be trained on."""
    kind = kind_of(path)
    parted = path.is_dir() and has_parts(path)
    if parted and test is not None:
        raise DataError(f"{path}: test must be left out, not {str(test)!r}: the folder has a test "
                        "part")
    train, test = (path / "train", path / "test") if parted else (path, test)
    reading = {name: value for name, value in options.items()
               if name not in SPLIT | WINDOWS | SCALED}
    if kind.read is tables.read_csv:
        reading["steps"] = bool(options.get("window")) and not options.get("channels")
    given = kind.read(train, **reading)
    theirs = None if test is None else kind_of(test).read(test, **reading)
    return dataset(str(path), given, theirs, options)


def dataset(name: str, given: Labelled, test: Labelled | None, options: Mapping[str, Any]
            ) -> Dataset:
    """*given*, split where there is no *test* part, cut into windows and checked."""
    y, names = numbered(given)
    check_classes(given.source, y, names)
    if test is None:
        train_at, test_at = split(given, y, names, *(options.get(key, SPLIT[key]) for key in SPLIT))
        given, test = chosen(given, train_at), chosen(given, test_at)
    parts = [_part(part, options) for part in (given, test)]
    (x, train), (test_x, tested) = parts
    if test_x.shape[1:] != x.shape[1:] or test_x.dtype != x.dtype:
        raise DataError(f"{test.source}: test samples must be as the training ones, {x.dtype} "
                        f"{list(x.shape[1:])}, not {test_x.dtype} {list(test_x.shape[1:])}")
    scaling = "" if x.dtype == np.uint8 else str(options.get("scaling", SCALINGS[0]))
    return Dataset(name, x, numbered(train, names)[0], test_x, numbered(tested, names)[0],
                   given.shape, max(train.bits, tested.bits), names, scaling, own=True)


def _part(given: Labelled, options: Mapping[str, Any]) -> tuple[np.ndarray[Any, Any], Labelled]:
    """*given*'s samples as one array: bytes, or float32 where they are raw numbers."""
    if options.get("window"):
        given = windows(given, options["window"], options.get("stride", 0))
    elif options.get("stride"):
        raise DataError(f"{given.source}: stride must come with window, not alone")
    x, scaling = same_shape(given), options.get("scaling", SCALINGS[0])
    if scaling not in SCALINGS:
        raise DataError(f"{given.source}: scaling must be one of {', '.join(SCALINGS)}, not "
                        f"{scaling!r}")
    if x.dtype == np.uint8:
        return x, given
    if scaling == "none":
        if (x != np.floor(x)).any() or x.min() < 0 or x.max() > 255:
            wrong = x[(x != np.floor(x)) | (x < 0) | (x > 255)][0]
            raise DataError(f"{given.source}: x must be codes, whole numbers in 0..255, for "
                            f"scaling none, not {wrong.item()!r}; leave scaling out")
        return x.astype(np.uint8), given
    return x.astype(np.float32), given
