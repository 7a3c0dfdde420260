"""Arrays of .npz files that a user names: each is judged by its header before it is unpacked."""

import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

from numpy.lib import format as npy
from numpy.typing import NDArray

from .files import opened

LARGEST = 1 << 30               # bytes of one array
USUAL = 1 << 26                 # bytes up to which an array may be packed however tightly
TIGHTEST = 250                  # times that a larger array may be packed: sparse events need 100
READERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
UNREADABLE = (ValueError, TypeError, KeyError, EOFError, OverflowError, SyntaxError, MemoryError,
              RecursionError, RuntimeError, NotImplementedError, tokenize.TokenError,
              zipfile.BadZipFile, zlib.error)


class ArrayError(ValueError):
    """A file holds no array that can be read."""


class NotNpz(ArrayError):
    """A file is no .npz file, or only a part of one."""


class Npz:
    """The arrays of an open .npz file, by name: ``names``, and ``archive[name]``."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()
                         if info.filename.endswith(".npy")}
        self.names = sorted(self._members)

    def __getitem__(self, name: str) -> NDArray[Any]:
        """The array *name*. Raises ArrayError where its header, its size or its data are wrong."""
        info = self._members[name]
        try:
            with self._archive.open(info) as member:
                _check(info, member)
            with self._archive.open(info) as member:
                array: NDArray[Any] = npy.read_array(member, allow_pickle=False)
        except UNREADABLE as error:
            raise ArrayError(f"{error!s:.80}") from None
        return array


@contextmanager
def read_npz(path: str | Path) -> Iterator[Npz]:
    """The .npz file at *path*, open. Raises OSError (see `files.opened`), ArrayError where it is
    none."""
    with opened(path) as file:
        if not zipfile.is_zipfile(file):
            raise NotNpz("a whole .npz file is wanted")
        try:
            archive = zipfile.ZipFile(file)
        except UNREADABLE as error:
            raise NotNpz(str(error)[:80]) from None
        with archive:
            yield Npz(archive)


def _check(info: zipfile.ZipInfo, member: Any) -> None:
    """Raise ValueError unless the header at the start of *member* promises what is there."""
    version = npy.read_magic(member)
    if version not in READERS:
        raise ValueError(f"version must be 1.0 or 2.0, not {version!r}")
    shape, _, dtype = READERS[version](member)
    if dtype.hasobject:
        raise ValueError("Object arrays cannot be loaded")
    if dtype.names:
        raise ValueError(f"its elements must be numbers, not {dtype!s}")
    if any(size < 0 for size in shape):
        raise ValueError(f"its shape must be of sizes, not {shape!r}")
    size, there = prod(shape) * dtype.itemsize, info.file_size - member.tell()
    if size != there:
        raise ValueError(f"it must hold {size:,} bytes by its header, not {there:,}")
    if size > LARGEST:
        raise ValueError(f"it must hold at most {LARGEST:,} bytes, not {size:,}; split the file")
    if size > max(USUAL, TIGHTEST * info.compress_size):
        raise ValueError(f"{size:,} bytes must not be packed into {info.compress_size:,}; "
                         "store it with np.savez")
