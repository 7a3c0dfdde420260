"""The shape of every node of a network in normal form, without the sample axis."""

from collections.abc import Iterator
from dataclasses import fields
from math import prod
from typing import NoReturn

import numpy as np

from qsnn_compile.system.errors import QsnnError

from .normal_form import (
    INPUT,
    Add,
    Convolution,
    Flatten,
    Linear,
    Network,
    Neuron,
    Node,
    Op,
    Pool,
    Scale,
)
from .units import along

Shape = tuple[int, ...]
MOST = 1 << 23                  # numbers in all values of a step


class ShapeError(QsnnError):
    """A network whose shapes don't go together. The message names the node."""


def check_shapes(network: Network) -> None:
    """Raise ShapeError unless every node can read what comes to it, every parameter goes with its
    node's shape, and a step is of a size that can be run."""
    if not network.input_shape or any(size < 1 for size in network.input_shape):
        raise ShapeError(f"input must have a shape of positive sizes, not {network.input_shape!r}; "
                         "export the network with fixed sizes")
    for node in network.nodes:
        for rule, value in _own(node.op):
            _fail(node, rule, value)
    known = shapes(network)
    for node in network.nodes:
        for rule, value in _wrong(node, [known[name] for name in node.inputs]):
            _fail(node, rule, value)
    total = sum(prod(shape) for shape in known.values())
    if total > MOST:
        raise ShapeError(f"a step must compute at most {MOST} numbers, not {total!r}; use a "
                         "smaller network")


def _fail(node: Node, rule: str, value: object) -> NoReturn:
    origin = f" ({node.origin})" if node.origin else ""
    raise ShapeError(f"node {node.name!r}{origin}: {rule}, not {value!r}; export the network again")


Wrongs = Iterator[tuple[str, object]]


def _own(op: Op) -> Wrongs:
    """What is wrong with *op* whatever it reads: a rule, and what is there instead."""
    if isinstance(op, Linear) and (op.weight.ndim != 2 or not op.weight.size):
        yield "weight must be [C, N]", op.weight.shape
    if isinstance(op, Convolution):
        if op.weight.ndim != 4 or not op.weight.size:
            yield "weight must be [C, N, height, width]", op.weight.shape
        if op.groups < 1 or len(op.weight) % op.groups:
            yield f"groups must divide the {len(op.weight)} channels", op.groups
        if min(op.padding) < 0:
            yield "padding must not be negative", op.padding
    if isinstance(op, Linear | Convolution) and \
            op.bias.shape not in ((), (1,), op.weight.shape[:1]):
        yield f"bias must have {len(op.weight)} numbers", op.bias.shape
    if isinstance(op, Convolution | Pool) and min(op.stride) < 1:
        yield "stride must be positive", op.stride
    if isinstance(op, Pool) and min(op.kernel) < 1:
        yield "kernel must be positive", op.kernel


def _wrong(node: Node, inputs: list[Shape]) -> Wrongs:
    """What of *node* does not go with the shapes that it reads."""
    op, shape = node.op, inputs[0]
    if isinstance(op, Linear) and shape[-1:] != op.weight.shape[1:]:
        yield f"input must be of {op.weight.shape[1]} numbers, as the weight is", shape
    if isinstance(op, Convolution) and shape[0] != op.weight.shape[1] * op.groups:
        yield f"input must have {op.weight.shape[1] * op.groups} channels", shape
    elif isinstance(op, Convolution | Pool) and min(_shape(op, shape)[1:]) < 1:
        yield "windows must lie inside the image", shape
    if isinstance(op, Add) and len(set(inputs)) != 1:
        yield "inputs must be of one shape", tuple(inputs)
    for name, value in _parameters(op):
        if not _goes(value, shape):
            yield f"{name} must go with the shape {shape!r}", value.shape


def _parameters(op: Op) -> Iterator[tuple[str, np.ndarray]]:
    """The parameters of a neuron or a scale, by name."""
    if not isinstance(op, Neuron | Scale):
        return
    parts = [("", op), *([("synapse ", op.synapse)] if isinstance(op, Neuron) and op.synapse
                         else [])]
    for prefix, part in parts:
        for entry in fields(part):
            value = getattr(part, entry.name)
            if isinstance(value, np.ndarray):
                yield f"{prefix}{entry.name}", value


def _goes(value: np.ndarray, shape: Shape) -> bool:
    try:
        return np.broadcast_shapes(along(value, shape).shape, shape) == shape
    except ValueError:
        return False


def shapes(network: Network) -> dict[str, Shape]:
    """The shape of the input and of every node, by name. Raises ShapeError where there is none."""
    known: dict[str, Shape] = {INPUT: network.input_shape}
    left: list[Node] = list(network.nodes)
    while left:
        ready = [n for n in left if n.inputs[0] in known or isinstance(n.op, Linear)]
        if not ready:
            names = ", ".join(node.name for node in left)
            raise ShapeError(f"nodes must follow from the input, not {names}; connect them")
        for node in ready:
            source = known.get(node.inputs[0], ())
            if isinstance(node.op, Convolution | Pool) and len(source) != 3:
                _fail(node, "input must be an image [C, height, width]", source)
            known[node.name] = _shape(node.op, source)
        left = [node for node in left if node.name not in known]
    return known


def _shape(op: Op, shape: Shape) -> Shape:
    if isinstance(op, Linear):
        return (op.weight.shape[0],)
    if isinstance(op, Convolution):
        top, left, bottom, right = op.padding
        size = (shape[1] + top + bottom, shape[2] + left + right)
        return op.weight.shape[0], *_windows(size, op.weight.shape[2:], op.stride)
    if isinstance(op, Pool):
        return shape[0], *_windows(shape[1:], op.kernel, op.stride)
    if isinstance(op, Flatten):
        return (prod(shape),)
    return shape


def _windows(size: Shape, kernel: Shape, stride: tuple[int, int]) -> Shape:
    return tuple((n - k) // s + 1 for n, k, s in zip(size, kernel, stride, strict=True))
