"""The front end: an ONNX file of our dialect (docs/onnx-dialect.md) → ir.Graph.

The file is walked once, in order; each value becomes a constant, a value of the network or a
carried state. What a state is (membrane, synapse, delay, readout accumulator) follows from how it
is used, not from its name.
"""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import onnx

from .ir import (
    Coding,
    Delay,
    Flatten,
    Graph,
    Input,
    Ints,
    IrError,
    Node,
    Readout,
    ReadoutKind,
    ints,
    verify,
)
from .onnx_file import OnnxError, OnnxFile, OnnxNode, load
from .onnx_ops import Builder, convert
from .onnx_values import Const, Ref, State, Value, integers

Env = dict[str, Value]
VERSION = 1


def import_onnx(path: str | Path, *, steps: int | None = None,
                readout: str | None = None) -> Graph:
    """The network in the file at *path*; *steps* and *readout* go before the file's metadata.

    Raises OnnxError, which names file and node.
    """
    file = load(path)
    _check_versions(file)
    scan = next((node for node in file.nodes(file.model.graph) if node.op == "Scan"), None)
    source, found_steps = _entry(file, scan)
    steps = _steps(file, steps, found_steps)
    builder = Builder(file)
    scores = (_walk_step if scan is None else _walk_scan)(file, builder, source)
    kind: ReadoutKind = file.choice("readout", get_args(ReadoutKind),
                                    "add --readout count, potential or last", readout)
    nodes, answer = _finished(builder.nodes, _readout(file, kind, scores))
    graph = Graph(file.model.graph.name or Path(path).stem, steps, _with_metadata(file, source),
                  nodes, answer)
    try:
        verify(graph)
    except IrError as error:
        raise OnnxError(f"{file.name}: {error}; export the file again") from None
    return graph


def _check_versions(file: OnnxFile) -> None:
    version = file.metadata.get("qsnn.version", str(VERSION))
    if version != str(VERSION):
        file.fail(f"metadata qsnn.version must be {str(VERSION)!r}, not {version!r}; the file was "
                  "written by another version of qsnn: export it again with this one")
    for opset in file.model.opset_import:
        if opset.domain == "qsnn" and opset.version != VERSION:
            file.fail(f"opset qsnn must be of version {VERSION}, not {opset.version!r}; export the "
                      "file again with this version of qsnn")


def _steps(file: OnnxFile, given: int | None, found: int | None) -> int:
    if given is None and found is not None and "qsnn.steps" not in file.metadata:
        return found
    steps = file.integer("steps", "add --steps T, the number of time steps", given)
    if steps < 1:
        file.fail(f"steps must be at least 1, not {steps!r}; give the number of time steps")
    return steps


def _entry(file: OnnxFile, scan: OnnxNode | None) -> tuple[Input, int | None]:
    """The network's input as the graph declares it, and the steps where its shape says them."""
    states = set(file.mapping("states"))
    known = states | {tensor.name for tensor in file.model.graph.initializer}
    inputs = [value for value in file.model.graph.input if value.name not in known]
    inputs = [value for value in inputs if not value.name.endswith((".u", ".i", ".d", ".acc"))
              or "qsnn.states" in file.metadata]
    if len(inputs) != 1:
        names = ", ".join(value.name for value in inputs)
        file.fail(f"the graph must have one input beside its states, not {names!r}; name the "
                  "states in metadata qsnn.states, or NODE.u and NODE.u_next")
    dims = [dim.dim_value if dim.HasField("dim_value") else None
            for dim in inputs[0].type.tensor_type.shape.dim]
    frames = scan is not None and inputs[0].name in scan.inputs
    shape = dims[2 if frames else 1:]
    if not shape or None in shape:
        file.fail(f"input {inputs[0].name!r}: shape must be known but for samples and steps, "
                  f"not {dims!r}; export with fixed sizes")
    coding: Coding = "spikes" if frames else "direct"
    sizes = tuple(size for size in shape if size is not None)
    return Input(sizes, 1, coding, name=inputs[0].name), dims[1] if frames else None


