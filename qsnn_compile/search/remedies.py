"""Smaller networks, of which each says what a change would save: advice where one does not fit.

Their numbers mean nothing; their shapes and widths do.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from qsnn_compile.ir import (
    Conv2d,
    Dense,
    Flatten,
    Graph,
    IrError,
    MaxPool,
    Node,
    SumPool,
    ints,
    shapes,
    verify,
)


@dataclass(frozen=True, eq=False)
class Change:
    """What to do, what comes of it, what it costs."""

    text: str
    graph: Graph
    cost: str


def changes(graph: Graph) -> Iterator[Change]:
    """Changes to *graph* that make it smaller, the mildest first."""
    if graph.steps > 1:
        yield Change(f"--steps {graph.steps // 2}", replace(graph, steps=graph.steps // 2),
                     "accuracy, unless the network is trained again with as many steps")
    if graph.input.coding == "direct" and graph.input.bits > 4:
        yield Change("a 4-bit input", _with_input_bits(graph, 4),
                     "training again with coarser pixels")
    widest = max((node.op.bits for node in graph.nodes if isinstance(node.op, Dense | Conv2d)),
                 default=1)
    if widest > 1:
        narrowed = _each(graph, lambda node: _narrowed(node, widest // 2))
        yield Change(f"{widest // 2}-bit weights", narrowed, "training again with narrower weights")
    with suppress(IrError):             # of groups or sums that half the channels don't fit
        yield Change("half the neurons in the hidden layers", _halved(graph),
                     "training a smaller network")


def _each(graph: Graph, change: Callable[[Node], Node]) -> Graph:
    return replace(graph, nodes=tuple(map(change, graph.nodes)))


def _with_input_bits(graph: Graph, bits: int) -> Graph:
    top, source = (1 << bits) - 1, replace(graph.input, bits=bits)
    if isinstance(source.zero_point, int) and source.takes == "codes":
        source = replace(source, zero_point=min(source.zero_point, top))
    return _each(replace(graph, input=source), lambda node: replace(
        node, op=replace(node.op, pad_value=min(node.op.pad_value, top))
        if isinstance(node.op, Conv2d) else node.op))


def _narrowed(node: Node, bits: int) -> Node:
    op = node.op
    if not isinstance(op, Dense | Conv2d) or op.bits <= bits:
        return node
    weight = op.weight >> op.bits - bits if bits > 1 else np.where(op.weight < 0, -1, 1)
    return replace(node, op=replace(op, weight=ints(weight), bits=bits))


def _halved(graph: Graph) -> Graph:
    """The first half of the channels of each map but the input's and the readout's."""
    half = _Half(graph)
    made = _each(graph, half.node)
    verify(made)
    return made


class _Half:
    def __init__(self, graph: Graph) -> None:
        self.graph, self.sizes = graph, shapes(graph)
        self.kept, waiting = {graph.input.name}, [graph.readout.source]
        while waiting:                      # back to the last weights
            node = graph[waiting.pop()]
            self.kept.add(node.name)
            if not isinstance(node.op, Dense | Conv2d):
                waiting += [name for name in node.inputs if name not in self.kept]

    def count(self, name: str) -> int:
        """Entries of the first axis of what remains of a value."""
        if name in self.kept:
            return self.sizes[name][0]
        node = self.graph[name]
        if isinstance(node.op, Flatten | MaxPool | SumPool):
            before = node.inputs[0]
            tail = math.prod(self.sizes[before][1:]) if isinstance(node.op, Flatten) else 1
            return self.count(before) * tail
        return -(-self.sizes[name][0] // 2)

    def node(self, node: Node) -> Node:
        op, count = node.op, self.count(node.name)
        if isinstance(op, Dense):
            weight = op.weight[:count, :self.count(node.inputs[0])]
            return replace(node, op=replace(op, weight=ints(weight)))
        if isinstance(op, Conv2d):
            groups = 1 if op.groups == 1 else count
            weight = op.weight[:count, :self.count(node.inputs[0]) // groups]
            return replace(node, op=replace(op, weight=ints(weight), groups=groups))
        arrays: dict[str, Any] = {field.name: getattr(op, field.name) for field in fields(op)
                  if isinstance(getattr(op, field.name), np.ndarray)}
        full = self.sizes[node.name][0]
        halved: dict[str, Any] = {name: ints(value[:count]) for name, value in arrays.items()
                                  if value.ndim and len(value) == full}
        return replace(node, op=replace(op, **halved))
