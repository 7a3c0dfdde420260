"""The inputs of a graph as blocks: which axis is time, which samples, what shape a frame has."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import onnx

from qsnn_compile.loader.nodes import OnnxError

from .blocks import Block, Ids, Sym, Value
from .loops import MAX_STEPS
from .step import Step
from .trace import Trace

Dims = tuple[int | None, ...]


@dataclass(frozen=True)
class Plan:
    """How to look at the input: its time axis (None: no such axis) and an axis of samples that
    are all the same sample."""

    time: int | None
    samples: int | None = None


def dims_of(value: onnx.ValueInfoProto) -> Dims:
    if not value.type.HasField("tensor_type"):
        raise OnnxError(f"input {value.name!r}: must be a tensor; export the network again")
    return tuple(dim.dim_value if dim.HasField("dim_value") and dim.dim_value > 0 else None
                 for dim in value.type.tensor_type.shape.dim)


def sizes(dims: Dims, unknown: int) -> tuple[int, ...]:
    return tuple(unknown if size is None else size for size in dims)


def input_block(trace: Trace, shape: tuple[int, ...], samples: int | None) -> tuple[Block, Value]:
    """A block for an input, without the sample axis, and its value."""
    trace.fit("input", *shape)
    bare = shape if samples is None else (1, *shape[1:])
    block = trace.add("input", bare[1:] if len(bare) > 1 and bare[0] == 1 else bare)
    ids = trace.ids(block).reshape(bare)
    return block, Sym(np.broadcast_to(ids, shape))


def frames_of(trace: Trace, shape: tuple[int, ...], plan: Plan) -> tuple[Ids, list[int]]:
    """The ids of x and the blocks of its frames."""
    trace.fit("input", *shape)
    count = 1 if plan.time is None else shape[plan.time]
    rest = [n for axis, n in enumerate(shape) if axis != plan.time]
    parts, blocks = [], []
    for _ in range(count):
        size = list(rest)
        where = None if plan.samples is None else \
            plan.samples - (plan.time is not None and plan.time < plan.samples)
        if where is not None:
            size[where] = 1
        block = trace.add("input", tuple(size))
        parts.append(np.broadcast_to(trace.ids(block), rest))
        blocks.append(block.index)
    ids = parts[0] if plan.time is None else np.stack(parts, plan.time)
    return ids, blocks


def plans(dims: Dims) -> Iterator[Plan]:
    """Ways to look at an input, the likeliest first: a batch of samples, which must show up in
    the output, then one sample; time first, samples first, no time."""
    def many(axis: int) -> bool:
        return axis < len(dims) - 1 and 1 < (dims[axis] or 2) <= MAX_STEPS

    def batch(axis: int) -> bool:
        return axis < len(dims) - 1 and 1 < (dims[axis] or 1) <= MAX_STEPS
    if many(0) and batch(1):
        yield Plan(0, 1)
    if many(1) and batch(0):
        yield Plan(1, 0)
    if batch(0):
        yield Plan(None, 0)
    for axis in (0, 1):
        if many(axis):
            yield Plan(axis)
    yield Plan(None)


def tied(values: Iterable[Value], samples: int) -> bool:
    """Whether some value has an axis of *samples* samples that are all the same."""
    return any(isinstance(v, Sym) and v.ids.shape[axis] == samples and
               bool((v.ids == v.ids.take([0], axis)).all())
               for v in values if isinstance(v, Sym) for axis in range(v.ids.ndim))


def first_sample(value: Value) -> Value:
    """One sample of a value whose samples are all the same."""
    if isinstance(value, Sym) and value.ids.ndim > 1 and value.ids.shape[0] > 1 and \
            (value.ids == value.ids[:1]).all():
        return Sym(value.ids[:1], value.kind)
    return value


def repeats(trace: Trace) -> bool:
    """Whether a layer is applied more than once: the file is more than a step."""
    keys = [(b.op, b.params.key) for b in trace.blocks if b.op in ("linear", "conv")]
    return len(keys) != len(set(keys))


def input_among(trace: Trace, blocks: Mapping[str, Block], names: object) -> list[str]:
    """The one of *names* that layers read, alone or first."""
    by_index = {blocks[name].index: name for name in names}  # type: ignore[attr-defined]
    for block in trace.blocks:
        if block.reads is not None:
            for owner in np.unique(trace.where(block.reads.ravel())):
                if int(owner) in by_index:
                    return [by_index[int(owner)]]
    return []


def input_shape(step: Step, x: Block) -> tuple[int, ...]:
    """A frame's shape without an axis of one sample, as the first layer reads it."""
    for block in step.trace.blocks:
        if block.op in ("conv", "pool") and block.reads is not None and \
                np.array_equal(np.ravel(block.reads), np.ravel(step.trace.ids(x))):
            return block.reads.shape
    shape = x.shape
    return shape[1:] if len(shape) > 1 and shape[0] == 1 else shape
