"""What an operator's rule needs of the interpreter that calls it."""

from collections.abc import Callable, MutableMapping
from typing import Any, Protocol

import onnx

from qsnn_compile.loader.nodes import OnnxNode

from .blocks import Value
from .trace import Trace

Env = MutableMapping[str, Value]


class Runner(Protocol):
    """Runs graphs of one file into one ``trace``."""

    trace: Trace

    def run(self, graph: onnx.GraphProto, env: Env) -> list[Value]:
        """The outputs of *graph* with its inputs, and what it sees from outside, in *env*."""

    def raw(self, value: Value | None) -> Any:
        """The number of a constant, None of anything else."""

    def emit(self, node: OnnxNode) -> Callable[..., Value]:
        """Makes elementwise values for *node*; folds constants."""
