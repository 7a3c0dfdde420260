"""The IR's graph: one time step of a network, run ``steps`` times, and how its answer is read."""

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .input import Input
from .ops import Ints, Op, ints

ReadoutKind = Literal["count", "potential", "last"]


@dataclass(frozen=True, eq=False)
class Node:
    """One operator. Its ``name`` is also the name of its output value."""

    name: str
    op: Op
    inputs: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Readout:
    """How T steps of value ``source`` (flattened to classes) become scores; argmax takes the
    lowest index on a tie.

    - ``count``: ``score_c = Σ_t s_c``
    - ``potential``: ``score_c = g_c · Σ_t I_c + b_c``
    - ``last``: ``score_c = g_c · x_c(T - 1) + b_c``; the source may also be ``"NODE.u"``, the
      stored membrane of neuron NODE.

    ``names``: what the classes are called, in their order, where that is known.
    """

    kind: ReadoutKind
    source: str
    gain: Ints = field(default_factory=lambda: ints(1))
    bias: Ints = field(default_factory=lambda: ints(0))
    names: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Graph:
    """A spiking network in fixed point. ``nodes`` are in topological order (Delay inputs apart)."""

    name: str
    steps: int
    input: Input
    nodes: tuple[Node, ...]
    readout: Readout

    def __getitem__(self, name: str) -> Node:
        """The node called *name*. Raises KeyError."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise KeyError(name)


def quantize_input(graph: Graph, x: Any) -> NDArray[np.uint8]:
    """*x* as the integers that *graph* takes, see `Input.quantise`."""
    return graph.input.quantise(x, graph.steps)
