"""Pooling and reductions: maxima, sums and means of images, steps or neurons."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from qsnn_compile.loader.moves import axes_of
from qsnn_compile.loader.nodes import OnnxNode

from .blocks import Array, Const, Ids, Sym, Value
from .linear import LinearParams, as_2d, images, name_of, output_size, padding_of, pair_of
from .loops import MAX_STEPS
from .trace import Trace


@dataclass(frozen=True)
class PoolParams:
    """What a pool block does."""

    kind: Literal["max", "sum", "average"]
    kernel: tuple[int, int]
    stride: tuple[int, int]


def pool(trace: Trace, node: OnnxNode, x: Value) -> Value:
    """MaxPool, AveragePool, LpPool of order 1 and their global forms."""
    if not isinstance(x, Sym) or x.ids.ndim not in (3, 4):
        node.fail("must pool images [N, C, H, W] that are computed from the data")
    if x.ids.ndim == 3:
        return Sym(_pooled(trace, as_2d(node), Sym(x.ids[:, :, None])).ids[:, :, 0])
    return _pooled(trace, node, x)


def _pooled(trace: Trace, node: OnnxNode, x: Sym) -> Sym:
    size = (x.ids.shape[2], x.ids.shape[3])
    kernel = size if node.op.startswith("Global") else pair_of(node, "kernel_shape", 1)
    stride = (1, 1) if node.op.startswith("Global") else pair_of(node, "strides", 1)
    if any(padding_of(node, size, kernel)) or pair_of(node, "dilations", 1) != (1, 1) or \
            (node.attributes.get("ceil_mode", 0) and
             any((n - k) % s for n, k, s in zip(size, kernel, stride, strict=True))):
        node.fail("windows must lie wholly inside the image: no padding, dilation or ceil_mode; "
                  "choose a kernel and stride that fit")
    kind = _kind(node)
    if kind == "sum":
        x = trace.elementwise("Abs", [x], origin=name_of(node))
    return window(trace, x, PoolParams(kind, kernel, stride), name_of(node))


def _kind(node: OnnxNode) -> Literal["max", "sum", "average"]:
    if "Lp" in node.op and node.attributes.get("p", 2) != 1:
        node.fail("attribute p must be 1 (a sum), not 2; use an average or maximum")
    return "max" if "Max" in node.op else "sum" if "Lp" in node.op else "average"


def window(trace: Trace, x: Sym, params: PoolParams, origin: str) -> Sym:
    """A pool on every image of *x* [N, C, H, W]."""
    size = (x.ids.shape[2], x.ids.shape[3])
    height, width = output_size(size, params.kernel, params.stride, (0, 0, 0, 0))
    return images(trace, "pool", x, (x.ids.shape[1], height, width), params, params, origin)


REDUCE: dict[str, Literal["max", "sum", "average"]] = {
    "ReduceSum": "sum", "ReduceMean": "average", "ReduceMax": "max"}


def reduction(trace: Trace, node: OnnxNode, x: Sym, axes: Array | None = None) -> Sym:
    """A sum, mean or maximum: a pool over a whole image, a chain of sums over steps, or a Linear
    of ones over neurons."""
    reduced = axes_of(node, axes)
    if reduced is None and not node.attributes.get("noop_with_empty_axes", 0):
        reduced = list(range(x.ids.ndim))
    where = sorted(axis % x.ids.ndim for axis in reduced or [])
    if not where:
        return x
    kind, keep = REDUCE[node.op], bool(node.attributes.get("keepdims", 1))
    if where == [2, 3] and x.ids.ndim == 4:
        size = (x.ids.shape[2], x.ids.shape[3])
        result = window(trace, x, PoolParams(kind, size, (1, 1)), name_of(node)).ids
    else:
        result = _reduced(trace, node, kind, x.ids, where)
        result = np.expand_dims(result, tuple(where))
    return Sym(result if keep else np.squeeze(result, tuple(where)))


def _reduced(trace: Trace, node: OnnxNode, kind: str, ids: Ids, where: list[int]) -> Ids:
    rest = [axis for axis in range(ids.ndim) if axis not in where]
    turned = np.transpose(ids, rest + where)
    lead = turned.shape[:len(rest)]
    turned = turned.reshape(*lead, -1)
    count = turned.shape[-1]
    if kind == "max" or (count > 1 and not (trace.where(turned[..., :1]) ==
                                            trace.where(turned[..., 1:2])).any()):
        if count > MAX_STEPS:
            node.fail(f"must reduce at most {MAX_STEPS} numbers to one, not {count!r}; use fewer "
                      "steps, or a pool")
        result = Sym(turned[..., 0])
        for k in range(1, count):
            result = trace.elementwise("Max" if kind == "max" else "Add",
                                       [result, Sym(turned[..., k])], origin=name_of(node))
        if kind == "average":
            result = trace.elementwise("Div", [result, Const(np.asarray(count, np.float32))],
                                       origin=name_of(node))
        return result.ids
    share = np.float32(1 / count if kind == "average" else 1)
    return _ones(trace, turned.reshape(-1, count), share, name_of(node)).reshape(lead)


def _ones(trace: Trace, ids: Ids, share: np.float32, origin: str) -> Ids:
    """Sums of the rows of *ids* as one Linear."""
    sources, inverse = np.unique(ids, return_inverse=True)
    trace.fit(origin, len(ids), sources.size)
    weight = np.zeros((len(ids), sources.size), np.float32)
    np.add.at(weight, (np.arange(len(ids))[:, None], inverse.reshape(ids.shape)), share)
    params = LinearParams(weight, np.zeros(len(ids), np.float32))
    return trace.apply("linear", sources, (len(ids),), params, params.key, origin)
