"""Damaged and hostile files: a clear error, soon, and nothing read outside the model's folder."""

import contextlib
import random
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest
import work
from onnx import TensorProto, helper, numpy_helper

from qsnn_compile.errors import QsnnError
from qsnn_compile.foreign.onnx_front import read_onnx

CASES = Path(__file__).parent.parent / "cases" / "onnx"
CALLS = 1_000_000           # about a second
STEP = CASES / "snntorch_leaky_dense_step__dynamo.onnx"


def refused(path: Path, match: str, calls: int = CALLS) -> str:
    """The error that reading *path* gives, after so many calls at most."""
    with pytest.raises(QsnnError, match=match) as caught, work.at_most(calls):
        read_onnx(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


def saved(folder: Path, model: onnx.ModelProto) -> Path:
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def graph_of(nodes: list[onnx.NodeProto], initializers: list[onnx.TensorProto] = [],  # noqa: B006
             output: str = "y", functions: list[onnx.FunctionProto] = []  # noqa: B006
             ) -> onnx.ModelProto:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])
    y = helper.make_tensor_value_info(output, TensorProto.FLOAT, [1, 4])
    graph = helper.make_graph(nodes, "g", [x], [y], initializers)
    imports = [helper.make_opsetid("", 20), helper.make_opsetid("f", 1)]
    return helper.make_model(graph, opset_imports=imports, functions=functions)


def test_no_such_file(tmp_path: Path) -> None:
    refused(tmp_path / "none.onnx", "must be a readable ONNX file")
    refused(tmp_path, "must be a readable ONNX file")


def test_truncated_files(tmp_path: Path) -> None:
    data = STEP.read_bytes()
    path = tmp_path / "cut.onnx"
    for size in [0, 1, 10, *range(100, len(data) - 1, 157)]:
        path.write_bytes(data[:size])
        refused(path, "must|the|input|output")


@pytest.mark.parametrize("seed", range(60))
def test_flipped_bytes_never_crash(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    data = bytearray(rng.choice(sorted(CASES.glob("*.onnx"))).read_bytes())
    for _ in range(rng.choice([1, 5, 50])):
        data[rng.randrange(len(data))] = rng.randrange(256)
    path = tmp_path / "flipped.onnx"
    path.write_bytes(bytes(data))
    with contextlib.suppress(QsnnError), work.at_most(CALLS):
        read_onnx(path)


def test_no_nodes_and_no_input(tmp_path: Path) -> None:
    refused(saved(tmp_path, onnx.ModelProto()), "a graph, not one without nodes")
    model = graph_of([helper.make_node("Relu", ["x"], ["y"])])
    del model.graph.input[:]
    refused(saved(tmp_path, model), "must have an input")


def test_a_cycle(tmp_path: Path) -> None:
    nodes = [helper.make_node("Add", ["x", "b"], ["a"]), helper.make_node("Relu", ["a"], ["b"]),
             helper.make_node("Relu", ["b"], ["y"])]
    refused(saved(tmp_path, graph_of(nodes)), "'b' must be the output of an earlier node")


def test_a_name_given_twice(tmp_path: Path) -> None:
    nodes = [helper.make_node("Relu", ["x"], ["y"]), helper.make_node("Abs", ["x"], ["y"])]
    refused(saved(tmp_path, graph_of(nodes)), "output 'y' must be a name of its own")


def test_an_unknown_operator(tmp_path: Path) -> None:
    nodes = [helper.make_node("Frobnicate", ["x"], ["y"], name="odd")]
    refused(saved(tmp_path, graph_of(nodes)), "node 'odd' .Frobnicate.: must be an operator")
    nodes = [helper.make_node("Thing", ["x"], ["y"], domain="some.where")]
    refused(saved(tmp_path, graph_of(nodes)), "must be a standard operator")


# -- external data --------------------------------------------------------------------------------

def external(folder: Path, location: str, **more: str) -> Path:
    """A model with its weight in the file *location*."""
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4, 4],
                         data_location=TensorProto.EXTERNAL)
    for key, value in {"location": location, **more}.items():
        tensor.external_data.add(key=key, value=value)
    return saved(folder, graph_of([helper.make_node("MatMul", ["x", "w"], ["y"])], [tensor]))


def test_external_data_that_is_missing(tmp_path: Path) -> None:
    refused(external(tmp_path, "gone.data"), "'gone.data' beside the model, which is missing")


@pytest.mark.parametrize("location", ["../secret.data", "/etc/passwd", "sub/../../secret.data", ""])
def test_external_data_outside_the_folder(tmp_path: Path, location: str) -> None:
    (tmp_path / "secret.data").write_bytes(bytes(64))
    folder = tmp_path / "model"
    folder.mkdir()
    refused(external(folder, location), "must lie in the model's folder")


