"""Pass legalise: what the core takes, and nothing else."""

from dataclasses import dataclass, replace
from typing import ClassVar

from qsnn_compile.ir import Conv2d, Dense, Graph, Neuron, Node
from qsnn_compile.lower.lowering import lower
from qsnn_compile.system.errors import Unsupported

from .base import Pass

WEIGHT_BITS = (1, 2, 4, *range(8, 17))
MEMBRANE_BITS = range(2, 17)
MAX_STEPS = 1024        # a fixed window; beyond it the spikes alone fill any chip
MAX_LAYERS = 64         # deeper networks than this fit no chip that we know


@dataclass(frozen=True)
class Legalise(Pass):
    """Ensure a network that lowers to layers of the core (`qsnn_compile.lower`) and ends in a
    `count` or a `potential` readout, with widths that the core has. Weights get the narrowest of
    these that holds them: the same numbers, in fewer planes."""

    name: ClassVar[str] = "legalise"
    description: ClassVar[str] = "check that the core runs every operator, width and readout"

    def apply(self, graph: Graph) -> Graph:
        return replace(graph, nodes=tuple(_fitted(node) for node in graph.nodes))

    def ensures(self, graph: Graph) -> None:
        for node in graph.nodes:
            if isinstance(node.op, Neuron):
                _check_neuron(node, node.op)
        if graph.readout.kind == "last":
            raise Unsupported("readout must be 'count' or 'potential', not 'last'; train or export "
                              "the network with one of these")
        lower(graph)


def check_steps(steps: int) -> None:
    """Refuse a window too long to run, before any work that looks at every step."""
    if steps > MAX_STEPS:
        raise Unsupported(f"steps must be at most {MAX_STEPS} in the core, not {steps!r}; "
                          "use a shorter window")


def check_layers(count: int) -> None:
    """Refuse a network of too many layers, before any work that looks at every one."""
    if count > MAX_LAYERS:
        raise Unsupported(f"layers of neurons must be at most {MAX_LAYERS} in the core, not "
                          f"{count!r}; use a shallower network")


def _fitted(node: Node) -> Node:
    op = node.op
    if not isinstance(op, Dense | Conv2d):
        return node
    binary = bool((abs(op.weight) == 1).all())
    bits = next(bits for bits in WEIGHT_BITS if _holds(op, bits, binary))
    return replace(node, op=replace(op, bits=bits))


def _holds(op: Dense | Conv2d, bits: int, binary: bool) -> bool:
    if bits == 1:
        return binary
    return bool(-(1 << bits - 1) <= op.weight.min() and op.weight.max() < 1 << bits - 1)


def _check_neuron(node: Node, op: Neuron) -> None:
    low, high = MEMBRANE_BITS[0], MEMBRANE_BITS[-1]
    if op.bits not in MEMBRANE_BITS:
        advice = "train with a wider membrane" if op.bits < low else "quantise it further"
        raise Unsupported(f"node {node.name!r}: membrane must be of {low}..{high} bits, "
                          f"not {op.bits!r}; {advice}")
    if op.max_spikes != 1:
        raise Unsupported(f"node {node.name!r}: max_spikes must be 1, not {op.max_spikes!r}; "
                          "the core's neurons send one spike a step")

