"""A legal graph as stages: what one layer of the machine does, read off the operators around it.

A stage is a set of synapses (from one or more maps of spikes), a pooling of their current or of
the spikes behind it, and a neuron, or none in a `potential` readout.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from .errors import QsnnError
from .ir import (
    Add,
    Conv2d,
    Delay,
    Dense,
    Flatten,
    Graph,
    Ints,
    MaxPool,
    Neuron,
    Node,
    SumPool,
    shapes,
)

Shape3 = tuple[int, int, int]
Pair = tuple[int, int]


class Unsupported(QsnnError):
    """The network is well formed, and not one that the core runs."""


@dataclass(frozen=True)
class Spikes:
    """A map of spikes, or the input, as a layer reads it: ``spread`` are the places (dy, dx) that
    are added up for one place of the map, ``pace`` how far apart those of neighbours lie."""

    origin: str
    shape: Shape3               # of the map that is stored
    size: Pair                  # of the map that is read
    spread: tuple[Pair, ...] = ((0, 0),)
    pace: Pair = (1, 1)
    previous: bool = False


@dataclass(frozen=True, eq=False)
class Synapses:
    """``weight`` [C, C_in, kh, kw] of ``bits`` bits over the map ``spikes``."""

    spikes: Spikes
    weight: Ints
    bits: int
    stride: Pair = (1, 1)
    before: Pair = (0, 0)       # padding at the top and on the left
    pad: int = 0


@dataclass(frozen=True, eq=False)
class Current:
    """A current of ``shape``: the sum of ``parts``; ``spread`` and ``pace`` as in `Spikes`, of a
    sum pool behind it; ``pooling`` of a max pool (kernel, stride, channels that take the least)."""

    parts: tuple[Synapses, ...]
    shape: Shape3
    spread: tuple[Pair, ...] = ((0, 0),)
    pace: Pair = (1, 1)
    pooled: bool = False
    flipped: Ints | None = None


@dataclass(frozen=True, eq=False)
class Stage:
    """A layer: its name is the neuron's where there is one. ``shape`` [C, H, W] is that of the
    spikes that it sends. Each of ``spread`` is a place of the current's map that belongs to a place
    of the stage, ``pace`` apart: ``pooling`` says what becomes of them."""

    name: str
    current: Current
    neuron: Neuron | None
    shape: Shape3
    pooling: Literal["none", "sum", "max", "or"] = "none"
    spread: tuple[Pair, ...] = ((0, 0),)
    pace: Pair = (1, 1)


Value = Spikes | Current


def lower(graph: Graph) -> tuple[Stage, ...]:
    """The stages of *graph* in order. Raises Unsupported naming the node that has no place in one.
    """
    return _Lowering(graph).stages()


class _Lowering:
    def __init__(self, graph: Graph) -> None:
        self.graph, self.shapes = graph, shapes(graph)
        self.values: dict[str, Value] = {
            graph.input.name: _whole(graph.input.name, _three(graph.input.shape))}
        self.found: dict[str, Stage] = {}
        for node in graph.nodes:            # a Delay may read what comes later
            if isinstance(node.op, Neuron):
                self.values[node.name] = _whole(node.name, _three(self.shapes[node.name]))

    def stages(self) -> tuple[Stage, ...]:
        for node in self.graph.nodes:
            RULES[type(node.op)](self, node)
        readout = self.graph.readout
        if readout.kind == "potential":
            current = self._current(self.graph[readout.source])
            self.found[readout.source] = Stage(readout.source, current, None, current.shape)
        return tuple(self.found.values())

    def _spikes(self, node: Node, index: int = 0) -> Spikes:
        value = self.values.get(node.inputs[index])
        if not isinstance(value, Spikes):
            raise Unsupported(f"node {node.name!r}: input must be spikes or the network's input, "
                              f"not the current {node.inputs[index]!r}; put a neuron between")
        return value

    def _current(self, node: Node) -> Current:
        value = self.values[node.name]
        if isinstance(value, Current):
            return value
        raise Unsupported(f"node {node.name!r}: a neuron's input must be a current, not spikes; "
                          "put weights between")

    def weights(self, node: Node) -> None:
        op, spikes = node.op, self._spikes(node)
        channels, height, width = (spikes.shape[0], *spikes.size)
        if isinstance(op, Dense):
            weight = op.weight.reshape(len(op.weight), channels, height, width)
            part = Synapses(spikes, weight, op.bits)
        else:
            assert isinstance(op, Conv2d)
            weight, bits = _ungrouped(op, channels)
            part = Synapses(spikes, weight, bits, op.stride, op.padding[:2], op.pad_value)
        self.values[node.name] = Current((part,), _three(self.shapes[node.name]))

    def flatten(self, node: Node) -> None:
        self.values[node.name] = self.values[node.inputs[0]]

    def delay(self, node: Node) -> None:
        self.values[node.name] = replace(self._spikes(node), previous=True)

    def add(self, node: Node) -> None:
        shape = _three(self.shapes[node.name])
        parts = [part for name in node.inputs for part in self._addends(node, name, shape)]
        self.values[node.name] = Current(tuple(parts), shape)

    def _addends(self, node: Node, name: str, shape: Shape3) -> tuple[Synapses, ...]:
        value = self.values[name]
        if isinstance(value, Spikes):
            one = np.eye(shape[0], dtype=np.int64)[:, :, None, None]
            return (Synapses(value, one, 2),)
        if value.pooled or len(value.spread) > 1:
            raise Unsupported(f"node {node.name!r}: what is added must not be pooled, and {name!r} "
                              "is; pool the sum")
        return value.parts

    def sum_pool(self, node: Node) -> None:
        assert isinstance(node.op, SumPool)
        value, kernel, stride = self.values[node.inputs[0]], node.op.kernel, node.op.stride
        shape, spread = _three(self.shapes[node.name]), tuple(np.ndindex(*kernel))
        if len(value.spread) > 1 or (isinstance(value, Current) and value.pooled):
            raise Unsupported(f"node {node.name!r}: a pool must read a layer, not another pool; "
                              "join the two")
        if isinstance(value, Spikes):
            self.values[node.name] = replace(value, size=shape[1:], spread=spread, pace=stride)
        else:
            self.values[node.name] = replace(value, shape=shape, spread=spread, pace=stride)

    def max_pool(self, node: Node) -> None:
        assert isinstance(node.op, MaxPool)
        value, kernel, stride = self.values[node.inputs[0]], node.op.kernel, node.op.stride
        shape, spread = _three(self.shapes[node.name]), tuple(np.ndindex(*kernel))
        if isinstance(value, Current):
            if value.pooled or len(value.spread) > 1:
                raise Unsupported(f"node {node.name!r}: a pool must read a layer, not another "
                                  "pool; join the two")
            self.values[node.name] = replace(value, shape=shape, spread=spread, pace=stride,
                                             pooled=True, flipped=node.op.flipped)
            return
        self._pool_spikes(node, value, shape, spread, stride)

    def _pool_spikes(self, node: Node, value: Spikes, shape: Shape3, spread: tuple[Pair, ...],
                     stride: Pair) -> None:
        readers = [other.name for other in self.graph.nodes if node.inputs[0] in other.inputs]
        stage = self.found.get(node.inputs[0])
        if stage is None or len(readers) > 1 or stage.pooling != "none":
            raise Unsupported(f"node {node.name!r}: a max pool of spikes must be the only reader "
                              f"of an unpooled neuron, not one of {', '.join(readers)}")
        self.found[stage.name] = replace(stage, shape=shape, pooling="or", spread=spread,
                                         pace=stride)
        self.values[node.name] = _whole(stage.name, shape)

    def neuron(self, node: Node) -> None:
        assert isinstance(node.op, Neuron)
        source = self.graph[node.inputs[0]] if node.inputs[0] != self.graph.input.name else None
        if source is None:
            raise Unsupported(f"node {node.name!r}: a neuron's input must be a current, not "
                              "the network's input; put weights between")
        current = self._current(source)
        shape = _three(self.shapes[node.name])
        pooling = "max" if current.pooled else "sum" if len(current.spread) > 1 else "none"
        self.found[node.name] = Stage(node.name, current, node.op, shape, pooling,
                                      current.spread, current.pace)


RULES: dict[type, Callable[[_Lowering, Node], None]] = {
    Dense: _Lowering.weights, Conv2d: _Lowering.weights, Flatten: _Lowering.flatten,
    Delay: _Lowering.delay, Add: _Lowering.add, SumPool: _Lowering.sum_pool,
    MaxPool: _Lowering.max_pool, Neuron: _Lowering.neuron,
}


def _whole(name: str, shape: Shape3) -> Spikes:
    return Spikes(name, shape, shape[1:])


def _three(shape: tuple[int, ...]) -> Shape3:
    if len(shape) == 3:
        return shape[0], shape[1], shape[2]
    return int(np.prod(shape)), 1, 1


def _ungrouped(op: Conv2d, inputs: int) -> tuple[Ints, int]:
    """Groups as a convolution over all inputs, 0 where a channel doesn't look; and its bits."""
    if op.groups == 1:
        return op.weight, op.bits
    channels, per_group = op.weight.shape[:2]
    weight = np.zeros((channels, inputs, *op.weight.shape[2:]), dtype=np.int64)
    for channel in range(channels):
        first = channel // (channels // op.groups) * per_group
        weight[channel, first:first + per_group] = op.weight[channel]
    return weight, max(op.bits, 2)
