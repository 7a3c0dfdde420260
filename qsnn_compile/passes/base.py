"""What a pass is, and how a row of them runs with the verifier between."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from qsnn_compile.ir import Graph, IrError, verify
from qsnn_compile.system.errors import QsnnError


class PassError(QsnnError):
    """A pass got a graph it doesn't take, or left one that breaks a rule."""


@dataclass(frozen=True)
class Pass:
    """A rewrite of a graph that changes no score and no spike.

    ``name`` and ``description`` (one line) are what ``--print-between-passes`` prints. ``requires``
    and ``ensures`` raise QsnnError where a graph isn't one the pass takes, or leaves.
    """

    name: ClassVar[str]
    description: ClassVar[str]

    def requires(self, graph: Graph) -> None:
        """Raise unless *graph* is one that `apply` takes."""

    def apply(self, graph: Graph) -> Graph:
        """The rewritten graph."""
        raise NotImplementedError

    def ensures(self, graph: Graph) -> None:
        """Raise unless *graph* is what this pass promises."""


Watch = Callable[[str, str, Graph], None]


def run_passes(graph: Graph, passes: Sequence[Pass], watch: Watch | None = None) -> Graph:
    """*graph* after each of *passes*, verified in between; ``watch(name, description, graph)`` is
    called before the first and after each."""
    _verified(graph, "the front end")
    if watch is not None:
        watch("import", "the model as the front end read it", graph)
    for step in passes:
        step.requires(graph)
        graph = step.apply(graph)
        step.ensures(graph)
        _verified(graph, f"the pass {step.name!r}")
        if watch is not None:
            watch(step.name, step.description, graph)
    return graph


def _verified(graph: Graph, author: str) -> None:
    try:
        verify(graph)
    except IrError as error:
        error.add_note(f"The graph was left by {author}.")
        raise
