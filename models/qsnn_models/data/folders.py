"""Where data sets are looked for, archives, and the cache of what was decoded from them."""

import hashlib
import lzma
import os
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qsnn_models.errors import DataError

Arrays = dict[str, NDArray[Any]]

BESIDE = Path(__file__).resolve().parents[3] / "shared" / "data"    # of a checkout
_FORMAT = 1                     # of cached arrays; raise it when what is decoded changes


def roots(folder: str | Path | None) -> list[Path]:
    """*folder* alone, else ``$QSNN_DATA``, ``./data`` and ``~/.cache/qsnn``."""
    if folder is not None:
        return [Path(folder)]
    env = os.environ.get("QSNN_DATA")
    return [*([Path(env)] if env else []), Path("data"), Path.home() / ".cache" / "qsnn"]


def find(name: str, files: Sequence[str], folder: str | Path | None, get: str) -> Path:
    """The first of *files* (archives or folders of the data set *name*) that is in `roots`, or, of
    a checkout, in ``../shared/data``. Raises DataError with *get*: how one gets it."""
    places = roots(folder) + ([BESIDE] if folder is None else [])
    for place in places:
        for file in files:
            if (place / file).exists():
                return place / file
    shown = ", ".join(str(place) for place in roots(folder))
    raise DataError(f"{name}: {' or '.join(files)} not found in {shown}. {get}")


def contents(path: Path, suffixes: tuple[str, ...], folders: bool = False) -> dict[str, bytes]:
    """File name (with *folders* its path inside) -> content of every file of these *suffixes* in
    the folder or archive *path* (tar of any compression, zip)."""
    try:
        if path.is_dir():
            files = {file.relative_to(path).as_posix(): file.read_bytes()
                     for file in sorted(path.rglob("*")) if file.suffix in suffixes
                     and file.is_file()}
        else:
            files = (_unzip if path.suffix == ".zip" else _untar)(path, suffixes)
    except (OSError, EOFError, lzma.LZMAError, zlib.error, tarfile.TarError,
            zipfile.BadZipFile) as error:
        reason = str(error).split(":\n")[0]
        raise DataError(f"{path} must be a complete archive, but reading it failed: {reason}; "
                        "delete it and get it again") from None
    return files if folders else {Path(name).name: content for name, content in files.items()}


def untar(path: Path, suffixes: tuple[str, ...]) -> dict[str, bytes]:
    """`contents` of a tar file, with the errors that reading it may raise."""
    return {Path(name).name: content for name, content in _untar(path, suffixes).items()}


def _untar(path: Path, suffixes: tuple[str, ...]) -> dict[str, bytes]:
    files = {}
    with tarfile.open(path) as archive:
        for member in archive:
            file = archive.extractfile(member) if member.name.endswith(suffixes) else None
            if file:
                files[member.name] = file.read()
    return files


def _unzip(path: Path, suffixes: tuple[str, ...]) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist() if name.endswith(suffixes)}


def fingerprint(path: Path) -> str:
    """Changes when the file, or what the folder holds, does: names, sizes and times."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    facts = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return hashlib.sha256(repr((str(path.resolve()), facts)).encode()).hexdigest()


def cached(name: str, key: object, make: Callable[[], Arrays]) -> Arrays:
    """What *make* returns, kept as ``~/.cache/qsnn/decoded/NAME-DIGEST.npz`` with *key* digested.

    The file is written whole or not at all; one that can't be read is made again, and a folder
    that can't be written only costs the time. Any of the files may be deleted.
    """
    digest = hashlib.sha256(repr((_FORMAT, key)).encode()).hexdigest()[:16]
    path = Path.home() / ".cache" / "qsnn" / "decoded" / f"{name}-{digest}.npz"
    try:
        with path.open("rb") as file, np.load(file) as arrays:
            return dict(arrays)
    except (OSError, ValueError, EOFError, KeyError, zlib.error, zipfile.BadZipFile):
        arrays = make()
    _keep(path, arrays)
    return arrays


def _keep(path: Path, arrays: Arrays) -> None:
    part = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as file:
            part = Path(file.name)
            np.savez(file, allow_pickle=False, **arrays)
        part.replace(path)
    except OSError:
        if part is not None:
            part.unlink(missing_ok=True)
