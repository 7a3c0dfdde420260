"""The golden model's operators: one small integer function each, over all samples at once.

An array's first axis is the samples. The equations are in the docstrings of ``qsnn_compile.ir``,
operator by operator.
"""

import math
from collections.abc import Callable
from dataclasses import fields, replace
from functools import reduce
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from qsnn_compile.ir import (
    Add,
    Conv2d,
    Dense,
    Flatten,
    Graph,
    Ints,
    MaxPool,
    Neuron,
    Op,
    SumPool,
    Synapse,
    magnitudes,
)

Array = NDArray[Any]


def dense(op: Dense, x: Array) -> Array:
    return _whole(x.astype(op.weight.dtype) @ op.weight.T)


def conv2d(op: Conv2d, x: Array) -> Array:
    top, left, bottom, right = op.padding
    edges = ((0, 0), (0, 0), (top, bottom), (left, right))
    padded: Array = np.pad(x.astype(op.weight.dtype), edges, constant_values=op.pad_value)
    channels, _, *kernel = op.weight.shape
    windows = _windows(padded, (kernel[0], kernel[1]), op.stride)
    n, _, height, width = windows.shape[:4]
    terms = op.weight[0].size
    taps = windows.transpose(0, 1, 4, 5, 2, 3).reshape(n, op.groups, terms, height * width)
    current = _whole(op.weight.reshape(op.groups, -1, terms) @ taps)
    return current.reshape(n, channels, height, width)


def max_pool(op: MaxPool, x: Array) -> Array:
    taps = _taps(x, op.kernel, op.stride)
    high: Array = reduce(np.maximum, taps)
    return np.where(op.flipped == 1, reduce(np.minimum, taps), high) if op.flipped.any() else high


def sum_pool(op: SumPool, x: Array) -> Ints:
    return add(Add(), *_taps(x, op.kernel, op.stride))


def flatten(op: Flatten, x: Array) -> Array:
    return x.reshape(len(x), math.prod(x.shape[1:]))


def add(op: Add, *inputs: Array) -> Ints:
    total = inputs[0].astype(np.int64)
    for x in inputs[1:]:
        total += x
    return total


def synapse(op: Synapse, current: Array, i: Ints) -> Ints:
    high = (1 << op.bits - 1) - 1
    decayed: Ints = i * op.decay >> op.decay_shift
    return np.clip(decayed + current, -high - 1, high)


def neuron(op: Neuron, current: Array, u: Array) -> tuple[Array, Array]:
    """The spikes s and the stored membrane u'."""
    v = ((u << op.step_shift) * op.decay >> op.decay_shift)
    v += (current.astype(v.dtype) << op.gain_shift) + op.bias
    s = _spikes(op, v)
    if op.reset == "hard":
        v = np.where(s, op.reset_value, v)
    elif op.reset == "soft":
        v -= s * op.reset_value
    if op.clamp is not None:
        v = np.maximum(v, op.clamp)
    high = (1 << op.bits - 1) - 1
    stored = v + (1 << op.step_shift >> 1) >> op.step_shift
    return s, np.clip(stored, -high - 1, high)


def _spikes(op: Neuron, v: Array) -> Array:
    if op.max_spikes == 1:
        fired: Array = v >= op.threshold
        return fired
    return np.clip(v // op.threshold, 0, op.max_spikes)


OPERATORS: dict[type, Callable[..., Any]] = {
    Dense: dense, Conv2d: conv2d, MaxPool: max_pool, SumPool: sum_pool, Flatten: flatten, Add: add,
    Neuron: neuron, Synapse: synapse,
}


def _windows(x: Array, kernel: tuple[int, int], stride: tuple[int, int]) -> Array:
    """``[N, C, H, W, kh, kw]``: the windows of images ``[N, C, ...]``, a view."""
    view = sliding_window_view(x, kernel, axis=(2, 3))
    return view[:, :, ::stride[0], ::stride[1]]


def _taps(x: Array, kernel: tuple[int, int], stride: tuple[int, int]) -> list[Array]:
    """One image ``[N, C, H, W]`` for each place in the window; many times faster to reduce."""
    windows = _windows(x, kernel, stride)
    return [windows[..., dy, dx] for dy, dx in np.ndindex(kernel)]


def _whole(current: Array) -> Array:
    """Exact sums, as integers."""
    return current.astype(np.int32 if current.dtype == np.float32 else np.int64)


def narrowed(graph: Graph) -> Graph:
    """*graph* with the parameters of each operator, and so its arithmetic, in the fastest type
    that is proved exact for it. For this module only: it no longer passes the verifier."""
    peaks = magnitudes(graph)
    return replace(graph, nodes=tuple(
        replace(node, op=_narrowed(node.op, peaks[node.name])) for node in graph.nodes))


def _narrowed(op: Op, peak: int) -> Op:
    """Sums go to floats: every partial sum is an integer below their precision."""
    if isinstance(op, Dense | Conv2d):
        kind = np.float32 if peak < 1 << 24 else np.float64
        weight: Any = op.weight.astype(kind)
        return replace(op, weight=weight) if peak < 1 << 53 else op
    if not isinstance(op, Neuron) or peak >= 1 << 31:
        return op
    narrow: dict[str, Any] = {item.name: value.astype(np.int32) for item in fields(op)
                              if isinstance(value := getattr(op, item.name), np.ndarray)}
    return replace(op, **narrow)
