"""The one way into an ONNX file, for every front end: nothing outside its folder, nothing huge, no
node that is not what its operator says."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import onnx
from onnx import inliner

from .parse import OnnxError, parsed
from .schema import EXPORT, check_node, fail
from .tensors import check_tensors, graphs

MOST_NODES = 100_000
DEEPEST = 30                    # graphs in graphs, functions in functions
Functions = Mapping[tuple[str, str], onnx.FunctionProto]


def load_model(path: str | Path) -> onnx.ModelProto:
    """The model at *path* with its external data, well formed. Raises OnnxError, which names the
    file and the node, tensor, graph or function."""
    try:
        model = parsed(path)
        check_tensors(model, Path(path).parent)
        check_model(model)
    except OnnxError as error:
        raise OnnxError(f"{path}: {error}") from None
    return model


def inlined(model: onnx.ModelProto) -> onnx.ModelProto:
    """*model*, a loaded one, without functions: their nodes in place of their calls. Raises
    OnnxError."""
    if not model.functions:
        return model
    try:
        plain = inliner.inline_local_functions(model)
    except (RuntimeError, ValueError, onnx.checker.ValidationError) as error:
        raise OnnxError(f"functions must be well-formed: {error!s:.200}; {EXPORT}") from None
    check_model(plain)
    return plain


def check_model(model: onnx.ModelProto) -> None:
    """Refuse graphs, functions and nodes that are not well formed. Raises OnnxError."""
    functions = {(f.domain, f.name): f for f in model.functions}
    if len(functions) != len(model.functions):
        raise OnnxError(f"functions must have names of their own; {EXPORT}")
    _check_calls(model, functions)
    versions = _versions(model.opset_import)
    _check_graph(model.graph, versions, functions, 0)
    for value in (*model.graph.input, *model.graph.output):
        _check_type(value)
    for function in functions.values():
        own = versions | _versions(function.opset_import)
        for what, names in (("inputs", function.input), ("outputs", function.output)):
            _check_names(f"function {function.name!r}: {what}", names)
        _check_nodes(function.node, set(function.input), own, functions, 0)
    nodes = [node for graph in graphs(model.graph) for node in graph.node]
    if len(nodes) > MOST_NODES:
        raise OnnxError(f"the graph must have at most {MOST_NODES} nodes, not {len(nodes)!r}; "
                        f"{EXPORT}")
    for node in nodes:
        if any(attribute.ref_attr_name for attribute in node.attribute):
            fail(node, f"attributes must have values of their own outside a function; {EXPORT}")


def _versions(opsets: Iterable[onnx.OperatorSetIdProto]) -> dict[str, int]:
    """The opset's version by domain."""
    for opset in opsets:
        if opset.version < 1:
            raise OnnxError(f"opset {opset.domain or 'ai.onnx'!r} must be of a version from 1 on, "
                            f"not {opset.version!r}; {EXPORT}")
    return {"" if opset.domain == "ai.onnx" else opset.domain: min(opset.version, 1 << 30)
            for opset in opsets}


def _check_graph(graph: onnx.GraphProto, versions: Mapping[str, int], functions: Functions,
                 depth: int) -> None:
    if depth > DEEPEST:
        raise OnnxError(f"graphs must stand at most {DEEPEST} deep in each other; {EXPORT}")
    inputs = [value.name for value in graph.input]
    constants = [tensor.name for tensor in graph.initializer]
    for what, names in (("inputs", inputs), ("initializers", constants),
                        ("outputs", [value.name for value in graph.output])):
        _check_names(f"graph {graph.name!r}: {what}", names)
    if not graph.output:
        raise OnnxError(f"graph {graph.name!r}: must have an output, not none; {EXPORT}")
    _check_nodes(graph.node, {*inputs, *constants}, versions, functions, depth)


def _check_names(what: str, names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if not name or name in seen:
            raise OnnxError(f"{what} must have names of their own, not {name!r}"
                            f"{' again' if name else ''}; {EXPORT}")
        seen.add(name)


def _check_nodes(nodes: Iterable[onnx.NodeProto], seen: set[str], versions: Mapping[str, int],
                 functions: Functions, depth: int) -> None:
    """Check *nodes* of one graph, whose names *seen* are given before."""
    for node in nodes:
        check_node(node, versions, functions)
        for output in node.output:
            if output and output in seen:
                fail(node, f"output {output!r} must be a name of its own, not one given before; "
                           f"{EXPORT}")
            seen.add(output)
        for attribute in node.attribute:
            inner = [attribute.g] if attribute.HasField("g") else []
            for graph in [*inner, *attribute.graphs]:
                _check_graph(graph, versions, functions, depth + 1)


def _check_type(value: onnx.ValueInfoProto) -> None:
    """Refuse an input or output of the model that is no tensor of numbers."""
    if not value.type.HasField("tensor_type"):
        raise OnnxError(f"{value.name!r}: must be a tensor; {EXPORT}")
    kind = value.type.tensor_type.elem_type
    try:
        numbers = onnx.helper.tensor_dtype_to_np_dtype(kind).kind in "fiub"
    except (KeyError, ValueError, TypeError):
        numbers = False
    if not numbers:
        raise OnnxError(f"{value.name!r}: must hold numbers, not type {kind!r}; {EXPORT}")


# -- functions ------------------------------------------------------------------------------------

def _check_calls(model: onnx.ModelProto, functions: Functions) -> None:
    """Refuse functions that call themselves, or that grow beyond measure."""
    sizes: dict[tuple[str, str], int] = {}

    def size(key: tuple[str, str], above: tuple[tuple[str, str], ...]) -> int:
        if key in above:
            raise OnnxError(f"function {key[1]!r} must not call itself; {EXPORT}")
        if len(above) > DEEPEST:
            raise OnnxError(f"functions must call each other at most {DEEPEST} deep; {EXPORT}")
        if key not in sizes:
            sizes[key] = count(functions[key].node, (*above, key))
        return sizes[key]

    def count(nodes: Iterable[onnx.NodeProto], above: tuple[tuple[str, str], ...]) -> int:
        total = 0
        for node in _all_nodes(nodes):
            key = (node.domain, node.op_type)
            total += size(key, above) if key in functions else 1
            if total > MOST_NODES:
                raise OnnxError(f"functions must expand to at most {MOST_NODES} nodes; {EXPORT}")
        return total
    for key in functions:
        size(key, ())
    count(model.graph.node, ())


def _all_nodes(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    for node in nodes:
        yield node
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _all_nodes(attribute.g.node)
