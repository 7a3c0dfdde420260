"""Operators of an ONNX graph that are neither moves nor elementwise: one function each."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import onnx
from onnx import numpy_helper

from qsnn_compile.loader.nodes import OnnxNode

from . import linear, pools
from . import quantised as quant
from .blocks import Array, Const, Sym, Value
from .linear import name_of
from .runner import Runner


def _cast(run: Runner, node: OnnxNode, x: Value, like: Value | None = None) -> Value:
    to = node.attributes.get("to", 1)
    if isinstance(x, Const):
        dtype = like.value.dtype if isinstance(like, Const) else np.dtype(np.float32) \
            if like is not None else onnx.helper.tensor_dtype_to_np_dtype(to)
        return quant.moved(lambda a: a.astype(dtype), x) if dtype.kind == "f" else \
            Const(x.value.astype(dtype))
    target = "float" if like is not None else _KINDS.get(to, "int")
    if isinstance(like, Sym):
        target = like.kind
    elif isinstance(like, Const):
        target = {"b": "bool", "i": "int", "u": "int"}.get(like.value.dtype.kind, "float")
    if target == "int" and x.kind == "float":
        return run.trace.elementwise("Trunc", [x], "int", origin=name_of(node))
    if target == "bool" and x.kind != "bool":
        emit = run.emit(node)
        return _kind(emit("Equal", emit("Equal", x, 0), 0), "bool")
    return Sym(x.ids, target)


_KINDS = {1: "float", 10: "float", 11: "float", 16: "float", 9: "bool"}


def _kind(value: Value, kind: str) -> Value:
    return Sym(value.ids, kind) if isinstance(value, Sym) else value


def _constant(_: Runner, node: OnnxNode) -> Value:
    for name, kind in (("value_float", np.float32), ("value_floats", np.float32),
                       ("value_int", np.int64), ("value_ints", np.int64)):
        if name in node.attributes:
            return Const(np.array(node.attributes[name], kind))
    if "value" not in node.attributes:
        node.fail("must hold a dense tensor of numbers; export the file again")
    return quant.constant(numpy_helper.to_array(node.attributes["value"]))


def _shape(_: Runner, node: OnnxNode, x: Value) -> Value:
    size = np.array((x.ids if isinstance(x, Sym) else x.value).shape, np.int64)
    return Const(size[node.integer("start", 0):node.attributes.get("end")])


def _constant_of_shape(_: Runner, node: OnnxNode, shape: Const) -> Value:
    sizes = [int(n) for n in shape.value]
    node.fit(*sizes)
    fill = node.attributes.get("value")
    number = np.zeros(1, np.float32) if fill is None else numpy_helper.to_array(fill)
    return Const(np.full(sizes, number.ravel()[0]))


def _range(_: Runner, node: OnnxNode, a: Const, b: Const, step: Const) -> Value:
    first, last, stride = a.value.item(), b.value.item(), step.value.item()
    if stride == 0 or not math.isfinite((last - first) / stride):
        node.fail(f"step must be a number other than 0, not {stride!r} from {first!r} to {last!r}; "
                  "check the file")
    node.fit(max(0, math.ceil((last - first) / stride)))
    return Const(np.arange(first, last, stride, dtype=a.value.dtype))


def _extreme(run: Runner, node: OnnxNode, x: Value) -> Value:
    """ArgMin and ArgMax over one axis."""
    ids = x.ids if isinstance(x, Sym) else run.trace.constant(x.value)
    axis, keep = node.integer("axis", 0), node.integer("keepdims", 1)
    turned = np.moveaxis(ids, axis, -1)
    flat = turned.reshape(-1, turned.shape[-1])
    last = bool(node.attributes.get("select_last_index", 0))
    op = node.proto.op_type.lower()
    result = run.trace.apply(op, flat, (len(flat),), last, last, name_of(node))
    result = result.reshape(turned.shape[:-1])
    return Sym(np.expand_dims(result, axis) if keep else result, "int")


def _pad(run: Runner, node: OnnxNode, x: Value, pads: Value | None = None,
         fill: Value | None = None, axes: Value | None = None) -> Value:
    if node.attributes.get("mode", "constant") != "constant":
        node.fail("attribute mode must be 'constant'; pad with zeros")
    sizes = [int(n) for n in (node.attributes["pads"] if pads is None else run.raw(pads))]
    number = node.attributes.get("value", 0.0) if fill is None else run.raw(fill).item()
    shape = (x.ids if isinstance(x, Sym) else x.value).shape
    where = list(range(len(shape))) if axes is None else [int(a) for a in run.raw(axes)]
    width = [(0, 0)] * len(shape)
    for i, axis in enumerate(where):
        width[axis] = (sizes[i], sizes[i + len(where)])
    node.fit(*(low + n + high for n, (low, high) in zip(shape, width, strict=True)))
    if isinstance(x, Const):
        return Const(np.pad(x.value, width, constant_values=number))
    outer = run.trace.constant(np.array([number], np.float32))
    return Sym(np.pad(x.ids, width, constant_values=int(outer[0])), x.kind)


def _reduce(run: Runner, node: OnnxNode, x: Value, axes: Value | None = None) -> Value:
    given = None if axes is None else run.raw(axes)
    if isinstance(x, Sym):
        return pools.reduction(run.trace, node, x, given)
    folded = node.attributes.get("axes") if given is None else [int(a) for a in given]
    keep = bool(node.attributes.get("keepdims", 1))
    return Const(np.asarray(_FOLD[node.op](x.value, axis=None if folded is None else tuple(folded),
                                           keepdims=keep)))


_FOLD: dict[str, Callable[..., object]] = {
    "ReduceSum": np.sum, "ReduceMean": np.mean, "ReduceMax": np.max, "ReduceMin": np.min,
    "ReduceProd": np.prod}


def _quantiser(name: str) -> Callable[..., Value]:
    def call(run: Runner, node: OnnxNode, *args: Value) -> Value:
        if not all(isinstance(a, Const) for a in args):
            node.fail("must quantise a constant (a weight or a bias), not a value computed from "
                      "the data; leave activations and inputs to the spikes")
        return _QUANT[name](node, *args)
    return call


def _batch_norm(run: Runner, node: OnnxNode, x: Value, *args: Value) -> Value:
    if not isinstance(x, Sym):
        node.fail("must normalise a value computed from the data; check the file")
    return linear.batch_norm(node, run.emit(node), x, *args[:4])


def _product(node: OnnxNode, a: Array, b: Array) -> Array:
    lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    node.fit(*lead, *a.shape[-2:-1], *(b.shape[-1:] if b.ndim > 1 else ()))
    return np.asarray(a @ b)


def _folded_gemm(node: OnnxNode, a: Array, b: Array, c: Array | None = None) -> Value:
    a = a.T if node.attributes.get("transA", 0) else a
    b = b.T if node.attributes.get("transB", 0) else b
    result = node.attributes.get("alpha", 1.0) * _product(node, a, b)
    return Const(result if c is None else result + node.attributes.get("beta", 1.0) * c)


FOLDED: dict[str, Callable[..., Value]] = {
    "Gemm": _folded_gemm, "MatMul": lambda node, a, b: Const(_product(node, a, b)),
}

_QUANT: dict[str, Callable[..., Value]] = {
    "Quant": quant.quant, "BipolarQuant": quant.bipolar, "Trunc": quant.trunc,
    "QuantizeLinear": quant.quantize_linear, "DequantizeLinear": quant.dequantize_linear,
}
QUANT = ("Quant", "BipolarQuant", "Trunc")
CALLS: dict[str, Callable[..., Value]] = {
    **{name: _quantiser(name) for name in _QUANT},
    **dict.fromkeys(("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd"), _reduce),
    **dict.fromkeys(("MaxPool", "AveragePool", "LpPool", "GlobalMaxPool", "GlobalAveragePool",
                     "GlobalLpPool"), lambda run, node, x: pools.pool(run.trace, node, x)),
    "Gemm": lambda run, node, *a: linear.gemm(run.trace, node, *a),
    "MatMul": lambda run, node, *a: linear.matmul(run.trace, node, *a),
    "Conv": lambda run, node, *a: linear.conv(run.trace, node, *a),
    "BatchNormalization": _batch_norm, "Cast": _cast, "CastLike": _cast, "Constant": _constant,
    "ConstantOfShape": _constant_of_shape, "Shape": _shape, "Range": _range, "Pad": _pad,
    "Size": lambda run, node, x: Const(np.array(
        (x.ids if isinstance(x, Sym) else x.value).size, np.int64)),
    "ArgMin": _extreme, "ArgMax": _extreme,
}
