"""Files that a user names, opened with suspicion: regular files alone, of a bounded size."""

import errno
import json
import os
import stat
from pathlib import Path
from typing import Any, BinaryIO

LARGEST = 1 << 29               # bytes: far beyond any network of a core like ours


def opened(path: str | Path, *, most: int = LARGEST) -> BinaryIO:
    """The regular file at *path*, of at most *most* bytes, open for reading.

    Raises OSError, whose strerror says what is wrong: for a folder, a device, a FIFO, a socket or a
    link to one of them (none of them is opened), for a larger file, and for a name that no file can
    have. Every reader of a user's file (models, data, checkpoints, reports) opens it here.
    """
    try:
        status = Path(path).stat()
    except ValueError as error:                     # a NUL in the name
        raise OSError(errno.EINVAL, f"no name of a file: {error}") from None
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "not a regular file but a device, a FIFO or a socket")
    if status.st_size > most:
        raise OSError(errno.EFBIG, f"larger than {most:,} bytes")
    return Path(path).open("rb")


def read_bytes(path: str | Path, *, most: int = LARGEST) -> bytes:
    """All of the regular file at *path*. Raises OSError, as `opened` does."""
    with opened(path, most=most) as file:
        data = file.read(most + 1)
    if len(data) > most:                            # a file that says no size, as those of /proc
        raise OSError(errno.EFBIG, f"larger than {most:,} bytes")
    return data


def read_json(path: str | Path) -> Any:
    """What the JSON file at *path* holds. Raises OSError, as `opened` does, and ValueError where it
    is no JSON, or nests so deep that it can't be read."""
    try:
        return json.loads(read_bytes(path).decode(), parse_constant=_no_number)
    except RecursionError:
        raise ValueError("nested too deep") from None


def _no_number(name: str) -> None:
    raise ValueError(f"numbers must be finite, not {name}")
