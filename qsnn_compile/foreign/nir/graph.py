"""A NIR graph as wires: subgraphs in place, one input, one output, loops found."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .file import NirError

if TYPE_CHECKING:
    import nir

Edges = list[tuple[str, str]]


@dataclass(frozen=True, eq=False)
class Wire:
    """Nodes by name, the edges between them, and the names of the input and the output."""

    nodes: "dict[str, nir.NIRNode]"
    edges: tuple[tuple[str, str], ...]
    source: str
    sink: str
    shape: tuple[int, ...]

    def before(self, key: str) -> list[str]:
        """What *key* reads."""
        return [a for a, b in self.edges if b == key]


def flattened(graph: "nir.NIRGraph") -> Wire:
    """*graph* without subgraphs. Raises NirError unless it has one input and one output."""
    nodes, edges = _inlined(graph, "")
    nodes, edges = _without_inner_ports(nodes, edges, graph)
    sources = [key for key, node in nodes.items() if type(node).__name__ == "Input"]
    sinks = [key for key, node in nodes.items() if type(node).__name__ == "Output"]
    for what, ends in (("Input", sources), ("Output", sinks)):
        if len(ends) != 1:
            raise NirError(f"graph must have one {what} node, not {ends!r}")
    for a, b in edges:
        for name in (a, b):
            if name not in nodes:
                raise NirError(f"edge {a!r} → {b!r} must join nodes of the graph, not {name!r}")
    return Wire(nodes, tuple(edges), sources[0], sinks[0], _sizes(nodes[sources[0]]))


def _sizes(source: "nir.NIRNode") -> tuple[int, ...]:
    """The shape that the Input node says."""
    sizes = np.asarray(next(iter((source.input_type or {"": ()}).values()))).reshape(-1)
    if sizes.dtype.kind not in "iuf" or not (np.abs(sizes) < 1 << 31).all():
        raise NirError(f"Input: shape must be of whole numbers, not {sizes.tolist()!r}; write the "
                       "file again with nir.write")
    return tuple(int(n) for n in sizes)


def _inlined(graph: "nir.NIRGraph", prefix: str) -> "tuple[dict[str, nir.NIRNode], Edges]":
    nodes: dict[str, nir.NIRNode] = {}
    edges: Edges = []
    inside: dict[str, tuple[str, str]] = {}
    for key, node in graph.nodes.items():
        name = f"{prefix}{key}"
        if type(node).__name__ == "NIRGraph":
            more, between = _inlined(node, f"{name}/")
            nodes.update(more)
            edges += between
            inside[key] = _port(name, node, "Input"), _port(name, node, "Output")
        else:
            nodes[name] = node
    for a, b in dict.fromkeys(map(tuple, graph.edges)):
        start = inside[a][1] if a in inside else f"{prefix}{a}"
        edges.append((start, inside[b][0] if b in inside else f"{prefix}{b}"))
    return nodes, edges


def _port(name: str, graph: "nir.NIRNode", kind: str) -> str:
    keys = [key for key, node in graph.nodes.items() if type(node).__name__ == kind]
    if len(keys) != 1:
        raise NirError(f"subgraph {name!r}: must have one {kind} node, not {keys!r}")
    return f"{name}/{keys[0]}"


def _without_inner_ports(nodes: "dict[str, nir.NIRNode]", edges: Edges, graph: "nir.NIRGraph"
                         ) -> "tuple[dict[str, nir.NIRNode], Edges]":
    """Inputs and Outputs of subgraphs pass on what they get."""
    for key in [key for key, node in nodes.items()
                if type(node).__name__ in ("Input", "Output") and key not in graph.nodes]:
        into, out = [a for a, b in edges if b == key], [b for a, b in edges if a == key]
        edges = [edge for edge in edges if key not in edge] + [(a, b) for a in into for b in out]
        nodes = {name: node for name, node in nodes.items() if name != key}
    return nodes, edges


def ordered(wire: Wire) -> tuple[list[str], set[tuple[str, str]]]:
    """Every node that the output needs, after what it reads; and the edges that close loops.

    A loop is cut where a neuron's spikes go back. Raises NirError for a loop without a neuron.
    """
    late: set[tuple[str, str]] = set()
    while True:
        order, loop = _walk(wire, late)
        if not loop:
            return order, late
        late.add(_cut(wire, loop))


def _walk(wire: Wire, late: set[tuple[str, str]]) -> tuple[list[str], list[str]]:
    """The order without the edges *late*; or a loop, each of its nodes read by the one before."""
    order: list[str] = []
    path: list[str] = []
    stack: list[tuple[str, bool]] = [(wire.sink, False)]
    done: set[str] = set()
    while stack:
        key, left = stack.pop()
        if left:
            order.append(path.pop())
            done.add(key)
        elif key not in done:
            path.append(key)
            stack.append((key, True))
            for before in wire.before(key):
                if before in path and (before, key) not in late:
                    return [], path[path.index(before):]
                if before not in done and (before, key) not in late:
                    stack.append((before, False))
    return order, []


def _cut(wire: Wire, loop: list[str]) -> tuple[str, str]:
    """The edge of *loop* on which a neuron's spikes leave."""
    for i, key in enumerate(loop):
        if hasattr(wire.nodes[key], "v_threshold"):
            return key, loop[i - 1]
    raise NirError(f"loop {' ← '.join(loop)}: it must go through a neuron that spikes, not "
                   f"{', '.join(type(wire.nodes[key]).__name__ for key in loop)}; put one in it")
