"""One IR operator -> its ONNX nodes. `Writer` collects nodes and initialisers; ``OPERATORS`` lists
the operators."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import FunctionProto, NodeProto, TensorProto, helper, numpy_helper

from qsnn_compile.ir import (
    Add,
    Conv2d,
    Delay,
    Dense,
    Flatten,
    Graph,
    Ints,
    MaxPool,
    Neuron,
    Node,
    SumPool,
    shapes,
)
from qsnn_models.errors import ExportError

from .onnx_qlif import DOMAIN, form, qlif, wide_conv

FLOAT_EXACT, DOUBLE_EXACT = 2 ** 24, 2 ** 53
FLOAT, DOUBLE = TensorProto.FLOAT, TensorProto.DOUBLE


@dataclass(eq=False)
class Writer:
    """A model in the making: ``nodes`` go where the caller points them, ``tensors`` are shared."""

    graph: Graph
    nodes: list[NodeProto] = field(default_factory=list)
    tensors: list[TensorProto] = field(default_factory=list)
    functions: dict[str, FunctionProto] = field(default_factory=dict)
    weight_bits: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.shapes = shapes(self.graph)
        self.bounds = _bounds(self.graph)

    def kind(self, name: str) -> int:
        """The ONNX type of value *name*: float where it is exact, else double."""
        return kind_of(self.bounds[name])

    def state_kind(self, neuron: Node) -> int:
        """The type of a neuron's current, membrane and outputs."""
        op = neuron.op
        assert isinstance(op, Neuron)
        stored = max(op.bits, op.synapse.bits if op.synapse else 0)
        return DOUBLE if stored > 24 else self.kind(neuron.inputs[0])

    def op(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [output], output, **attributes))
        return output

    def tensor(self, name: str, value: NDArray[Any]) -> str:
        self.tensors.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def integers(self, name: str, value: Ints) -> str:
        """*value* as an initialiser of floats, doubles where floats can't hold it."""
        bound = int(np.abs(value).max(initial=0))
        return self.tensor(name, value.astype(np.float32 if bound < FLOAT_EXACT else np.float64))

    def cast(self, name: str, have: int, want: int, to: str) -> str:
        return name if have == want else self.op("Cast", [name], to, to=want)

    def value_kind(self, name: str) -> int:
        """The type that value *name* was written in (a neuron's spikes follow its current)."""
        if name == self.graph.input.name:
            return FLOAT
        node = self.graph[name]
        if isinstance(node.op, Neuron):
            return self.state_kind(node)
        if isinstance(node.op, MaxPool | Flatten | Delay):
            return self.value_kind(node.inputs[0])
        return self.kind(name)


def kind_of(bound: int) -> int:
    return FLOAT if bound < FLOAT_EXACT else DOUBLE


def emit(writer: Writer, node: Node) -> None:
    """Append the ONNX nodes of one IR node; its value gets the node's name."""
    OPERATORS[type(node.op)](writer, node, node.op)


def _weight(writer: Writer, node: Node, op: Dense | Conv2d) -> str:
    writer.weight_bits[node.name] = op.bits
    stored = op.weight.astype(np.int8 if op.bits <= 8 else np.int16)
    return _dequantized(writer, node.name, stored)


def _dequantized(writer: Writer, name: str, stored: NDArray[Any]) -> str:
    weight = writer.tensor(f"{name}.weight", stored)
    one = writer.tensor(f"{name}.scale", np.array(1, np.float32))
    inputs = [weight, one]
    if stored.dtype == np.int16:    # opset 18 knows no INT16 there
        return writer.op("Cast", [weight], f"{name}.w", to=FLOAT)
    return writer.op("DequantizeLinear", inputs, f"{name}.w")


def _input(writer: Writer, node: Node, kind: int) -> str:
    source = node.inputs[0]
    return writer.cast(source, writer.value_kind(source), kind, f"{node.name}.x")


