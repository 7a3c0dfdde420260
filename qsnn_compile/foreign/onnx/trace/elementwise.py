"""Elementwise arithmetic: what each operation computes, on numpy arrays of any float or int type.

`COMPUTE` is the set the trace knows; `lower` writes ONNX's other elementwise operators with it.
"""

from collections.abc import Callable, Sequence
from math import erf
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def _divide(a: Array, b: Array) -> Array:
    if np.issubdtype(np.result_type(a, b), np.integer):
        return np.trunc(np.divide(a, np.where(b == 0, 1, b))).astype(np.result_type(a, b))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.divide(a, b))


def _quiet(function: Callable[..., Any]) -> Callable[..., Array]:
    def call(*args: Array) -> Array:
        with np.errstate(all="ignore"):
            return np.asarray(function(*args))
    return call


def _power(a: Array, b: Array) -> Array:
    return np.asarray(np.power(a, b.astype(a.dtype)))


def _where(mask: Array, a: Array, b: Array) -> Array:
    return np.where(mask.astype(np.bool_), a, b)


COMPARISONS = ("Greater", "GreaterOrEqual", "Equal")

COMPUTE: dict[str, Callable[..., Array]] = {
    "Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Div": _divide,
    "Max": np.maximum, "Min": np.minimum,
    "Greater": np.greater, "GreaterOrEqual": np.greater_equal, "Equal": np.equal,
    "Abs": np.abs, "Sign": np.sign, "Floor": np.floor, "Ceil": np.ceil, "Round": np.rint,
    "Trunc": np.trunc, "Where": _where,
    "Pow": _quiet(_power), "Sqrt": _quiet(np.sqrt), "Exp": _quiet(np.exp),
    "Log": _quiet(np.log), "Tanh": np.tanh, "Sin": np.sin, "Cos": np.cos,
    "Sigmoid": _quiet(lambda a: 1 / (1 + np.exp(-a))),
    "Softplus": _quiet(lambda a: np.log1p(np.exp(a))), "Mod": _quiet(np.mod),
    "Erf": lambda a: np.vectorize(erf, otypes=[a.dtype])(a) if a.size else a,
}
UNARY = ("Abs", "Sign", "Floor", "Ceil", "Round", "Sqrt", "Exp", "Log", "Tanh", "Sin", "Cos",
         "Sigmoid", "Softplus", "Erf")


def compute(op: str, params: Any, arrays: Sequence[Array]) -> Array:
    """*op* on numbers: a comparison gives bools; Lookup takes from the table in *params*; in a
    float operation, bools count as 0 and 1."""
    if op == "Lookup":
        return np.asarray(np.asarray(params.table)[arrays[0].astype(np.int64)])
    if op in ("Add", "Sub", "Mul", "Div") and any(a.dtype == np.bool_ for a in arrays):
        others = [a.dtype for a in arrays if a.dtype != np.bool_] or [np.dtype(np.float32)]
        arrays = [a.astype(others[0]) if a.dtype == np.bool_ else a for a in arrays]
    return np.asarray(COMPUTE[op](*arrays))


Emit = Callable[..., Any]
"""emit(op, *values) makes an elementwise value; a Python number stands for a constant."""


def lower(op: str, attributes: dict[str, Any], emit: Emit, args: Sequence[Any]) -> Any:
    """The value of ONNX's elementwise *op* by those of `COMPUTE`; None if it is not known here."""
    if op in COMPUTE and op not in ("Max", "Min"):
        return emit(op, *args)
    if op in _LOWER:
        return _LOWER[op](emit, attributes, *args)
    return None


def _chain(op: str) -> Callable[..., Any]:
    def lowered(emit: Emit, _: dict[str, Any], *args: Any) -> Any:
        result = args[0]
        for arg in args[1:]:
            result = emit(op, result, arg)
        return result
    return lowered


def _clip(emit: Emit, attributes: dict[str, Any], x: Any, low: Any = None, high: Any = None) -> Any:
    low = attributes.get("min") if low is None else low
    high = attributes.get("max") if high is None else high
    x = x if low is None else emit("Max", x, low)
    return x if high is None else emit("Min", x, high)


def _leaky(emit: Emit, attributes: dict[str, Any], x: Any, slope: Any = None) -> Any:
    slope = attributes.get("alpha", 0.01) if slope is None else slope
    return emit("Where", emit("Greater", x, 0), x, emit("Mul", x, slope))


def _hard_sigmoid(emit: Emit, attributes: dict[str, Any], x: Any) -> Any:
    alpha, beta = attributes.get("alpha", 0.2), attributes.get("beta", 0.5)
    return _clip(emit, {}, emit("Add", emit("Mul", x, alpha), beta), 0, 1)


_LOWER: dict[str, Callable[..., Any]] = {
    "Max": _chain("Max"), "Min": _chain("Min"), "Sum": _chain("Add"),
    "Mean": lambda emit, a, *xs: emit("Div", _chain("Add")(emit, a, *xs), len(xs)),
    "Less": lambda emit, _, a, b: emit("Greater", b, a),
    "LessOrEqual": lambda emit, _, a, b: emit("GreaterOrEqual", b, a),
    "Neg": lambda emit, _, a: emit("Mul", a, -1),
    "Reciprocal": lambda emit, _, a: emit("Div", 1, a),
    "Not": lambda emit, _, a: emit("Equal", a, 0),
    "And": lambda emit, _, a, b: emit("Min", a, b),
    "Or": lambda emit, _, a, b: emit("Max", a, b),
    "Xor": lambda emit, _, a, b: emit("Equal", emit("Equal", a, b), 0),
    "Relu": lambda emit, _, a: emit("Max", a, 0),
    "Clip": _clip, "LeakyRelu": _leaky, "PRelu": _leaky, "HardSigmoid": _hard_sigmoid,
    "ThresholdedRelu": lambda emit, a, x: emit(
        "Mul", emit("Greater", x, a.get("alpha", 1.0)), x),
}
