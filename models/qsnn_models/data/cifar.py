"""CIFAR-10: the binary version as its publisher gives it, and a copy of it in JPEG files."""

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qsnn_models.errors import DataError

from .class_folders import decode_image
from .dataset import Bytes, Dataset
from .folders import cached, contents, find, fingerprint

NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SHAPE = (3, 32, 32)
COUNTS = {"train": 50_000, "test": 10_000}
BINARY = ("cifar-10-batches-bin", "cifar-10-binary.tar.gz")
BATCHES = {"train": [f"data_batch_{n}.bin" for n in range(1, 6)], "test": ["test_batch.bin"]}
JPEG = ("cifar10-jpeg", "cifar10-jpeg.tar.xz")
GET = "The binary version, cifar-10-binary.tar.gz, is at https://www.cs.toronto.edu/~kriz/cifar.html"
GET_JPEG = ("It is a folder or an archive of train/CLASS/NNNN.jpg and test/CLASS/NNNN.jpg, of 32 x "
            "32 pixels, made from the originals")


def load_binary(name: str, folder: str | Path | None = None) -> Dataset:
    """CIFAR-10's 50,000 and 10,000 images in colour, ``[N, 3072]``: red, green, blue."""
    path = find(name, BINARY, folder, GET)
    files = contents(path, (".bin",))
    parts = [np.concatenate([_batch(path, file, files.get(file)) for file in names])
             for names in BATCHES.values()]
    return _dataset(name, path, {part: (rows[:, 1:], rows[:, 0])
                                 for part, rows in zip(BATCHES, parts, strict=True)})


def load_jpeg(name: str, folder: str | Path | None = None) -> Dataset:
    """CIFAR-10 as a JPEG copy, likewise; expect a point less than with the originals."""
    path = find(name, JPEG, folder, GET_JPEG)
    arrays = cached("cifar-10-jpeg", fingerprint(path), lambda: _decoded(path))
    return _dataset(name, path, {part: (arrays[f"{part}_x"], arrays[f"{part}_y"])
                                 for part in COUNTS})


def _dataset(name: str, path: Path, parts: dict[str, tuple[Bytes, Bytes]]) -> Dataset:
    for part, (_, y) in parts.items():
        if len(y) != COUNTS[part] or y.max() >= len(NAMES):
            raise DataError(f"{path} must hold {COUNTS[part]:,} {part} images of {len(NAMES)} "
                            f"classes, not {len(y):,}; delete it and get it again")
    return Dataset(name, *parts["train"], *parts["test"], SHAPE, names=NAMES)


def _batch(path: Path, file: str, content: bytes | None) -> Bytes:
    """A file's rows of a label and 3,072 pixels."""
    size = 1 + int(np.prod(SHAPE))
    if content is None or not content or len(content) % size:
        what = "is missing" if content is None else f"has {len(content):,} bytes"
        raise DataError(f"{path} must hold {file}, rows of {size:,} bytes, but it {what}; delete "
                        f"it and get it again. {GET}")
    return np.frombuffer(content, np.uint8).reshape(-1, size)


def _decoded(path: Path) -> dict[str, NDArray[Any]]:
    images: dict[str, list[Bytes]] = {part: [] for part in COUNTS}
    labels: dict[str, list[int]] = {part: [] for part in COUNTS}
    for file, content in sorted(contents(path, (".jpg",), folders=True).items()):
        match = re.search(r"(train|test)/(\w+)/[^/]+$", file)
        if match is None or match[2] not in NAMES:
            raise DataError(f"{path} must hold files train/CLASS/NNNN.jpg and test/CLASS/NNNN.jpg, "
                            f"not {file!r}. {GET_JPEG}")
        image = decode_image(content, f"{path}: {file}")
        if image.shape != SHAPE:
            raise DataError(f"{path}: {file} must be of 32 x 32 pixels in colour, not "
                            f"{image.shape[2]} x {image.shape[1]}; get it again")
        images[match[1]].append(image.ravel())
        labels[match[1]].append(NAMES.index(match[2]))
    empty = np.empty((0, int(np.prod(SHAPE))), np.uint8)
    return {f"{part}_x": np.stack(own) if own else empty for part, own in images.items()} | {
        f"{part}_y": np.array(own, np.uint8) for part, own in labels.items()}
