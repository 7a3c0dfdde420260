"""Gemm, MatMul, Conv, pooling and reductions: one block for every sample and step."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from qsnn_compile.loader.nodes import OnnxNode

from .blocks import Array, Const, Quantised, Sym, Value, digest
from .quantised import moved
from .trace import Trace

MOST_WORK = 1 << 29             # products of one convolution: ResNet-19's largest has 151 million


@dataclass(frozen=True, eq=False)
class LinearParams:
    """``weight`` [C, N] and ``bias`` [C] of a Linear block, or of a Conv one ([C, N, kh, kw])."""

    weight: Array
    bias: Array
    quantised: Quantised | None = None
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    groups: int = 1

    @property
    def key(self) -> tuple[Any, ...]:
        """The same for the same layer."""
        return digest(self.weight), digest(self.bias), self.stride, self.padding, self.groups


def rows(trace: Trace, x: Sym, params: LinearParams, origin: str) -> Sym:
    """A Linear on every row (the last axis) of *x*."""
    lead, key, (outputs, _) = x.ids.shape[:-1], params.key, params.weight.shape
    trace.fit(origin, *lead, outputs)
    flat = x.ids.reshape(-1, x.ids.shape[-1])
    trace.room(origin, len(flat))
    result = [trace.apply("linear", row, (outputs,), params, key, origin) for row in flat]
    return Sym(np.stack(result).reshape(*lead, outputs) if result else np.empty(0, np.int64))


def images(trace: Trace, op: str, x: Sym, shape: tuple[int, ...], params: Any, key: Any,
           origin: str) -> Sym:
    """*op* on every image [C, H, W] of *x* [N, C, H, W]."""
    trace.room(origin, len(x.ids))
    result = [trace.apply(op, image, shape, params, key, origin) for image in x.ids]
    return Sym(np.stack(result))


def gemm(trace: Trace, node: OnnxNode, a: Value, b: Value, c: Value | None = None) -> Value:
    """Gemm of a value and a constant."""
    if isinstance(a, Const) or isinstance(b, Sym):
        node.fail("the second input must be a constant weight, not computed from the data; "
                  "attention and other products of activations have no spiking form")
    if node.attributes.get("transA", 0):
        node.fail("attribute transA must be 0, not 1; put the samples first")
    weight = b if node.attributes.get("transB", 0) else moved(np.transpose, b)
    alpha, beta = node.attributes.get("alpha", 1.0), node.attributes.get("beta", 1.0)
    if alpha != 1:
        weight = Const(weight.value * np.float32(alpha))
    result = _linear(trace, node, a, weight, c if isinstance(c, Const) else None, beta)
    return trace.elementwise("Add", [result, c], origin=name_of(node)) \
        if isinstance(c, Sym) else result


def _linear(trace: Trace, node: OnnxNode, a: Sym, weight: Const, c: Const | None,
            beta: float) -> Sym:
    outputs = weight.value.shape[0]
    if weight.value.ndim != 2 or weight.value.shape[1] != a.ids.shape[-1]:
        node.fail(f"weight must be [C, {a.ids.shape[-1]}], not {weight.value.shape!r}; "
                  "export the file again")
    bias = np.zeros(outputs, np.float32) if c is None else c.value * np.float32(beta)
    if bias.size not in (1, outputs):
        node.fail(f"bias must have {outputs} numbers, not shape {bias.shape!r}; export the file "
                  "again")
    bias = np.broadcast_to(bias.ravel(), (outputs,))
    params = LinearParams(weight.value, bias, weight.quantised)
    return rows(trace, a, params, name_of(node))


def matmul(trace: Trace, node: OnnxNode, a: Value, b: Value) -> Value:
    """MatMul of a value and a constant, either way round."""
    if isinstance(a, Sym) and isinstance(b, Const) and b.value.ndim <= 2:
        matrix = b if b.value.ndim == 2 else moved(lambda w: w.reshape(-1, 1), b)
        result = _linear(trace, node, a, moved(np.transpose, matrix), None, 1)
        return result if b.value.ndim == 2 else Sym(result.ids[..., 0])
    if isinstance(a, Const) and isinstance(b, Sym) and a.value.ndim == 2 and b.ids.ndim >= 2:
        turned = Sym(np.swapaxes(b.ids, -1, -2))
        return Sym(np.swapaxes(_linear(trace, node, turned, a, None, 1).ids, -1, -2))
    node.fail("must multiply a value by a constant matrix; attention and other products of "
              "activations have no spiking form")


# -- convolution ----------------------------------------------------------------------------------

def conv(trace: Trace, node: OnnxNode, x: Value, w: Value, b: Value | None = None) -> Value:
    """Conv of a value, in one dimension or two, and a constant."""
    if not isinstance(x, Sym) or not isinstance(w, Const) or isinstance(b, Sym):
        node.fail("weight and bias must be constants, not computed from the data")
    if x.ids.ndim == 3:
        line = conv(trace, as_2d(node), Sym(x.ids[:, :, None]), moved(lambda a: a[:, :, None], w),
                    b)
        return Sym(line.ids[:, :, 0]) if isinstance(line, Sym) else line
    if x.ids.ndim != 4 or w.value.ndim != 4:
        node.fail(f"must be a convolution over one or two axes, not {x.ids.ndim - 2}")
    w = _undilated(node, w)
    x, padding = _unpadded(trace, x, padding_of(node, x.ids.shape[2:], w.value.shape[2:]))
    bias = np.zeros(w.value.shape[0], np.float32) if b is None else b.value
    stride = pair_of(node, "strides", 1)
    params = LinearParams(w.value, bias, w.quantised, stride, padding, node.integer("group", 1))
    height, width = output_size(x.ids.shape[2:], w.value.shape[2:], stride, padding)
    top, left, bottom, right = padding
    node.fit(*x.ids.shape[:2], x.ids.shape[2] + top + bottom, x.ids.shape[3] + left + right)
    if height < 1 or width < 1 or w.value.shape[1] * params.groups != x.ids.shape[1]:
        node.fail(f"weight must fit the input {x.ids.shape[1:]!r}, not be {w.value.shape!r}; "
                  "export the file again")
    shape = (w.value.shape[0], height, width)
    work = math.prod(shape) * math.prod(w.value.shape[1:])
    if work > MOST_WORK:
        node.fail(f"must multiply at most {MOST_WORK} times a step, not {work!r}; use a smaller "
                  "kernel or image")
    return images(trace, "conv", x, shape, params, params.key, name_of(node))


def as_2d(node: OnnxNode) -> OnnxNode:
    """The node with its one axis as the second of two."""
    from onnx import helper
    attributes = dict(node.attributes)
    for name, fill in (("kernel_shape", 1), ("strides", 1), ("dilations", 1)):
        if name in attributes:
            attributes[name] = [fill, *attributes[name]]
    if "pads" in attributes:
        begin, end = attributes["pads"]
        attributes["pads"] = [0, begin, 0, end]
    proto = helper.make_node(node.proto.op_type, node.inputs, node.outputs, node.name, **attributes)
    return OnnxNode(node.file, proto)


def _undilated(node: OnnxNode, w: Const) -> Const:
    """The weight with the zeros that dilation means."""
    dilation = pair_of(node, "dilations", 1)
    if dilation == (1, 1):
        return w
    out, inp, height, width = w.value.shape
    shape = (out, inp, (height - 1) * dilation[0] + 1, (width - 1) * dilation[1] + 1)
    node.fit(*shape)
    wide = np.zeros(shape, w.value.dtype)
    wide[:, :, ::dilation[0], ::dilation[1]] = w.value
    return Const(wide)


def padding_of(node: OnnxNode, size: tuple[int, ...], kernel: tuple[int, ...]
             ) -> tuple[int, int, int, int]:
    """(top, left, bottom, right)."""
    mode = node.attributes.get("auto_pad", "NOTSET")
    if mode in ("NOTSET", ""):
        pads = node.attributes.get("pads", [0, 0, 0, 0])
        return pads[0], pads[1], pads[2], pads[3]
    if mode == "VALID":
        return 0, 0, 0, 0
    total = [max(0, (-(-n // s) - 1) * s + k - n)
             for n, k, s in zip(size, kernel, pair_of(node, "strides", 1), strict=True)]
    low = [n // 2 if mode == "SAME_UPPER" else n - n // 2 for n in total]
    return low[0], low[1], total[0] - low[0], total[1] - low[1]


def _unpadded(trace: Trace, x: Sym, padding: tuple[int, int, int, int]
              ) -> tuple[Sym, tuple[int, int, int, int]]:
    """Zeros around the image (an earlier Pad) as padding of the convolution."""
    owners = trace.where(x.ids)
    const = np.isin(owners, [b.index for b in trace.blocks if b.op == "const"])
    if not const.any() or const.all() or trace.numbers(x.ids[const]).any():
        return x, padding
    inside = np.argwhere(~const)[:, 2:]
    (top, left), (bottom, right) = inside.min(axis=0), inside.max(axis=0) + 1
    rest = (x.ids.shape[2] - bottom, x.ids.shape[3] - right)
    more = (int(top), int(left), int(rest[0]), int(rest[1]))
    a, b, c, d = (p + m for p, m in zip(padding, more, strict=True))
    return Sym(x.ids[:, :, top:bottom, left:right]), (a, b, c, d)


def pair_of(node: OnnxNode, name: str, default: int) -> tuple[int, int]:
    pair = node.attributes.get(name, [default, default])
    return int(pair[0]), int(pair[1])


def output_size(size: tuple[int, ...], kernel: tuple[int, ...], stride: tuple[int, int],
            padding: tuple[int, int, int, int]) -> tuple[int, int]:
    top, left, bottom, right = padding
    return ((size[0] + top + bottom - kernel[0]) // stride[0] + 1,
            (size[1] + left + right - kernel[1]) // stride[1] + 1)


def batch_norm(node: OnnxNode, emit: Callable[..., Value], x: Sym, *given: Value) -> Value:
    """BatchNormalization in inference: a gain and an offset for every channel."""
    if not all(isinstance(value, Const) for value in given):
        node.fail("statistics must be constants; export the network in eval mode")
    gamma, beta, mean, variance = (np.asarray(v.value, np.float64) for v in given
                                   if isinstance(v, Const))
    gain = gamma / np.sqrt(variance + node.attributes.get("epsilon", 1e-5))
    shape = (-1,) + (1,) * (x.ids.ndim - 2)
    scaled = emit("Mul", x, Const(gain.reshape(shape)))
    return emit("Add", scaled, Const((beta - gain * mean).reshape(shape)))


def name_of(node: OnnxNode) -> str:
    return f"node {node.name!r} ({node.op})"
