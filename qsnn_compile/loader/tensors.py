"""The constants of a model file: as many numbers as they say, and nothing outside the folder."""

import math
from collections.abc import Iterator
from pathlib import Path

import onnx
from onnx import TensorProto, numpy_helper

from qsnn_compile.system.files import LARGEST, opened

from .parse import OnnxError

EXPORT = "export the network again"


def check_tensors(model: onnx.ModelProto, folder: Path) -> None:
    """Take external data into *model*, and refuse a tensor whose type, shape and data don't agree.

    Raises OnnxError, which names the tensor.
    """
    left = LARGEST
    for tensor in _tensors(model):
        expected = _expected(tensor)
        left -= expected
        if left < 0:
            raise OnnxError(f"tensors must have at most {LARGEST} bytes together, more than which "
                            f"{tensor.name!r} makes them; {EXPORT}")
        if tensor.data_location == TensorProto.EXTERNAL:
            _take(tensor, folder, expected)
        _check_data(tensor, expected)


def graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """*graph* and all graphs inside it."""
    yield graph
    for node in graph.node:
        yield from inner_graphs(node)


def inner_graphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """All graphs inside *node*."""
    for attribute in node.attribute:
        for graph in ([attribute.g] if attribute.HasField("g") else []) + list(attribute.graphs):
            yield from graphs(graph)


def _tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    nodes = [node for function in model.functions for node in function.node]
    inner = [graph for node in nodes for graph in inner_graphs(node)]
    for graph in [*graphs(model.graph), *inner]:
        yield from graph.initializer
        if graph.sparse_initializer:
            name = graph.sparse_initializer[0].values.name
            raise OnnxError(f"tensor {name!r}: must be dense, not sparse; {EXPORT}")
        nodes += graph.node
    for node in nodes:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors


# -- sizes ----------------------------------------------------------------------------------------

def _expected(tensor: onnx.TensorProto) -> int:
    """The bytes that a tensor's numbers have as raw data."""
    count: int = math.prod(tensor.dims)
    if any(size < 0 for size in tensor.dims) or count > LARGEST:
        raise OnnxError(f"tensor {tensor.name!r}: must have at most {LARGEST} numbers, "
                        f"not shape {list(tensor.dims)!r}; {EXPORT}")
    return (count * _bits(tensor) + 7) // 8


def _bits(tensor: onnx.TensorProto) -> int:
    """The bits of a number. Raises OnnxError for what is no number."""
    if tensor.data_type in _NARROW:
        return _NARROW[tensor.data_type]
    try:
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
    except (KeyError, ValueError, TypeError):
        dtype = None
    if dtype is None or dtype.kind not in "fiubV":
        raise OnnxError(f"tensor {tensor.name!r}: must hold numbers, not type "
                        f"{tensor.data_type!r}; {EXPORT}")
    return 8 * int(dtype.itemsize)


_NARROW: dict[int, int] = {
    TensorProto.INT4: 4, TensorProto.UINT4: 4, TensorProto.INT2: 2, TensorProto.UINT2: 2,
    TensorProto.FLOAT4E2M1: 4}


def _check_data(tensor: onnx.TensorProto, expected: int) -> None:
    """Refuse data that are not those of the tensor's shape and type."""
    count = math.prod(tensor.dims)
    if tensor.HasField("raw_data") and len(tensor.raw_data) != expected:
        raise OnnxError(f"tensor {tensor.name!r}: must hold the {count} numbers of its shape, "
                        f"{expected} bytes, not {len(tensor.raw_data)!r}; the file is damaged: "
                        f"{EXPORT}")
    try:
        numpy_helper.to_array(tensor)
    except (ValueError, TypeError, KeyError, OverflowError, RuntimeError) as error:
        raise OnnxError(f"tensor {tensor.name!r}: must hold the {count} numbers of its shape, not "
                        f"fewer, more or others ({error!s:.100}); the file is damaged: {EXPORT}"
                        ) from None


# -- external data --------------------------------------------------------------------------------

def _take(tensor: onnx.TensorProto, folder: Path, expected: int) -> None:
    """The numbers of *tensor* from the file that it names, into it."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    offset, length = _whole(tensor, entries, "offset"), _whole(tensor, entries, "length")
    if length not in (0, expected):
        raise OnnxError(f"tensor {tensor.name!r}: external data length must be the {expected} bytes"
                        f" of its shape, not {length!r}; {EXPORT}")
    try:
        with opened(_place(tensor, folder, location)) as file:
            file.seek(offset)
            data = file.read(expected)
            size = file.seek(0, 2)
    except OSError as error:
        raise OnnxError(f"tensor {tensor.name!r}: external data must be readable: "
                        f"{error.strerror or error}; {EXPORT}") from None
    if len(data) < expected:
        raise OnnxError(f"tensor {tensor.name!r}: external data must lie within the "
                        f"{size} bytes of {location!r}, not end at {offset + expected!r}; {EXPORT}")
    tensor.raw_data = data
    tensor.data_location = TensorProto.DEFAULT
    del tensor.external_data[:]


def _place(tensor: onnx.TensorProto, folder: Path, location: str) -> Path:
    """The file *location* in *folder*. Raises OSError, and OnnxError where it is not in there."""
    if "\0" in location:
        raise OSError("no name of a file has a NUL in it")
    place = folder / location
    inside = location and not Path(location).is_absolute() and \
        place.resolve().is_relative_to(folder.resolve()) and not place.is_symlink()
    if not inside:
        raise OnnxError(f"tensor {tensor.name!r}: external data must lie in the model's folder, "
                        f"not at {location!r}; {EXPORT} and keep its files together")
    try:
        place.stat()
    except FileNotFoundError:
        raise OnnxError(f"tensor {tensor.name!r}: external data must be in the file {location!r} "
                        "beside the model, which is missing; copy it there, or export with "
                        "external_data=False") from None
    return place


def _whole(tensor: onnx.TensorProto, entries: dict[str, str], key: str) -> int:
    text = entries.get(key, "0")
    if not (text.isascii() and text.isdecimal()) or len(text) > 18:
        raise OnnxError(f"tensor {tensor.name!r}: external data {key} must be a whole number, "
                        f"not {text!r}; {EXPORT}")
    return int(text)