def test_external_data_behind_a_link(tmp_path: Path) -> None:
    (tmp_path / "secret.data").write_bytes(bytes(64))
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "link.data").symlink_to(tmp_path / "secret.data")
    refused(external(folder, "link.data"), "must lie in the model's folder")


@pytest.mark.parametrize("more,match", [
    ({"offset": "60", "length": "64"}, "must lie within the 64 bytes"),
    ({"offset": "-3"}, "offset must be a whole number"),
    ({"length": "1e99"}, "length must be a whole number"),
    ({"offset": "32"}, "must lie within the 64 bytes of 'w.data', not end at 96"),
    ({"length": "32"}, "length must be the 64 bytes of its shape, not 32"),
])
def test_external_data_beyond_the_file(tmp_path: Path, more: dict[str, str], match: str) -> None:
    (tmp_path / "w.data").write_bytes(bytes(64))
    refused(external(tmp_path, "w.data", **more), match)


@pytest.mark.parametrize("location,match", [("w.data\0", "has a NUL in it"),
                                            ("a" * 5000, "name too long")])
def test_external_data_of_no_name(tmp_path: Path, location: str, match: str) -> None:
    refused(external(tmp_path, location), match)


def test_external_data_is_read(tmp_path: Path) -> None:
    (tmp_path / "w.data").write_bytes(bytes(64))
    refused(external(tmp_path, "w.data"), "must have spiking neurons")


# -- sizes ----------------------------------------------------------------------------------------

def test_a_tensor_with_more_shape_than_data(tmp_path: Path) -> None:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1 << 20, 1 << 20],
                         raw_data=bytes(64))
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    refused(saved(tmp_path, graph_of([node], [tensor])), "must have at most")
    tensor.dims[:] = [1 << 10, 1 << 10]
    refused(saved(tmp_path, graph_of([node], [tensor])), "must hold the")
    tensor.dims[:] = [-4, 4]
    refused(saved(tmp_path, graph_of([node], [tensor])), "must have at most")


def test_huge_constants_and_inputs(tmp_path: Path) -> None:
    for op in ("ConstantOfShape", "Expand", "Tile"):
        sizes = [1 << 30, 4] if op == "Expand" else [1 << 20, 1 << 20]
        size = numpy_helper.from_array(np.array(sizes), "size")
        inputs = ["size"] if op == "ConstantOfShape" else ["x", "size"]
        nodes = [helper.make_node(op, inputs, ["a"]), helper.make_node("Add", ["x", "a"], ["y"])]
        refused(saved(tmp_path, graph_of(nodes, [size])), "at most")
    model = graph_of([helper.make_node("Relu", ["x"], ["y"])])
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 1 << 40
    refused(saved(tmp_path, model), "must have at most 8388608 numbers, not the shape .1, 1099")


def test_an_endless_loop(tmp_path: Path) -> None:
    value = helper.make_tensor_value_info("v", TensorProto.FLOAT, [1, 4])
    flag = helper.make_tensor_value_info("c", TensorProto.BOOL, [])
    count = helper.make_tensor_value_info("i", TensorProto.INT64, [])
    out = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 4]) for n in ("v2",)]
    body = helper.make_graph(
        [helper.make_node("Identity", ["c"], ["c2"]), helper.make_node("Add", ["v", "v"], ["v2"])],
        "body", [count, flag, value],
        [helper.make_tensor_value_info("c2", TensorProto.BOOL, []), *out])
    true = numpy_helper.from_array(np.array(True), "true")
    trips = numpy_helper.from_array(np.array(1 << 60), "trips")
    for first in ("", "trips"):
        nodes = [helper.make_node("Loop", [first, "true", "x"], ["y"], body=body)]
        refused(saved(tmp_path, graph_of(nodes, [true, trips])), "must end after at most")


def test_more_rows_than_anyone_runs(tmp_path: Path) -> None:
    weight = numpy_helper.from_array(np.ones((4, 4), np.float32), "w")
    model = graph_of([helper.make_node("MatMul", ["x", "w"], ["y"])], [weight])
    dims = model.graph.input[0].type.tensor_type.shape.dim
    dims[0].dim_value = 5
    dims.insert(1, onnx.TensorShapeProto.Dimension(dim_value=100_000))
    refused(saved(tmp_path, model), "must compute at most 65536 values, not 500001")


