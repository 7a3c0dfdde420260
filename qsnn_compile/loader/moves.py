"""Operators that only move numbers, on any array: of numbers, of ids, of quantised integers."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .nodes import OnnxNode

Array = NDArray[Any]


def numbers(values: Any) -> list[int]:
    """A constant tensor of sizes or axes as Python integers."""
    return [int(value) for value in np.asarray(values).ravel()]


def axes_of(node: OnnxNode, given: Array | None) -> list[int] | None:
    """The axes an operator names, by input or (older opsets) by attribute."""
    values = node.attributes.get("axes") if given is None else given
    return None if values is None else numbers(values)


def _reshape(node: OnnxNode, x: Array, shape: Array | None = None) -> Array:
    sizes = numbers(node.attributes.get("shape") if shape is None else shape)
    if not node.attributes.get("allowzero", 0):
        sizes = [x.shape[i] if size == 0 else size for i, size in enumerate(sizes)]
    return x.reshape(sizes)


def _flatten(node: OnnxNode, x: Array) -> Array:
    axis = node.integer("axis", 1)
    axis += x.ndim if axis < 0 else 0
    return x.reshape(int(np.prod(x.shape[:axis], dtype=np.int64)), -1)


def _squeeze(node: OnnxNode, x: Array, axes: Array | None = None) -> Array:
    removed = axes_of(node, axes)
    return np.squeeze(x, None if removed is None else tuple(removed))


def _unsqueeze(node: OnnxNode, x: Array, axes: Array | None = None) -> Array:
    return np.expand_dims(x, tuple(axes_of(node, axes) or ()))


def _transpose(node: OnnxNode, x: Array) -> Array:
    return np.transpose(x, node.attributes.get("perm"))


def _slice(node: OnnxNode, x: Array, starts: Array | None = None, ends: Array | None = None,
           axes: Array | None = None, steps: Array | None = None) -> Array:
    first = numbers(node.attributes.get("starts") if starts is None else starts)
    last = numbers(node.attributes.get("ends") if ends is None else ends)
    where = axes_of(node, axes) or list(range(len(first)))
    stride = [1] * len(first) if steps is None else numbers(steps)
    cut = [slice(None)] * x.ndim
    for a, b, axis, step in zip(first, last, where, stride, strict=True):
        stop = None if step < 0 and b < -x.shape[axis] else b
        cut[axis] = slice(a, stop, step)
    return x[tuple(cut)]


def _gather(node: OnnxNode, x: Array, index: Array) -> Array:
    axis = node.integer("axis", 0)
    node.fit(x.size // max(1, x.shape[axis]), index.size)
    return np.take(x, index.astype(np.int64), axis=axis)


def _gather_elements(node: OnnxNode, x: Array, index: Array) -> Array:
    axis = node.integer("axis", 0)
    return np.take_along_axis(x, np.where(index < 0, index + x.shape[axis], index), axis)


def _gather_nd(node: OnnxNode, x: Array, index: Array) -> Array:
    if node.integer("batch_dims", 0):
        node.fail("attribute batch_dims must be 0; export without batched indexing")
    node.fit(*index.shape[:-1], *x.shape[index.shape[-1]:])
    return np.asarray(x[tuple(np.moveaxis(index, -1, 0))])


def _expand(node: OnnxNode, x: Array, shape: Array) -> Array:
    sizes = np.broadcast_shapes(x.shape, tuple(numbers(shape)))
    node.fit(*sizes)
    return np.broadcast_to(x, sizes)


def _tile(node: OnnxNode, x: Array, repeats: Array) -> Array:
    node.fit(*numbers(repeats), x.size)
    return np.tile(x, numbers(repeats))


def _scatter_nd(node: OnnxNode, x: Array, index: Array, updates: Array) -> Array:
    _check_overwrite(node)
    result = x.copy()
    result[tuple(np.moveaxis(index, -1, 0))] = updates
    return result


def _scatter_elements(node: OnnxNode, x: Array, index: Array, updates: Array) -> Array:
    _check_overwrite(node)
    result, axis = x.copy(), node.integer("axis", 0)
    np.put_along_axis(result, np.where(index < 0, index + x.shape[axis], index), updates, axis)
    return result


def _check_overwrite(node: OnnxNode) -> None:
    reduction = node.attributes.get("reduction", "none")
    if reduction != "none":
        node.fail(f"attribute reduction must be 'none', not {reduction!r}; collect the steps "
                  "with torch.stack")


def _concat(node: OnnxNode, *parts: Array) -> Array:
    node.fit(sum(part.size for part in parts))
    return np.concatenate(parts, axis=node.integer("axis"))


def split(node: OnnxNode, x: Array, sizes: Array | None = None) -> list[Array]:
    """The parts of Split, along its axis."""
    axis = node.integer("axis", 0)
    parts = node.attributes.get("split") if sizes is None else numbers(sizes)
    if parts is None:
        count = node.attributes.get("num_outputs", len(node.outputs))
        chunk = -(-x.shape[axis] // count)
        return np.split(x, range(chunk, x.shape[axis], chunk), axis)
    return np.split(x, np.cumsum(parts)[:-1], axis)


MOVES: dict[str, Callable[..., Array]] = {
    "Concat": _concat, "Expand": _expand, "Flatten": _flatten, "Gather": _gather,
    "GatherElements": _gather_elements, "GatherND": _gather_nd,
    "Identity": lambda node, x: x, "Dropout": lambda node, x, *_: x, "Reshape": _reshape,
    "ScatterElements": _scatter_elements, "ScatterND": _scatter_nd, "Slice": _slice,
    "Squeeze": _squeeze, "Tile": _tile, "Transpose": _transpose, "Unsqueeze": _unsqueeze,
}
DATA = {"Concat": None, "ScatterND": (0, 2), "ScatterElements": (0, 2)}
"""Which inputs hold what is moved (None: all); the others are sizes and indices. Else the first."""
