"""A NIR file, opened with care: nothing outside it is read, and nothing larger than it says."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import QsnnError

if TYPE_CHECKING:
    import nir

LARGEST = 1 << 30               # bytes of all arrays together


class NirError(QsnnError):
    """A NIR file that can't be read, or says what we don't know. The message says what to do."""


def is_nir(path: str | Path) -> bool:
    """Whether the file at *path* is HDF5, which NIR files are."""
    try:
        with Path(path).open("rb") as file:
            return file.read(8) == b"\x89HDF\r\n\x1a\n"
    except OSError:
        return False


def read_graph(path: str | Path) -> "nir.NIRGraph":
    """The graph in the file, subgraphs in place. Raises NirError."""
    import nir
    try:
        _check(Path(path))
        graph = nir.read(path, type_check=False)
    except (OSError, KeyError, ValueError, AssertionError, TypeError, AttributeError, RuntimeError,
            RecursionError, IndexError) as error:
        raise NirError(f"{path}: must be a readable NIR file, not what it holds: {error}; write it "
                       "again with nir.write") from None
    if not isinstance(graph, nir.NIRGraph):
        raise NirError(f"{path}: must hold a NIRGraph, not a {type(graph).__name__!r}; wrap the "
                       "nodes in a nir.NIRGraph")
    return graph


def _check(path: Path) -> None:
    import h5py
    if not path.is_file():
        raise NirError(f"model must be a file, not {str(path)!r}; name one that exists")
    total = 0
    with h5py.File(path, "r") as file:
        for name, item in _items(file):
            if isinstance(item, h5py.Dataset):
                total += item.size * item.dtype.itemsize if item.shape is not None else 0
                if item.is_virtual or item.external:
                    raise NirError(f"{path}: {name!r} must be stored in the file, not elsewhere; "
                                   "write it again with nir.write")
    if total > LARGEST:
        raise NirError(f"{path}: its arrays must be at most {LARGEST} bytes, not {total!r}; prune "
                       "the network")


def _items(group: Any) -> Iterator[tuple[str, Any]]:
    """Every object below *group*, links to elsewhere refused."""
    import h5py
    for name in group:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise NirError(f"{group.file.filename}: {name!r} must be in the file, not a link; "
                           "write it again with nir.write")
        item = group[name]
        yield f"{group.name}/{name}", item
        if isinstance(item, h5py.Group):
            yield from _items(item)
