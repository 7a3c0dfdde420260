"""The golden model: the fixed-point IR interpreted in integers. It is the definition that every
other engine is compared with, so it knows the IR and nothing else.

Each operator is one small function over all samples at once; ``OPERATORS`` lists them. The
equations are in the docstrings of ``qsnn_compile.ir``.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from qsnn_compile.ir import (
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
    Synapse,
    quantize_input,
    shapes,
    verify,
)

Record = Literal["none", "spikes", "all"]
Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Result:
    """What N samples did in T steps. Shapes of values follow their axes [N, T].

    ``scores`` [N, classes] and ``classes`` [N] (lowest index on a tie). ``events``: for each value
    that a Dense or Conv2d reads, how many of its elements were not zero, [N, T]. With record
    "spikes", ``spikes`` has the output of each neuron; with "all" also ``membranes``, the u' that
    each neuron stored, and ``values``, every other node's value.
    """

    scores: Ints
    classes: Ints
    events: dict[str, Ints]
    spikes: dict[str, Array] = field(default_factory=dict)
    membranes: dict[str, Array] = field(default_factory=dict)
    values: dict[str, Array] = field(default_factory=dict)


def run(graph: Graph, x: Any, *, record: Record = "none", batch: int | None = None) -> Result:
    """Run every sample of *x* (see ``ir.quantize_input``) through *graph*, *batch* at a time.

    Raises IrError when the graph is not well formed or the data isn't what its input takes.
    """
    verify(graph)
    data = quantize_input(graph, x)
    batch = _batch_size(graph) if batch is None else batch
    return _joined([_run_batch(graph, data[start:start + batch], record)
                    for start in range(0, max(len(data), 1), batch)])


def dense(op: Dense, x: Array) -> Ints:
    kind = _exact_type(op.weight, x)
    return (x.astype(kind) @ op.weight.astype(kind).T).astype(np.int64)


def conv2d(op: Conv2d, x: Array) -> Ints:
    kind = _exact_type(op.weight, x, op.pad_value)
    channels, _, *kernel = op.weight.shape
    top, left, bottom, right = op.padding
    padded = np.pad(x.astype(kind), ((0, 0), (0, 0), (top, bottom), (left, right)),
                    constant_values=op.pad_value)
    windows = _windows(padded, (kernel[0], kernel[1]), op.stride)
    n, _, height, width = windows.shape[:4]
    taps = windows.transpose(0, 1, 4, 5, 2, 3).reshape(n, op.groups, -1, height * width)
    weight = op.weight.astype(kind).reshape(op.groups, channels // op.groups, -1)
    return (weight @ taps).astype(np.int64).reshape(n, channels, height, width)


def max_pool(op: MaxPool, x: Array) -> Array:
    windows = _windows(x, op.kernel, op.stride)
    low, high = windows.min(axis=(4, 5)), windows.max(axis=(4, 5))
    return np.where(op.flipped == 1, low, high) if op.flipped.any() else high


def sum_pool(op: SumPool, x: Array) -> Ints:
    total: Ints = _windows(x, op.kernel, op.stride).sum(axis=(4, 5), dtype=np.int64)
    return total


def flatten(op: Flatten, x: Array) -> Array:
    return x.reshape(len(x), -1)


def add(op: Add, *inputs: Array) -> Ints:
    total = inputs[0].astype(np.int64)
    for x in inputs[1:]:
        total += x
    return total


def synapse(op: Synapse, current: Array, i: Ints) -> Ints:
    high = (1 << op.bits - 1) - 1
    return np.clip((i * op.decay >> op.decay_shift) + current, -high - 1, high)


def neuron(op: Neuron, current: Array, u: Ints) -> tuple[Array, Ints]:
    """The spikes s and the stored membrane u'."""
    v = ((u << op.step_shift) * op.decay >> op.decay_shift)
    v += (current.astype(np.int64) << op.gain_shift) + op.bias
    s = _spikes(op, v)
    if op.reset == "hard":
        v = np.where(s, op.reset_value, v)
    elif op.reset == "soft":
        v -= s * op.reset_value
    if op.clamp is not None:
        v = np.maximum(v, op.clamp)
    high = (1 << op.bits - 1) - 1
    stored = v + (1 << op.step_shift >> 1) >> op.step_shift
    return s, np.clip(stored, -high - 1, high)


