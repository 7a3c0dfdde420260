"""The golden model: the fixed-point IR interpreted in integers. It is the definition that every
other engine is compared with, so it knows the IR and nothing else.

`operators` has one small function an operator; here a graph is run step by step.
"""

import math
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from qsnn_compile.ir import (
    Conv2d,
    Delay,
    Dense,
    Flatten,
    Graph,
    Ints,
    IrError,
    Neuron,
    Node,
    quantize_input,
    shapes,
    verify,
)

from .operators import OPERATORS, Array, flatten, narrowed, neuron, synapse

Record = Literal["none", "spikes", "all"]
_KINDS = {"none": ["events"], "spikes": ["events", "spikes"],
          "all": ["events", "spikes", "membranes", "values"]}


@dataclass(frozen=True, eq=False)
class Result:
    """What N samples did in T steps. Shapes of values follow their axes [N, T].

    ``scores`` [N, classes] and ``classes`` [N] (lowest index on a tie). ``reads`` [N, T, classes]:
    what the readout read at each step. ``events``: for each value
    that a Dense or Conv2d reads, how many of its elements were not zero, [N, T]. With record
    "spikes", ``spikes`` has the output of each neuron; with "all" also ``membranes``, the u' that
    each neuron stored, and ``values``, every other node's value.
    """

    scores: Ints
    classes: Ints
    reads: Ints
    events: dict[str, Ints]
    spikes: dict[str, Array] = field(default_factory=dict)
    membranes: dict[str, Array] = field(default_factory=dict)
    values: dict[str, Array] = field(default_factory=dict)


def run(graph: Graph, x: Any, *, record: Record = "none", batch: int | None = None) -> Result:
    """Run every sample of *x* (see ``ir.quantize_input``) through *graph*, *batch* at a time.

    Raises IrError when the graph is not well formed or the data isn't what its input takes.
    """
    if record not in _KINDS:
        raise IrError(f"record must be one of {', '.join(_KINDS)}, not {record!r}")
    verify(graph)
    data = quantize_input(graph, x)
    batch = _batch_size(graph) if batch is None else batch
    graph = narrowed(graph)
    return _joined([_run_batch(graph, data[start:start + batch], record)
                    for start in range(0, max(len(data), 1), batch)])


class _Batch:
    """What a batch of samples carries from one step to the next, and the step itself."""

    def __init__(self, graph: Graph, data: Array) -> None:
        self.graph, self.data = graph, data
        self.still = _still(graph)
        self.values: dict[str, Array] = {}
        self.membranes: dict[str, Array] = {}
        self.synapses: dict[str, Ints] = {}
        known = shapes(graph)
        for node in graph.nodes:
            zero = np.zeros((len(data), *known[node.name]), dtype=np.int64)
            if isinstance(node.op, Delay):
                self.values[node.inputs[0]] = zero      # what it sends at the first step
            if isinstance(node.op, Neuron):
                self.membranes[node.name] = np.broadcast_to(node.op.initial, zero.shape)
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
        value = (self.values[source] if source in self.values
                 else self.membranes[source.removesuffix(".u")])
        return flatten(Flatten(), value).astype(np.int64)


def _run_batch(graph: Graph, data: Array, record: Record) -> Result:
    state, readout = _Batch(graph, data), graph.readout
    log: dict[str, dict[str, list[Array]]] = {kind: {} for kind in _KINDS[record]}
    reads: list[Array] = []
    for t in range(graph.steps):
        state.step(t)
        reads.append(state.read(readout.source))
        _log(log, graph, state)
    total = reads[-1] if readout.kind == "last" else sum(reads[1:], reads[0])
    scores = total if readout.kind == "count" else readout.gain * total + readout.bias
    logged = {kind: {name: np.stack(steps, axis=1) for name, steps in entries.items()}
              for kind, entries in log.items()}
    return Result(scores, scores.argmax(axis=1), np.stack(reads, axis=1), **logged)


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
            np.count_nonzero(value, axis=tuple(range(1, value.ndim))))


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
    """So many samples that the largest value stays near a processor's cache, and the unfolded
    windows of the largest convolution near 16 MB."""
    known = shapes(graph)
    value = max(math.prod(shape) for shape in known.values())
    taps = max((node.op.weight[0].size * node.op.groups * math.prod(known[node.name][1:])
                for node in graph.nodes if isinstance(node.op, Conv2d)), default=1)
    return max(1, (1 << 19) // value if value * 8 > taps else (1 << 22) // taps)


def _joined(parts: list[Result]) -> Result:
    if len(parts) == 1:
        return parts[0]

    def join(kind: str) -> dict[str, Array]:
        return {name: np.concatenate([getattr(part, kind)[name] for part in parts])
                for name in getattr(parts[0], kind)}

    return Result(np.concatenate([part.scores for part in parts]),
                  np.concatenate([part.classes for part in parts]),
                  np.concatenate([part.reads for part in parts]),
                  join("events"), join("spikes"), join("membranes"), join("values"))
