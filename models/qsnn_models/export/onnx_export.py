"""The fixed-point IR -> an ONNX file that onnxruntime runs bit-exactly. See docs/onnx-dialect.md.

Knows numpy and onnx, not torch: any IR graph can be written, wherever it came from.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
from onnx import ModelProto, ValueInfoProto, helper

from qsnn_compile.ir import Delay, Graph, Input, Ints, Neuron, Node, ints, verify
from qsnn_models.files import whole

from .onnx_input import take_reals
from .onnx_nodes import DOUBLE, FLOAT, Writer, emit, kind_of
from .onnx_qlif import DOMAIN, OPSET

Shape = Literal["scan", "step"]
IR_VERSION = 8
ACC = "readout.acc"


@dataclass(frozen=True, eq=False)
class State:
    """A carried value: names, type, shape without the sample axis, value before the first step."""

    name: str
    next: str
    kind: int
    shape: tuple[int, ...]
    initial: Ints


def export(graph: Graph, shape: Shape = "scan") -> ModelProto:
    """*graph* as an ONNX model, all steps in one ``Scan`` or a single ``step`` with its states.

    Raises IrError when the graph is not well formed, ExportError when some integer can't be
    exact in onnxruntime.
    """
    verify(graph)
    writer = Writer(graph)
    states = _states(writer)
    proto = _scan(writer, states) if shape == "scan" else _step(writer, states)
    functions = list(writer.functions.values())
    if graph.input.takes == "reals":
        functions.append(take_reals(proto, graph.input))
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(DOMAIN, 1)]
    model = helper.make_model(proto, opset_imports=opsets, ir_version=IR_VERSION,
                              producer_name="qsnn", functions=functions)
    helper.set_model_props(model, _metadata(writer, states, shape))
    return model


def save(graph: Graph, path: str | Path, shape: Shape = "scan") -> None:
    """Write `export` of *graph* to *path*, checked, whole or not at all."""
    model = export(graph, shape)
    onnx.checker.check_model(model, full_check=True)
    with whole(path) as part:
        part.write_bytes(model.SerializeToString(deterministic=True))


def _states(writer: Writer) -> list[State]:
    graph, states = writer.graph, []
    for node in graph.nodes:
        name, shape = node.name, writer.shapes[node.name]
        if isinstance(node.op, Delay):
            states.append(State(f"{name}.d", f"{name}.d_next", writer.value_kind(name), shape,
                               ints(0)))
        if isinstance(node.op, Neuron):
            kind = writer.state_kind(node)
            states.append(State(f"{name}.u", f"{name}.u_next", kind, shape, node.op.initial))
            if node.op.synapse is not None:
                states.append(State(f"{name}.i", f"{name}.i_next", kind, shape, ints(0)))
    return [*states, State(ACC, f"{ACC}_next", _acc_kind(writer), (_classes(writer),), ints(0))]


def _acc_kind(writer: Writer) -> int:
    """One type for the accumulator and the scores, wide enough for both."""
    readout = writer.graph.readout
    if readout.source not in writer.bounds:
        return DOUBLE
    total = writer.bounds[readout.source] * writer.graph.steps
    return kind_of(total * int(np.abs(readout.gain).max()) + int(np.abs(readout.bias).max()))


def _classes(writer: Writer) -> int:
    source = writer.graph.readout.source
    if source not in writer.shapes:
        source = source.removesuffix(".u")
    return math.prod(writer.shapes[source])


def _nodes(writer: Writer, nodes: list[Node]) -> None:
    for node in nodes:
        if isinstance(node.op, Delay):
            writer.op("Identity", [f"{node.name}.d"], node.name)
        else:
            emit(writer, node)
    for node in nodes:
        if isinstance(node.op, Delay):
            writer.op("Identity", [node.inputs[0]], f"{node.name}.d_next")


def _accumulate(writer: Writer, acc: State) -> None:
    """``acc' = acc + source``, flat; with a `last` readout ``acc' = source``."""
    readout = writer.graph.readout
    if readout.source in writer.bounds:
        source, have = readout.source, writer.value_kind(readout.source)
    else:
        source = f"{readout.source}_next"
        have = writer.state_kind(writer.graph[readout.source.removesuffix(".u")])
    source = writer.op("Flatten", [source], "readout.flat", axis=1)
    source = writer.cast(source, have, acc.kind, "readout.value")
    if readout.kind == "last":
        writer.op("Identity", [source], acc.next)
    else:
        writer.op("Add", [acc.name, source], acc.next)


def _scores(writer: Writer, acc: State, source: str) -> None:
    readout, kind = writer.graph.readout, np.float32 if acc.kind == FLOAT else np.float64
    gain = writer.tensor("readout.gain", readout.gain.astype(kind))
    bias = writer.tensor("readout.bias", readout.bias.astype(kind))
    writer.op("Add", [writer.op("Mul", [source, gain], "readout.scaled"), bias], "scores")


def _step(writer: Writer, states: list[State]) -> onnx.GraphProto:
    graph, acc = writer.graph, states[-1]
    _nodes(writer, list(graph.nodes))
    _accumulate(writer, acc)
    _scores(writer, acc, acc.next)
    carried = states[:-1] if graph.readout.kind == "last" else states
    entry = helper.make_tensor_value_info(graph.input.name, FLOAT, ["N", *graph.input.shape])
    return helper.make_graph(
        writer.nodes, graph.name, [entry, *(_info(s, s.name) for s in carried)],
        [_info(acc, "scores"), *(_info(s, s.next) for s in carried)], writer.tensors)


def _scan(writer: Writer, states: list[State]) -> onnx.GraphProto:
    graph, direct = writer.graph, writer.graph.input.coding == "direct"
    still = _still(graph) if direct else set()
    _nodes(writer, [node for node in graph.nodes if node.name in still])
    outside, writer.nodes = writer.nodes, []
    _nodes(writer, [node for node in graph.nodes if node.name not in still])
    _accumulate(writer, states[-1])
    body = _body(writer, states)
    writer.nodes = outside
    frames = graph.input.name
    if direct:
        frames = writer.tensor("steps", np.zeros(graph.steps, np.float32))
    starts = [_start(writer, state) for state in states]
    ends = [f"{state.name}_end" for state in states]
    writer.nodes.append(helper.make_node(
        "Scan", [*starts, frames], ends, "steps_scan", body=body, num_scan_inputs=1,
        scan_input_axes=[0 if direct else 1]))
    _scores(writer, states[-1], ends[-1])
    axes = ["N"] if direct else ["N", graph.steps]
    entry = helper.make_tensor_value_info(graph.input.name, FLOAT, [*axes, *graph.input.shape])
    return helper.make_graph(writer.nodes, graph.name, [entry], [_info(states[-1], "scores")],
                             writer.tensors)


def _body(writer: Writer, states: list[State]) -> onnx.GraphProto:
    """One step. A direct-coded input is read from outside; the scan input only counts steps."""
    graph = writer.graph
    if graph.input.coding == "direct":
        frame = helper.make_tensor_value_info("step", FLOAT, [])
    else:
        frame = helper.make_tensor_value_info("frame", FLOAT, ["N", *graph.input.shape])
        for node in writer.nodes:
            node.input[:] = ["frame" if name == graph.input.name else name for name in node.input]
    return helper.make_graph(writer.nodes, f"{graph.name}_step",
                             [*(_info(s, s.name) for s in states), frame],
                             [_info(s, s.next) for s in states])


def _still(graph: Graph) -> set[str]:
    """Nodes whose value is the same at every step of a direct-coded input."""
    still = {graph.input.name}
    for node in graph.nodes:
        if not isinstance(node.op, Delay | Neuron) and still.issuperset(node.inputs):
            still.add(node.name)
    return still


def _start(writer: Writer, state: State) -> str:
    """The state before the first step, expanded to as many samples as x has."""
    if "samples" not in {node.output[0] for node in writer.nodes}:
        writer.op("Shape", [writer.graph.input.name], "samples", start=0, end=1)
    dims = writer.tensor(f"{state.name}_dims", np.array(state.shape, np.int64))
    full = writer.op("Concat", ["samples", dims], f"{state.name}_shape", axis=0)
    kind = np.float32 if state.kind == FLOAT else np.float64
    initial = writer.tensor(f"{state.name}0", state.initial.astype(kind))
    return writer.op("Expand", [initial, full], f"{state.name}_start")


def _info(state: State, name: str) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, state.kind, ["N", *state.shape])


def _metadata(writer: Writer, states: list[State], shape: Shape) -> dict[str, str]:
    graph, source = writer.graph, writer.graph.input
    written = {
        "qsnn.version": "1", "qsnn.shape": shape, "qsnn.steps": str(graph.steps),
        "qsnn.readout": graph.readout.kind, "qsnn.coding": source.coding,
        "qsnn.input_bits": str(source.bits), **_worth(source),
        "qsnn.weight_bits": json.dumps(writer.weight_bits),
    }
    if graph.readout.names:
        written["qsnn.class_names"] = json.dumps(graph.readout.names, ensure_ascii=False)
    if shape == "step":
        carried = states[:-1] if graph.readout.kind == "last" else states
        started = {s.name: s.initial.tolist() for s in carried if s.initial.any()}
        written["qsnn.states"] = json.dumps({s.name: s.next for s in carried})
        written["qsnn.initial"] = json.dumps(started)
    return written


def _worth(source: Input) -> dict[str, str]:
    """What a code is worth, where the file takes codes; else its first node says that."""
    if source.takes == "reals":
        return {}
    assert not isinstance(source.scale, tuple)
    return {"qsnn.input_scale": repr(float(source.scale)),
            "qsnn.input_zero_point": str(source.zero_point)}
