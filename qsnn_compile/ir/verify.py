"""What every graph obeys. Passes, engines and emission rely on it and check nothing again."""

import math
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import get_args

from .errors import IrError, require
from .graph import Graph, Node, ReadoutKind
from .input import Coding, Input, Takes
from .magnitudes import magnitudes
from .ops import Add, Conv2d, Delay, Dense, Ints, MaxPool, Neuron, Op, Reset, Synapse
from .shapes import Shape, shapes

FAR = 1 << 40                   # of a zero point from the codes, and exact in float64
NAME = re.compile(r"[A-Za-z_/][\w./$:-]*(?<!:)")


@lru_cache(maxsize=4)               # graphs never change
def verify(graph: Graph) -> None:
    """Raise IrError, naming node, rule and value, unless *graph* is well formed.

    Names are unique and parse back; nodes read the input or earlier nodes (a Delay any node);
    shapes fit; weights fit W ≤ 16 bits, membranes U ≤ 32, m, k, q, f ≥ 0; parameters broadcast
    axis by axis; Dense and Conv2d read activations (unsigned), not currents; the readout's source
    exists; and no intermediate can leave int64, so that engines may compute in it.
    """
    _check_frame(graph)
    _check_names(graph)
    known = shapes(graph)
    currents = _currents(graph)
    for node in graph.nodes:
        _check_node(node, known, currents)
    _check_readout(graph, known, currents)
    magnitudes(graph)


def _check_frame(graph: Graph) -> None:
    require(graph.steps >= 1, "graph", "steps must be at least 1", graph.steps)
    source, where = graph.input, f"input {graph.input.name!r}"
    require(all(size >= 1 for size in source.shape), where, "shape must be of positive sizes",
            source.shape)
    require(1 <= source.bits <= 8, where, "bits must be in 1..8", source.bits)
    require(source.coding in get_args(Coding), where,
            f"coding must be one of {get_args(Coding)}", source.coding)
    require(source.takes in get_args(Takes), where, f"takes must be one of {get_args(Takes)}",
            source.takes)
    scales, zeros = _each(where, "scale", source), _each(where, "zero_point", source)
    require(all(math.isfinite(scale) and scale > 0 for scale in scales), where,
            "scale must be a positive number", source.scale)
    low, high = (0, source.top) if source.takes == "codes" else (-FAR, FAR)
    require(all(low <= zero <= high for zero in zeros), where,
            f"zero_point must be in {low}..{high}", source.zero_point)


def _each(where: str, field: str, source: Input) -> tuple[float, ...]:
    """*field* of every channel, or of all."""
    value: float | tuple[float, ...] = getattr(source, field)
    if not isinstance(value, tuple):
        return (value,)
    require(source.takes == "reals", where, f"{field} must be one number for codes", value)
    require(len(value) == source.shape[0], where,
            f"{field} must be one number, or one for each of {source.shape[0]} channels", value)
    return value


def _check_names(graph: Graph) -> None:
    names = [graph.input.name, *(node.name for node in graph.nodes)]
    seen = {graph.input.name}
    for name in names:
        require(NAME.fullmatch(name) is not None, f"node {name!r}",
                "name must be a letter, '_' or '/', then letters, digits or any of _./$:-", name)
    for node in graph.nodes:
        where = f"node {node.name!r}"
        count = len(node.inputs)
        if isinstance(node.op, Add):
            require(count >= 2, where, "an Add must have two inputs or more", count)
        else:
            require(count == 1, where, "it must have one input", count)
        for name in node.inputs:
            known = names if isinstance(node.op, Delay) else seen
            rule = ("input must be a value of the graph" if name not in names
                    else "input must come earlier (only a Delay may read a later node)")
            require(name in known, where, rule, name)
        require(node.name not in seen, where, "name must be unique", node.name)
        seen.add(node.name)


def _currents(graph: Graph) -> set[str]:
    """Names of the signed values. The others are activations: spikes, pixels, counts."""
    names: set[str] = set()
    size = -1
    while size != len(names):                       # again, for a Delay of a later node
        size = len(names)
        for node in graph.nodes:
            signed = isinstance(node.op, Dense | Conv2d) or not names.isdisjoint(node.inputs)
            if signed and not isinstance(node.op, Neuron):
                names.add(node.name)
    return names


def _check_node(node: Node, known: Mapping[str, Shape], currents: set[str]) -> None:
    where = f"node {node.name!r}"
    check = _CHECKS.get(type(node.op))
    if isinstance(node.op, Dense | Conv2d):
        require(node.inputs[0] not in currents, where,
                "input must be an activation (unsigned), not a current", node.inputs[0])
    if check is not None:
        check(where, node.op, known[node.name])


def _check_weight(where: str, op: Dense | Conv2d, shape: Shape) -> None:
    _check_type(where, "weight", op.weight)
    require(1 <= op.bits <= 16, where, "weight bits W must be in 1..16", op.bits)
    require(op.weight.size > 0, where, "weight must not be empty", op.weight.shape)
    if op.bits == 1:
        wrong = op.weight[abs(op.weight) != 1]
        rule = "weight of 1 bit must be -1 or 1"
    else:
        low, high = -(1 << op.bits - 1), (1 << op.bits - 1) - 1
        wrong = op.weight[(op.weight < low) | (op.weight > high)]
        rule = f"weight of {op.bits} bits must be in {low}..{high}"
    require(wrong.size == 0, where, rule, int(wrong.flat[0]) if wrong.size else None)


