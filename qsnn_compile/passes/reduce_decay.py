"""Pass reduce-decay: m / 2^q in lowest terms."""

from dataclasses import dataclass, replace
from typing import ClassVar

from qsnn_compile.ir import Graph, Neuron, Node, ints

from .base import Pass, PassError


@dataclass(frozen=True)
class ReduceDecay(Pass):
    """Halve the m of a layer and take one off its q while every m is even: the same fraction,
    so the same floor, in fewer bits."""

    name: ClassVar[str] = "reduce-decay"
    description: ClassVar[str] = "write each layer's decay m / 2^q in lowest terms"

    def apply(self, graph: Graph) -> Graph:
        return replace(graph, nodes=tuple(_reduced(node) for node in graph.nodes))

    def ensures(self, graph: Graph) -> None:
        for node in graph.nodes:
            if isinstance(node.op, Neuron) and _reducible(node.op):
                raise PassError(f"node {node.name!r}: decay must be in lowest terms, "
                                f"not {node.op.decay.tolist()!r} / 2^{node.op.decay_shift}")


def _reducible(op: Neuron) -> bool:
    return op.decay_shift > 0 and not (op.decay & 1).any()


def _reduced(node: Node) -> Node:
    op = node.op
    if not isinstance(op, Neuron):
        return node
    while _reducible(op):
        op = replace(op, decay=ints(op.decay >> 1), decay_shift=op.decay_shift - 1)
    return replace(node, op=op)
