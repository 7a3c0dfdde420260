"""The fixed-point IR: the only door to it. Knows nothing of the rest of the project."""

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

__all__ = [
    "Add", "Coding", "Conv2d", "Delay", "Dense", "Flatten", "Graph", "Input", "Ints", "MaxPool",
    "Neuron", "Node", "Op", "Readout", "ReadoutKind", "Reset", "SumPool", "Synapse", "ints",
]