def test_a_reduction_over_a_huge_expansion(tmp_path: Path) -> None:
    size = numpy_helper.from_array(np.array([100_000, 4]), "size")
    nodes = [helper.make_node("Expand", ["x", "size"], ["a"]),
             helper.make_node("ReduceMax", ["a"], ["y"])]
    refused(saved(tmp_path, graph_of(nodes, [size])), "must reduce at most 1024 numbers to one")


def test_values_that_double_again_and_again(tmp_path: Path) -> None:
    names = ["x", *(f"d{i}" for i in range(60)), "y"]
    nodes = [helper.make_node("Concat", [a, a], [b], axis=1) for a, b in pairwise(names)]
    refused(saved(tmp_path, graph_of(nodes)), "a value must have at most 8388608 numbers")


def layers(count: int) -> onnx.ModelProto:
    """A step of *count* layers of leaky neurons."""
    one, half = (numpy_helper.from_array(np.float32(n), name) for n, name in ((1, "one"),
                                                                              (0.5, "half")))
    model = graph_of([], [one, half], f"s{count - 1}")
    before = "x"
    for i in range(count):
        weight = np.eye(4, dtype=np.float32) * np.float32(i + 2)
        model.graph.initializer.append(numpy_helper.from_array(weight, f"w{i}"))
        for op, inputs, output in (
                ("MatMul", [before, f"w{i}"], "c"), ("Mul", [f"mem{i}", "half"], "m"),
                ("Add", [f"m{i}", f"c{i}"], "v"), ("Greater", [f"v{i}", "one"], "g"),
                ("Cast", [f"g{i}"], "s"), ("Sub", [f"v{i}", f"s{i}"], "next_mem")):
            more = {"to": 1} if op == "Cast" else {}
            model.graph.node.append(helper.make_node(op, inputs, [f"{output}{i}"], **more))
        before = f"s{i}"
        for values, name in ((model.graph.input, "mem"), (model.graph.output, "next_mem")):
            values.append(helper.make_tensor_value_info(f"{name}{i}", TensorProto.FLOAT, [1, 4]))
    return model


def test_a_thousand_layers(tmp_path: Path) -> None:
    assert len(read_onnx(saved(tmp_path, layers(2))).nodes) == 4
    refused(saved(tmp_path, layers(1000)), "must carry at most 256 states .* not 1000")
    refused(saved(tmp_path, layers(160)), "at most some hundreds in a row", 5 * CALLS)


def test_the_input_is_no_answer(tmp_path: Path) -> None:
    model = onnx.load_model(STEP)
    model.graph.output[0].name = model.graph.input[0].name
    refused(saved(tmp_path, model), "the output must be computed by a layer, not be the input")


def test_a_convolution_of_too_much_work(tmp_path: Path) -> None:
    weight = numpy_helper.from_array(np.ones((1, 1, 256, 256), np.float32), "w")
    model = graph_of([helper.make_node("Conv", ["x", "w"], ["y"], pads=[0, 0, 255, 255])], [weight])
    dims = model.graph.input[0].type.tensor_type.shape.dim
    del dims[:]
    for size in (1, 1, 256, 256):
        dims.add().dim_value = size
    refused(saved(tmp_path, model), "must multiply at most 536870912 times a step, not 4294967296")


def test_a_neuron_that_reads_the_input_itself(tmp_path: Path) -> None:
    model = layers(1)
    del model.graph.node[0]
    model.graph.node[1].input[1] = "x"
    refused(saved(tmp_path, model), "must have an input that a layer reads beside its states")


# -- functions ------------------------------------------------------------------------------------

def function(name: str, calls: str, times: int = 1) -> onnx.FunctionProto:
    names = ["a", *(f"t{i}" for i in range(times - 1)), "b"]
    domain = "f" if calls.startswith("F") else ""
    nodes = [helper.make_node(calls, [p], [q], domain=domain)
             for p, q in pairwise(names)]
    imports = [helper.make_opsetid("", 20), helper.make_opsetid("f", 1)]
    return helper.make_function("f", name, ["a"], ["b"], nodes, imports)


def test_a_function_that_calls_itself(tmp_path: Path) -> None:
    node = helper.make_node("F0", ["x"], ["y"], domain="f")
    functions = [function("F0", "F1"), function("F1", "F0")]
    refused(saved(tmp_path, graph_of([node], functions=functions)), "must not call itself")


def test_functions_that_explode(tmp_path: Path) -> None:
    functions = [function(f"F{i}", f"F{i + 1}" if i < 30 else "Relu", 10) for i in range(31)]
    node = helper.make_node("F0", ["x"], ["y"], domain="f")
    refused(saved(tmp_path, graph_of([node], functions=functions)), "must expand to at most")
