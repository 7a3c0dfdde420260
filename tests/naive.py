"""The arithmetic a second time: loops over Python integers, slow and plain, to judge the golden
model by. Shares no code with it. A value is a dict from index to integer."""

import itertools
from dataclasses import dataclass, field
from typing import Any

from qsnn_compile.ir import (
    Add,
    Conv2d,
    Delay,
    Dense,
    Flatten,
    Graph,
    MaxPool,
    Neuron,
    SumPool,
    shapes,
)

Value = dict[tuple[int, ...], int]


@dataclass
class Trace:
    """One sample: its scores, and for each step what every node and each of its intermediates
    was: ``steps[t][node][quantity]``; a node's own value is the quantity "value"."""

    scores: list[int] = field(default_factory=list)
    best: int = 0
    steps: list[dict[str, dict[str, Value]]] = field(default_factory=list)


def run(graph: Graph, sample: Any) -> Trace:
    """Run one sample, ``[*shape]`` (direct) or ``[T, *shape]`` (spikes)."""
    shape = shapes(graph)
    trace = Trace()
    for t in range(graph.steps):
        frame = sample if graph.input.coding == "direct" else sample[t]
        before = trace.steps[-1] if t else None
        now = {graph.input.name: {"value": {i: int(frame[i]) for i in every(graph.input.shape)}}}
        for node in graph.nodes:
            if isinstance(node.op, Delay):
                source = node.inputs[0]
                value = before[source]["value"] if before else dict.fromkeys(
                    every(shape[node.name]), 0)
                now[node.name] = {"value": dict(value)}
                continue
            inputs = [now[name]["value"] for name in node.inputs]
            state = before[node.name] if before else None
            now[node.name] = compute(node.op, inputs, shape[node.name],
                                     shape[node.inputs[0]], state)
        trace.steps.append(now)
    read(graph, trace)
    return trace


def every(shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    return list(itertools.product(*[range(size) for size in shape]))


def at(parameter: Any, index: tuple[int, ...]) -> int:
    """The element of *parameter* for *index*; an axis of size 1 holds for all."""
    if parameter.ndim == 0:
        return int(parameter)
    return int(parameter[tuple(0 if size == 1 else i
                               for size, i in zip(parameter.shape, index, strict=True))])


def compute(op: Any, inputs: list[Value], shape: tuple[int, ...], source: tuple[int, ...],
            state: Any) -> dict[str, Value]:
    if isinstance(op, Neuron):
        return neurons(op, inputs[0], shape, state)
    if isinstance(op, Dense | Conv2d):
        sums = {i: (dense if isinstance(op, Dense) else conv)(op, inputs[0], i, source)
                for i in every(shape)}
        return {"value": {i: s[0] for i, s in sums.items()},
                "total": {i: s[1] for i, s in sums.items()}}
    value = {}
    for position, i in enumerate(every(shape)):
        if isinstance(op, Flatten):
            value[i] = inputs[0][every(source)[position]]
        elif isinstance(op, Add):
            value[i] = 0
            for x in inputs:
                value[i] += x[i]
        else:
            value[i] = pool(op, inputs[0], i)
    return {"value": value}


def dense(op: Dense, x: Value, i: tuple[int, ...], source: Any) -> tuple[int, int]:
    current = total = 0
    for (j,), value in x.items():
        current += int(op.weight[i[0], j]) * value
        total += value
    return current, total


def conv(op: Conv2d, x: Value, i: tuple[int, ...], source: Any) -> tuple[int, int]:
    channel, row, column = i
    channels, depth, height, width = op.weight.shape
    group = channel // (channels // op.groups)
    current = total = 0
    for d in range(depth):
        for dy in range(height):
            for dx in range(width):
                y = row * op.stride[0] + dy - op.padding[0]
                z = column * op.stride[1] + dx - op.padding[1]
                inside = 0 <= y < source[1] and 0 <= z < source[2]
                value = x[group * depth + d, y, z] if inside else op.pad_value
                current += int(op.weight[channel, d, dy, dx]) * value
                total += value
    return current, total


def pool(op: MaxPool | SumPool, x: Value, i: tuple[int, ...]) -> int:
    window = [x[i[0], i[1] * op.stride[0] + dy, i[2] * op.stride[1] + dx]
              for dy in range(op.kernel[0]) for dx in range(op.kernel[1])]
    if isinstance(op, SumPool):
        return sum(window)
    flipped = at(op.flipped, (i[0], 0, 0))
    return min(window) if flipped else max(window)


def neurons(op: Neuron, current: Value, shape: tuple[int, ...], state: Any) -> dict[str, Value]:
    quantities: dict[str, Value] = {}
    for i in every(shape):
        u = state["u"][i] if state else at(op.initial, i)
        synapse = (state["current"][i] if state else 0) if op.synapse else None
        for name, number in neuron(op, i, current[i], u, synapse).items():
            quantities.setdefault(name, {})[i] = number
    return quantities


def neuron(op: Neuron, i: tuple[int, ...], current: int, u: int,
           synapse: int | None) -> dict[str, int]:
    summed = current
    if synapse is not None:
        summed = (synapse * at(op.synapse.decay, i)) // 2 ** op.synapse.decay_shift + current
        current = saturate(summed, op.synapse.bits)
    k, threshold, amount = at(op.step_shift, i), at(op.threshold, i), at(op.reset_value, i)
    scaled = u * 2 ** k * at(op.decay, i)
    leak = scaled // 2 ** op.decay_shift
    v = leak + current * 2 ** op.gain_shift + at(op.bias, i)
    s = 0
    if op.max_spikes == 1:
        if v >= threshold:
            s = 1
    else:
        while s < op.max_spikes and v >= threshold * (s + 1):
            s += 1
    after = v
    if op.reset == "hard" and s:
        after = amount
    if op.reset == "soft":
        after -= s * amount
    unclamped = shifted(after, k)
    if op.clamp is not None and after < at(op.clamp, i):
        after = at(op.clamp, i)
    rounded = shifted(after, k)
    return {"value": s, "spikes": s, "summed": summed, "current": current, "scaled": scaled,
            "leak": leak, "v": v, "compared": v - threshold, "reduced": v - amount, "after": after,
            "unclamped": unclamped, "rounded": rounded, "u": saturate(rounded, op.bits)}


def shifted(after: int, k: int) -> int:
    return after if k == 0 else (after + 2 ** (k - 1)) // 2 ** k


def saturate(number: int, bits: int) -> int:
    if number < -2 ** (bits - 1):
        return -2 ** (bits - 1)
    if number > 2 ** (bits - 1) - 1:
        return 2 ** (bits - 1) - 1
    return number


def read(graph: Graph, trace: Trace) -> None:
    readout, totals = graph.readout, []
    for step in trace.steps:
        name, quantity = readout.source, "value"
        if name not in step:
            name, quantity = name[:-2], "u"
        totals.append(list(step[name][quantity].values()))
    for c in range(len(totals[0])):
        if readout.kind == "last":
            total = totals[-1][c]
        else:
            total = 0
            for row in totals:
                total += row[c]
        if readout.kind != "count":
            total = at(readout.gain, (c,)) * total + at(readout.bias, (c,))
        trace.scores.append(total)
        if total > trace.scores[trace.best]:
            trace.best = c