def _with_metadata(file: OnnxFile, source: Input) -> Input:
    """*source* with the coding, width and scale that only the metadata say."""
    advice = "export the file with qsnn_models.onnx_export, which writes it"
    coding: Coding = file.choice("coding", get_args(Coding), advice)
    bits = file.integer("input_bits", advice)
    text = file.metadata.get("qsnn.input_scale", "1.0")
    try:
        scale = float(text)
    except ValueError:
        file.fail(f"metadata qsnn.input_scale must be a number, not {text!r}; {advice}")
    zero = file.integer("input_zero_point", advice) \
        if "qsnn.input_zero_point" in file.metadata else 0
    return replace(source, coding=coding, bits=bits, scale=scale, zero_point=zero)


# -- walking --------------------------------------------------------------------------------------

def _walk(file: OnnxFile, builder: Builder, graph: onnx.GraphProto, env: Env,
          nodes: Iterable[OnnxNode]) -> None:
    """Give every output of *nodes* its meaning in *env*."""
    for name, array in file.constants(graph).items():
        env[name] = Const(array, array.dtype.kind in "iu")
    for node in nodes:
        inputs = [_look_up(node, env, name) for name in node.inputs]
        if node.op == "Shape" and isinstance(inputs[0], Ref):
            inputs = [_like(node, inputs[0], env)]
        result = convert(builder, node, inputs)
        values = result if isinstance(result, tuple) else (result,)
        env.update(zip(node.outputs, values, strict=False))


def _look_up(node: OnnxNode, env: Env, name: str) -> Value | None:
    if name and name not in env:
        node.fail(f"input must be a value computed before, not {name!r}; the file is not in order")
    return env.get(name)


def _like(node: OnnxNode, ref: Ref, env: Env) -> Const:
    """An array that stands for *ref* where only its number of samples matters: one sample."""
    if node.attributes.get("end") != 1:
        node.fail("only the number of samples may be asked of a shape (start 0, end 1); export "
                  "with fixed sizes")
    return Const(np.zeros((1,) * (ref.rank + 1)))


def _walk_step(file: OnnxFile, builder: Builder, source: Input) -> Ref:
    """A graph of one step. The value of its scores."""
    graph = file.model.graph
    pairs = _state_pairs(file, source.name)
    outputs = [value.name for value in graph.output if value.name not in pairs.values()]
    if len(outputs) != 1:
        file.fail(f"the graph must have one output beside its states, not {', '.join(outputs)!r}; "
                  "name the states in metadata qsnn.states, or NODE.u and NODE.u_next")
    env: Env = {source.name: Ref(source.name, len(source.shape))}
    ranks = {value.name: len(value.type.tensor_type.shape.dim) - 1 for value in graph.input}
    initial = file.mapping("initial")
    nodes = file.nodes(graph)
    ends = _through(nodes)
    for name, after in pairs.items():
        start = ints(np.array(initial.get(name, 0)))
        env[name] = State(name, ends.get(after, after), start, ranks[name])
    _walk(file, builder, graph, env, nodes)
    _settle(file, builder, {name: env.get(after) for name, after in pairs.items()})
    return _scores(file, env.get(outputs[0]))


def _state_pairs(file: OnnxFile, entry: str) -> dict[str, str]:
    graph = file.model.graph
    if "qsnn.states" in file.metadata:
        return {str(name): str(after) for name, after in file.mapping("states").items()}
    constants = {tensor.name for tensor in graph.initializer}
    outputs = {value.name for value in graph.output}
    names = [value.name for value in graph.input if value.name not in {entry, *constants}]
    for name in names:
        if f"{name}_next" not in outputs:
            file.fail(f"state {name!r} must have an output {f'{name}_next'!r}, not none; name the "
                      "states in metadata qsnn.states")
    return {name: f"{name}_next" for name in names}


def _walk_scan(file: OnnxFile, builder: Builder, source: Input) -> Ref:
    """A graph with a Scan over the steps. The value of its scores."""
    graph = file.model.graph
    env: Env = {source.name: Ref(source.name, len(source.shape))}
    nodes = file.nodes(graph)
    at = next(i for i, node in enumerate(nodes) if node.op == "Scan")
    _walk(file, builder, graph, env, nodes[:at])
    _walk_body(file, builder, nodes[at], env)
    _walk(file, builder, onnx.GraphProto(), env, nodes[at + 1:])
    if len(graph.output) != 1:
        nodes[at].fail(f"the graph must have one output, the scores, not {len(graph.output)!r}; "
                       "export it without traces")
    return _scores(file, env.get(graph.output[0].name))


