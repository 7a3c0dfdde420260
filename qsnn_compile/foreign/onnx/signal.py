"""What a block means in the normal form, and what a maker of layers needs of the network so far."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from qsnn_compile.foreign.onnx.neurons.neurons import Neurons
from qsnn_compile.foreign.onnx.trace.step import Step
from qsnn_compile.reals.normal_form import Node, Op

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Signal:
    """Σ factor · node + offset, element by element; ``shape`` is the nodes'."""

    terms: dict[str, Array]
    offset: Array
    shape: tuple[int, ...]


class Making(Protocol):
    """A network under way: its ``step``, its ``neurons`` and the ``nodes`` so far."""

    step: Step
    neurons: Neurons
    nodes: list[Node]

    def signal(self, block: int) -> Signal:
        """What *block* means."""

    def add(self, kind: str, op: Op, inputs: Sequence[str], origin: str = "") -> str:
        """A new node; its name."""

    def find(self, name: str) -> Node | None:
        """The node called *name*."""

    def put(self, node: Node) -> None:
        """*node* in the place of the one of its name."""

    def materialised(self, signal: Signal) -> str:
        """The name of a node that holds *signal*."""
