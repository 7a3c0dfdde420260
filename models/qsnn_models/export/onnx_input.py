"""The first node of a file that takes real numbers: its input's codes, made in the file itself."""

import numpy as np
import onnx
from onnx import FunctionProto, GraphProto, TensorProto, helper, numpy_helper

from qsnn_compile.ir import Input

from .onnx_qlif import DOMAIN, Body

NAME = "Codes"


def take_reals(graph: GraphProto, source: Input) -> FunctionProto:
    """Make *graph*, which takes the codes of *source*, take real numbers under the same name;
    the function that the new node calls."""
    codes = f"{source.name}.codes"
    _rename(graph, source.name, codes)
    scale, zero = (f"{source.name}.{field}" for field in ("scale", "zero_point"))
    graph.initializer.extend(numpy_helper.from_array(np.asarray(values), name) for name, values in
                             zip((scale, zero), source.per_channel(), strict=True))
    graph.node.insert(0, helper.make_node(NAME, [source.name, scale, zero], [codes], codes,
                                          domain=DOMAIN, top=source.top))
    return _function()


def _rename(graph: GraphProto, old: str, new: str) -> None:
    """Make all nodes of *graph* and of the graphs inside it read *new* for *old*."""
    for node in graph.node:
        node.input[:] = [new if name == old else name for name in node.input]
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                _rename(attribute.g, old, new)


def _function() -> FunctionProto:
    """``clip(round(x / scale) + zero_point, 0, top)``, ties to even, in double precision."""
    body = Body()
    rounded = body.op("Round", body.op("Div", body.double("x"), "scale"))
    codes = body.op("Clip", body.op("Add", rounded, "zero_point"), body.number(0.0),
                    body.double(body.attribute("top")))
    body.op("Cast", codes, out="codes", to=TensorProto.FLOAT)
    return body.function(NAME, ["x", "scale", "zero_point"], ["codes"])
