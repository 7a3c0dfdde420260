"""The shape of every value, from the input's. Shapes leave out the sample axis."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from types import MappingProxyType

from .errors import IrError, require
from .graph import Graph
from .ops import Add, Conv2d, Delay, Dense, Flatten, MaxPool, Neuron, Op, SumPool

Shape = tuple[int, ...]
Known = list[Shape | None]


@lru_cache(maxsize=4)               # graphs never change
def shapes(graph: Graph) -> Mapping[str, Shape]:
    """The shape of the input and of every node's value, by name.

    Raises IrError where the shapes of an operator's inputs don't fit it, or where a loop through a
    Delay leaves a shape open.
    """
    known: dict[str, Shape] = {graph.input.name: graph.input.shape}
    # A Delay may read a later node: sweep until a sweep adds nothing, the last one checks all.
    size = -1
    while size != len(known):
        size = len(known)
        for node in graph.nodes:
            shape = infer(node.name, node.op, [known.get(name) for name in node.inputs])
            if shape is not None:
                known[node.name] = shape
    for node in graph.nodes:
        if node.name not in known:
            raise IrError(f"node {node.name!r}: its shape must follow from the input's, "
                          f"not only from itself through a Delay")
    return MappingProxyType(known)


def infer(name: str, op: Op, inputs: Known) -> Shape | None:
    """The shape of *op*'s value from those of its inputs, None where it isn't settled yet."""
    return _RULES[type(op)](f"node {name!r}", op, inputs)


def _same(where: str, op: Op, inputs: Known) -> Shape | None:
    return inputs[0]


def _dense(where: str, op: Dense, inputs: Known) -> Shape | None:
    require(op.weight.ndim == 2, where, "weight must be [C, N]", op.weight.shape)
    channels, length = op.weight.shape
    if inputs[0] is not None:
        require(inputs[0] == (length,), where, f"input must be of shape ({length},)", inputs[0])
    return (channels,)


def _conv2d(where: str, op: Conv2d, inputs: Known) -> Shape | None:
    require(op.weight.ndim == 4, where, "weight must be [C, C_in / groups, kh, kw]",
            op.weight.shape)
    channels, depth, *kernel = op.weight.shape
    require(op.groups >= 1 and channels % op.groups == 0, where,
            f"groups must divide the {channels} output channels", op.groups)
    require(min(op.padding) >= 0, where, "padding must not be negative", op.padding)
    if inputs[0] is None:
        return None
    planes, height, width = _image(where, inputs[0])
    require(planes == depth * op.groups, where,
            f"input must have {depth} x {op.groups} channels (weight's x groups)", planes)
    top, left, bottom, right = op.padding
    padded = (height + top + bottom, width + left + right)
    return (channels, *_windows(where, padded, (kernel[0], kernel[1]), op.stride))


def _pool(where: str, op: MaxPool | SumPool, inputs: Known) -> Shape | None:
    if inputs[0] is None:
        return None
    channels, height, width = _image(where, inputs[0])
    return (channels, *_windows(where, (height, width), op.kernel, op.stride))


def _flatten(where: str, op: Flatten, inputs: Known) -> Shape | None:
    if inputs[0] is None:
        return None
    length = 1
    for size in inputs[0]:
        length *= size
    return (length,)


def _add(where: str, op: Add, inputs: Known) -> Shape | None:
    settled = [shape for shape in inputs if shape is not None]
    for shape in settled[1:]:
        require(shape == settled[0], where, f"inputs must all be of shape {settled[0]}", shape)
    return settled[0] if settled else None


def _image(where: str, shape: Shape) -> tuple[int, int, int]:
    require(len(shape) == 3, where, "input must be of shape (channels, height, width)", shape)
    return shape[0], shape[1], shape[2]


def _windows(where: str, image: tuple[int, int], kernel: tuple[int, int],
             stride: tuple[int, int]) -> Shape:
    require(min(kernel) >= 1, where, "kernel must be at least 1 x 1", kernel)
    require(min(stride) >= 1, where, "stride must be at least 1", stride)
    require(kernel[0] <= image[0] and kernel[1] <= image[1], where,
            f"kernel must fit in the {image[0]} x {image[1]} image, padding included", kernel)
    return tuple((size - k) // s + 1 for size, k, s in zip(image, kernel, stride, strict=True))


_RULES: dict[type, Callable[..., Shape | None]] = {
    Dense: _dense, Conv2d: _conv2d, MaxPool: _pool, SumPool: _pool, Flatten: _flatten, Add: _add,
    Delay: _same, Neuron: _same,
}