def _check_conv2d(where: str, op: Conv2d, shape: Shape) -> None:
    _check_weight(where, op, shape)
    require(op.pad_value >= 0, where, "pad_value must not be negative", op.pad_value)


def _check_max_pool(where: str, op: MaxPool, shape: Shape) -> None:
    _check_array(where, "flipped", op.flipped, (shape[0], 1, 1), low=0, high=1)


def _check_neuron(where: str, op: Neuron, shape: Shape) -> None:
    require(1 <= op.bits <= 32, where, "membrane bits U must be in 1..32", op.bits)
    require(op.reset in get_args(Reset), where,
            f"reset must be one of {get_args(Reset)}", op.reset)
    for field in ("threshold", "bias", "reset_value"):
        _check_array(where, field, getattr(op, field), shape)
    for field, value in (("decay_shift q", op.decay_shift), ("gain_shift f", op.gain_shift)):
        require(0 <= value <= 32, where, f"{field} must be in 0..32", value)
    _check_array(where, "decay m", op.decay, shape, low=0)
    _check_array(where, "step_shift k", op.step_shift, shape, low=0, high=32)
    _check_array(where, "initial", op.initial, shape,
                 low=-(1 << op.bits - 1), high=(1 << op.bits - 1) - 1)
    if op.clamp is not None:
        _check_array(where, "clamp", op.clamp, shape)
    if op.synapse is not None:
        _check_synapse(where, op.synapse, shape)
    _check_multi_spike(where, op)


def _check_synapse(where: str, synapse: Synapse, shape: Shape) -> None:
    require(1 <= synapse.bits <= 32, where, "synapse bits must be in 1..32", synapse.bits)
    require(0 <= synapse.decay_shift <= 32, where, "synapse decay_shift must be in 0..32",
            synapse.decay_shift)
    _check_array(where, "synapse decay", synapse.decay, shape, low=0)


def _check_multi_spike(where: str, op: Neuron) -> None:
    require(1 <= op.max_spikes <= 255, where, "max_spikes must be in 1..255", op.max_spikes)
    if op.max_spikes > 1:
        require(op.reset != "hard", where, "reset must be soft or none with max_spikes > 1",
                op.reset)
        require(int(op.threshold.min()) > 0, where,
                "threshold must be positive with max_spikes > 1", int(op.threshold.min()))


def _check_readout(graph: Graph, known: Mapping[str, Shape], currents: set[str]) -> None:
    readout = graph.readout
    source, where = readout.source, f"{readout.kind} readout"
    require(readout.kind in get_args(ReadoutKind), "readout",
            f"kind must be one of {get_args(ReadoutKind)}", readout.kind)
    if readout.kind == "last" and source not in known and source.endswith(".u"):
        source = source.removesuffix(".u")
        require(source in known and isinstance(graph[source].op, Neuron), where,
                "source 'NODE.u' must be the membrane of a neuron", readout.source)
    require(source in known, where, "source must be a value of the graph", readout.source)
    if readout.kind == "count":
        require(source not in currents, where, "source must be spikes, not a current", source)
        plain = readout.gain.shape == readout.bias.shape == () and readout.gain == 1
        require(plain and readout.bias == 0, where, "gain and bias must be 1 and 0",
                (readout.gain.tolist(), readout.bias.tolist()))
    classes = (math.prod(known[source]),)
    _check_array(where, "gain", readout.gain, classes)
    _check_array(where, "bias", readout.bias, classes)
    _check_classes(where, readout.names, classes[0])


def _check_classes(where: str, names: tuple[str, ...], classes: int) -> None:
    require(len(names) in (0, classes), where, f"names must be those of {classes} classes", names)
    require(len(set(names)) == len(names), where, "names of classes must each be there once", names)
    wrong = [name for name in names if not (0 < len(name) <= 100 and name.isprintable())]
    require(not wrong, where, "the name of a class must be 1 to 100 characters that print",
            wrong[0] if wrong else None)


def _check_type(where: str, field: str, array: Ints) -> None:
    if str(getattr(array, "dtype", type(array).__name__)) != "int64":
        raise IrError(f"{where}: {field} must be an int64 array (ir.ints), "
                      f"not {getattr(array, 'dtype', type(array).__name__)!s}")


def _check_array(where: str, field: str, array: Ints, shape: Shape,
                 low: int | None = None, high: int | None = None) -> None:
    """*array* is int64, broadcasts axis by axis against *shape* and lies in low..high."""
    _check_type(where, field, array)
    fits = array.ndim == 0 or (array.ndim == len(shape) and all(
        size in (1, full) for size, full in zip(array.shape, shape, strict=True)))
    require(fits, where, f"{field} must broadcast axis by axis against {shape}", array.shape)
    smallest, largest = int(array.min()), int(array.max())
    if low is not None:
        require(smallest >= low, where, f"{field} must be at least {low}", smallest)
    if high is not None:
        require(largest <= high, where, f"{field} must be at most {high}", largest)


_CHECKS: dict[type[Op], Callable[..., None]] = {
    Dense: _check_weight, Conv2d: _check_conv2d, MaxPool: _check_max_pool, Neuron: _check_neuron,
}
