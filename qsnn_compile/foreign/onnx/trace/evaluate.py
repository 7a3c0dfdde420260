"""The blocks of a trace in numbers: what the file itself computes, for confirming what was read."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from qsnn_compile.reals.float_operators import convolve, pooled

from .blocks import Block, Operand
from .elementwise import compute
from .pools import PoolParams
from .trace import Trace, operand_blocks

Array = NDArray[Any]


def cone(trace: Trace, wanted: Iterable[int], stop: Iterable[int] = ()) -> list[int]:
    """The blocks that *wanted* need, in order, up to those of *stop*."""
    ends, seen, todo = set(stop), set(), list(wanted)
    while todo:
        index = todo.pop()
        if index not in seen:
            seen.add(index)
            if index not in ends:
                todo += operand_blocks(trace.blocks[index], trace)
    return sorted(seen)


def evaluate(trace: Trace, wanted: Iterable[int], given: Mapping[int, Array],
             dtype: DTypeLike = np.float64) -> dict[int, Array]:
    """The values [samples, size] of the blocks *wanted*, from those of *given* in all samples."""
    wanted = list(wanted)
    values: dict[int, Array] = dict(given)
    samples = max((len(value) for value in given.values()), default=1)
    for index in cone(trace, wanted, given):
        if index not in values:
            values[index] = _block(trace, trace.blocks[index], values, samples, dtype)
    return {index: values[index] for index in wanted}


def _block(trace: Trace, block: Block, values: Mapping[int, Array], samples: int,
           dtype: DTypeLike) -> Array:
    if block.reads is None:
        arrays = [_operand(operand, values, dtype) for operand in block.operands]
        result = np.broadcast_to(compute(block.op, block.params, arrays), (samples, block.size))
        return result if result.dtype == np.bool_ else result.astype(dtype)
    reads = gather(trace, block, values, samples, dtype)
    return _apply(block, reads.reshape(samples, *block.reads.shape)).reshape(samples, -1)


def _operand(operand: Operand, values: Mapping[int, Array], dtype: DTypeLike) -> Array:
    if operand.value is not None:
        return operand.value if operand.value.dtype == np.bool_ else operand.value.astype(dtype)
    array = values[operand.block]
    return array if operand.at is None else array[:, operand.at]


def gather(trace: Trace, block: Block, values: Mapping[int, Array], samples: int,
           dtype: DTypeLike) -> Array:
    """What *block* reads, [samples, reads]."""
    if block.reads is None:
        raise ValueError("an elementwise block has operands")
    ids = block.reads.ravel()
    owners = trace.where(ids)
    result = np.empty((samples, ids.size), dtype)
    for owner in np.unique(owners):
        source, here = trace.blocks[int(owner)], owners == owner
        at = ids[here] - source.start
        result[:, here] = source.params[at] if source.op == "const" else values[int(owner)][:, at]
    return result


def _apply(block: Block, x: Array) -> Array:
    params = block.params
    if block.op == "linear":
        return np.asarray(x @ params.weight.T.astype(x.dtype) + params.bias.astype(x.dtype))
    if block.op == "conv":
        return convolve(x, params.weight, params.bias, params.stride, params.padding,
                        params.groups)
    if isinstance(params, PoolParams):
        return pooled(x, params.kind, params.kernel, params.stride)
    if block.op in ("argmin", "argmax"):
        values = x[..., ::-1] if params else x
        index = np.argmin(values, -1) if block.op == "argmin" else np.argmax(values, -1)
        return np.asarray(x.shape[-1] - 1 - index if params else index)
    raise ValueError(f"{block.op} has no value")
