"""Proven ranges of every intermediate, from the actual weights: the interpreter run on intervals.

Hardware takes its widths from here and reports show them. Each of the T steps is done on its own,
so a membrane's range is what T steps can reach, not all that its bits can hold. For a stream, which
has no last step, it is all that its bits can hold, and a synaptic current's what its decay lets it
reach.
"""

from dataclasses import dataclass, fields, replace

import numpy as np

from .graph import Graph, Node
from .intervals import Interval, Linear, constant, linear, max_pool, sum_pool
from .ops import Add, Conv2d, Delay, Dense, Flatten, Ints, MaxPool, Neuron, SumPool, Synapse
from .shapes import Shape, shapes
from .verify import verify


@dataclass(frozen=True, eq=False)
class NeuronBounds:
    """The ranges of a neuron's intermediates, in the order of the equation.

    ========= =======================================================
    summed    I, or with a synapse floor(i · m / 2^q) + I, before the clip
    current   I, or with a synapse i
    scaled    u · 2^k · m, before the shift by q
    leak      floor(u · 2^k · m / 2^q)
    v         leak + I · 2^f + b
    compared  v - θ, for any v
    reduced   v - ρ, for any v
    after     v', clamp included
    unclamped floor((v' + 2^(k-1)) / 2^k) of v' before the clamp
    rounded   floor((v' + 2^(k-1)) / 2^k), before the clip
    u         u', stored; the initial u too
    spikes    s
    ========= =======================================================
    """

    summed: Interval
    current: Interval
    scaled: Interval
    leak: Interval
    v: Interval
    compared: Interval
    reduced: Interval
    after: Interval
    unclamped: Interval
    rounded: Interval
    u: Interval
    spikes: Interval

    def __or__(self, other: "NeuronBounds") -> "NeuronBounds":
        return NeuronBounds(*(getattr(self, f.name) | getattr(other, f.name)
                              for f in fields(self)))


@dataclass(frozen=True, eq=False)
class Bounds:
    """Every range, over all steps and all inputs that the graph takes.

    ``values``: each value by name, the input too. ``linear``: the sums of each Dense and Conv2d.
    ``neurons``: the intermediates of each neuron. ``accumulator``: what the readout sums up to any
    step (for ``last``: its source at the last); ``scores``: that times gain plus bias. ``active``:
    how many elements of a value can be other than 0 in one step. ``spike_total``: no sample sends
    more spikes, all neurons and steps together.
    """

    values: dict[str, Interval]
    linear: dict[str, Linear]
    neurons: dict[str, NeuronBounds]
    accumulator: Interval
    scores: Interval
    active: dict[str, int]
    spike_total: int


def bounds(graph: Graph, *, endless: bool = False) -> Bounds:
    """Prove the ranges of *graph*; *endless*: of a stream, whose sums are halved every T steps and
    so never more than those of 2 T steps. Raises IrError when it isn't well formed."""
    verify(graph)
    run, readout = _Run(graph, endless), graph.readout
    total = reach = constant(0, (1,))
    for _ in range(1 if endless else graph.steps):
        run.step()
        now = run.source(readout.source)
        if endless:
            now = (now | total).scaled(np.asarray(2 * graph.steps))
        total = now if readout.kind == "last" else total + now
        reach = now if readout.kind == "last" else reach | total
    active = {name: _count(value, run.shapes[name]) for name, value in run.values.items()}
    spikes = sum(int(run.values[name].flat(run.shapes[name]).hi.sum()) for name in run.neurons)
    return Bounds(run.values, run.linear, run.neurons, reach,
                  total.scaled(readout.gain).plus(readout.bias), active, spikes * graph.steps)


class _Run:
    """The ranges so far (``values``, ``linear``, ``neurons``), and those of the latest step."""

    def __init__(self, graph: Graph, endless: bool = False) -> None:
        self.graph, self.endless = graph, endless
        self.shapes = shapes(graph)
        self.values: dict[str, Interval] = {}
        self.linear: dict[str, Linear] = {}
        self.neurons: dict[str, NeuronBounds] = {}
        self.now = {name: constant(0, shape) for name, shape in self.shapes.items()}
        if endless:
            self.now = {name: Interval(zero.lo, zero.lo + self._most(name))
                        for name, zero in self.now.items()}
        self.sums: dict[str, tuple[Interval, Linear]] = {}
        self.latest: dict[str, NeuronBounds] = {}

    def step(self) -> None:
        before, source = self.now, self.graph.input
        low = constant(0, source.shape)
        self.now = {source.name: Interval(low.lo, low.lo + (1 << source.bits) - 1)}
        for node in self.graph.nodes:
            known = before if isinstance(node.op, Delay) else self.now
            self.now[node.name] = self._value(node, [known[name] for name in node.inputs])
        self.values = {name: value | self.values.get(name, value)
                       for name, value in self.now.items()}

    def source(self, name: str) -> Interval:
        """What a readout reads in the latest step, one range a class."""
        if name in self.now:
            return self.now[name].flat(self.shapes[name])
        name = name.removesuffix(".u")
        return self.latest[name].u.flat(self.shapes[name])

    def _value(self, node: Node, inputs: list[Interval]) -> Interval:
        x, shape = inputs[0], self.shapes[node.inputs[0]]
        match node.op:
            case Dense() | Conv2d():
                return self._linear(node.name, node.op, x, shape)
            case Neuron():
                return self._neuron(node.name, node.op, x, shape)
            case MaxPool():
                return max_pool(node.op, x, shape)
            case SumPool():
                return sum_pool(node.op, x, shape)
            case Flatten():
                return x.flat(shape)
            case Add():
                return sum(inputs[1:], x)
            case Delay():
                return x

    def _linear(self, name: str, op: Dense | Conv2d, x: Interval, shape: Shape) -> Interval:
        if name not in self.sums or not self.sums[name][0].same(x):
            bounds = linear(op, x, shape)
            self.sums[name] = (x, bounds)
            old = self.linear.get(name, bounds)
            self.linear[name] = Linear(old.current | bounds.current, old.partial | bounds.partial,
                                       old.total | bounds.total)
        return self.sums[name][1].current

    def _most(self, name: str) -> int:
        """The most spikes that a neuron of node *name* sends; 0 where it is none."""
        ops = [node.op for node in self.graph.nodes if node.name == name]
        return ops[0].max_spikes if ops and isinstance(ops[0], Neuron) else 0

    def _state(self, op: Neuron, x: Interval, shape: Shape, previous: NeuronBounds | None
               ) -> tuple[Interval, Interval]:
        """The membrane and the synapse's current before the step, whose current is *x*."""
        if self.endless:
            return _whole(op.bits, shape), x if op.synapse is None else _reach(op.synapse, x)
        if previous is None:
            return _array(op.initial, shape), constant(0, shape)
        return previous.u, previous.current

    def _neuron(self, name: str, op: Neuron, x: Interval, shape: Shape) -> Interval:
        previous = self.latest.get(name)
        u, i = self._state(op, x, shape, previous)
        if op.synapse is not None:
            decayed = Interval(i.lo * op.synapse.decay >> op.synapse.decay_shift,
                               i.hi * op.synapse.decay >> op.synapse.decay_shift)
            x = decayed + x
        ranges = self.latest[name] = neuron(op, x, u)
        if previous is None:
            self.neurons[name] = replace(ranges, u=ranges.u | u)
        self.neurons[name] = self.neurons[name] | ranges
        return ranges.spikes