def _spikes(op: Neuron, v: Ints) -> Array:
    if op.max_spikes == 1:
        return v >= op.threshold
    return np.clip(v // op.threshold, 0, op.max_spikes)


OPERATORS: dict[type, Callable[..., Any]] = {
    Dense: dense, Conv2d: conv2d, MaxPool: max_pool, SumPool: sum_pool, Flatten: flatten, Add: add,
    Neuron: neuron, Synapse: synapse,
}


class _Batch:
    """What a batch of samples carries from one step to the next, and the step itself."""

    def __init__(self, graph: Graph, data: Array) -> None:
        self.graph, self.data = graph, data
        self.still = _still(graph)
        self.values: dict[str, Array] = {}
        self.membranes: dict[str, Ints] = {}
        self.synapses: dict[str, Ints] = {}
        found = shapes(graph)
        for node in graph.nodes:
            zero = np.zeros((len(data), *found[node.name]), dtype=np.int64)
            if isinstance(node.op, Delay):
                self.values[node.inputs[0]] = zero      # what it sends at the first step
            if isinstance(node.op, Neuron):
                self.membranes[node.name] = zero + node.op.initial
                self.synapses[node.name] = zero

    def step(self, t: int) -> None:
        before, direct = self.values, self.graph.input.coding == "direct"
        self.values = {self.graph.input.name: self.data if direct else self.data[:, t]}
        for node in self.graph.nodes:
            kept = t > 0 and node.name in self.still
            self.values[node.name] = before[node.name] if kept else self._value(node, before)

    def _value(self, node: Node, before: dict[str, Array]) -> Array:
        if isinstance(node.op, Delay):
            return before[node.inputs[0]]
        inputs = [self.values[name] for name in node.inputs]
        if isinstance(node.op, Neuron):
            return self._fire(node.name, node.op, inputs[0])
        value: Array = OPERATORS[type(node.op)](node.op, *inputs)
        return value

    def _fire(self, name: str, op: Neuron, current: Array) -> Array:
        if op.synapse is not None:
            current = self.synapses[name] = synapse(op.synapse, current, self.synapses[name])
        s, self.membranes[name] = neuron(op, current, self.membranes[name])
        return s

    def read(self, source: str) -> Array:
        """The value, or for ``NODE.u`` the stored membrane, that a readout reads; flattened."""
        found = (self.values[source] if source in self.values
                 else self.membranes[source.removesuffix(".u")])
        return found.reshape(len(found), -1).astype(np.int64)


def _run_batch(graph: Graph, data: Array, record: Record) -> Result:
    state, readout = _Batch(graph, data), graph.readout
    log: dict[str, dict[str, list[Array]]] = {"events": {}, **({} if record == "none" else {
        "spikes": {}} if record == "spikes" else {"spikes": {}, "membranes": {}, "values": {}})}
    total = np.zeros(1, dtype=np.int64)
    for t in range(graph.steps):
        state.step(t)
        read = state.read(readout.source)
        total = read if readout.kind == "last" else total + read
        _log(log, graph, state)
    scores = total if readout.kind == "count" else readout.gain * total + readout.bias
    logged = {kind: {name: np.stack(steps, axis=1) for name, steps in entries.items()}
              for kind, entries in log.items()}
    return Result(scores, scores.argmax(axis=1), **logged)


def _log(log: dict[str, dict[str, list[Array]]], graph: Graph, state: _Batch) -> None:
    """Append what this step adds to the kinds of record that *log* has."""
    for node in graph.nodes:
        value, kind = state.values[node.name], "values"
        if isinstance(node.op, Neuron):
            kind = "spikes"
            value = value.astype(np.uint8)
            if "membranes" in log:
                log["membranes"].setdefault(node.name, []).append(
                    state.membranes[node.name].astype(np.int32))
        if kind in log:
            log[kind].setdefault(node.name, []).append(value)
    for name in _event_values(graph):
        value = state.values[name]
        log["events"].setdefault(name, []).append(
            np.count_nonzero(value.reshape(len(value), -1), axis=1))


def _event_values(graph: Graph) -> list[str]:
    """The values that a Dense or Conv2d reads, each once."""
    return list(dict.fromkeys(node.inputs[0] for node in graph.nodes
                              if isinstance(node.op, Dense | Conv2d)))


def _still(graph: Graph) -> set[str]:
    """Values that are the same at every step: of a direct input, through stateless operators."""
    still = {graph.input.name} if graph.input.coding == "direct" else set()
    for node in graph.nodes:
        if not isinstance(node.op, Delay | Neuron) and still.issuperset(node.inputs):
            still.add(node.name)
    return still


def _batch_size(graph: Graph) -> int:
    """So many samples that the unfolded windows of the largest convolution stay near 16 MB."""
    found = shapes(graph)
    largest = max((node.op.weight[0].size * node.op.groups * math.prod(found[node.name][1:])
                   for node in graph.nodes if isinstance(node.op, Conv2d)), default=1)
    return max(1, min(1024, (1 << 22) // largest))


def _joined(parts: list[Result]) -> Result:
    if len(parts) == 1:
        return parts[0]

    def join(kind: str) -> dict[str, Array]:
        return {name: np.concatenate([getattr(part, kind)[name] for part in parts])
                for name in getattr(parts[0], kind)}

    return Result(np.concatenate([part.scores for part in parts]),
                  np.concatenate([part.classes for part in parts]),
                  join("events"), join("spikes"), join("membranes"), join("values"))


def _windows(x: Array, kernel: tuple[int, int], stride: tuple[int, int]) -> Array:
    """``[N, C, H, W, kh, kw]``: the windows of images ``[N, C, ...]``, a view."""
    view = sliding_window_view(x, kernel, axis=(2, 3))
    return view[:, :, ::stride[0], ::stride[1]]


def _exact_type(weight: Ints, x: Array, pad_value: int = 0) -> type:
    """The fastest type in which Σ w·x is exact: floats while every partial sum is an integer
    below their precision."""
    row = int(abs(weight).reshape(len(weight), -1).sum(axis=1).max())
    limit = row * max(int(x.max(initial=0)), pad_value)
    if limit < 1 << 24:
        return np.float32
    return np.float64 if limit < 1 << 53 else np.int64
