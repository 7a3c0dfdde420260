"""What the one loader of ONNX files refuses, for both front ends and in every form of file."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import AttributeProto, TensorProto, helper, numpy_helper

from qsnn_compile.dialect.reader import import_onnx
from qsnn_compile.foreign.onnx.front import read_onnx
from qsnn_compile.foreign.reader import is_foreign
from qsnn_compile.loader.model import load_model
from qsnn_compile.loader.nodes import OnnxError

Change = Callable[[onnx.ModelProto], object]


def value(name: str, shape: list[int] | None = None, kind: int = TensorProto.FLOAT
          ) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, [1, 4] if shape is None else shape)


def plain() -> onnx.ModelProto:
    """A matrix, a constant and a Scan over nothing much: a bit of everything."""
    weight = numpy_helper.from_array(np.ones((4, 4), np.float32), "w")
    body = helper.make_graph([helper.make_node("Add", ["s", "f"], ["s2"]),
                              helper.make_node("Identity", ["s2"], ["o"])],
                             "body", [value("s"), value("f")], [value("s2"), value("o")])
    nodes = [helper.make_node("Gemm", ["x", "w"], ["a"], "fc", transB=1),
             helper.make_node("Unsqueeze", ["a", "axes"], ["b"], "up"),
             helper.make_node("Scan", ["a", "b"], ["end", "y"], "scan", body=body,
                              num_scan_inputs=1)]
    graph = helper.make_graph(nodes, "g", [value("x")], [value("y")], [
        weight, numpy_helper.from_array(np.array([0]), "axes")])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])


def saved(folder: Path, model: onnx.ModelProto, name: str = "model.onnx") -> Path:
    (folder / name).write_bytes(model.SerializeToString())
    return folder / name


def node(model: onnx.ModelProto, name: str) -> onnx.NodeProto:
    return next(node for node in model.graph.node if node.name == name)


def attribute(model: onnx.ModelProto, name: str, key: str) -> onnx.AttributeProto:
    return next(a for a in node(model, name).attribute if a.name == key)


def body(model: onnx.ModelProto) -> onnx.GraphProto:
    return attribute(model, "scan", "body").g


def set_kind(model: onnx.ModelProto, kind: int) -> None:
    attribute(model, "fc", "transB").type = kind  # type: ignore[assignment]


def with_function(model: onnx.ModelProto, depth: int) -> None:
    """Functions that call each other, *depth* of them."""
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("f", 1)]
    for i in range(depth):
        inner = helper.make_node(f"F{i + 1}" if i + 1 < depth else "Relu", ["a"], ["b"],
                                 domain="f" if i + 1 < depth else "")
        model.functions.append(helper.make_function("f", f"F{i}", ["a"], ["b"], [inner], opsets))


WRONG: list[tuple[Change, str]] = [
    (lambda m: node(m, "fc").input.append("w") or node(m, "fc").input.append("w"),
     "node 'fc' (Gemm): must have 2 to 3 inputs, not 4"),
    (lambda m: node(m, "fc").input.pop(), "node 'fc' (Gemm): must have 2 to 3 inputs, not 1"),
    (lambda m: node(m, "up").output.append("c"), "node 'up' (Unsqueeze): must have 1 outputs"),
    (lambda m: node(m, "fc").input.__setitem__(1, ""), "input 1 must be a value, not empty"),
    (lambda m: node(m, "up").output.__setitem__(0, ""), "must have an output, not none"),
    (lambda m: node(m, "up").output.__setitem__(0, "a"), "output 'a' must be a name of its own"),
    (lambda m: node(m, "up").output.__setitem__(0, "w"), "output 'w' must be a name of its own"),
    (lambda m: node(m, "fc").attribute.append(helper.make_attribute("perm", [1])),
     "attribute must be one of alpha, beta, transA, transB, not 'perm'"),
    (lambda m: node(m, "fc").attribute.append(helper.make_attribute("transB", 0)),
     "attributes must be given once, not as ['transB', 'transB']"),
    (lambda m: set_kind(m, AttributeProto.FLOAT),
     "attribute transB must be of type INT, not FLOAT"),
    (lambda m: set_kind(m, AttributeProto.TENSOR),
     "attribute transB must hold a TENSOR, not nothing"),
    (lambda m: node(m, "fc").attribute.append(helper.make_attribute("alpha", float("nan"))),
     "attribute alpha must be a number, not nan"),
    (lambda m: node(m, "fc").attribute.append(helper.make_attribute("alpha", b"\xff")),
     "attribute alpha must be text in UTF-8"),
    (lambda m: node(m, "scan").attribute.remove(attribute(m, "scan", "num_scan_inputs")),
     "node 'scan' (Scan): attribute num_scan_inputs must be given, not left out"),
    (lambda m: setattr(attribute(m, "scan", "num_scan_inputs"), "i", 5),
     "num_scan_inputs must be in 1..2, and each carried value given, not 5"),
    (lambda m: setattr(attribute(m, "fc", "transB"), "ref_attr_name", "b"),
     "attributes must have values of their own outside a function"),
    (lambda m: body(m).output.pop(), "body must have 2 inputs and 2 outputs, not 2 and 1"),
    (lambda m: body(m).input.add().CopyFrom(value("z")), "must have 2 inputs and 2 outputs, not 3"),
    (lambda m: body(m).node[0].input.pop(), "node 's2' (Add): must have 2 inputs, not 1"),
    (lambda m: m.graph.output.pop(), "graph 'g': must have an output, not none"),
    (lambda m: m.graph.output.add().CopyFrom(value("y")),
     "graph 'g': outputs must have names of their own, not 'y' again"),
    (lambda m: m.graph.input.add().CopyFrom(value("")), "inputs must have names of their own"),
    (lambda m: m.graph.initializer.add().CopyFrom(m.graph.initializer[0]),
     "initializers must have names of their own, not 'w' again"),
    (lambda m: m.graph.input[0].CopyFrom(value("x", kind=TensorProto.STRING)),
     "'x': must hold numbers, not type 8"),
    (lambda m: m.graph.input[0].type.Clear(), "'x': must be a tensor"),
    (lambda m: setattr(m.opset_import[0], "version", 0),
     "opset 'ai.onnx' must be of a version from 1 on, not 0"),
    (lambda m: with_function(m, 40), "functions must call each other at most 30 deep"),
    (lambda m: [with_function(m, 1), with_function(m, 1)],
     "functions must have names of their own"),
    (lambda m: setattr(m.graph.initializer[0], "data_type", -1),
     "tensor 'w': must hold numbers, not type -1"),
    (lambda m: setattr(m.graph.initializer[0], "raw_data", bytes(63)),
     "tensor 'w': must hold the 16 numbers of its shape, 64 bytes, not 63"),
    (lambda m: setattr(m.graph.initializer[0], "raw_data", bytes(65)), "64 bytes, not 65"),
    (lambda m: m.graph.initializer[0].dims.append(1 << 40), "must have at most 536870912 numbers"),
    (lambda m: m.graph.initializer[0].ClearField("raw_data"), "the 16 numbers of its shape, not"),
    (lambda m: m.graph.sparse_initializer.add(), "must be dense, not sparse"),
]


@pytest.mark.parametrize("change, message", WRONG, ids=[message[:50] for _, message in WRONG])
def test_what_is_not_well_formed_is_named(change: Change, message: str, tmp_path: Path) -> None:
    model = plain()
    change(model)
    path = saved(tmp_path, model)
    for front_end in (read_onnx, import_onnx):
        with pytest.raises(OnnxError) as caught:
            front_end(path)
        assert str(caught.value).startswith(f"{path}: ") and message in str(caught.value)


def test_what_is_well_formed_is_taken(tmp_path: Path) -> None:
    assert load_model(saved(tmp_path, plain())) == plain()


def test_graphs_in_graphs_are_bounded(tmp_path: Path) -> None:
    """Binary files can't go deeper than protobuf; text could go on for ever."""
    deep = "g (float[1,4] x) => (float[1,4] y) { y = If <then_branch = " * 3000
    for name, text in (("m.onnxtxt", f"<ir_version: 8> {deep}"),
                       ("m.textproto", "graph { node { attribute { g " + "{ node " * 3000),
                       ("m.json", "[" * 100_000)):
        (tmp_path / name).write_text(text)
        with pytest.raises(OnnxError, match="must have brackets at most 100 deep, not deeper"):
            load_model(tmp_path / name)


