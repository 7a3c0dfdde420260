"""What an ONNX value means to the front end: a constant, a value of the network, or a state."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import numpy_helper

from qsnn_compile.ir import Ints, ints
from qsnn_compile.loader.moves import MOVES, numbers
from qsnn_compile.loader.nodes import Array, OnnxNode


@dataclass(frozen=True, eq=False)
class Const:
    """A number known now. ``quantised``: it came from integers."""

    value: Array
    quantised: bool = False


@dataclass(frozen=True, eq=False)
class Ref:
    """A value of the network, ``gain · SOURCE + bias``.

    ``source`` names an IR node, the input, or ``NODE.u``; ``rank`` leaves out the sample axis.
    ``total``: its sum over all steps so far. ``padding``: a Pad came before, to be taken up by a
    Conv: (top, left, bottom, right) and the pad value.
    """

    source: str
    rank: int
    gain: Ints | None = None
    bias: Ints | None = None
    total: bool = False
    padding: tuple[tuple[int, ...], int] | None = None

    @property
    def plain(self) -> bool:
        """Whether this is SOURCE itself."""
        return self.gain is None and self.bias is None and not self.total and not self.padding


@dataclass(frozen=True, eq=False)
class State:
    """A value carried from one step to the next: where it starts, and its name at the end."""

    name: str
    next: str
    initial: Ints
    rank: int


Value = Const | Ref | State


def integers(node: OnnxNode, what: str, array: Array) -> Ints:
    """*array* as exact integers; *what* names it in the error."""
    if array.dtype.kind == "f":
        finite = np.isfinite(array)
        if not finite.all():
            where = np.argwhere(~finite)[0].tolist()
            node.fail(f"{what} must be finite, not {float(array[~finite][0])!r} (at {where}); "
                      "the training diverged: train again with a lower learning rate")
        whole = array == np.rint(array)
        if not whole.all():
            node.fail(f"{what} must be integers, not {float(array[~whole][0])!r}; "
                      "freeze the network to integers before exporting it")
    elif array.dtype.kind not in "iub":
        node.fail(f"{what} must be numbers, not {array.dtype.name!r}; export the file again")
    size = np.abs(array.astype(np.float64))
    if size.size and float(size.max()) >= 1 << 62:
        node.fail(f"{what} must be below 2^62 in size, not {float(size.max()):g}; export the file "
                  "again")
    return ints(array.astype(np.int64))


def aligned(node: OnnxNode, what: str, array: Array, rank: int) -> Ints:
    """*array* as integers that broadcast against a value of *rank* axes: a leading sample axis of
    1 taken off, one element as a scalar."""
    value = integers(node, what, array)
    if value.size == 1:
        return ints(value.reshape(()))
    if value.ndim == rank + 1 and value.shape[0] == 1:
        value = ints(value[0])
    if value.ndim == 1 and rank == 3:
        value = ints(value.reshape(-1, 1, 1))
    return value


def _shape(node: OnnxNode, value: Array) -> Array:
    size = np.array(value.shape, dtype=np.int64)
    return size[node.integer("start", 0):node.attributes.get("end")]


def _constant_of_shape(node: OnnxNode, shape: Array) -> Array:
    fill = node.attributes.get("value")
    node.fit(*numbers(shape))
    if fill is None:
        return np.zeros(numbers(shape), dtype=np.float32)
    return np.full(numbers(shape), numpy_helper.to_array(fill).reshape(()))


def _elementwise(function: Callable[..., Any]) -> Callable[..., Any]:
    def folded(node: OnnxNode, *arrays: Array) -> Any:
        node.fit(*np.broadcast_shapes(*(array.shape for array in arrays)))
        return function(*arrays)
    return folded


_MOVED = ("Concat", "Expand", "Gather", "Identity", "Reshape", "Squeeze", "Unsqueeze")
FOLD: dict[str, Callable[..., Any]] = {
    # On constants alone. Shapes of x count as constants, with one sample in place of N.
    **{name: MOVES[name] for name in _MOVED},
    "Add": _elementwise(np.add), "Sub": _elementwise(np.subtract),
    "Mul": _elementwise(np.multiply), "Neg": _elementwise(np.negative),
    "Cast": lambda node, a: a, "CastLike": lambda node, a, b: a,
    "ConstantOfShape": _constant_of_shape, "Shape": _shape,
}
