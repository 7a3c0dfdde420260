"""The shape of every node of a network in normal form, without the sample axis."""

import numpy as np

from .normal import (
    INPUT,
    Convolution,
    Flatten,
    Linear,
    Network,
    Node,
    Op,
    Pool,
)

Shape = tuple[int, ...]


def shapes(network: Network) -> dict[str, Shape]:
    """The shape of the input and of every node, by name."""
    found: dict[str, Shape] = {INPUT: network.input_shape}
    left: list[Node] = list(network.nodes)
    while left:
        ready = [n for n in left if n.inputs[0] in found or isinstance(n.op, Linear)]
        if not ready:
            names = ", ".join(node.name for node in left)
            raise ValueError(f"nodes must follow from the input, not {names}")
        for node in ready:
            found[node.name] = _shape(node.op, found.get(node.inputs[0], ()))
        left = [node for node in left if node.name not in found]
    return found


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
        return (int(np.prod(shape, dtype=np.int64)),)
    return shape


def _windows(size: Shape, kernel: Shape, stride: tuple[int, int]) -> Shape:
    return tuple((n - k) // s + 1 for n, k, s in zip(size, kernel, stride, strict=True))
