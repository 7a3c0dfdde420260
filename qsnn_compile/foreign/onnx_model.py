"""An ONNX file read with suspicion: nothing outside its folder, nothing huge, no functions left."""

from collections.abc import Iterator
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import TensorProto, external_data_helper, inliner

from qsnn_compile.onnx_file import OnnxError

LARGEST = 1 << 31
MOST_NODES = 100_000
EXPORT = "export the network again"


def load_model(path: str | Path) -> onnx.ModelProto:
    """The model at *path*, with its external data, and its functions inlined. Raises OnnxError."""
    name = Path(path)
    model = _parsed(name)
    if not model.graph.node:
        raise OnnxError(f"must have a graph with nodes, not one without; {EXPORT}")
    _load_external(model, name.parent)
    for tensor in _tensors(model):
        _check_size(tensor)
    model = _inlined(model)
    for graph in _graphs(model.graph):
        _check_names(graph)
    return model


def _parsed(name: Path) -> onnx.ModelProto:
    try:
        size = name.stat().st_size
        if size > LARGEST:
            raise OnnxError(f"must have at most {LARGEST} bytes, not {size!r}; {EXPORT}")
        model = onnx.ModelProto()
        model.ParseFromString(name.read_bytes())
    except OSError as error:
        raise OnnxError(f"must be a readable ONNX file: {error.strerror or error}; "
                        "check the path") from None
    except (DecodeError, ValueError) as error:
        raise OnnxError(f"must be an ONNX file, not one that is truncated or damaged "
                        f"({type(error).__name__}); {EXPORT}") from None
    return model


# -- tensors --------------------------------------------------------------------------------------

def _tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    for graph in _graphs(model.graph):
        yield from graph.initializer
        for node in graph.node:
            yield from _node_tensors(node)
    for function in model.functions:
        for node in function.node:
            yield from _node_tensors(node)


def _node_tensors(node: onnx.NodeProto) -> Iterator[onnx.TensorProto]:
    for attribute in node.attribute:
        if attribute.HasField("t"):
            yield attribute.t
        yield from attribute.tensors


def _graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _graphs(attribute.g)
            for inner in attribute.graphs:
                yield from _graphs(inner)


def _load_external(model: onnx.ModelProto, folder: Path) -> None:
    for tensor in _tensors(model):
        if tensor.data_location == TensorProto.EXTERNAL:
            _check_external(tensor, folder)
            try:
                external_data_helper.load_external_data_for_tensor(tensor, str(folder))
            except (OSError, ValueError, onnx.checker.ValidationError) as error:
                raise OnnxError(f"tensor {tensor.name!r}: external data must be readable: "
                                f"{error!s:.200}; {EXPORT}") from None
            tensor.data_location = TensorProto.DEFAULT
            del tensor.external_data[:]


def _check_external(tensor: onnx.TensorProto, folder: Path) -> None:
    """Refuse data outside *folder*, missing or short files."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    place = folder / location
    inside = location and not Path(location).is_absolute() and \
        place.resolve().is_relative_to(folder.resolve()) and not place.is_symlink()
    if not inside:
        raise OnnxError(f"tensor {tensor.name!r}: external data must lie in the model's folder, "
                        f"not at {location!r}; {EXPORT} and keep its files together")
    if not place.is_file():
        raise OnnxError(f"tensor {tensor.name!r}: external data must be in the file {location!r} "
                        "beside the model, which is missing; copy it there, or export with "
                        "external_data=False")
    offset, length = _whole(tensor, entries, "offset"), _whole(tensor, entries, "length")
    size = place.stat().st_size
    if offset + length > size or size - offset > LARGEST:
        raise OnnxError(f"tensor {tensor.name!r}: external data must lie within the "
                        f"{size} bytes of {location!r}, not end at {offset + length!r}; {EXPORT}")


def _whole(tensor: onnx.TensorProto, entries: dict[str, str], key: str) -> int:
    text = entries.get(key, "0")
    if not text.isdecimal():
        raise OnnxError(f"tensor {tensor.name!r}: external data {key} must be a whole number, "
                        f"not {text!r}; {EXPORT}")
    return int(text)


def _check_size(tensor: onnx.TensorProto) -> None:
    """Refuse a tensor whose shape and data don't agree, or that is too large."""
    count = 1
    for size in tensor.dims:
        count *= size
        if size < 0 or count > LARGEST // 4:
            raise OnnxError(f"tensor {tensor.name!r}: must have at most {LARGEST // 4} numbers, "
                            f"not shape {list(tensor.dims)!r}; {EXPORT}")
    held = len(tensor.raw_data) * 8 if tensor.HasField("raw_data") else 8 * 8 * sum(
        len(field) for field in (tensor.float_data, tensor.int32_data, tensor.int64_data,
                                 tensor.double_data, tensor.uint64_data))
    if count * _bits(tensor) > held:
        raise OnnxError(f"tensor {tensor.name!r}: must hold the {count} numbers of its shape, "
                        f"not fewer; the file is damaged: {EXPORT}")


