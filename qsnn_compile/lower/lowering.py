"""A legal graph as stages: what one layer of the machine does, read off the operators around it."""

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

import numpy as np

from qsnn_compile.ir import (
    Add,
    Conv2d,
    Delay,
    Dense,
    Flatten,
    Graph,
    MaxPool,
    Neuron,
    Node,
    SumPool,
    shapes,
)
from qsnn_compile.system.errors import Unsupported
from qsnn_hw.machine.layers import WORD

from .stage import Current, Pair, Pooling, Shape3, Spikes, Stage, Synapses, three, ungrouped

__all__ = ["Stage", "has_values", "lower"]

MAPS = 2                        # that a layer of the core reads
Value = Spikes | Current


@lru_cache(maxsize=4)               # the pass that checks it and `lowered` share it
def lower(graph: Graph) -> tuple[Stage, ...]:
    """The stages of *graph* in order; nodes that no score depends on make none.

    Raises Unsupported naming the node that has no place in one.
    """
    return _Lowering(graph).stages()


class _Lowering:
    def __init__(self, graph: Graph) -> None:
        self.graph, self.shapes = graph, shapes(graph)
        self.nodes = _live(graph)
        self.values: dict[str, Value] = {
            graph.input.name: _whole(graph.input.name, three(graph.input.shape))}
        self.waiting: dict[str, Stage] = {}
        self.pads: set[int] = set()         # around the input's values
        for node in self.nodes:             # a Delay may read what comes later
            if isinstance(node.op, Neuron):
                self.values[node.name] = _whole(node.name, three(self.shapes[node.name]))

    def stages(self) -> tuple[Stage, ...]:
        name = self.graph.input.name
        if not any(name in node.inputs for node in self.nodes):
            raise Unsupported(f"input {name!r} must reach the readout, and no layer on the way "
                              "reads it; connect it")
        for node in self.nodes:
            RULES[type(node.op)](self, node)
        source = self.graph.readout.source
        stage = self._potential(source) if self.graph.readout.kind == "potential" else \
            self._count(source)
        return (*self.waiting.values(), stage)

    # -- the readout -------------------------------------------------------------------------------

    def _potential(self, source: str) -> Stage:
        value = self.values[source]
        if not isinstance(value, Current):
            raise Unsupported(f"readout source {source!r} must be a current for readout "
                              "'potential', not spikes; use --readout count")
        if value.maximum:
            raise Unsupported(f"readout source {source!r} must be a current or a sum of some, not "
                              "the largest of some; put a neuron or weights behind the pool")
        if any(part.pad for part in value.parts):
            raise Unsupported(f"readout source {source!r}: pad_value must be 0 before the readout, "
                              "not another; pad with 0")
        self._check_classes(source, value.shape)
        pooling: Pooling = "sum" if value.is_pooled else "none"
        return Stage(source, value, None, value.shape, pooling, value.spread, value.pace)

    def _count(self, source: str) -> Stage:
        stage = self.waiting.pop(source, None)
        if stage is None:
            raise Unsupported(f"readout source {source!r} must be a neuron for readout 'count', "
                              "not another node; read the neurons out, or --readout potential")
        readers = [node.name for node in self.nodes if source in node.inputs]
        if readers:
            raise Unsupported(f"readout source {source!r} must be read by the readout alone, not "
                              f"by {readers[0]!r}; put a layer between")
        if stage.pooling == "max":
            raise Unsupported(f"readout source {source!r}: its current must not be max-pooled; "
                              "put the pool a layer before")
        self._check_classes(source, stage.shape)
        return stage

    def _check_classes(self, source: str, shape: Shape3) -> None:
        if shape[1:] != (1, 1):
            raise Unsupported(f"readout source {source!r} must be of one place a class, not a map "
                              f"of shape {shape}; put a dense layer or a pool of the whole map "
                              "before the readout")

    # -- synapses ----------------------------------------------------------------------------------

    def _spikes(self, node: Node) -> Spikes:
        value = self.values.get(node.inputs[0])
        if isinstance(value, Spikes):
            return value
        what = "a current" if value is not None else "a later node that is no neuron"
        raise Unsupported(f"node {node.name!r}: input must be spikes or the network's input, not "
                          f"{node.inputs[0]!r}, {what}; let it read a neuron")

    def dense(self, node: Node) -> None:
        op, spikes = node.op, self._spikes(node)
        assert isinstance(op, Dense)
        weight = op.weight.reshape(len(op.weight), spikes.shape[0], *spikes.size)
        self._grown(node, Synapses(spikes, weight, op.bits))

    def conv(self, node: Node) -> None:
        op, spikes = node.op, self._spikes(node)
        assert isinstance(op, Conv2d)
        weight, bits = ungrouped(op, spikes.shape[0])
        padded = any(op.padding)
        overlaps = any(max(at) >= step for at, step in zip(
            zip(*spikes.spread, strict=True), spikes.pace, strict=True))
        if padded and overlaps:
            raise Unsupported(f"node {node.name!r}: padding must be 0 behind a pool whose windows "
                              f"overlap, not {op.padding}; leave out one of the two")
        pad = op.pad_value if padded else 0
        if pad:
            self._check_pad(node, spikes, pad)
        self._grown(node, Synapses(spikes, weight, bits, op.stride, op.padding[:2], pad,
                                   op.groups))

    def _grown(self, node: Node, part: Synapses) -> None:
        self.values[node.name] = Current((part,), three(self.shapes[node.name]))

    def _check_pad(self, node: Node, spikes: Spikes, pad: int) -> None:
        """Padding with another number than 0."""
        wanted = self._possible_pad(spikes, pad)
        if wanted is not None:
            raise Unsupported(f"node {node.name!r}: pad_value must be {wanted}, not {pad!r}; "
                              "pad with 0")

    def _possible_pad(self, spikes: Spikes, pad: int) -> str | None:
        if spikes.is_pooled or spikes.previous:
            return "0 around pooled or delayed spikes"
        if spikes.origin == self.graph.input.name and has_values(self.graph):
            self.pads.add(pad)
            others = self.pads - {pad}
            return f"0 or {min(others)}, as in another layer" if others else None
        if spikes.shape[0] % WORD:
            return f"0 around {spikes.shape[0]} channels, which don't fill words of {WORD}"
        return None

    def flatten(self, node: Node) -> None:
        value = self.values[node.inputs[0]]
        if isinstance(value, Current) and value.shape[1:] != (1, 1):
            raise Unsupported(f"node {node.name!r}: what is flattened must be spikes, not the "
                              f"current {node.inputs[0]!r}; put the neuron before it")
        self.values[node.name] = value

    def delay(self, node: Node) -> None:
        spikes = self._spikes(node)
        if spikes.origin == self.graph.input.name or spikes.previous:
            what = "delayed twice" if spikes.previous else "the network's input"
            raise Unsupported(f"node {node.name!r}: what is delayed must be spikes of the step "
                              f"before, not {what}; delay a neuron's spikes by one step")
        self.values[node.name] = replace(spikes, previous=True)

    def add(self, node: Node) -> None:
        shape = three(self.shapes[node.name])
        parts = [part for name in node.inputs for part in self._addends(node, name, shape)]
        if len(parts) > MAPS:
            raise Unsupported(f"node {node.name!r}: what is added must be {MAPS} currents or maps "
                              f"of spikes, not {len(parts)}; put a neuron between")
        self.values[node.name] = Current(tuple(parts), shape)

    def _addends(self, node: Node, name: str, shape: Shape3) -> tuple[Synapses, ...]:
        value = self.values[name]
        if isinstance(value, Spikes):
            if (value.shape[0], *value.size) != shape:
                raise Unsupported(f"node {node.name!r}: what is added must not be flattened, as "
                                  f"{name!r} is; flatten the spikes behind the sum")
            one = np.eye(shape[0], dtype=np.int64)[:, :, None, None]
            return (Synapses(value, one, 2, groups=shape[0]),)
        if value.is_pooled:
            raise Unsupported(f"node {node.name!r}: what is added must not be pooled, as {name!r} "
                              "is; pool the sum")
        return value.parts

    # -- pools and neurons -------------------------------------------------------------------------

    def pool(self, node: Node) -> None:
        assert isinstance(node.op, SumPool | MaxPool)
        value, pace = self.values[node.inputs[0]], node.op.stride
        shape, spread = three(self.shapes[node.name]), tuple(np.ndindex(*node.op.kernel))
        maximum = isinstance(node.op, MaxPool)
        if isinstance(value, Spikes) and maximum:
            self._pool_spikes(node, value, shape, spread)
            return
        if value.is_pooled:
            raise Unsupported(f"node {node.name!r}: a pool must read a layer, not the pool "
                              f"{node.inputs[0]!r}; join the two")
        if isinstance(value, Spikes):
            self.values[node.name] = replace(value, size=shape[1:], spread=spread, pace=pace)
            return
        flipped = node.op.flipped if isinstance(node.op, MaxPool) else None
        self.values[node.name] = replace(value, shape=shape, spread=spread, pace=pace,
                                         maximum=maximum, flipped=flipped)

    def _pool_spikes(self, node: Node, value: Spikes, shape: Shape3,
                     spread: tuple[Pair, ...]) -> None:
        assert isinstance(node.op, MaxPool)
        name, stage = node.inputs[0], self.waiting.get(node.inputs[0])
        readers = [other.name for other in self.nodes if name in other.inputs]
        if name == self.graph.readout.source or (stage is not None and len(readers) > 1):
            raise Unsupported(f"node {node.name!r}: a max pool of spikes must be the only one that "
                              f"reads {name!r}, not one of several; pool with sums instead")
        if stage is None or stage.pooling != "none":
            raise Unsupported(f"node {node.name!r}: a max pool must read a current, or neurons "
                              f"without a pool before them, not {name!r}; pool with sums instead")
        if node.op.flipped.any():
            raise Unsupported(f"node {node.name!r}: flipped must be 0 for a pool of spikes, not 1; "
                              "pool the current before the neuron")
        self.waiting[name] = replace(stage, shape=shape, pooling="or", spread=spread,
                                   pace=node.op.stride)
        self.values[node.name] = _whole(name, shape)

    def neuron(self, node: Node) -> None:
        assert isinstance(node.op, Neuron)
        value = self.values[node.inputs[0]]
        if not isinstance(value, Current):
            raise Unsupported(f"node {node.name!r}: a neuron's input must be a current, not the "
                              f"spikes {node.inputs[0]!r}; put weights between")
        pooling: Pooling = "max" if value.maximum else "sum" if value.is_pooled else "none"
        self.waiting[node.name] = Stage(node.name, value, node.op, value.shape, pooling,
                                      value.spread, value.pace)


RULES: dict[type, Callable[[_Lowering, Node], None]] = {
    Dense: _Lowering.dense, Conv2d: _Lowering.conv, Flatten: _Lowering.flatten,
    Delay: _Lowering.delay, Add: _Lowering.add, SumPool: _Lowering.pool,
    MaxPool: _Lowering.pool, Neuron: _Lowering.neuron,
}


def has_values(graph: Graph) -> bool:
    """Whether the input is numbers, not spikes."""
    return graph.input.coding == "direct" or graph.input.bits > 1


def _live(graph: Graph) -> tuple[Node, ...]:
    """The nodes that a score depends on."""
    inputs = {node.name: node.inputs for node in graph.nodes}
    live, waiting = set[str](), [graph.readout.source]
    while waiting:
        name = waiting.pop()
        if name in inputs and name not in live:
            live.add(name)
            waiting += inputs[name]
    return tuple(node for node in graph.nodes if node.name in live)


def _whole(name: str, shape: Shape3) -> Spikes:
    return Spikes(name, shape, shape[1:])