@pytest.mark.parametrize("suffix", [".onnxtxt", ".textproto", ".json"])
def test_the_extension_says_the_form(suffix: str, tmp_path: Path) -> None:
    model = plain()
    onnx.save(model, tmp_path / f"m{suffix}") if suffix != ".onnxtxt" else \
        (tmp_path / "m.onnxtxt").write_text(onnx.printer.to_text(model))
    loaded = load_model(tmp_path / f"m{suffix}")
    assert [n.op_type for n in loaded.graph.node] == ["Gemm", "Unsqueeze", "Scan"]
    assert is_foreign(tmp_path / f"m{suffix}")
    for data in (b"\x8e\xff", b"{", b"graph", b""):
        (tmp_path / f"bad{suffix}").write_bytes(data)
        with pytest.raises(OnnxError, match=r"must be an ONNX file( as|.* not one without nodes)"):
            load_model(tmp_path / f"bad{suffix}")


def test_a_name_that_is_no_text(tmp_path: Path) -> None:
    data = plain().SerializeToString().replace(b"axes", b"\xff\xfe\xfd\xfc")
    (tmp_path / "model.onnx").write_bytes(data)
    with pytest.raises(OnnxError, match="input must be text in UTF-8, not b'"):
        load_model(tmp_path / "model.onnx")


def test_only_regular_files_are_models(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.onnx")
    (tmp_path / "zero.onnx").symlink_to("/dev/zero")
    for name in ("fifo.onnx", "zero.onnx"):
        assert not is_foreign(tmp_path / name)
        with pytest.raises(OnnxError, match="must be a readable ONNX file: not a regular file but"):
            load_model(tmp_path / name)


def test_external_data_are_files_too(tmp_path: Path) -> None:
    model = plain()
    os.mkfifo(tmp_path / "w.data")
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="w.data")
    with pytest.raises(OnnxError, match="tensor 'w': external data must be readable: not a reg"):
        load_model(saved(tmp_path, model))
