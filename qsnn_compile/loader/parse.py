"""The bytes of a model file → an ONNX model, binary or text as the file's extension says."""

import re
from pathlib import Path

import onnx
from google.protobuf.json_format import ParseError as JsonError  # type: ignore[import-untyped]
from google.protobuf.message import DecodeError, Message  # type: ignore[import-untyped]
from google.protobuf.text_format import ParseError as TextError  # type: ignore[import-untyped]
from onnx import parser, serialization

from qsnn_compile.system.errors import QsnnError
from qsnn_compile.system.files import read_bytes

DEEPEST = 100                   # brackets in brackets, as protobuf's own limit for binary files
IR_VERSION = b"\x08"            # what a binary file starts with: the tag of its first field
MOST_TEXT = 1 << 26             # bytes of a text form; weights belong in a binary file
EXPORT = "export the network with qsnn train or qsnn_models.export.onnx_export.save"


class OnnxError(QsnnError):
    """A model file that can't be read, or says something the front end doesn't take."""


def parsed(path: str | Path) -> onnx.ModelProto:
    """The model in the file at *path*, its fields as they stand. Raises OnnxError, which leaves the
    file's name to the caller.

    ``.onnxtxt``, ``.textproto``, ``.json`` and their like are text, all others binary.
    """
    form = serialization.registry.get_format_from_file_extension(Path(path).suffix) or "protobuf"
    try:
        data = read_bytes(path) if form == "protobuf" else read_bytes(path, most=MOST_TEXT)
    except OSError as error:
        raise OnnxError(f"must be a readable ONNX file: {error.strerror or error}; "
                        "check the path") from None
    model = _binary(data) if form == "protobuf" else _text(data, form)
    if not model.graph.node:
        raise OnnxError(f"must be an ONNX file with a graph, not one without nodes; {EXPORT}")
    return model


def _binary(data: bytes) -> onnx.ModelProto:
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except (DecodeError, ValueError):
        if data.startswith(IR_VERSION):
            raise OnnxError("must be a whole ONNX file, not a truncated or damaged one; "
                            "copy or export it again") from None
        raise OnnxError(f"must be an ONNX file, not one that starts with {data[:8]!r}; {EXPORT}"
                        ) from None
    _check_text(model)
    return model


def _check_text(message: Message) -> None:
    """Refuse names that are no text: protobuf hands them over as bytes."""
    for field, value in message.ListFields():
        values = [value] if isinstance(value, str | bytes | Message) else value
        if field.type == field.TYPE_MESSAGE:
            for inner in values:
                _check_text(inner)
        elif field.type == field.TYPE_STRING:
            for text in values:
                if not isinstance(text, str):
                    raise OnnxError(f"{field.name} must be text in UTF-8, not {text[:20]!r}; the "
                                    f"file is damaged: {EXPORT}")


def _text(data: bytes, form: str) -> onnx.ModelProto:
    if _depth(data) > DEEPEST:
        raise OnnxError(f"must have brackets at most {DEEPEST} deep, not deeper; {EXPORT}")
    try:
        text = data.decode()
        model: onnx.ModelProto = parser.parse_model(text) if form == "onnxtxt" else \
            onnx.load_model_from_string(text, form)
    except (DecodeError, ValueError, TypeError, TextError, JsonError, parser.ParseError) as error:
        raise OnnxError(f"must be an ONNX file as {form}, as its extension says, not one that "
                        f"can't be parsed: {' '.join(str(error).split())!s:.200}; {EXPORT}"
                        ) from None
    return model


def _depth(data: bytes) -> int:
    """How deep the brackets of a text stand in each other, those in strings left out."""
    depth = deepest = 0
    for mark in re.findall(rb'"(?:[^"\\]|\\.)*"|[{\[(<]|[}\])>]', data):
        depth += 1 if mark in b"{[(<" else -1 if mark in b"}])>" else 0
        deepest = max(deepest, depth)
    return deepest