def _dense(writer: Writer, node: Node, op: Dense) -> None:
    kind = writer.kind(node.name)
    weight = writer.cast(_weight(writer, node, op), FLOAT, kind, f"{node.name}.w64")
    writer.op("Gemm", [_input(writer, node, kind), weight], node.name, transB=1)


def _conv(writer: Writer, node: Node, op: Conv2d) -> None:
    x, pads = _input(writer, node, FLOAT), list(op.padding)
    if op.pad_value and any(pads):
        top, left, bottom, right = op.padding
        amounts = np.array([0, 0, top, left, 0, 0, bottom, right], np.int64)
        value = writer.tensor(f"{node.name}.pad", np.array(op.pad_value, np.float32))
        x = writer.op("Pad", [x, writer.tensor(f"{node.name}.pads", amounts), value],
                      f"{node.name}.padded")
        pads = [0, 0, 0, 0]
    reach = int(np.abs(op.weight).reshape(len(op.weight), -1).sum(1).max())
    top_x = max(writer.bounds[node.inputs[0]], op.pad_value)
    _convolve(writer, node.name, x, _weight(writer, node, op), (reach, top_x),
              strides=list(op.stride), pads=pads, group=op.groups)


def _convolve(writer: Writer, name: str, x: str, weight: str, sums: tuple[int, int],
              **attributes: Any) -> None:
    """A Conv, or a WideConv where *sums*, (Σ|w|, largest x), may multiply to 2^24."""
    reach, top = sums
    if reach * top < FLOAT_EXACT:
        writer.op("Conv", [x, weight], name, **attributes)
        return
    chunk = ((FLOAT_EXACT - 1) // max(reach, 1) + 1).bit_length() - 1
    if chunk < 1:
        raise ExportError(f"node {name!r}: a channel's sum of weight magnitudes must be below "
                          f"2^24, not {reach!r}; use fewer weight bits or a smaller kernel")
    function = wide_conv(math.ceil(top.bit_length() / chunk))
    writer.functions[function.name] = function
    writer.op(function.name, [x, weight], name, domain=DOMAIN, chunk_bits=chunk, **attributes)


def _sum_pool(writer: Writer, node: Node, op: SumPool) -> None:
    channels, (height, width) = writer.shapes[node.inputs[0]][0], op.kernel
    ones = np.ones((channels, 1, height, width), np.int8)
    _convolve(writer, node.name, _input(writer, node, FLOAT), _dequantized(writer, node.name, ones),
              (height * width, writer.bounds[node.inputs[0]]),
              strides=list(op.stride), pads=[0, 0, 0, 0], group=channels)


def _max_pool(writer: Writer, node: Node, op: MaxPool) -> None:
    kind, x = writer.value_kind(node.name), node.inputs[0]
    attributes = {"kernel_shape": list(op.kernel), "strides": list(op.stride)}
    if not op.flipped.any():
        writer.op("MaxPool", [x], node.name, **attributes)
        return
    signs = 1 - 2 * op.flipped
    sign = writer.tensor(f"{node.name}.sign",
                         signs.astype(np.float32 if kind == FLOAT else np.float64))
    flipped = writer.op("Mul", [x, sign], f"{node.name}.x")
    largest = writer.op("MaxPool", [flipped], f"{node.name}.max", **attributes)
    writer.op("Mul", [largest, sign], node.name)


def _flatten(writer: Writer, node: Node, op: Flatten) -> None:
    writer.op("Flatten", [node.inputs[0]], node.name, axis=1)


def _add(writer: Writer, node: Node, op: Add) -> None:
    kind = writer.kind(node.name)
    inputs = [writer.cast(name, writer.value_kind(name), kind, f"{node.name}.x{index}")
              for index, name in enumerate(node.inputs)]
    writer.op("Add" if len(inputs) == 2 else "Sum", inputs, node.name)


def _neuron(writer: Writer, node: Node, op: Neuron) -> None:
    name, kind = node.name, writer.state_kind(node)
    function = qlif(op)
    writer.functions[function.name] = function
    source = node.inputs[0]
    current = writer.cast(source, writer.value_kind(source), kind, f"{name}.current")
    fields = ("bias", "threshold", "reset_value", "step_shift")
    inputs = [current, f"{name}.u",
              *(writer.integers(f"{name}.{key}", getattr(op, key)) for key in fields)]
    outputs = [name, f"{name}.u_next"]
    if op.synapse is not None:
        inputs, outputs = [*inputs, f"{name}.i"], [*outputs, f"{name}.i_next"]
    writer.nodes.append(helper.make_node(form(op), inputs, outputs, name, domain=DOMAIN,
                                         **_attributes(op)))


def _attributes(op: Neuron) -> dict[str, Any]:
    attributes = {"decay_shift": op.decay_shift, "gain_shift": op.gain_shift, "bits": op.bits,
             "reset": op.reset, **_listed("decay", op.decay)}
    if op.max_spikes > 1:
        attributes["max_spikes"] = op.max_spikes
    if op.clamp is not None:
        attributes |= _listed("clamp", op.clamp)
    if op.synapse is not None:
        attributes |= {"syn_decay_shift": op.synapse.decay_shift, "syn_bits": op.synapse.bits,
                  **_listed("syn_decay", op.synapse.decay)}
    return attributes


def _listed(name: str, value: Ints) -> dict[str, list[int]]:
    return {name: value.ravel().tolist(), f"{name}_shape": list(value.shape) or [1]}


def _bounds(graph: Graph) -> dict[str, int]:
    """The largest magnitude of each value over all steps, coarse: one number a value."""
    now = {node.name: 0 for node in graph.nodes}
    entry = {graph.input.name: (1 << graph.input.bits) - 1}
    for _ in range(graph.steps):
        before, now = now, {**now, **entry}
        for node in graph.nodes:
            source = before if isinstance(node.op, Delay) else now
            now[node.name] = _bound(node, sum(source.get(name, entry.get(name, 0))
                                              for name in node.inputs))
        if all(before.get(name) == value for name, value in now.items() if name not in entry):
            break
    for name, bound in now.items():
        if bound >= DOUBLE_EXACT:
            raise ExportError(f"node {name!r}: its value must stay below 2^53, not {bound!r}")
    return now


def _bound(node: Node, inputs: int) -> int:
    op = node.op
    if isinstance(op, Neuron):
        _check_membrane(node.name, op, inputs)
        return op.max_spikes
    if isinstance(op, Dense | Conv2d):
        pad = op.pad_value if isinstance(op, Conv2d) else 0
        return int(np.abs(op.weight).reshape(len(op.weight), -1).sum(1).max()) * max(inputs, pad)
    return inputs * (math.prod(op.kernel) if isinstance(op, SumPool) else 1)


def _check_membrane(name: str, op: Neuron, current: int) -> None:
    top = {key: int(np.abs(getattr(op, key)).max()) for key in
           ("bias", "threshold", "reset_value", "decay", "step_shift")}
    drive = current
    if op.synapse is not None:
        drive = (1 << op.synapse.bits - 1) * max(1, int(op.synapse.decay.max())) + current
    kept = (1 << op.bits - 1 + top["step_shift"]) * max(1, top["decay"])
    v = kept + (drive << op.gain_shift) + top["bias"]
    if v + op.max_spikes * (top["threshold"] + top["reset_value"]) >= DOUBLE_EXACT:
        raise ExportError(f"node {name!r}: its membrane before rounding must stay below 2^53, "
                          f"not {v!r}; lower step_shift, gain_shift or bits")


OPERATORS: dict[type, Callable[..., None]] = {
    Dense: _dense, Conv2d: _conv, MaxPool: _max_pool, SumPool: _sum_pool, Flatten: _flatten,
    Add: _add, Neuron: _neuron,
}