def _walk_body(file: OnnxFile, builder: Builder, scan: OnnxNode, outer: Env) -> None:
    """The body of a Scan; its final states become values of the graph around it."""
    body: onnx.GraphProto = scan.attributes["body"]
    count = len(scan.inputs) - scan.integer("num_scan_inputs")
    entries, exits = [v.name for v in body.input], [v.name for v in body.output]
    env, nodes = dict(outer), [OnnxNode(file.name, proto) for proto in body.node]
    ends = _through(nodes)
    for name, start, after in zip(entries, scan.inputs[:count], exits, strict=False):
        value = outer.get(start)
        if not isinstance(value, Const):
            scan.fail(f"state {name!r} must start at a constant, not at a value of the network; "
                      "start states at their initial value")
        start_value = integers(scan, f"state {name!r}", value.value)
        env[name] = State(name, ends.get(after, after), _per_channel(start_value),
                          max(start_value.ndim - 1, 1))
    for name, frames in zip(entries[count:], scan.inputs[count:], strict=True):
        env[name] = outer[frames]
    _walk(file, builder, body, env, nodes)
    _settle(file, builder, dict(zip(entries[:count], map(env.get, exits), strict=False)))
    for name, after in zip(scan.outputs, exits[:count], strict=False):
        value = env.get(after)
        if value is not None:
            outer[name] = value


def _per_channel(start: Ints) -> Ints:
    """An initial state without its sample axis, one number where it is the same everywhere."""
    start = start[0] if start.ndim > 1 else start
    return ints(start.flat[0]) if (start == start.flat[0]).all() else ints(start)


def _through(nodes: list[OnnxNode]) -> dict[str, str]:
    """Each output of a Cast or Identity → the value that it passes on."""
    found: dict[str, str] = {}
    for node in nodes:
        if node.op in ("Cast", "CastLike", "Identity"):
            found[node.outputs[0]] = found.get(node.inputs[0], node.inputs[0])
    return found


def _settle(file: OnnxFile, builder: Builder, ends: dict[str, Value | None]) -> None:
    """Check that the neurons' states end where they must, and give delays their inputs."""
    for name, (wanted, node) in builder.ends.items():
        value = ends.get(name)
        if not isinstance(value, Ref) or not value.plain or value.source != wanted:
            node.fail(f"state {name!r} must become the node's own next state, not another value; "
                      "export the file again")
    for name, delay in builder.delays.items():
        value = ends.get(name)
        if not isinstance(value, Ref) or not value.plain:
            file.fail(f"state {name!r} must become a value of the network, not a computed one; "
                      "export the file again")
        at = next(i for i, node in enumerate(builder.nodes) if node.name == delay)
        builder.nodes[at] = Node(delay, Delay(), (value.source,))


# -- readout --------------------------------------------------------------------------------------

def _scores(file: OnnxFile, value: Value | None) -> Ref:
    if not isinstance(value, Ref):
        file.fail(f"the scores must be a value of the network, not a {type(value).__name__}; "
                  "export the file again")
    return value


def _readout(file: OnnxFile, kind: ReadoutKind, scores: Ref) -> Readout:
    gain = ints(1) if scores.gain is None else ints(scores.gain.reshape(scores.gain.shape[-1:]))
    bias = ints(0) if scores.bias is None else ints(scores.bias.reshape(scores.bias.shape[-1:]))
    if kind == "last" and scores.total:
        file.fail("readout must be 'count' or 'potential' for scores that are summed over the "
                  "steps, not 'last'; leave --readout out")
    if kind == "count":
        if (gain != 1).any() or bias.any():
            file.fail(f"readout must be 'potential' for scores with gain and bias, not {kind!r}; "
                      "leave --readout out")
        gain, bias = ints(1), ints(0)
    return Readout(kind, scores.source, gain, bias)


def _finished(nodes: list[Node], readout: Readout) -> tuple[tuple[Node, ...], Readout]:
    """Without a Flatten before the readout, which flattens anyway, and without unread
    nodes."""
    by_name = {node.name: node for node in nodes}
    source = by_name.get(readout.source)
    if source is not None and isinstance(source.op, Flatten) and source.inputs[0] in by_name:
        readout = replace(readout, source=source.inputs[0])
    wanted, todo = set(), [readout.source.removesuffix(".u"), readout.source]
    while todo:
        name = todo.pop()
        if name in by_name and name not in wanted:
            wanted.add(name)
            todo += by_name[name].inputs
    return tuple(node for node in nodes if node.name in wanted), readout

