"""One ONNX operator → IR, a function each; ``OPERATORS`` at the end lists them."""

import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from onnx import numpy_helper

from qsnn_compile.ir import Add, Conv2d, Dense, Flatten, Ints, MaxPool, SumPool, ints
from qsnn_compile.loader.nodes import OnnxNode

from .builder import Builder
from .qlif import qlif
from .values import FOLD, Const, State, Value, aligned, integers
from .weights import weight as weight_of

Result = Value | tuple[Value, ...]
Handler = Callable[[Builder, OnnxNode, list[Value | None]], Result]


def convert(builder: Builder, node: OnnxNode, inputs: list[Value | None]) -> Result:
    """What *node* makes of *inputs*. Raises OnnxError."""
    constants = [value.value for value in inputs if isinstance(value, Const)]
    if node.op in FOLD and len(constants) == len(inputs):
        quantised = all(value.quantised for value in inputs if isinstance(value, Const))
        return Const(np.asarray(FOLD[node.op](node, *constants)), quantised)
    check_operator(node)
    return OPERATORS[_base(node)](builder, node, inputs)


def _base(node: OnnxNode) -> str:
    """The operator without the form that a function's name spells out."""
    return re.sub(r"^(qsnn::QLIF|qsnn::WideConv)\w*$", r"\1", node.op)


def check_operator(node: OnnxNode) -> None:
    """Raise OnnxError unless there is a front end for *node*'s operator."""
    if _base(node) not in {*OPERATORS, *FOLD, "Scan"}:
        node.fail(f"operator must be one of {', '.join(sorted(OPERATORS))}, Scan, not {node.op!r}; "
                  + _HINTS.get(node.op, "see docs/onnx-dialect.md, and export the network with "
                               "qsnn_models.export.onnx_export"))


def _same(builder: Builder, node: OnnxNode, inputs: list[Value | None]) -> Result:
    value = inputs[0]
    if value is None:
        node.fail("input must be a value, not empty; export the file again")
    return value


def _codes(builder: Builder, node: OnnxNode, inputs: list[Value | None]) -> Result:
    """The input itself: what makes its codes is told of by the input (`inputs.reals_of`)."""
    return builder.plain(node, inputs[0])


def _constant(builder: Builder, node: OnnxNode, inputs: list[Value | None]) -> Result:
    value = next(iter(node.attributes.values()))
    array = numpy_helper.to_array(value) if hasattr(value, "data_type") else np.array(value)
    return Const(array, array.dtype.kind in "iu")


def _dequantize(builder: Builder, node: OnnxNode, inputs: list[Value | None]) -> Result:
    stored, scale, zero = (*inputs, None)[:3]
    if not isinstance(stored, Const) or not isinstance(scale, Const):
        node.fail("weights and scale must be constants, not computed values; freeze the network "
                  "before exporting it")
    if not (scale.value == 1).all():
        first = float(scale.value.ravel()[np.flatnonzero(scale.value.ravel() != 1)[0]])
        node.fail(f"scale must be 1.0, not {first!r}; fold the scale into the neuron's threshold, "
                  "bias and step (qsnn train does)")
    shift = zero.value if isinstance(zero, Const) else 0
    return Const(stored.value.astype(np.int64) - shift, quantised=True)


def _gemm(builder: Builder, node: OnnxNode, inputs: list[Value | None]) -> Result:
    x = builder.plain(node, inputs[0])
    weight, bits = weight_of(builder, node, inputs[1], 2)
    if not node.integer("transB", 0):
        weight = ints(weight.T)
    _no_bias(node, inputs)
    _usual(node, {"alpha": 1.0, "beta": 1.0}, "fold it into the neuron's parameters")
    if node.integer("transA", 0):
        node.fail("transA must be 0, not 1; the input is [samples, features]")
    return builder.add(node.outputs[0], Dense(weight, bits), (x.source,), 1)


def _no_bias(node: OnnxNode, inputs: list[Value | None]) -> None:
    if len(inputs) > 2 and inputs[2] is not None:
        value = inputs[2]
        if not isinstance(value, Const) or value.value.any():
            node.fail("bias must be 0, not an input of its own; put it into the neuron's bias "
                      "(BatchNorm too is folded there)")


def _conv(builder: Builder, node: OnnxNode, inputs: list[Value | None]) -> Result:
    x = builder.ref(node, inputs[0])
    padded = x.padding or ((0, 0, 0, 0), 0)
    x = builder.plain(node, replace(x, padding=None))
    _no_bias(node, inputs)
    _usual(node, {"auto_pad": "NOTSET", "dilations": [1, 1]},
           "export the convolution with explicit padding and no dilation")
    known = {node.name, node.outputs[0]} & builder.weight_bits.keys()
    weight, bits = weight_of(builder, node, inputs[1], 4)
    groups, stride = node.integer("group", 1), _pair(node, "strides", [1, 1])
    pads = list(node.attributes.get("pads", [0, 0, 0, 0]))
    if not known and weight.shape[:2] == (groups, 1) and (weight == 1).all() \
            and not any(pads) and not any(padded[0]):
        pool = SumPool((weight.shape[2], weight.shape[3]), stride)
        return builder.add(node.outputs[0], pool, (x.source,), 3)
    if padded[1] and any(pads):
        node.fail(f"pads must be 0 after a Pad with value {padded[1]}, not {pads!r}; give the Pad "
                  "all of the padding")
    top, left, bottom, right = (a + b for a, b in zip(pads, padded[0], strict=True))
    op = Conv2d(weight, bits, stride, (top, left, bottom, right), groups, padded[1])
    return builder.add(node.outputs[0], op, (x.source,), 3)


