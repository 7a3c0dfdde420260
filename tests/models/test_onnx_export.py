import numpy as np
import onnx
import onnxruntime as ort
import pytest
from graphs import runs
from hypothesis import HealthCheck, given, settings

from qsnn_compile.ir import (
    Conv2d,
    Delay,
    Dense,
    Graph,
    Input,
    Neuron,
    Node,
    Readout,
    SumPool,
    Synapse,
    ints,
)
from qsnn_models.errors import ExportError
from qsnn_models.export.onnx_export import export, save
from qsnn_sim.golden.golden import run

SHORT = settings(max_examples=60, deadline=None,
                 suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
TYPES = {"tensor(float)": np.float32, "tensor(double)": np.float64}


def session(model):
    return ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def scan(graph, x):
    return session(export(graph)).run(None, {graph.input.name: x.astype(np.float32)})[0]


def step(graph, x):
    """The step file run T times, its states started and carried as its metadata says."""
    model = export(graph, "step")
    props = {p.key: p.value for p in model.metadata_props}
    pairs, initial = eval(props["qsnn.states"]), eval(props["qsnn.initial"])
    engine = session(model)
    feed = {}
    for entry in engine.get_inputs()[1:]:
        start = np.zeros((len(x), *entry.shape[1:])) + np.array(initial.get(entry.name, 0))
        feed[entry.name] = start.astype(TYPES[entry.type])
    for t in range(graph.steps):
        frame = x if graph.input.coding == "direct" else x[:, t]
        feed[graph.input.name] = frame.astype(np.float32)
        outputs_now = dict(zip([o.name for o in engine.get_outputs()], engine.run(None, feed),
                         strict=True))
        feed |= {name: outputs_now[after] for name, after in pairs.items()}
    return outputs_now["scores"]


@SHORT
@given(runs())
def test_every_graph_runs_in_onnxruntime_bit_for_bit_in_both_shapes(case):
    graph, x = case
    golden = run(graph, x).scores
    assert scan(graph, x).tolist() == golden.tolist()
    assert step(graph, x).tolist() == golden.tolist()


@settings(SHORT, max_examples=10)
@given(runs())
def test_files_pass_the_checker(case):
    for shape in ("scan", "step"):
        onnx.checker.check_model(export(case[0], shape), full_check=True)


def one_layer(op, x_shape, bits=8, coding="direct", steps=2, classes=True):
    nodes = (Node("a", op, ("x",)),)
    return Graph("one", steps, Input(x_shape, bits, coding), nodes, Readout("potential", "a"))


@pytest.mark.parametrize(("bits", "chunks"), [(12, 2), (14, 3), (16, 8)])
def test_a_convolution_beyond_float_is_cut_into_exact_parts(bits, chunks):
    rng = np.random.default_rng(0)
    top = (1 << bits - 1) - 1
    weight = ints(rng.choice([-top - 1, top], (4, 32, 3, 3)))
    graph = one_layer(Conv2d(weight, bits, padding=(1, 0, 2, 1), pad_value=255), (32, 5, 6))
    assert f"WideConv{chunks}" in {f.name for f in export(graph).functions}
    for x in (rng.integers(0, 256, (3, 32, 5, 6)), np.full((1, 32, 5, 6), 255)):
        assert scan(graph, x).tolist() == run(graph, x).scores.tolist()


def test_a_convolution_beyond_double_words_is_refused():
    weight = ints(np.full((1, 600, 1, 1), -(1 << 15)))
    with pytest.raises(ExportError, match=r"node 'a': a channel's sum of weight magnitudes must be "
                                          r"below 2\^24, not 19660800; use fewer weight bits"):
        export(one_layer(Conv2d(weight, 16), (600, 1, 1)))


def test_a_dense_layer_beyond_float_runs_in_double():
    weight = ints(np.full((2, 3000), 32767) - np.arange(2)[:, None])
    graph = one_layer(Dense(weight, 16), (3000,))
    x = np.full((2, 3000), 255)
    scores = scan(graph, x)
    assert scores.dtype == np.float64
    assert scores.tolist() == run(graph, x).scores.tolist()


def test_a_membrane_beyond_double_is_refused():
    lif = Neuron(32, ints(1), step_shift=ints(30))
    nodes = (Node("a", Dense(ints([[1]]), 1), ("x",)), Node("n", lif, ("a",)))
    graph = Graph("g", 1, Input((1,)), nodes, Readout("count", "n"))
    with pytest.raises(ExportError, match="node 'n': its membrane before rounding must stay below"):
        export(graph)


def test_states_of_every_kind_start_and_carry_by_name():
    lif = Neuron(30, ints(40), initial=ints([3, -2]), synapse=Synapse(ints([1, 2]), 2, 9))
    nodes = (Node("a", Dense(ints([[1], [3]]), 4), ("x",)), Node("n", lif, ("a",)),
             Node("d", Delay(), ("n",)))
    graph = Graph("g", 3, Input((1,), 8, "spikes"), nodes, Readout("last", "n.u"))
    props = {p.key: p.value for p in export(graph, "step").metadata_props}
    assert props["qsnn.states"] == '{"n.u": "n.u_next", "n.i": "n.i_next", "d.d": "d.d_next"}'
    assert props["qsnn.initial"] == '{"n.u": [3, -2]}'
    x = np.arange(12).reshape(4, 3, 1) * 20
    assert step(graph, x).tolist() == scan(graph, x).tolist() == run(graph, x).scores.tolist()


def test_metadata():
    graph = one_layer(Dense(ints([[1, -1]]), 1), (2,))
    model = export(graph)
    assert {p.key: p.value for p in model.metadata_props} == {
        "qsnn.version": "1", "qsnn.shape": "scan", "qsnn.steps": "2",
        "qsnn.readout": "potential", "qsnn.coding": "direct", "qsnn.input_bits": "8",
        "qsnn.input_scale": "1.0", "qsnn.input_zero_point": "0", "qsnn.weight_bits": '{"a": 1}'}
    assert (model.ir_version, model.opset_import[0].version) == (8, 18)
    assert "MatMul" not in {node.op_type for node in model.graph.node}


def test_saving_is_deterministic_and_leaves_no_partial_file(tmp_path):
    graph = one_layer(SumPool((2, 2), (1, 1)), (2, 3, 3))
    for name in ("a.onnx", "b.onnx"):
        save(graph, tmp_path / name)
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.onnx", "b.onnx"]
