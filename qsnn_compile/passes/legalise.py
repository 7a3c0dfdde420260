"""Pass legalise: what the core takes, and nothing else."""

from dataclasses import dataclass, replace
from typing import ClassVar

from qsnn_compile.errors import QsnnError
from qsnn_compile.ir import Dense, Flatten, Graph, Neuron, Node

from .base import Pass

WEIGHT_BITS = (1, 2, 4, 8)
MEMBRANE_BITS = range(2, 17)
MAX_STEPS = 1024        # a fixed window; beyond it the lists alone fill any chip
DENSE_ONLY = "the core runs dense layers; simulate this network with qsnn_sim.golden"


class Unsupported(QsnnError):
    """The network is well formed, and not one that the core runs."""


@dataclass(frozen=True)
class Legalise(Pass):
    """Ensure a chain [Dense → Neuron]* that ends in a neuron with a `count` readout or a Dense
    with a `potential` readout, with widths that the core has. Weights get the narrowest of these
    that holds them: the same numbers, in fewer planes."""

    name: ClassVar[str] = "legalise"
    description: ClassVar[str] = "check that the core runs every operator, width and readout"

    def apply(self, graph: Graph) -> Graph:
        return replace(graph, nodes=tuple(_fitted(node) for node in graph.nodes))

    def ensures(self, graph: Graph) -> None:
        _check_chain(graph)
        _check_input(graph)
        for node in graph.nodes:
            if isinstance(node.op, Dense):
                _check_weights(node, node.op)
            if isinstance(node.op, Neuron):
                _check_neuron(node, node.op)
        _check_readout(graph)


def check_steps(graph: Graph) -> None:
    """Refuse a window too long to run, before passes that look at every step."""
    if graph.steps > MAX_STEPS:
        raise Unsupported(f"steps must be at most {MAX_STEPS} in the core, not {graph.steps!r}; "
                          "use a shorter window")


def _fitted(node: Node) -> Node:
    op = node.op
    if not isinstance(op, Dense):
        return node
    binary = bool((abs(op.weight) == 1).all())
    bits = next((bits for bits in WEIGHT_BITS if _holds(op, bits, binary)), op.bits)
    return replace(node, op=replace(op, bits=bits))


def _holds(op: Dense, bits: int, binary: bool) -> bool:
    if bits == 1:
        return binary
    return bool(-(1 << bits - 1) <= op.weight.min() and op.weight.max() < 1 << bits - 1)


def _check_chain(graph: Graph) -> None:
    """Every node reads the one before it, Dense and Neuron in turn."""
    before, expected = graph.input.name, "Dense"
    for node in graph.nodes:
        found = type(node.op).__name__
        if not isinstance(node.op, Dense | Neuron | Flatten):
            raise Unsupported(f"node {node.name!r}: operator must be one of Dense, Neuron and "
                              f"Flatten, not {found!r}; {DENSE_ONLY}")
        if node.inputs != (before,):
            raise Unsupported(f"node {node.name!r}: input must be {before!r}, the node before it, "
                              f"not {', '.join(node.inputs)!r}; {DENSE_ONLY}, in one chain")
        before = node.name
        if not isinstance(node.op, Flatten):
            _expect(node, expected, found)
            expected = "Neuron" if found == "Dense" else "Dense"


def _expect(node: Node, expected: str, found: str) -> None:
    if found != expected:
        raise Unsupported(f"node {node.name!r}: operator must be a {expected}, not a {found!r}; "
                          "dense layers and neurons alternate in the core")


def _check_input(graph: Graph) -> None:
    source = graph.input
    if source.coding == "spikes" and source.bits != 1:
        raise Unsupported(f"input {source.name!r}: spikes must be of 1 bit, not {source.bits!r}; "
                          "send counts as a direct-coded input")


def _check_weights(node: Node, op: Dense) -> None:
    if op.bits not in WEIGHT_BITS:
        raise Unsupported(f"node {node.name!r}: weights must be of {WEIGHT_BITS[-1]} bits or "
                          f"fewer, not {op.bits!r}; quantise them further")


def _check_neuron(node: Node, op: Neuron) -> None:
    low, high = MEMBRANE_BITS[0], MEMBRANE_BITS[-1]
    if op.bits not in MEMBRANE_BITS:
        advice = "train with a wider membrane" if op.bits < low else "quantise it further"
        raise Unsupported(f"node {node.name!r}: membrane must be of {low}..{high} bits, "
                          f"not {op.bits!r}; {advice}")
    if op.clamp is not None or op.synapse is not None:
        what = "synapse" if op.clamp is None else "clamp"
        raise Unsupported(f"node {node.name!r}: {what} must be None, not {getattr(op, what)!r}; "
                          "the core's neurons have one state and no lower clamp")
    if op.max_spikes != 1:
        raise Unsupported(f"node {node.name!r}: max_spikes must be 1, not {op.max_spikes!r}; "
                          "the core's neurons send one spike a step")


def _check_readout(graph: Graph) -> None:
    readout = graph.readout
    last = next((node for node in graph.nodes if node.name == readout.source), None)
    if readout.kind == "last":
        raise Unsupported(f"readout must be 'count' or 'potential', not {readout.kind!r}; train "
                          "or export the network with one of these")
    if last is None or last is not graph.nodes[-1]:
        raise Unsupported(f"readout source must be the last node {graph.nodes[-1].name!r}, "
                          f"not {readout.source!r}; the core reads the end of its chain")
    wanted = Neuron if readout.kind == "count" else Dense
    if not isinstance(last.op, wanted):
        other = "potential" if readout.kind == "count" else "count"
        raise Unsupported(f"readout source {last.name!r} must be a {wanted.__name__} for readout "
                          f"{readout.kind!r}, not a {type(last.op).__name__!r}; "
                          f"use --readout {other}")
