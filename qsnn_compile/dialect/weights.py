"""The integer weights of a Gemm or Conv."""

import numpy as np

from qsnn_compile.ir import Ints
from qsnn_compile.loader.nodes import OnnxNode

from .builder import Builder
from .values import Const, Value, integers

WIDTHS = (1, 2, 4, 8, 16)


def weight(builder: Builder, node: OnnxNode, value: Value | None, axes: int) -> tuple[Ints, int]:
    """The integers of a weight and their width W."""
    if not isinstance(value, Const):
        node.fail("weight must be a constant, not a computed value; freeze the network before "
                  "exporting it")
    check_quantised(node, value)
    weight = integers(node, "weight", value.value)
    if weight.ndim != axes:
        node.fail(f"weight must have {axes} axes, not {weight.shape!r}; export the file again")
    return weight, _bits(builder, node, weight)


def check_quantised(node: OnnxNode, weight: Const) -> None:
    """Raise OnnxError unless *weight* came from integers."""
    if weight.quantised or weight.value.dtype.kind in "iu":
        return
    if not np.isfinite(weight.value).all():
        integers(node, "weight", weight.value)
    node.fail(f"weight must be integers through DequantizeLinear, not floats such as "
              f"{float(np.ravel(weight.value)[0]):.6g}; train with quantised weights (qsnn train), "
              "or quantise and freeze the network before exporting it")


def _bits(builder: Builder, node: OnnxNode, weight: Ints) -> int:
    """W as the metadata says, else the narrowest that holds *weight*."""
    given = builder.weight_bits.get(node.name, builder.weight_bits.get(node.outputs[0]))
    if given is None:
        if (abs(weight) == 1).all():
            return 1
        return next((bits for bits in WIDTHS[1:] if -(1 << bits - 1) <= weight.min()
                     and weight.max() < 1 << bits - 1), WIDTHS[-1])
    if not isinstance(given, int):
        node.fail(f"metadata qsnn.weight_bits must be an integer, not {given!r}; export the file "
                  "again")
    return given
