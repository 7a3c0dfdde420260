"""What every node of a model file must obey: as many inputs and outputs as its operator has, the
attributes that the operator has, of their types, and names of their own. One table of arities for
both front ends: ONNX's schemas, the file's own functions, and a few operators of others."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

import onnx
from onnx import AttributeProto

from .parse import OnnxError

EXPORT = "export the network again"
OTHERS = {                      # inputs at least, at most; outputs at least, at most
    "QLIF": (6, 7, 1, 3), "WideConv": (2, 3, 1, 1), "Codes": (3, 3, 1, 1),
    "Quant": (4, 4, 1, 1), "BipolarQuant": (2, 2, 1, 1), "Trunc": (4, 6, 1, 1),
}
OURS = ("QLIF", "WideConv", "Codes")     # names that go on with the form of the neuron
_OPTION = onnx.defs.OpSchema.FormalParameterOption
_NUMBERS = {getattr(onnx.defs.OpSchema.AttrType, name): number
            for name, number in AttributeProto.AttributeType.items() if name != "UNDEFINED"}


@dataclass(frozen=True)
class Arity:
    """How many inputs and outputs an operator has; which inputs may be left empty; its attributes
    by name, each with its type and whether it must be there (None: not known)."""

    inputs: tuple[int, int]
    outputs: tuple[int, int]
    optional: frozenset[int]
    attributes: Mapping[str, tuple[int, bool]] | None = None


def check_node(node: onnx.NodeProto, versions: Mapping[str, int],
               functions: Mapping[tuple[str, str], onnx.FunctionProto]) -> None:
    """Refuse *node* unless it has what its operator takes, in the opset *versions* by domain. An
    operator that is not known here is left to the front ends. Raises OnnxError."""
    names = [attribute.name for attribute in node.attribute]
    if len(set(names)) != len(names):
        fail(node, f"attributes must be given once, not as {sorted(names)!r}; {EXPORT}")
    for attribute in node.attribute:
        _check_value(node, attribute)
    arity = _arity(node, versions, functions)
    if arity is not None:
        _check_arity(node, arity)
        _check_attributes(node, arity)
    if node.domain in ("", "ai.onnx"):
        _check_bodies(node)
    if not any(node.output):
        fail(node, f"must have an output, not none; {EXPORT}")


def fail(node: onnx.NodeProto, message: str) -> NoReturn:
    """Raise OnnxError with the node before *message*."""
    name = node.name or next(filter(None, node.output), "")
    raise OnnxError(f"node {name!r} ({node.op_type}): {message}")


def _arity(node: onnx.NodeProto, versions: Mapping[str, int],
           functions: Mapping[tuple[str, str], onnx.FunctionProto]) -> Arity | None:
    if node.domain in ("", "ai.onnx"):
        return _standard(node.op_type, versions.get("", onnx.defs.onnx_opset_version()))
    ours = [name for name in OURS if node.domain == "qsnn" and node.op_type.startswith(name)]
    others = OTHERS.get(ours[0] if ours else node.op_type)
    function = functions.get((node.domain, node.op_type))
    if function is not None and not ours:
        return Arity((0, len(function.input)), (0, len(function.output)),
                     frozenset(range(len(function.input))))
    return None if others is None else Arity(others[:2], others[2:], frozenset({2}))


def _standard(op: str, version: int) -> Arity | None:
    """What ONNX says; what its newest version says of an operator that *version* doesn't have."""
    for limit in (version, onnx.defs.onnx_opset_version()):
        try:
            schema = onnx.defs.get_schema(op, limit, "")
        except onnx.defs.SchemaError:
            continue
        optional = {i for i, given in enumerate(schema.inputs) if given.option == _OPTION.Optional}
        attributes = {name: (_NUMBERS[a.type], bool(a.required))
                      for name, a in schema.attributes.items()}
        return Arity((schema.min_input, schema.max_input), (schema.min_output, schema.max_output),
                     frozenset(optional), attributes)
    return None


def _check_arity(node: onnx.NodeProto, arity: Arity) -> None:
    for what, names, (low, high) in (("inputs", node.input, arity.inputs),
                                     ("outputs", node.output, arity.outputs)):
        if not low <= len(names) <= high:
            most = "any number" if high > 1000 else str(high)
            wanted = str(low) if low == high else f"{low} to {most}"
            fail(node, f"must have {wanted} {what}, not {len(names)!r}; {EXPORT}")
    for place, name in enumerate(node.input):
        if not name and place not in arity.optional:
            fail(node, f"input {place} must be a value, not empty; {EXPORT}")


# -- attributes -----------------------------------------------------------------------------------

def _check_attributes(node: onnx.NodeProto, arity: Arity) -> None:
    if arity.attributes is None:
        return
    for attribute in node.attribute:
        known = arity.attributes.get(attribute.name)
        if known is None and not attribute.name.startswith("__"):
            fail(node, f"attribute must be one of {', '.join(sorted(arity.attributes)) or 'none'}, "
                       f"not {attribute.name!r}; {EXPORT}")
        if known is not None and known[0] != attribute.type:
            fail(node, f"attribute {attribute.name} must be of type {_type(known[0])}, not "
                       f"{_type(attribute.type)}; {EXPORT}")
    given = {attribute.name for attribute in node.attribute}
    for name, (_, required) in arity.attributes.items():
        if required and name not in given:
            fail(node, f"attribute {name} must be given, not left out; {EXPORT}")


def _type(number: int) -> str:
    try:
        return str(AttributeProto.AttributeType.Name(number))
    except ValueError:
        return str(number)


def _check_value(node: onnx.NodeProto, attribute: onnx.AttributeProto) -> None:
    """Refuse an attribute that does not hold what its type says."""
    for kind, name in ((AttributeProto.TENSOR, "t"), (AttributeProto.GRAPH, "g")):
        if attribute.type == kind and not attribute.HasField(name):
            fail(node, f"attribute {attribute.name} must hold a {_type(kind)}, not nothing; "
                       f"{EXPORT}")
    if any(math.isnan(number) for number in (attribute.f, *attribute.floats)):
        fail(node, f"attribute {attribute.name} must be a number, not nan; {EXPORT}")
    try:
        for text in (attribute.s, *attribute.strings):
            text.decode()
    except UnicodeDecodeError:
        fail(node, f"attribute {attribute.name} must be text in UTF-8, not {text[:20]!r}; {EXPORT}")


# -- bodies ---------------------------------------------------------------------------------------

def _check_bodies(node: onnx.NodeProto) -> None:
    """Refuse a Loop, Scan or If whose bodies take or give other than what the node does."""
    bodies = {a.name: a.g for a in node.attribute if a.HasField("g")}
    takes, gives = len(node.input), len(node.output)
    if node.op_type == "Loop":
        gives += 1
        if gives <= takes - 2:
            fail(node, f"must give each of its {takes - 2} carried values; {EXPORT}")
    elif node.op_type == "Scan":
        count = next((a.i for a in node.attribute if a.name == "num_scan_inputs"), 0)
        if not 1 <= count <= takes or takes - count > gives:
            fail(node, f"num_scan_inputs must be in 1..{takes}, and each carried value given, not "
                       f"{count!r}; {EXPORT}")
    elif node.op_type == "If":
        takes = 0
    else:
        return
    for name, body in bodies.items():
        if (len(body.input), len(body.output)) != (takes, gives):
            fail(node, f"{name} must have {takes} inputs and {gives} outputs, not "
                       f"{len(body.input)!r} and {len(body.output)!r}; {EXPORT}")
