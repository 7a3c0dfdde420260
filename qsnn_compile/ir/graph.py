"""The IR's graph: one time step of a network, run ``steps`` times, and how its answer is read."""

from dataclasses import dataclass, field
from typing import Literal

from .ops import Ints, Op, ints

Coding = Literal["direct", "spikes"]
ReadoutKind = Literal["count", "potential", "last"]


@dataclass(frozen=True)
class Input:
    """The network's input: unsigned integers of ``bits`` bits, shape without the sample axis.

    ``direct``: the same values at every step (data ``[N, *shape]``). ``spikes``: a frame a step
    (data ``[N, T, *shape]``), 0/1 for ``bits`` = 1, else counts. A real input is
    ``scale · (x - zero_point)``.
    """

    shape: tuple[int, ...]
    bits: int = 1
    coding: Coding = "spikes"
    scale: float = 1.0
    zero_point: int = 0
    name: str = "x"


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
    """

    kind: ReadoutKind
    source: str
    gain: Ints = field(default_factory=lambda: ints(1))
    bias: Ints = field(default_factory=lambda: ints(0))


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
