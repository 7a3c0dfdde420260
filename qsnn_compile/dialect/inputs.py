"""The node that makes codes of a file's real input: a scale and a zero point, one or one a channel.
"""

from dataclasses import replace

import numpy as np

from qsnn_compile.ir import Input
from qsnn_compile.loader.nodes import Array, OnnxFile, OnnxNode
from qsnn_compile.loader.tensors import graphs

CODES = "qsnn::Codes"
EXPORT = "export the file again"


def codes_of(file: OnnxFile) -> OnnxNode | None:
    """The node that makes the codes, if the file takes reals. Raises OnnxError where anything else
    reads the reals."""
    nodes = [node for graph in graphs(file.model.graph) for node in file.nodes(graph)]
    made = [node for node in nodes if node.op == CODES]
    if not made:
        return None
    if len(made) > 1:
        made[1].fail(f"there must be one such node, not {len(made)!r}; {EXPORT}")
    for node in nodes:
        if made[0].inputs[0] in node.inputs and node.op not in (CODES, "Shape"):
            node.fail(f"input must be the codes {made[0].outputs[0]!r}, not the real "
                      f"{made[0].inputs[0]!r}; {EXPORT}")
    return made[0]


def reals_of(file: OnnxFile, node: OnnxNode, source: Input) -> Input:
    """*source* as the reals that *node* makes codes of."""
    if node.inputs[0] != source.name:
        node.fail(f"input must be the file's {source.name!r}, not {node.inputs[0]!r}; {EXPORT}")
    bits, top = file.integer("input_bits", EXPORT), node.integer("top")
    if not 0 <= bits <= 8 or top != (1 << bits) - 1:
        node.fail(f"top must be that of qsnn.input_bits {bits}, not {top!r}; {EXPORT}")
    constants = file.constants(file.model.graph)
    scale, zero = (_numbers(node, what, constants.get(name), len(source.shape)) for what, name in
                   zip(("scale", "zero_point"), node.inputs[1:], strict=True))
    if any(value != int(value) for value in zero):
        node.fail(f"zero_point must be whole numbers, not {zero!r}; {EXPORT}")
    whole = tuple(map(int, zero))
    return replace(source, takes="reals", scale=scale if len(scale) > 1 else scale[0],
                   zero_point=whole if len(whole) > 1 else whole[0])


def _numbers(node: OnnxNode, what: str, array: Array | None, rank: int) -> tuple[float, ...]:
    """One number, or one a channel, the first of *rank* axes."""
    if array is None or array.dtype.kind != "f" or not array.size \
            or array.shape not in ((), (1,), (array.size, *[1] * (rank - 1))) \
            or not np.isfinite(array).all():
        shown = None if array is None else list(array.shape)
        node.fail(f"{what} must be a constant, one finite number or one a channel, not {shown!r}; "
                  f"{EXPORT}")
    return tuple(array.ravel().tolist())
