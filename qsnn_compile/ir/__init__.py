"""The fixed-point IR: the only door to it. Knows nothing of the rest of the project."""

from .data import quantize_input
from .errors import IrError
from .graph import Coding, Graph, Input, Node, Readout, ReadoutKind
from .ops import (
    Add,
    Conv2d,
    Delay,
    Dense,
    Flatten,
    Ints,
    MaxPool,
    Neuron,
    Op,
    Reset,
    SumPool,
    Synapse,
    ints,
)
from .parse import parse
from .shapes import Shape, shapes
from .text import equal, to_text
from .verify import verify

__all__ = [
    "Add", "Coding", "Conv2d", "Delay", "Dense", "Flatten", "Graph", "Input", "Ints", "IrError",
    "MaxPool", "Neuron", "Node", "Op", "Readout", "ReadoutKind", "Reset", "Shape", "SumPool",
    "Synapse", "equal", "ints", "parse", "quantize_input", "shapes", "to_text", "verify",
]
