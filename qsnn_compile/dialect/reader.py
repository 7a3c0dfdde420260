"""The front end: an ONNX file of our dialect (docs/onnx-dialect.md) → ir.Graph.

The file is walked once, in order; each value becomes a constant, a value of the network or a
carried state. What a state is (membrane, synapse, delay, readout accumulator) follows from how it
is used, not from its name.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import get_args

import onnx

from qsnn_compile.ir import (
    Coding,
    Flatten,
    Graph,
    Input,
    IrError,
    Node,
    Readout,
    ReadoutKind,
    ints,
    verify,
)
from qsnn_compile.loader.nodes import OnnxError, OnnxFile, OnnxNode, load

from .builder import Builder
from .inputs import codes_of, reals_of
from .operators import check_operator
from .values import Const, Ref
from .walk import walk_scan, walk_step
from .weights import check_quantised

VERSION = 1


def import_onnx(path: str | Path, *, steps: int | None = None,
                readout: str | None = None) -> Graph:
    """The network in the file at *path*; *steps* and *readout* go before the file's metadata.

    Raises OnnxError, which names file and node.
    """
    file = load(path)
    _check_versions(file)
    _check_operators(file)
    scan = next((node for node in file.nodes(file.model.graph) if node.op == "Scan"), None)
    source, found_steps = _entry(file, scan)
    steps = _steps(file, steps, found_steps)
    builder = Builder(file)
    scores = (walk_step if scan is None else walk_scan)(file, builder, source)
    kind: ReadoutKind = file.choice("readout", get_args(ReadoutKind),
                                    "add --readout count, potential or last", readout)
    nodes, answer = _finished(builder.nodes, _readout(file, kind, scores))
    graph = Graph(file.model.graph.name or Path(path).stem, steps, _with_metadata(file, source),
                  nodes, answer)
    try:
        verify(graph)
    except IrError as error:
        raise OnnxError(f"{file.name}: {error}; export the file again") from None
    return graph


def _check_versions(file: OnnxFile) -> None:
    version = file.metadata.get("qsnn.version", str(VERSION))
    if version != str(VERSION):
        file.fail(f"metadata qsnn.version must be {str(VERSION)!r}, not {version!r}; the file was "
                  "written by another version of qsnn: export it again with this one")
    for opset in file.model.opset_import:
        if opset.domain == "qsnn" and opset.version != VERSION:
            file.fail(f"opset qsnn must be of version {VERSION}, not {opset.version!r}; export the "
                      "file again with this version of qsnn")


def _check_operators(file: OnnxFile) -> None:
    """Refuse a file of another dialect for what it holds, before its frame is asked about."""
    graphs = [file.model.graph]
    while graphs:
        graph = graphs.pop()
        constants = file.constants(graph)
        for node in file.nodes(graph):
            check_operator(node)
            if node.op in ("Conv", "Gemm") and node.inputs[1] in constants:
                check_quantised(node, Const(constants[node.inputs[1]]))
            graphs += [value for value in node.attributes.values()
                       if isinstance(value, onnx.GraphProto)]


def _steps(file: OnnxFile, given: int | None, frames: int | None) -> int:
    if given is None and frames is not None and "qsnn.steps" not in file.metadata:
        return frames
    steps = file.integer("steps", "add --steps T, the number of time steps", given)
    if steps < 1:
        file.fail(f"steps must be at least 1, not {steps!r}; give the number of time steps")
    return steps


def _entry(file: OnnxFile, scan: OnnxNode | None) -> tuple[Input, int | None]:
    """The network's input as the graph declares it, and the steps where its shape says them."""
    states = set(file.mapping("states"))
    known = states | {tensor.name for tensor in file.model.graph.initializer}
    inputs = [value for value in file.model.graph.input if value.name not in known]
    codes = codes_of(file)
    inputs = [value for value in inputs if not value.name.endswith((".u", ".i", ".d", ".acc"))
              or "qsnn.states" in file.metadata]
    if len(inputs) != 1:
        names = ", ".join(value.name for value in inputs)
        file.fail(f"the graph must have one input beside its states, not {names!r}; name the "
                  "states in metadata qsnn.states, or NODE.u and NODE.u_next")
    dims = [dim.dim_value if dim.HasField("dim_value") else None
            for dim in inputs[0].type.tensor_type.shape.dim]
    entry = inputs[0].name if codes is None else codes.outputs[0]
    frames = scan is not None and entry in scan.inputs
    shape = dims[2 if frames else 1:]
    if not shape or None in shape:
        file.fail(f"input {inputs[0].name!r}: shape must be known but for samples and steps, "
                  f"not {dims!r}; export with fixed sizes")
    coding: Coding = "spikes" if frames else "direct"
    sizes = tuple(size for size in shape if size is not None)
    source = Input(sizes, 1, coding, name=inputs[0].name)
    return reals_of(file, codes, source) if codes else source, dims[1] if frames else None


def _with_metadata(file: OnnxFile, source: Input) -> Input:
    """*source* with the coding, width and scale that only the metadata say."""
    advice = "export the file with qsnn_models.export.onnx_export, which writes it"
    coding: Coding = file.choice("coding", get_args(Coding), advice)
    bits = file.integer("input_bits", advice)
    if source.takes == "reals":
        return replace(source, coding=coding, bits=bits)
    text = file.metadata.get("qsnn.input_scale", "1.0")
    try:
        scale = float(text)
    except ValueError:
        file.fail(f"metadata qsnn.input_scale must be a number, not {text!r}; {advice}")
    zero = file.integer("input_zero_point", advice) \
        if "qsnn.input_zero_point" in file.metadata else 0
    return replace(source, coding=coding, bits=bits, scale=scale, zero_point=zero)


def _class_names(file: OnnxFile) -> tuple[str, ...]:
    """The names in the metadata, if any."""
    text = file.metadata.get("qsnn.class_names", "[]")
    try:
        names = json.loads(text)
    except ValueError:
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        file.fail(f"metadata qsnn.class_names must be a JSON list of texts, not {text[:100]!r}; "
                  "export the file again")
    return tuple(names)


def _readout(file: OnnxFile, kind: ReadoutKind, scores: Ref) -> Readout:
    gain = ints(1) if scores.gain is None else ints(scores.gain.reshape(scores.gain.shape[-1:]))
    bias = ints(0) if scores.bias is None else ints(scores.bias.reshape(scores.bias.shape[-1:]))
    if kind == "last" and scores.total:
        file.fail("readout must be 'count' or 'potential' for scores that are summed over the "
                  "steps, not 'last'; leave --readout out")
    if kind == "count":
        if (gain != 1).any() or bias.any():
            file.fail(f"readout must be 'potential' for scores with gain and bias, not {kind!r}; "
                      "leave --readout out")
        gain, bias = ints(1), ints(0)
    return Readout(kind, scores.source, gain, bias, _class_names(file))


def _finished(nodes: list[Node], readout: Readout) -> tuple[tuple[Node, ...], Readout]:
    """Without a Flatten before the readout, which flattens anyway, and without unread
    nodes."""
    by_name = {node.name: node for node in nodes}
    source = by_name.get(readout.source)
    if source is not None and isinstance(source.op, Flatten) and source.inputs[0] in by_name:
        readout = replace(readout, source=source.inputs[0])
    wanted, todo = set(), [readout.source.removesuffix(".u"), readout.source]
    while todo:
        name = todo.pop()
        if name in by_name and name not in wanted:
            wanted.add(name)
            todo += by_name[name].inputs
    return tuple(node for node in nodes if node.name in wanted), readout

