"""What follows from a legal graph alone: made once, and handed to search, report and simulation."""

from dataclasses import dataclass
from functools import lru_cache

from qsnn_compile.ir import Bounds, Graph, bounds

from .lowering import lower
from .stage import Stage


@dataclass(frozen=True, eq=False)
class Lowered:
    """A legal ``graph``, its ``stages`` in order, and the proven ``bounds`` of every value."""

    graph: Graph
    stages: tuple[Stage, ...]
    bounds: Bounds


@lru_cache(maxsize=4)
def lowered(graph: Graph, *, endless: bool = False) -> Lowered:
    """*graph* lowered, the same object for the same graph; *endless*: bounds of a stream without
    an end. Raises Unsupported where the graph is not legal."""
    return Lowered(graph, lower(graph), bounds(graph, endless=endless))
