"""Pass reduce-decay: m / 2^q in lowest terms."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, TypeVar

from qsnn_compile.ir import Graph, Neuron, Node, Synapse, ints

from .base import Pass, PassError

Decaying = TypeVar("Decaying", Neuron, Synapse)


@dataclass(frozen=True)
class ReduceDecay(Pass):
    """Halve the m of a layer, or of its synapse, and take one off its q while every m is even: the
    same fraction, so the same floor, in fewer bits."""

    name: ClassVar[str] = "reduce-decay"
    description: ClassVar[str] = "write each layer's decay m / 2^q in lowest terms"

    def apply(self, graph: Graph) -> Graph:
        return replace(graph, nodes=tuple(_reduced(node) for node in graph.nodes))

    def ensures(self, graph: Graph) -> None:
        for node in graph.nodes:
            for op in _decaying(node):
                if _reducible(op):
                    raise PassError(f"node {node.name!r}: decay must be in lowest terms, "
                                    f"not {op.decay.tolist()!r} / 2^{op.decay_shift}")


def _decaying(node: Node) -> Iterator[Neuron | Synapse]:
    if isinstance(node.op, Neuron):
        yield node.op
        if node.op.synapse is not None:
            yield node.op.synapse


def _reducible(op: Neuron | Synapse) -> bool:
    return op.decay_shift > 0 and not (op.decay & 1).any()


def _reduced(node: Node) -> Node:
    op = node.op
    if not isinstance(op, Neuron):
        return node
    synapse = None if op.synapse is None else _lowest(op.synapse)
    return replace(node, op=replace(_lowest(op), synapse=synapse))


def _lowest(op: Decaying) -> Decaying:
    while _reducible(op):
        op = replace(op, decay=ints(op.decay >> 1), decay_shift=op.decay_shift - 1)
    return op
