"""Quantised constants: QONNX Quant, BipolarQuant and Trunc, QuantizeLinear → Clip →
DequantizeLinear, integer and sub-byte initialisers. The integers stay beside the numbers."""

from collections.abc import Callable

import numpy as np

from qsnn_compile.loader.nodes import OnnxNode

from .blocks import Array, Const, Quantised

ROUND: dict[str, Callable[[Array], Array]] = {
    "ROUND": np.rint, "HALF_EVEN": np.rint, "CEIL": np.ceil, "FLOOR": np.floor,
    "UP": lambda a: np.sign(a) * np.ceil(np.abs(a)), "ROUND_TO_ZERO": np.trunc, "DOWN": np.trunc,
    "HALF_UP": lambda a: np.sign(a) * np.floor(np.abs(a) + 0.5),
    "HALF_DOWN": lambda a: np.sign(a) * np.ceil(np.abs(a) - 0.5),
}
NARROW = {"int4": "INT4", "uint4": "UINT4", "int2": "INT2", "uint2": "UINT2"}


def constant(array: Array) -> Const:
    """A constant of the file; sub-byte integers are widened and remembered."""
    source = NARROW.get(array.dtype.name)
    if source is None:
        return Const(array)
    bits, signed = int(source[-1]), source.startswith("I")
    wide = array.astype(np.int64)
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    return Const(wide, Quantised(wide, np.ones(()), low, high, source))


def quant(node: OnnxNode, x: Const, scale: Const, zero: Const, bits: Const) -> Const:
    """QONNX Quant."""
    width, s, z = _width(node, bits), scale.value, zero.value
    low, high = _range(width, bool(node.attributes.get("signed", 1)),
                       bool(node.attributes.get("narrow", 0)))
    mode = str(node.attributes.get("rounding_mode", "ROUND")).upper()
    if mode not in ROUND:
        node.fail(f"attribute rounding_mode must be one of {', '.join(ROUND)}, not {mode!r}; "
                  "export with the default, ROUND")
    if (np.asarray(s) <= 0).any():
        node.fail(f"scale must be positive, not {float(np.min(s))!r}; train the quantiser again")
    q = np.clip(ROUND[mode](x.value / s + z), low, high) - z
    return _on_grid(q, s, low - int(np.max(z)), high - int(np.min(z)), "QONNX Quant")


def bipolar(_: OnnxNode, x: Const, scale: Const) -> Const:
    """QONNX BipolarQuant."""
    q = np.where(x.value >= 0, 1, -1)
    return _on_grid(q, scale.value, -1, 1, "QONNX BipolarQuant")


def trunc(node: OnnxNode, x: Const, scale: Const, zero: Const, bits: Const,
          *others: Const) -> Const:
    """QONNX Trunc: the upper bits of an integer; version 2 names the output's scale and width."""
    out_bits = others[-1] if others else bits
    width, target = _width(node, bits), _width(node, out_bits)
    if len(others) == 2:
        target, out_scale = _width(node, others[1]), others[0].value
    else:
        out_scale = scale.value * 2 ** (width - target)
    mode = str(node.attributes.get("rounding_mode", "FLOOR")).upper()
    if mode not in ROUND:
        node.fail(f"attribute rounding_mode must be one of {', '.join(ROUND)}, not {mode!r}; "
                  "export with FLOOR")
    q = ROUND[mode](np.rint(x.value / scale.value + zero.value) * scale.value / out_scale)
    low, high = _range(target, bool(node.attributes.get("signed", 1)), False)
    return _on_grid(np.clip(q, low, high), out_scale, low, high, "QONNX Trunc")


