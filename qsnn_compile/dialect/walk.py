"""A walk over the nodes of a file: one step with its states, or a Scan over the steps."""

from collections.abc import Iterable

import numpy as np
import onnx

from qsnn_compile.ir import Delay, Input, Ints, Node, ints
from qsnn_compile.loader.nodes import FAILURES, OnnxFile, OnnxNode

from .builder import Builder
from .operators import convert
from .values import Const, Ref, State, Value, integers

Env = dict[str, Value]


def _walk(file: OnnxFile, builder: Builder, graph: onnx.GraphProto, env: Env,
          nodes: Iterable[OnnxNode]) -> None:
    """Give every output of *nodes* its meaning in *env*."""
    for name, array in file.constants(graph).items():
        env[name] = Const(array, array.dtype.kind in "iu")
    for node in nodes:
        inputs = [_look_up(node, env, name) for name in node.inputs]
        if node.op == "Shape" and isinstance(inputs[0], Ref):
            inputs = [_like(node, inputs[0], env)]
        try:
            result = convert(builder, node, inputs)
        except FAILURES as error:
            node.fail(f"must be well-formed, not one that fails with {error!s:.200}; check the "
                      "file with onnx.checker")
        values = result if isinstance(result, tuple) else (result,)
        env.update(zip(node.outputs, values, strict=False))


def _look_up(node: OnnxNode, env: Env, name: str) -> Value | None:
    return _known(node, env, name) if name else None


def _known(node: OnnxNode, env: Env, name: str) -> Value:
    if name not in env:
        node.fail(f"input must be a value computed before, not {name!r}; the file is not in order")
    return env[name]


def _like(node: OnnxNode, ref: Ref, env: Env) -> Const:
    """An array that stands for *ref* where only its number of samples matters: one sample."""
    if node.attributes.get("end") != 1:
        node.fail("only the number of samples may be asked of a shape (start 0, end 1); export "
                  "with fixed sizes")
    return Const(np.zeros((1,) * (ref.rank + 1)))


def walk_step(file: OnnxFile, builder: Builder, source: Input) -> Ref:
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
        if name not in ranks:
            file.fail(f"state {name!r} must be an input of the graph; export the file again")
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


def walk_scan(file: OnnxFile, builder: Builder, source: Input) -> Ref:
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
        if not start_value.size:
            scan.fail(f"state {name!r} must have numbers to start at, not the shape "
                      f"{start_value.shape!r}; export the file again")
        env[name] = State(name, ends.get(after, after), _per_channel(start_value),
                          max(start_value.ndim - 1, 1))
    for name, frames in zip(entries[count:], scan.inputs[count:], strict=True):
        env[name] = _known(scan, outer, frames)
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
    origins: dict[str, str] = {}
    for node in nodes:
        if node.op in ("Cast", "CastLike", "Identity"):
            origins[node.outputs[0]] = origins.get(node.inputs[0], node.inputs[0])
    return origins


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


def _scores(file: OnnxFile, value: Value | None) -> Ref:
    if not isinstance(value, Ref):
        file.fail(f"the scores must be a value of the network, not a {type(value).__name__}; "
                  "export the file again")
    return value
