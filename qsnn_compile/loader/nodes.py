"""An ONNX file as the front end sees it: nodes with their attributes, constants, metadata; and the
errors that name file and node."""

import json
import math
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from qsnn_compile.ir import Ints, ints

from .model import load_model
from .parse import OnnxError as OnnxError

Array = NDArray[Any]
T = TypeVar("T")
MOST = 1 << 23                  # numbers in a value
FAILURES = (ValueError, IndexError, TypeError, KeyError, AttributeError, OverflowError,
            ZeroDivisionError, MemoryError)     # what numpy says of sizes that don't go together


@dataclass(frozen=True, eq=False)
class OnnxNode:
    """A node: what the file calls it, its operator, inputs, outputs and attributes."""

    file: str
    proto: onnx.NodeProto

    @property
    def name(self) -> str:
        """Its name, or that of its first output."""
        return self.proto.name or next(filter(None, self.outputs), self.proto.op_type)

    @property
    def op(self) -> str:
        return f"{self.proto.domain}::{self.proto.op_type}" if self.proto.domain else \
            self.proto.op_type

    @property
    def inputs(self) -> list[str]:
        return list(self.proto.input)

    @property
    def outputs(self) -> list[str]:
        return list(self.proto.output)

    @cached_property
    def attributes(self) -> dict[str, Any]:
        """Attributes by name; strings decoded."""
        values = {a.name: onnx.helper.get_attribute_value(a) for a in self.proto.attribute}
        return {name: value.decode() if isinstance(value, bytes) else value
                for name, value in values.items()}

    def fail(self, message: str) -> NoReturn:
        """Raise OnnxError with file and node before *message*."""
        raise OnnxError(f"{self.file}: node {self.name!r} ({self.op}): {message}")

    def fit(self, *shape: int) -> None:
        """Refuse a value of *shape* that is too large, before it is made. Raises OnnxError."""
        if math.prod(shape) > MOST or any(size < 0 for size in shape):
            self.fail(f"a value must have at most {MOST} numbers, not the shape {list(shape)!r}; "
                      "check its sizes, or export a smaller model")

    def integer(self, name: str, default: int | None = None) -> int:
        """Attribute *name*, an integer."""
        value = self.attributes.get(name, default)
        if not isinstance(value, int):
            self.fail(f"attribute {name} must be an integer, not {value!r}; export the file again")
        return value

    def integers(self, name: str) -> Ints:
        """Attribute *name*, a list of integers, in the shape of attribute NAME_shape."""
        value = self.attributes.get(name)
        value = [value] if isinstance(value, int) else value
        if not isinstance(value, list) or not value:
            self.fail(f"attribute {name} must be a list of integers, not {value!r}; "
                      "export the file again")
        shape = self.attributes.get(f"{name}_shape", [len(value)])
        return ints(np.array(value).reshape(shape))


@dataclass(frozen=True, eq=False)
class OnnxFile:
    """A loaded file. ``name`` is its path as given."""

    name: str
    model: onnx.ModelProto

    @cached_property
    def metadata(self) -> dict[str, str]:
        return {entry.key: entry.value for entry in self.model.metadata_props}

    def fail(self, message: str) -> NoReturn:
        raise OnnxError(f"{self.name}: {message}")

    def nodes(self, graph: onnx.GraphProto) -> list[OnnxNode]:
        return [OnnxNode(self.name, proto) for proto in graph.node]

    def constants(self, graph: onnx.GraphProto) -> dict[str, Array]:
        """The initialisers of *graph*."""
        return {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}

    def integer(self, key: str, advice: str, given: int | None = None) -> int:
        """Metadata *key* as an integer; *given* goes first."""
        text = self.metadata.get(f"qsnn.{key}") if given is None else str(given)
        if text is None or not re.fullmatch(r"-?[0-9]{1,18}", text):
            self.fail(f"metadata qsnn.{key} must be an integer, not {text!r}; {advice}")
        return int(text)

    def choice(self, key: str, choices: tuple[T, ...], advice: str,
               given: str | None = None) -> T:
        """Metadata *key*, one of *choices*; *given* goes first."""
        text = self.metadata.get(f"qsnn.{key}") if given is None else given
        for choice in choices:
            if text == choice:
                return choice
        self.fail(f"metadata qsnn.{key} must be one of {', '.join(map(str, choices))}, "
                  f"not {text!r}; {advice}")

    def mapping(self, key: str) -> dict[str, Any]:
        """Metadata *key*, a JSON object; empty where the file has none."""
        text = self.metadata.get(f"qsnn.{key}", "{}")
        try:
            content = json.loads(text)
        except ValueError:
            content = None
        if not isinstance(content, dict):
            self.fail(f"metadata qsnn.{key} must be a JSON object, not {text!r}; "
                      "export the file again")
        return content


def load(path: str | Path) -> OnnxFile:
    """The ONNX file at *path*. Raises OnnxError."""
    return OnnxFile(str(path), load_model(path))
