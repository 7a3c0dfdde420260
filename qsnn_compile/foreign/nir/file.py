"""A NIR file, opened with care: nothing outside it is read, and nothing larger than it says."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from qsnn_compile.system.errors import QsnnError
from qsnn_compile.system.files import opened

if TYPE_CHECKING:
    import nir

LARGEST = 1 << 28               # bytes of all arrays together
MOST_ITEMS = 50_000             # groups and arrays
DEEPEST = 20                    # graphs in graphs


class NirError(QsnnError):
    """A NIR file that can't be read, or says what we don't know. The message says what to do."""


def is_nir(path: str | Path) -> bool:
    """Whether the file at *path* is HDF5, which NIR files are."""
    try:
        with opened(path) as file:
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
    _check_fields(path, graph)
    return graph


def _check_fields(path: str | Path, graph: "nir.NIRGraph") -> None:
    """Refuse a node whose fields are no numbers, or NaN. Raises NirError."""
    import nir
    for key, node in graph.nodes.items():
        if isinstance(node, nir.NIRGraph):
            _check_fields(path, node)
            continue
        for name, value in vars(node).items():
            if name in ("input_type", "output_type", "metadata") or value is None:
                continue
            array = np.asarray(value)
            wrong = array.dtype if array.dtype.kind not in "biuf" else \
                "nan" if np.isnan(array).any() else "nothing" if not array.size else None
            if wrong is not None and not (name == "padding" and array.dtype.kind in "SUO"):
                raise NirError(f"{path}: node {key!r} ({type(node).__name__}): {name} must be "
                               f"numbers, not {wrong}; write it again with nir.write")


def _check(path: Path) -> None:
    import h5py
    if not path.is_file():
        raise NirError(f"model must be a file, not {str(path)!r}; name one that exists")
    total = 0
    with h5py.File(path, "r") as file:
        for count, (name, item) in enumerate(_items(file)):
            if count > MOST_ITEMS or name.count("/") > 2 * DEEPEST:
                raise NirError(f"{path}: must have at most {MOST_ITEMS} items and graphs at most "
                               f"{DEEPEST} deep, not more; write a smaller network")
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
