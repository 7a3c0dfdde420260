"""The fixed-point IR: the only door to it.

It imports nothing of ours.
"""

from .bounds import Bounds, NeuronBounds, bounds
from .errors import IrError
from .graph import Graph, Node, Readout, ReadoutKind, quantize_input
from .input import Coding, Input, Takes
from .intervals import Interval, Linear, width
from .magnitudes import magnitudes
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
    "Add", "Bounds", "Coding", "Conv2d", "Delay", "Dense", "Flatten", "Graph", "Input", "Interval",
    "Ints", "IrError", "Linear", "MaxPool", "Neuron", "NeuronBounds", "Node", "Op", "Readout",
    "ReadoutKind", "Reset", "Shape", "SumPool", "Synapse", "Takes", "bounds", "equal", "ints",
    "magnitudes", "parse", "quantize_input", "shapes", "to_text", "verify", "width",
]