def quantize_linear(node: OnnxNode, x: Const, scale: Const, zero: Const | None = None) -> Const:
    """ONNX QuantizeLinear: the integers as a constant."""
    step = _along(node, scale.value, x.value)
    point = np.zeros((), np.int64) if zero is None else _along(node, zero.value, x.value)
    if zero is not None and zero.quantised is not None:
        low, high = zero.quantised.low, zero.quantised.high
    else:
        kind = np.uint8 if zero is None else zero.value.dtype
        low, high = int(np.iinfo(kind).min), int(np.iinfo(kind).max)
    q = np.clip(np.rint(x.value / step) + point, low, high).astype(np.int64)
    return Const(q, Quantised(q, np.ones(()), low, high, "QCDQ"))


def clip(x: Const, low: Const | None, high: Const | None) -> Const:
    """Clip of integers: fewer of them are possible."""
    grid = x.quantised
    floor = int(low.value) if low is not None else int(np.iinfo(x.value.dtype).min)
    ceiling = int(high.value) if high is not None else int(np.iinfo(x.value.dtype).max)
    if grid is not None:
        floor, ceiling = max(floor, grid.low), min(ceiling, grid.high)
    q = np.clip(x.value, floor, ceiling)
    return Const(q, Quantised(q, np.ones(()), floor, ceiling, "QCDQ"))


def dequantize_linear(node: OnnxNode, x: Const, scale: Const, zero: Const | None = None) -> Const:
    """ONNX DequantizeLinear."""
    step = _along(node, scale.value, x.value)
    point = np.zeros((), np.int64) if zero is None else \
        _along(node, zero.value, x.value).astype(np.int64)
    grid = x.quantised or Quantised(
        x.value, np.ones(()), int(np.iinfo(x.value.dtype).min), int(np.iinfo(x.value.dtype).max),
        x.value.dtype.name.upper())
    q = x.value.astype(np.int64) - point
    source = f"{grid.source} DequantizeLinear" if grid.source != "QCDQ" else "QCDQ"
    return _on_grid(q, step, grid.low - int(point.max()), grid.high - int(point.min()), source)


def moved(move: Callable[[Array], Array], x: Const) -> Const:
    """*x* with its elements moved, and its integers and scales with them."""
    if x.quantised is None:
        return Const(move(x.value))
    grid = x.quantised
    scale = move(np.broadcast_to(grid.scale, x.value.shape))
    return Const(move(x.value), Quantised(move(grid.q), scale, grid.low, grid.high,
                                          grid.source))


def _on_grid(q: Array, scale: Array, low: int, high: int, source: str) -> Const:
    whole = q.astype(np.int64)
    value = (whole * np.asarray(scale, np.float32)).astype(np.float32)
    return Const(value, Quantised(whole, np.asarray(scale, np.float64), low, high, source))


def _width(node: OnnxNode, bits: Const) -> int:
    width = float(np.asarray(bits.value).ravel()[0])
    if not 1 <= width <= 32 or width != int(width):
        node.fail(f"bit width must be a whole number between 1 and 32, not {width!r}; "
                  "train the quantiser again")
    return int(width)


def _range(bits: int, signed: bool, narrow: bool) -> tuple[int, int]:
    if signed:
        return -(1 << bits - 1) + narrow, (1 << bits - 1) - 1
    return 0, (1 << bits) - 1 - narrow


def _along(node: OnnxNode, parameter: Array, x: Array) -> Array:
    """A scale or zero point, one number or one an element along the node's axis, or in blocks."""
    if parameter.size == 1:
        return parameter.reshape(())
    axis = node.integer("axis", 1) % x.ndim
    if parameter.ndim == 1 and parameter.size == x.shape[axis]:
        return parameter.reshape([-1 if i == axis else 1 for i in range(x.ndim)])
    block = node.attributes.get("block_size", 0)
    if block and parameter.ndim == x.ndim:
        spread = np.repeat(parameter, block, axis)
        return np.take(spread, range(x.shape[axis]), axis)
    node.fail(f"scale must have one number, or {x.shape[axis]} along axis {axis}, not shape "
              f"{parameter.shape!r}; export the file again")