def _usual(node: OnnxNode, only: dict[str, object], advice: str) -> None:
    """Refuse an attribute that is not what *only* says."""
    for name, usual in only.items():
        if node.attributes.get(name, usual) != usual:
            node.fail(f"{name} must be {usual!r}, not {node.attributes[name]!r}; {advice}")


def _pair(node: OnnxNode, name: str, usual: list[int]) -> tuple[int, int]:
    pair = node.attributes.get(name, usual)
    if len(pair) != 2:
        node.fail(f"{name} must be two numbers, not {pair!r}; the front end takes 2-d images")
    return pair[0], pair[1]


def _pad(builder: Builder, node: OnnxNode, inputs: list[Value | None]) -> Result:
    x, amounts, fill = (*inputs, None)[:3]
    x = builder.plain(node, x)
    if node.attributes.get("mode", "constant") != "constant" or not isinstance(amounts, Const):
        node.fail(f"mode must be 'constant' with constant pads, not "
                  f"{node.attributes.get('mode', 'constant')!r}; pad with one value")
    value = integers(node, "value", fill.value).item() if isinstance(fill, Const) else 0
    pads = [int(n) for n in amounts.value]
    if len(pads) != 8 or any(pads[i] for i in (0, 1, 4, 5)):
        node.fail(f"pads must be of the two image axes, not {pads!r}; pad height and width only")
    return replace(x, padding=((pads[2], pads[3], pads[6], pads[7]), value))


def _max_pool(builder: Builder, node: OnnxNode, inputs: list[Value | None]) -> Result:
    x = builder.ref(node, inputs[0])
    sign = x.gain
    builder.plain(node, replace(x, gain=None) if sign is not None and _is_sign(sign) else x)
    _usual(node, {"auto_pad": "NOTSET", "ceil_mode": 0, "dilations": [1, 1], "storage_order": 0},
           "export the pool with windows that lie wholly inside the image and no dilation")
    if any(node.attributes.get("pads", [])):
        node.fail(f"pads must be 0, not {node.attributes['pads']!r}; windows lie wholly inside "
                  "the image")
    kernel = _pair(node, "kernel_shape", [])
    flipped = ints(0 if sign is None else (sign < 0).astype(np.int64))
    op = MaxPool(kernel, _pair(node, "strides", [1, 1]), flipped)
    return replace(builder.add(node.outputs[0], op, (x.source,), 3), gain=sign)


def _is_sign(gain: Ints) -> bool:
    return bool((abs(gain) == 1).all())


def _flatten(builder: Builder, node: OnnxNode, inputs: list[Value | None]) -> Result:
    x = builder.ref(node, inputs[0])
    if node.op == "Flatten" and node.integer("axis", 1) != 1:
        node.fail(f"axis must be 1, not {node.integer('axis', 1)!r}; samples stay apart")
    if node.op == "Reshape" and not _flattens(inputs[1]):
        node.fail("shape must be [samples, -1], not another one; use Flatten")
    if x.rank == 1:
        return x
    return builder.add(node.outputs[0], Flatten(), (builder.plain(node, x).source,), 1)


def _flattens(shape: Value | None) -> bool:
    return isinstance(shape, Const) and len(shape.value) == 2 and shape.value[0] in (0, 1, -1)


def _add(builder: Builder, node: OnnxNode, inputs: list[Value | None]) -> Result:
    constants = [value for value in inputs if isinstance(value, Const)]
    values = [value for value in inputs if not isinstance(value, Const)]
    if constants and len(values) == 1:
        x = builder.ref(node, values[0])
        bias = aligned(node, "constant", constants[0].value, x.rank)
        return replace(x, bias=bias if x.bias is None else ints(x.bias + bias))
    for i, value in enumerate(values):
        if isinstance(value, State) and value.next == node.outputs[0] and len(values) == 2:
            return replace(builder.plain(node, values[1 - i]), total=True)
    refs = [builder.plain(node, value) for value in inputs]
    return builder.add(node.outputs[0], Add(), tuple(ref.source for ref in refs), refs[0].rank)


def _mul(builder: Builder, node: OnnxNode, inputs: list[Value | None]) -> Result:
    constant = next((value for value in inputs if isinstance(value, Const)), None)
    value = next((value for value in inputs if not isinstance(value, Const)), None)
    if constant is None or value is None:
        node.fail("one factor must be a constant, not both values of the network; the hardware "
                  "form has no such product")
    x = builder.ref(node, value)
    factor = aligned(node, "constant", constant.value, x.rank)
    gain = factor if x.gain is None else ints(x.gain * factor)
    bias = None if x.bias is None else ints(x.bias * factor)
    if (gain != 1).any():
        return replace(x, gain=gain, bias=bias)
    return replace(builder.renamed(x, node.outputs[0]), gain=None, bias=bias)


def _neg(builder: Builder, node: OnnxNode, inputs: list[Value | None]) -> Result:
    return _mul(builder, node, [inputs[0], Const(np.array(-1))])


_HINTS = {
    "MatMul": "use Gemm with transB = 1: onnxruntime computes a MatMul of dequantized weights "
              "in 8 bits",
    "qsnn::LIF": "LIF is a float neuron: train a quantised one (qsnn train)",
}

OPERATORS: dict[str, Handler] = {
    "Add": _add, "Cast": _same, "CastLike": _same, "Constant": _constant, "Conv": _conv,
    "DequantizeLinear": _dequantize, "Flatten": _flatten, "Gemm": _gemm, "Identity": _same,
    "MaxPool": _max_pool, "Mul": _mul, "Neg": _neg, "Pad": _pad, "Reshape": _flatten, "Sum": _add,
    "qsnn::Codes": _codes, "qsnn::QLIF": qlif, "qsnn::WideConv": _conv,
}
