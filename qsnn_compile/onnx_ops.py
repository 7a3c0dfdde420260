"""One ONNX operator → IR, a function each; ``OPERATORS`` at the end lists them."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import cast, get_args

import numpy as np
from onnx import numpy_helper

from .ir import (
    Add,
    Conv2d,
    Delay,
    Dense,
    Flatten,
    Ints,
    MaxPool,
    Neuron,
    Node,
    Op,
    Reset,
    SumPool,
    Synapse,
    ints,
)
from .onnx_file import OnnxFile, OnnxNode
from .onnx_values import FOLD, Const, Ref, State, Value, aligned, integers

WIDTHS = (1, 2, 4, 8, 16)


class Builder:
    """The IR nodes so far, and the states that turned out to be delays."""

    def __init__(self, file: OnnxFile) -> None:
        self.file = file
        self.weight_bits = file.mapping("weight_bits")
        self.nodes: list[Node] = []
        self.delays: dict[str, str] = {}            # state -> its Delay node
        self.ends: dict[str, tuple[str, OnnxNode]] = {}     # state -> what it must become

    def add(self, name: str, op: Op, sources: tuple[str, ...], rank: int) -> Ref:
        name = re.sub(r"[^\w./$:-]|^[^A-Za-z_/]|:$", "_", name)
        while any(node.name == name for node in self.nodes):
            name += "_"
        self.nodes.append(Node(name, op, sources))
        return Ref(name, rank)

    def renamed(self, ref: Ref, name: str) -> Ref:
        """A max pool between sign changes, under the name of the second one."""
        last = self.nodes[-1]
        if last.name != ref.source or not isinstance(last.op, MaxPool):
            return ref
        self.nodes.pop()
        return self.add(name, last.op, last.inputs, ref.rank)

    def ref(self, node: OnnxNode, value: Value | None) -> Ref:
        """*value* as a value of the network. A state that is read like one is a Delay."""
        if isinstance(value, State):
            return self._delay(node, value)
        if not isinstance(value, Ref):
            node.fail("input must be a value of the network, not a constant; remove the branch")
        return value

    def plain(self, node: OnnxNode, value: Value | None) -> Ref:
        ref = self.ref(node, value)
        if not ref.plain:
            node.fail(f"input must be {ref.source!r} itself, not that value scaled, shifted or "
                      "summed; fold scales into the neuron's parameters")
        return ref

    def _delay(self, node: OnnxNode, state: State) -> Ref:
        if state.initial.any():
            node.fail(f"state {state.name!r} must start at 0, not {int(state.initial.max())!r}; "
                      "a delayed value has no initial spikes")
        if state.name not in self.delays:
            made = self.add(state.name.removesuffix(".d"), Delay(), (state.name,), state.rank)
            self.delays[state.name] = made.source
        return Ref(self.delays[state.name], state.rank)


Result = Value | tuple[Value, ...]
Handler = Callable[[Builder, OnnxNode, list[Value | None]], Result]


def convert(builder: Builder, node: OnnxNode, inputs: list[Value | None]) -> Result:
    """What *node* makes of *inputs*. Raises OnnxError."""
    constants = [value.value for value in inputs if isinstance(value, Const)]
    if node.op in FOLD and len(constants) == len(inputs):
        quantised = all(value.quantised for value in inputs if isinstance(value, Const))
        return Const(np.asarray(FOLD[node.op](node, *constants)), quantised)
    base = re.sub(r"^(qsnn::QLIF|qsnn::WideConv)\w*$", r"\1", node.op)
    if base not in OPERATORS:
        node.fail(f"operator must be one of {', '.join(sorted(OPERATORS))}, not {node.op!r}"
                  + _HINTS.get(node.op, "; see docs/onnx-dialect.md, and export the network with "
                               "qsnn_models.onnx_export"))
    return OPERATORS[base](builder, node, inputs)


def _same(builder: Builder, node: OnnxNode, inputs: list[Value | None]) -> Result:
    value = inputs[0]
    if value is None:
        node.fail("input must be a value, not empty; export the file again")
    return value


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
        found = float(scale.value.ravel()[np.flatnonzero(scale.value.ravel() != 1)[0]])
        node.fail(f"scale must be 1.0, not {found!r}; fold the scale into the neuron's threshold, "
                  "bias and step (qsnn train does)")
    shift = zero.value if isinstance(zero, Const) else 0
    return Const(stored.value.astype(np.int64) - shift, quantised=True)


def _weight(builder: Builder, node: OnnxNode, value: Value | None, axes: int) -> tuple[Ints, int]:
    """The integers of a weight and their width W."""
    if not isinstance(value, Const):
        node.fail("weight must be a constant, not a computed value; freeze the network before "
                  "exporting it")
    if value.value.dtype.kind == "f" and not np.isfinite(value.value).all():
        integers(node, "weight", value.value)
    if not value.quantised:
        first = float(np.ravel(value.value)[0])
        node.fail(f"weight must be integers through DequantizeLinear, not floats such as "
                  f"{first!r}; train with quantised weights (qsnn train), or quantise and freeze "
                  "the network before exporting it")
    weight = integers(node, "weight", value.value)
    if weight.ndim != axes:
        node.fail(f"weight must have {axes} axes, not {weight.shape!r}; export the file again")
    return weight, _bits(builder, node, weight)


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


def _gemm(builder: Builder, node: OnnxNode, inputs: list[Value | None]) -> Result:
    x = builder.plain(node, inputs[0])
    weight, bits = _weight(builder, node, inputs[1], 2)
    if not node.integer("transB", 0):
        weight = ints(weight.T)
    _no_bias(node, inputs)
    for name in ("alpha", "beta"):
        if node.attributes.get(name, 1.0) != 1.0:
            node.fail(f"{name} must be 1.0, not {node.attributes[name]!r}; fold it into the "
                      "neuron's parameters")
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
    for name, usual in (("auto_pad", "NOTSET"), ("dilations", [1, 1])):
        if node.attributes.get(name, usual) != usual:
            node.fail(f"{name} must be {usual!r}, not {node.attributes[name]!r}; export the "
                      "convolution with explicit padding and no dilation")
    known = {node.name, node.outputs[0]} & builder.weight_bits.keys()
    weight, bits = _weight(builder, node, inputs[1], 4)
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


def _pair(node: OnnxNode, name: str, usual: list[int]) -> tuple[int, int]:
    found = node.attributes.get(name, usual)
    if len(found) != 2:
        node.fail(f"{name} must be two numbers, not {found!r}; the front end takes 2-d images")
    return found[0], found[1]


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
    if any(node.attributes.get("pads", [])) or node.attributes.get("ceil_mode", 0):
        node.fail(f"pads must be 0, not {node.attributes.get('pads')!r}; windows lie wholly inside "
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


def _qlif(builder: Builder, node: OnnxNode, inputs: list[Value | None]) -> Result:
    """A neuron: its value, and where its states must end."""
    current = builder.plain(node, inputs[0])
    u = _state(node, "u", inputs[1])
    fields = {}
    for name, value in zip(("bias", "threshold", "reset_value", "step_shift"), inputs[2:6],
                           strict=True):
        if not isinstance(value, Const):
            node.fail(f"{name} must be a constant, not a computed value; freeze the network")
        fields[name] = aligned(node, name, value.value, current.rank)
    synapse = _synapse(node, current.rank) if len(inputs) > 6 else None
    clamp = (aligned(node, "clamp", node.integers("clamp"), current.rank)
             if "clamp" in node.attributes else None)
    op = Neuron(
        _membrane_bits(node), fields["threshold"], fields["bias"], fields["step_shift"],
        aligned(node, "decay", node.integers("decay"), current.rank),
        node.integer("decay_shift", 0), node.integer("gain_shift", 0), _reset(node),
        fields["reset_value"], u.initial, clamp, synapse, node.integer("max_spikes", 1))
    made = builder.add(node.outputs[0], op, (current.source,), current.rank)
    results = [made, Ref(f"{made.source}.u", current.rank)]
    builder.ends[u.name] = (f"{made.source}.u", node)
    if synapse is not None:
        i = _state(node, "i", inputs[6])
        results.append(Ref(f"{made.source}.i", current.rank))
        builder.ends[i.name] = (f"{made.source}.i", node)
    return tuple(results)


def _state(node: OnnxNode, what: str, value: Value | None) -> State:
    if not isinstance(value, State):
        node.fail(f"{what} must be a state carried from step to step, not a constant or a value of "
                  "this step; the file lost it: export one step with its states, or a Scan")
    return value


def _membrane_bits(node: OnnxNode) -> int:
    bits = node.integer("bits")
    if not 1 <= bits <= 32:
        node.fail(f"bits must be in 1..32, not {bits!r}; train with a membrane of such a width")
    return bits


def _reset(node: OnnxNode) -> Reset:
    found = node.attributes.get("reset")
    for reset in get_args(Reset):
        if found == reset:
            return cast(Reset, reset)
    node.fail(f"reset must be 'hard', 'soft' or 'none', not {found!r}; export the file again")


def _synapse(node: OnnxNode, rank: int) -> Synapse:
    decay = aligned(node, "syn_decay", node.integers("syn_decay"), rank)
    return Synapse(decay, node.integer("syn_decay_shift", 0), node.integer("syn_bits"))


_HINTS = {
    "MatMul": "; use Gemm with transB = 1: onnxruntime computes a MatMul of dequantized weights "
              "in 8 bits",
    "qsnn::LIF": "; LIF is a float neuron: train a quantised one (qsnn train)",
}

OPERATORS: dict[str, Handler] = {
    "Add": _add, "Cast": _same, "CastLike": _same, "Constant": _constant, "Conv": _conv,
    "DequantizeLinear": _dequantize, "Flatten": _flatten, "Gemm": _gemm, "Identity": _same,
    "MaxPool": _max_pool, "Mul": _mul, "Neg": _neg, "Pad": _pad, "Reshape": _flatten, "Sum": _add,
    "qsnn::QLIF": _qlif, "qsnn::WideConv": _conv,
}