def neuron(op: Neuron, summed: Interval, u: Interval) -> NeuronBounds:
    """The ranges of one step from those of the current, not yet clipped, and the stored
    membrane."""
    current = summed if op.synapse is None else summed.clipped(op.synapse.bits)
    scaled = Interval((u.lo << op.step_shift) * op.decay, (u.hi << op.step_shift) * op.decay)
    leak = Interval(scaled.lo >> op.decay_shift, scaled.hi >> op.decay_shift)
    v = Interval(leak.lo + (current.lo << op.gain_shift) + op.bias,
                 leak.hi + (current.hi << op.gain_shift) + op.bias)
    after = clamped = _after(op, v)
    if op.clamp is not None:
        clamped = Interval(np.maximum(after.lo, op.clamp), np.maximum(after.hi, op.clamp))
    unclamped, rounded = _rounded(op, after), _rounded(op, clamped)
    return NeuronBounds(summed, current, scaled, leak, v, v.plus(-op.threshold),
                        v.plus(-op.reset_value), clamped, unclamped, rounded,
                        rounded.clipped(op.bits),
                        Interval(_spikes(op, v.lo), _spikes(op, v.hi)))


def _rounded(op: Neuron, after: Interval) -> Interval:
    half = 1 << op.step_shift >> 1
    return Interval(after.lo + half >> op.step_shift, after.hi + half >> op.step_shift)


def _spikes(op: Neuron, v: Ints) -> Ints:
    if op.max_spikes == 1:
        return (v >= op.threshold).astype(np.int64)
    return np.asarray(np.clip(v // op.threshold, 0, op.max_spikes))


def _after(op: Neuron, v: Interval) -> Interval:
    """v' before the clamp: each number of spikes has its part of v, and moves it its own way."""
    if op.reset == "none":
        return v
    low, high = np.full_like(v.lo, np.iinfo(np.int64).max), np.full_like(v.hi, -(1 << 63))
    for s in range(op.max_spikes + 1):
        first = v.lo if s == 0 else np.maximum(v.lo, s * op.threshold)
        last = v.hi if s == op.max_spikes else np.minimum(v.hi, (s + 1) * op.threshold - 1)
        reached = first <= last
        if op.reset == "soft":
            first, last = first - s * op.reset_value, last - s * op.reset_value
        elif s == 1:
            first = last = op.reset_value
        low = np.where(reached, np.minimum(low, first), low)
        high = np.where(reached, np.maximum(high, last), high)
    return Interval(low, high)


def _array(values: Ints, shape: Shape) -> Interval:
    array = constant(0, shape).lo + values
    return Interval(array, array)


def _whole(bits: int, shape: Shape) -> Interval:
    """All that *bits* bits hold."""
    zero, half = constant(0, shape).lo, 1 << bits - 1
    return Interval(zero - half, zero + half - 1)


def _reach(op: Synapse, x: Interval) -> Interval:
    """What i never leaves from 0 on: H · m / 2^q + x.hi ≤ H and L · m / 2^q - 1 + 1 / 2^q + x.lo
    ≥ L; where m ≥ 2^q what its bits hold."""
    one, half = 1 << op.decay_shift, 1 << op.bits - 1
    rest = (one - op.decay).astype(object)          # integers of any size
    leaks, rest = rest > 0, np.maximum(rest, 1)
    low = np.where(leaks, ((x.lo.astype(object) - 1) * one + 1) // rest, -half)
    high = np.where(leaks, -(-x.hi.astype(object) * one // rest), half - 1)
    return Interval(np.clip(low, -half, 0).astype(np.int64),
                    np.clip(high, 0, half - 1).astype(np.int64))


def _count(value: Interval, shape: Shape) -> int:
    return int(np.broadcast_to((value.lo != 0) | (value.hi != 0), shape).sum())
