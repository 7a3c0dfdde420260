"""1,000 genuine N-MNIST recordings, and MNIST through the simulated camera."""

import hashlib
import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qsnn_models.errors import DataError

from . import images, saccades
from .dataset import Bytes, Dataset
from .events import Events, Frames, decode, frames, join
from .folders import cached, contents, find, fingerprint

RECORDINGS = 1000               # in the subset: of MNIST's first 1,000 training digits, in order
FOLDS = 5
MOST_SEED = 2 ** 63 - 1
FILES = ("nmnist-subset.tar.xz", "nmnist-subset", "NMNISTsmall.zip", "NMNISTsmall")
GET = ("Recordings N.bs2 with a labels.txt are in SLAYER's example, "
       "https://github.com/bamsumit/slayerPytorch (example/NMNISTsmall.zip); unpack it there")


def load_subset(name: str, folder: str | Path | None = None, *, steps: int = 10, bits: int = 1,
                pool: int = 1, simulated: int = 0, jitter: float = 0.1, seed: int = 0) -> Dataset:
    """Fold K of ``nmnist-subset:K``: 800 recordings to train on, 200 for testing, as frames
    ``[N, T, 2, 34, 34]`` (see `Frames`).

    ``simulated`` samples of MNIST by the simulated camera (its ``jitter``, ``seed``) go before the
    training recordings. They are of digits that no recording shows: MNIST's training images
    from the 1,001st on, for the first 1,000 are what was recorded.
    """
    form = Frames(steps, bits, pool)
    fold = _fold(name)
    _within("seed", seed, 0, MOST_SEED)
    events, labels = subset(folder)
    x = frames(events, form, saccades.MICROSECONDS)
    test = folds(labels) == fold
    train_x, train_y = x[~test], labels[~test]
    if simulated:
        digits = images.load_idx("mnist", folder)
        chosen = _choose(len(digits.train_x) - RECORDINGS, simulated, seed) + RECORDINGS
        extra = convert(digits.train_x[chosen], form, saccades.Camera(jitter=jitter), seed)
        train_x = np.concatenate([extra, train_x])
        train_y = np.concatenate([digits.train_y[chosen], train_y])
    return Dataset(name, train_x, train_y, x[test], labels[test], bits=bits)


def load_saccades(name: str, folder: str | Path | None = None, *, steps: int = 10, bits: int = 1,
                  pool: int = 2, train: int = 60_000, test: int = 10_000, skip: int = 0,
                  jitter: float = 0.0, seed: int = 0) -> Dataset:
    """MNIST converted by a simulated event camera, as frames ``[N, T, 2, 34 / pool, 34 / pool]``:
    the first ``train`` training images after ``skip`` (1,000 leave out what the subset's recordings
    show) and the first ``test`` test images. ``jitter`` and ``seed`` are of the training part; the
    test part always has the camera still."""
    form = Frames(steps, bits, pool)
    digits = images.load_idx("mnist", folder)
    _within("skip", skip, 0, len(digits.train_x) - 1)
    _within("train", train, 1, len(digits.train_x) - skip)
    _within("test", test, 1, len(digits.test_x))
    _within("seed", seed, 0, MOST_SEED)
    camera = saccades.Camera(jitter=jitter)
    chosen = slice(skip, skip + train)
    return Dataset(name, convert(digits.train_x[chosen], form, camera, seed),
                   digits.train_y[chosen], convert(digits.test_x[:test], form, saccades.Camera()),
                   digits.test_y[:test], bits=bits)


def convert(x: Bytes, form: Frames, camera: saccades.Camera, seed: int = 0) -> Bytes:
    """Images ``[N, 784]`` by the simulated *camera* as frames; kept in the cache."""
    shape = (len(x), form.steps, *form.shape(saccades.SIDE, saccades.SIDE))
    key = (hashlib.sha256(x.tobytes()).hexdigest(), form, camera, seed)

    def make() -> dict[str, NDArray[Any]]:
        blocks = (form.clip(block) for block in saccades.counts(x, form.steps, camera, seed))
        if form.bits == 1:
            blocks = (np.packbits(block.reshape(len(block), -1), axis=1) for block in blocks)
        return {"x": np.concatenate(list(blocks))}
    made = cached("saccades", key, make)["x"]
    if form.bits == 1:
        made = np.unpackbits(made, axis=1, count=math.prod(shape[1:]))
    return made.reshape(shape)


def subset(folder: str | Path | None = None) -> tuple[Events, Bytes]:
    """The 1,000 recordings and their labels ``[1000]``, in the order of their numbers."""
    path = find("nmnist-subset", FILES, folder, GET)
    arrays = cached("nmnist-subset", fingerprint(path), lambda: _decode(path))
    return Events(*(arrays[name] for name in ("x", "y", "p", "t", "starts"))), arrays["labels"]


def folds(labels: Bytes, seed: int = 0) -> NDArray[np.intp]:
    """The fold 0..4 of every recording ``[N]``: equal sizes, in each the same share of every class
    to one recording; which ones is chance, by *seed*."""
    order = np.lexsort((np.random.default_rng(seed).permutation(len(labels)), labels))
    parts = np.empty(len(labels), np.intp)
    parts[order] = np.arange(len(labels)) % FOLDS
    return parts


def _fold(name: str) -> int:
    fold = name.partition(":")[2]
    if fold not in map(str, range(FOLDS)):
        raise DataError(f"nmnist-subset must name its fold, nmnist-subset:0 to "
                        f"nmnist-subset:{FOLDS - 1}, not {name!r}")
    return int(fold)


def _within(option: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise DataError(f"{option} must be within {least} and {most}, not {value!r}")


def _choose(most: int, count: int, seed: int) -> NDArray[np.intp]:
    _within("simulated", count, 0, most)
    return np.random.default_rng(seed).permutation(most)[:count]


def _decode(path: Path) -> dict[str, NDArray[Any]]:
    files = contents(path, (".bs2", ".txt"))
    labels = _labels(path, files)
    missing = next((f"{n}.bs2" for n in labels[:, 0] if f"{n}.bs2" not in files), None)
    if missing or len(labels) != RECORDINGS:
        raise DataError(f"{path} must hold {RECORDINGS} recordings and their labels, but "
                        f"{missing or len(labels)} {'is missing' if missing else 'are there'}; "
                        "delete it and get it again")
    events = join([decode(files[f"{n}.bs2"], f"{path}: {n}.bs2") for n in labels[:, 0]])
    return {**vars(events), "labels": labels[:, 1].astype(np.uint8)}


def _labels(path: Path, files: dict[str, bytes]) -> NDArray[np.int64]:
    """Rows of number and class."""
    text = next((files[name] for name in ("labels.txt", "train1K.txt") if name in files), b"")
    lines = [line.split() for line in text.decode(errors="replace").splitlines()
             if line.strip() and not line.startswith("#")]
    if not lines or any(len(line) != 2 or not all(map(str.isdecimal, line)) for line in lines):
        raise DataError(f"{path} must hold a labels.txt with a number and a class a line; "
                        "delete it and get it again")
    wrong = next((label for _, label in lines if not (label.isascii() and len(label) == 1)), None)
    twice = next((n for n, count in Counter(n for n, _ in lines).items() if count > 1), None)
    if wrong or twice:
        raise DataError(f"{path} must have a class of 0 to 9 for each number, once, but "
                        f"{f'has class {wrong}' if wrong else f'names {twice} twice'}; delete it "
                        "and get it again")
    return np.array(lines, np.int64)

