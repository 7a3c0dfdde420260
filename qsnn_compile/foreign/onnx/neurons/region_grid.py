"""A quantised state: a table looked up by the index of its nearest entry, found by asking."""

import numpy as np
from numpy.typing import NDArray

from qsnn_compile.foreign.onnx.trace.blocks import Block
from qsnn_compile.foreign.onnx.trace.evaluate import evaluate
from qsnn_compile.foreign.onnx.trace.trace import Trace
from qsnn_compile.loader.nodes import OnnxError

Array = NDArray[np.float64]


def find_levels(trace: Trace, block: Block) -> tuple[int, Array]:
    """The block that the Lookup *block* quantises, and its levels, sorted.

    Raises OnnxError unless every element becomes the level nearest to it.
    """
    argument = _argument(trace, block)
    levels = np.unique(np.asarray(block.params.table, np.float64))
    probes = _probes(levels, trace.blocks[argument].size)
    answers = evaluate(trace, [block.index], {argument: probes})[block.index]
    middle = (levels[1:] + levels[:-1]) / 2
    expected = levels[np.searchsorted(middle, probes, side="left")]
    if not np.allclose(answers, expected):
        raise OnnxError(f"{block.origin}: a table must be looked up by its nearest entry, not by "
                        "another rule; qsnn knows quantised states only")
    return argument, levels


def _argument(trace: Trace, block: Block) -> int:
    """What the table's index is computed from: the last block of as many elements."""
    index = block.operands[0].block
    while True:
        current = trace.blocks[index]
        if current.reads is not None:
            owners = np.unique(trace.where(current.reads.ravel()))
            sources = [int(owner) for owner in owners if trace.blocks[owner].op != "const"]
        else:
            sources = [o.block for o in current.operands if o.value is None]
        if len(sources) != 1:
            raise OnnxError(f"{block.origin}: a table must be looked up by one value's nearest "
                            f"entry, not by one of {len(sources)} values")
        wide = current.size != block.size
        index = sources[0]
        if wide and trace.blocks[index].size == block.size:
            return index


def _probes(levels: Array, size: int) -> Array:
    """Values between, on and outside the levels, in another order for every element."""
    middle = (levels[1:] + levels[:-1]) / 2
    gap = np.diff(levels) * 0.01
    values = np.concatenate([levels, middle - gap, middle + gap, [levels[0] - 10, levels[-1] + 10]])
    rng = np.random.default_rng(0)
    return np.stack([rng.permutation(values) for _ in range(size)], axis=1)


def between(levels: Array, threshold: Array, strict: bool) -> Array:
    """The potential over which the nearest level is over *threshold*."""
    place = np.searchsorted(levels, threshold, side="right" if strict else "left")
    if np.any(place == 0):
        raise OnnxError("the threshold must lie over the lowest level of a quantised state, not "
                        f"{float(np.min(threshold))!r}; choose more levels")
    top = np.append(levels, np.inf)
    return np.asarray((top[place - 1] + top[place]) / 2)
