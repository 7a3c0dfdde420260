"""A coarse proof, one number a value, that no intermediate of a graph leaves int64.

``bounds`` proves tighter ones, channel by channel, and relies on this to compute in int64.
"""

import math

from .errors import require
from .graph import Graph
from .ops import Conv2d, Delay, Dense, Ints, Neuron, Op, SumPool

LIMIT = 1 << 62


def magnitudes(graph: Graph) -> dict[str, int]:
    """For each node, a number that none of its intermediates exceeds in magnitude in any step.

    Raises IrError where one reaches 2^62, and where a pad value is none that its input can have.
    """
    gains = {node.name: _gain(node.op) for node in graph.nodes}
    now = {node.name: 0 for node in graph.nodes}
    inside: dict[str, int] = {}
    total = 0
    for step in range(graph.steps):
        before, now = now, {graph.input.name: (1 << graph.input.bits) - 1}
        for node in graph.nodes:
            source = before if isinstance(node.op, Delay) else now
            values = [source.get(name, now.get(name, 0)) for name in node.inputs]
            peak = now[node.name] = gains[node.name] * sum(values)
            if isinstance(node.op, Neuron):
                peak = _neuron(f"node {node.name!r}", node.op, values[0])
                now[node.name] = node.op.max_spikes
            inside[node.name] = max(peak, inside.get(node.name, 0))
            _check(f"node {node.name!r}", "value", peak)
        settled = now == {graph.input.name: now[graph.input.name], **before}
        total += now.get(graph.readout.source, 1 << 31) * (graph.steps - step if settled else 1)
        if settled:
            break
    _check_pads(graph, now)
    readout = graph.readout
    _check("readout", "score", total * _top(readout.gain) + _top(readout.bias))
    return inside


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


def _neuron(where: str, op: Neuron, current: int) -> int:
    """What all intermediates of a neuron stay below: the sum of all that enters them."""
    summed = current
    if op.synapse is not None:
        current = 1 << op.synapse.bits - 1
        summed += current * _top(op.synapse.decay)
        _check(where, "synapse", summed)
    step = _top(op.step_shift)
    leak = (1 << op.bits - 1 + step) * max(1, _top(op.decay))
    v = leak + (current << op.gain_shift) + _top(op.bias)
    parameters = [op.threshold, op.reset_value, *([] if op.clamp is None else [op.clamp])]
    return max(summed, v + op.max_spikes * sum(map(_top, parameters)) + (1 << step))


def _top(array: Ints) -> int:
    return max(abs(int(array.max())), abs(int(array.min())))


def _check(where: str, what: str, magnitude: int) -> None:
    require(magnitude < LIMIT, where, f"{what} must stay below 2^62", magnitude)