def _bits(tensor: onnx.TensorProto) -> int:
    """The bits of a number in the file, at least; raises OnnxError for what is no number."""
    if tensor.data_type in _NARROW:
        return _NARROW[tensor.data_type]
    try:
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
    except (KeyError, ValueError, TypeError):
        dtype = None
    if dtype is None or dtype.kind not in "fiubV":
        raise OnnxError(f"tensor {tensor.name!r}: must hold numbers, not type "
                        f"{tensor.data_type!r}; {EXPORT}")
    return 8 * int(dtype.itemsize) if tensor.HasField("raw_data") else 8


_NARROW: dict[int, int] = {
    TensorProto.INT4: 4, TensorProto.UINT4: 4, TensorProto.INT2: 2, TensorProto.UINT2: 2}


# -- functions ------------------------------------------------------------------------------------

def _inlined(model: onnx.ModelProto) -> onnx.ModelProto:
    if not model.functions:
        return model
    _check_functions(model)
    try:
        return inliner.inline_local_functions(model)
    except (RuntimeError, ValueError, onnx.checker.ValidationError) as error:
        raise OnnxError(f"functions must be well-formed: {error!s:.200}; {EXPORT}") from None


def _check_functions(model: onnx.ModelProto) -> None:
    """Refuse functions that call themselves, or that grow beyond measure."""
    bodies = {(f.domain, f.name): f for f in model.functions}
    sizes: dict[tuple[str, str], int] = {}

    def size(key: tuple[str, str], above: tuple[tuple[str, str], ...]) -> int:
        if key in above:
            raise OnnxError(f"function {key[1]!r} must not call itself; {EXPORT}")
        if key not in sizes:
            sizes[key] = count(bodies[key].node, (*above, key))
        return sizes[key]

    def count(nodes: object, above: tuple[tuple[str, str], ...]) -> int:
        total = 0
        for node in _all_nodes(nodes):
            key = (node.domain, node.op_type)
            total += size(key, above) if key in bodies else 1
            if total > MOST_NODES:
                raise OnnxError(f"functions must expand to at most {MOST_NODES} nodes; {EXPORT}")
        return total
    for key in bodies:
        size(key, ())
    count(model.graph.node, ())


def _all_nodes(nodes: object) -> Iterator[onnx.NodeProto]:
    for node in nodes:  # type: ignore[attr-defined]
        yield node
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _all_nodes(attribute.g.node)


def _check_names(graph: onnx.GraphProto) -> None:
    """Refuse a name that two nodes give."""
    seen: set[str] = {value.name for value in graph.input}
    for node in graph.node:
        for output in node.output:
            if output and output in seen:
                raise OnnxError(f"node {node.name!r} ({node.op_type}): output {output!r} must be "
                                f"a name of its own, not one given before; {EXPORT}")
            seen.add(output)
