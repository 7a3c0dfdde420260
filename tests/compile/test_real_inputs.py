"""Files that take a sensor's raw numbers: from the graph to ONNX and back, and in onnxruntime."""

import numpy as np
import onnx
import onnxruntime
import pytest

from qsnn_compile.compiler import compile_model
from qsnn_compile.dialect.reader import import_onnx
from qsnn_compile.ir import Dense, Graph, Input, Neuron, Node, Readout, equal, ints
from qsnn_compile.loader.nodes import OnnxError
from qsnn_compile.lower.program import Program
from qsnn_models.export.onnx_export import export, save
from qsnn_sim.golden.golden import run
from qsnn_sim.measure.data import Build, read_samples

SCALE, ZERO, NAMES = (0.1, 0.02, 3.5), (0, 300, -1000), ("walk", "run", "fall", "sit")
CENTRE, SPREAD = np.array([12, -3, 4000]), np.array([20, 2.6, 450])


def graph(coding="spikes", scale=SCALE, zero=ZERO):
    weight = ints(np.random.default_rng(0).integers(-8, 8, (4, 3)))
    source = Input((3,), 8, coding, scale, zero, takes="reals")
    neuron = Neuron(8, ints(100), decay=ints(1), decay_shift=1)
    return Graph("g", 3, source, (Node("d", Dense(weight, 4), ("x",)), Node("n", neuron, ("d",))),
                 Readout("count", "n", names=NAMES))


def reals(coding, count=300):
    steps = [3] if coding == "spikes" else []
    x = np.random.default_rng(1).normal(size=(count, *steps, 3)) * SPREAD + CENTRE
    return x.astype(np.float32)


@pytest.mark.parametrize("coding", ["direct", "spikes"])
def test_onnxruntime_takes_the_same_numbers(tmp_path, coding):
    made, x = graph(coding), reals(coding)
    save(made, tmp_path / "g.onnx")
    engine = onnxruntime.InferenceSession(tmp_path / "g.onnx", providers=["CPUExecutionProvider"])
    result = run(made, x)
    assert np.array_equal(engine.run(None, {"x": x})[0], result.scores)
    assert len(set(result.classes.tolist())) > 1
    assert 0.2 < made.input.beyond(x, 3) < 0.6             # the ends are reached


@pytest.mark.parametrize("form", ["scan", "step"])
@pytest.mark.parametrize("coding", ["direct", "spikes"])
@pytest.mark.parametrize("scale, zero", [(SCALE, ZERO), (0.5, 3)])
def test_there_and_back(tmp_path, form, coding, scale, zero):
    made = graph(coding, scale, zero)
    save(made, tmp_path / "g.onnx", form)
    assert equal(import_onnx(tmp_path / "g.onnx"), made)


def test_a_build_takes_the_same_numbers(tmp_path):
    save(graph(), tmp_path / "g.onnx")
    compile_model(tmp_path / "g.onnx", target_name="ice40",
                  output=tmp_path / "build", bitstream=False)
    build, program = Build.load(tmp_path / "build"), Program.load(tmp_path / "build")
    assert program.class_names == NAMES and build.report["class_names"] == list(NAMES)
    x = reals("spikes", 50)
    np.savez(tmp_path / "x.npz", x=x)
    samples = read_samples(tmp_path / "x.npz", build.graph)
    assert np.array_equal(samples.x, program.input.quantise(x, 3))
    assert samples.warning.startswith("34% of x lie beyond the range that was learnt in training")


def damaged(tmp_path, change):
    model = export(graph())
    change(model)
    (tmp_path / "g.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(OnnxError) as error:
        import_onnx(tmp_path / "g.onnx")
    return str(error.value)


def tensor(model, name, values):
    place = next(t for t in model.graph.initializer if t.name == name)
    place.CopyFrom(onnx.numpy_helper.from_array(np.asarray(values, np.float64), name))


@pytest.mark.parametrize("change, message", [
    (lambda m: tensor(m, "x.scale", [1.0, 2.0]), "one number, or one for each of 3 channels"),
    (lambda m: tensor(m, "x.scale", [1.0, np.nan, 1.0]), "scale must be a constant"),
    (lambda m: tensor(m, "x.scale", [1.0, -2.0, 1.0]), "scale must be a positive number"),
    (lambda m: tensor(m, "x.zero_point", [1.0, 0.5, 1.0]), "zero_point must be whole numbers"),
    (lambda m: m.graph.node[0].attribute[0].__setattr__("i", 7), "top must be that of"),
    (lambda m: m.graph.node[-3].input.__setitem__(-1, "x"), "input must be the codes 'x.codes'"),
    (lambda m: m.metadata_props.add(key="qsnn.class_names", value="{"), "must be a JSON list"),
    (lambda m: m.metadata_props.add(key="qsnn.class_names", value='["a"]'), "names must be those"),
])
def test_damage_is_named(tmp_path, change, message):
    assert message in damaged(tmp_path, change)
