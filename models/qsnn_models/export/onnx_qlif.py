"""The bodies of ``qsnn::QLIF`` and ``qsnn::WideConv``: model-local functions of standard operators.

QLIF computes in double precision, whose integers are exact to 2^53. A function body is fixed, so
there is one function a form; see docs/onnx-dialect.md.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import AttributeProto, FunctionProto, NodeProto, TensorProto, helper, numpy_helper

from qsnn_compile.ir import Neuron

DOMAIN = "qsnn"
OPSET = 18

Emit = Callable[..., str]


def form(op: Neuron) -> str:
    """The function's name for *op*: QLIF, then what departs from hard reset and one spike."""
    parts = ["" if op.reset == "hard" else op.reset, "multi" if op.max_spikes > 1 else "",
             "clamp" if op.clamp is not None else "", "syn" if op.synapse is not None else ""]
    return "_".join(["QLIF", *(part for part in parts if part)])


class Body:
    """The nodes of a function, written one expression a line."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.attributes: list[str] = []

    def op(self, kind: str, *inputs: str, out: str = "", **attributes: Any) -> str:
        out = out or f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [out], **attributes))
        return out

    def double(self, value: str) -> str:
        return self.op("Cast", value, to=TensorProto.DOUBLE)

    def number(self, value: float) -> str:
        tensor = numpy_helper.from_array(np.array(value, np.float64))
        return self.op("Constant", value=tensor)

    def attribute(self, name: str, many: bool = False) -> str:
        """An integer attribute of the function (*many*: a list) as an int64 tensor."""
        self.attributes.append(name)
        node = helper.make_node("Constant", [], [f"attribute_{name}"])
        kind = AttributeProto.INTS if many else AttributeProto.INT
        node.attribute.append(AttributeProto(name="value_ints" if many else "value_int",
                                             ref_attr_name=name, type=kind))
        self.nodes.append(node)
        return str(node.output[0])

    def array(self, name: str) -> str:
        """The attributes NAME and NAME_shape as a double tensor."""
        shape = self.attribute(f"{name}_shape", many=True)
        return self.op("Reshape", self.double(self.attribute(name, many=True)), shape)

    def power(self, exponent: str) -> str:
        return self.op("Pow", self.number(2.0), exponent)

    def clip(self, value: str, bits: str, out: str = "") -> str:
        """*value* held to two's complement of *bits* bits."""
        limit = self.power(self.op("Sub", self.double(bits), self.number(1.0)))
        high = self.op("Sub", limit, self.number(1.0))
        return self.op("Clip", value, self.op("Neg", limit), high, out=out)

    def function(self, name: str, inputs: list[str], outputs: list[str]) -> FunctionProto:
        opsets = [helper.make_opsetid("", OPSET)]
        return helper.make_function(DOMAIN, name, inputs, outputs, self.nodes, opsets,
                                    [*self.attributes, *_SPOKEN.get(name.split("_")[0], [])])


_SPOKEN = {"QLIF": ["reset"]}       # repeats the form for readers; the body doesn't use it


def qlif(op: Neuron) -> FunctionProto:
    """The function of *op*'s form: the equations of `qsnn_compile.ir.Neuron`, line by line."""
    body = Body()
    inputs = ["current", "u", "bias", "threshold", "reset_value", "step_shift"]
    outputs = ["spikes", "u_next"]
    drive = body.double("current")
    if op.synapse is not None:
        inputs, outputs = [*inputs, "i"], [*outputs, "i_next"]
        drive = _synapse(body, drive)
    v = _integrate(body, drive)
    threshold = body.double("threshold")
    fired = body.op("GreaterOrEqual", v, threshold)
    s = _multi(body, v, threshold) if op.max_spikes > 1 else body.double(fired)
    after = _reset(body, op.reset, v, s, fired)
    if op.clamp is not None:
        after = body.op("Max", after, body.array("clamp"))
    body.op("CastLike", s, "current", out="spikes")
    body.op("CastLike", _store(body, after), "u", out="u_next")
    return body.function(form(op), inputs, outputs)


def _synapse(body: Body, current: str) -> str:
    """``i = clip(floor(i · m / 2^q) + I)``, which the membrane then integrates."""
    decayed = body.op("Mul", body.double("i"), body.array("syn_decay"))
    shift = body.power(body.double(body.attribute("syn_decay_shift")))
    kept = body.op("Floor", body.op("Div", decayed, shift))
    i = body.clip(body.op("Add", kept, current), body.attribute("syn_bits"))
    body.op("CastLike", i, "i", out="i_next")
    return i


def _integrate(body: Body, drive: str) -> str:
    """``v = floor(u · 2^k · m / 2^q) + I · 2^f + b``"""
    membrane = body.op("Mul", body.double("u"), body.power(body.double("step_shift")))
    decayed = body.op("Mul", membrane, body.array("decay"))
    shift = body.power(body.double(body.attribute("decay_shift")))
    kept = body.op("Floor", body.op("Div", decayed, shift))
    gain = body.power(body.double(body.attribute("gain_shift")))
    driven = body.op("Add", kept, body.op("Mul", drive, gain))
    return body.op("Add", driven, body.double("bias"))


def _multi(body: Body, v: str, threshold: str) -> str:
    """``s = min(n, max(0, floor(v / θ)))``"""
    count = body.op("Floor", body.op("Div", v, threshold))
    most = body.double(body.attribute("max_spikes"))
    return body.op("Clip", count, body.number(0.0), most)


def _reset(body: Body, reset: str, v: str, s: str, fired: str) -> str:
    """``r (hard) | v - s · ρ (soft) | v (none)``"""
    if reset == "none":
        return v
    value = body.double("reset_value")
    if reset == "hard":
        return body.op("Where", fired, value, v)
    return body.op("Sub", v, body.op("Mul", s, value))


def _store(body: Body, v: str) -> str:
    """``u' = clip(floor((v + 2^(k-1)) / 2^k))``; half a step is floor(2^k / 2), 0 for k = 0."""
    step = body.power(body.double("step_shift"))
    half = body.op("Floor", body.op("Div", step, body.number(2.0)))
    rounded = body.op("Floor", body.op("Div", body.op("Add", v, half), step))
    return body.clip(rounded, body.attribute("bits"))


def wide_conv(chunks: int) -> FunctionProto:
    """A convolution whose sums may reach 2^24, where onnxruntime has only floats: x is cut into
    *chunks* digits of ``chunk_bits`` bits, each convolved exactly, the results added in double."""
    body = Body()
    base = body.op("Cast", body.power(body.double(body.attribute("chunk_bits"))),
                   to=TensorProto.FLOAT)
    total, unit, rest = "", body.number(1.0), "x"
    for index in range(chunks):
        higher = body.op("Floor", body.op("Div", rest, base))
        digit = rest if index == chunks - 1 else body.op(
            "Sub", rest, body.op("Mul", higher, base))
        part = body.op("Mul", body.double(_conv(body, digit)), unit)
        total = body.op("Add", total, part, out="y" if index == chunks - 1 else "") \
            if total else part
        unit, rest = body.op("Mul", unit, body.double(base)), higher
    body.attributes += ["strides", "pads", "group"]
    return body.function(f"WideConv{chunks}", ["x", "weight"], ["y"])


def _conv(body: Body, x: str) -> str:
    out = body.op("Conv", x, "weight")
    for name, kind in (("strides", AttributeProto.INTS), ("pads", AttributeProto.INTS),
                       ("group", AttributeProto.INT)):
        body.nodes[-1].attribute.append(AttributeProto(name=name, ref_attr_name=name, type=kind))
    return out
