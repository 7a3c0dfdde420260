"""The IR as text that people read and diff, and back.

::

    qsnn.ir 1
    graph "mnist" {steps: 4}
    input x {shape: (784), bits: 8, coding: direct, scale: 0.00392156862745098}
    fc1 = dense(x) {
      bits: 1,
      weight: <10x784 bit
        93f0...>
    }
    n1 = neuron(fc1) {bits: 4, threshold: [3, 5, ...], decay: 1, decay_shift: 1}
    readout count(n1)

A field at its default is left out. A large array is ``<SHAPE FORMAT BODY>``: ``dec`` is decimal
numbers; ``bit`` packs -1/+1 as 0/1, ``hexB`` two's complement of B bits, big-endian, in
hexadecimal, each index of the first axis on a line of its own and padded to whole bytes.
"""

import dataclasses
import json
import textwrap
from typing import Any

import numpy as np

from .graph import Graph, Node, Readout
from .input import Input
from .ops import Add, Conv2d, Delay, Dense, Flatten, Ints, MaxPool, Neuron, Op, SumPool, Synapse

HEADER = "qsnn.ir 1"
OPERATORS: dict[str, type[Op]] = {
    "dense": Dense, "conv2d": Conv2d, "max_pool": MaxPool, "sum_pool": SumPool,
    "flatten": Flatten, "add": Add, "delay": Delay, "neuron": Neuron,
}
_COLUMNS = 100
_INLINE = 64            # an array of more characters gets lines of its own
_DECIMAL = 4096         # a vector up to here stays readable
_NAMES = {cls: name for name, cls in OPERATORS.items()}


def to_text(graph: Graph) -> str:
    """*graph* as text: the same bytes for equal graphs, and ``parse`` gives the graph back."""
    source = f"input {graph.input.name}"
    readout = f"readout {graph.readout.kind}({graph.readout.source})"
    return "\n".join([
        HEADER,
        f"graph {json.dumps(graph.name)} {{steps: {graph.steps}}}",
        _statement(source, graph.input, ("name",)),
        *(_node(node) for node in graph.nodes),
        _statement(readout, graph.readout, ("kind", "source")),
    ]) + "\n"


def equal(a: object, b: object) -> bool:
    """Whether two graphs (or nodes, operators, arrays) are the same, names and all."""
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return bool(np.array_equal(a, b))
    if type(a) is not type(b):
        return False
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(map(equal, a, b))
    if dataclasses.is_dataclass(a):
        return all(equal(getattr(a, field.name), getattr(b, field.name))
                   for field in dataclasses.fields(a))
    return a == b


def _node(node: Node) -> str:
    return _statement(f"{node.name} = {_NAMES[type(node.op)]}({', '.join(node.inputs)})", node.op)


def _statement(head: str, item: Op | Input | Readout | Synapse, skip: tuple[str, ...] = ()) -> str:
    fields = _fields(item, skip)
    if not fields:
        return head
    line = f"{head} {{{', '.join(fields)}}}"
    if len(line) <= _COLUMNS - (0 if head else 16) and "\n" not in line:
        return line
    return "\n".join([f"{head} {{", textwrap.indent(",\n".join(fields), "  "), "}"])


def _fields(item: Any, skip: tuple[str, ...] = ()) -> list[str]:
    return [f"{field.name}: {_value(getattr(item, field.name))}"
            for field in dataclasses.fields(item)
            if field.name not in skip and not _is_default(item, field)]


def _is_default(item: object, field: "dataclasses.Field[Any]") -> bool:
    default = field.default
    if field.default_factory is not dataclasses.MISSING:
        default = field.default_factory()
    return default is not dataclasses.MISSING and equal(getattr(item, field.name), default)


def _value(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return _array(value)
    if isinstance(value, tuple):
        return f"({', '.join(json.dumps(v) if isinstance(v, str) else repr(v) for v in value)})"
    if isinstance(value, Synapse):
        return _statement("", value).lstrip()
    return value if isinstance(value, str) else repr(value)


def _array(array: Ints) -> str:
    inline = str(array.tolist()) if 0 < array.size <= _INLINE // 2 else None
    if inline is not None and len(inline) <= _INLINE:
        return inline
    shape = "x".join(map(str, array.shape))
    if array.size == max(array.shape) <= _DECIMAL:
        body = textwrap.fill(" ".join(map(str, array.ravel().tolist())), _COLUMNS - 8,
                             break_on_hyphens=False)
        return f"<{shape} dec\n{textwrap.indent(body, '  ')}>"
    bits = _bits(array)
    rows = [textwrap.fill(_hex(row, bits), _COLUMNS - 8, subsequent_indent="  ")
            for row in array.reshape(len(array), -1)] if array.size else []
    name = "bit" if bits == 1 else f"hex{bits}"
    return f"<{shape} {name}\n{textwrap.indent(chr(10).join(rows), '  ')}>"


def _bits(array: Ints) -> int:
    """The narrowest of the packed formats that holds *array*: 1 is {-1, +1}."""
    if np.isin(array, (-1, 1)).all():
        return 1
    low, high = int(array.min()), int(array.max())
    return next(b for b in (2, 4, 8, 16, 32, 64) if -(1 << b - 1) <= low and high < 1 << b - 1)


def _hex(row: Ints, bits: int) -> str:
    if bits == 1:
        return np.packbits(row > 0).tobytes().hex()
    if bits >= 8:
        return row.astype(f">i{bits // 8}").tobytes().hex()
    planes = (row[:, None] >> np.arange(bits - 1, -1, -1)) & 1
    return np.packbits(planes.astype(np.uint8).ravel()).tobytes().hex()
