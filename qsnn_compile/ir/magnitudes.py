"""A coarse proof, one number a value, that no intermediate of a graph leaves int64.

``bounds`` proves tighter ones, channel by channel, and relies on this to compute in int64.
"""

import math

from .errors import require
from .graph import Graph
from .ops import Conv2d, Delay, Dense, Ints, Neuron, Op, SumPool
from .shapes import Shape

LIMIT = 1 << 62


def check_magnitudes(graph: Graph, shapes: dict[str, Shape]) -> None:
    """Raise IrError unless every intermediate stays below 2^62 in magnitude over all steps, and
    every pad value is one that the padded input can have."""
    gains = {node.name: _gain(node.op) for node in graph.nodes}
    now = {node.name: 0 for node in graph.nodes}
    total = 0
    for step in range(graph.steps):
        before, now = now, {graph.input.name: (1 << graph.input.bits) - 1}
        for node in graph.nodes:
            source = before if isinstance(node.op, Delay) else now
            values = [source.get(name, now.get(name, 0)) for name in node.inputs]
            now[node.name] = gains[node.name] * sum(values)
            if isinstance(node.op, Neuron):
                _check_neuron(f"node {node.name!r}", node.op, values[0])
                now[node.name] = node.op.max_spikes
            _check(f"node {node.name!r}", "value", now[node.name])
        settled = now == {graph.input.name: now[graph.input.name], **before}
        total += now.get(graph.readout.source, 1 << 31) * (graph.steps - step if settled else 1)
        if settled:
            break
    _check_pads(graph, now)
    readout = graph.readout
    _check("readout", "score", total * _top(readout.gain) + _top(readout.bias))


def _check_pads(graph: Graph, values: dict[str, int]) -> None:
    for node in graph.nodes:
        if isinstance(node.op, Conv2d):
            top = values[node.inputs[0]]
            require(node.op.pad_value <= top, f"node {node.name!r}",
                    f"pad_value must be at most {top}, its input's maximum", node.op.pad_value)


def _gain(op: Op) -> int:
    """What the largest magnitude of an operator's output is, per unit of its inputs' sum."""
    if isinstance(op, Dense | Conv2d):
        return int(abs(op.weight).reshape(len(op.weight), -1).sum(axis=1).max())
    return math.prod(op.kernel) if isinstance(op, SumPool) else 1


def _check_neuron(where: str, op: Neuron, current: int) -> None:
    if op.synapse is not None:
        stored = 1 << op.synapse.bits - 1
        _check(where, "synapse", stored * _top(op.synapse.decay))
        _check(where, "synapse", stored * _top(op.synapse.decay) + current)
        current = stored
    step = _top(op.step_shift)
    leak = (1 << op.bits - 1 + step) * _top(op.decay)
    v = leak + (current << op.gain_shift) + _top(op.bias)
    clamp = 0 if op.clamp is None else _top(op.clamp)
    _check(where, "membrane", v + op.max_spikes * (_top(op.threshold) + _top(op.reset_value))
           + clamp + (1 << step))


def _top(array: Ints) -> int:
    return max(abs(int(array.max())), abs(int(array.min())))


def _check(where: str, what: str, magnitude: int) -> None:
    require(magnitude < LIMIT, where, f"{what} must stay below 2^62", magnitude)
