"""qsnn check and qsnnc on files of other libraries: figures, messages, exit codes."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from qsnn_compile.cli import qsnn, qsnnc
from qsnn_compile.cli.foreign import golden
from qsnn_compile.foreign import check as checks
from qsnn_compile.foreign.check_source import SourceError, refusals
from qsnn_compile.foreign.float_model import arranged
from qsnn_compile.foreign.normal import Linear, Network, Neuron, Node, reals
from qsnn_compile.foreign.onnx_front import read_onnx
from qsnn_compile.foreign.quantise import quantise
from qsnn_compile.foreign.quantise_file import Options, is_foreign
from qsnn_sim.golden import run

pytest.importorskip("onnxruntime")
TESTS = Path(__file__).parents[1]
ONNX, NIR, ZOO = TESTS / "cases" / "onnx", TESTS / "cases" / "nir", TESTS.parent / "models" / "zoo"
LEAKY = ONNX / "snntorch_leaky_dense_step__dynamo.onnx"
DATA = ONNX / "snntorch_leaky_dense_step.npz"


def data_of(path):
    stem = path.stem.split("__")[0]
    return ONNX / f"{'qsnn_function_dense_scan' if 'torch_scan' in stem else stem}.npz"


def test_integers_are_near_the_libraries():
    """All cases together: the reach of issue 4."""
    wrong, total = {(16, 24): 0, (8, 12): 0}, 0
    files = [path for path in sorted(ONNX.glob("*.onnx")) if not path.name.startswith("TRAP")]
    for path in files:
        network, data = read_onnx(path), np.load(data_of(path))
        frames = checks.framed(network, data["x"], [])
        total += data["spk"].size
        x = frames if network.coding == "frames" else frames[:, 0]
        for bits in wrong:
            graph, report = quantise(network, weight_bits=bits[0], membrane_bits=bits[1],
                                     steps=frames.shape[1])
            spikes = run(graph, x.astype(np.float32), record="spikes").spikes
            found = spikes[report.nodes[network.output]].ravel()
            size = next(n.op.amplitude for n in network.nodes if n.name == network.output)
            wrong[bits] += int((found != np.rint(data["spk"].ravel() / size)).sum())
    assert total >= 11_000
    assert wrong[16, 24] <= 0.001 * total
    assert wrong[8, 12] <= 0.02 * total


@pytest.mark.parametrize("name", [
    "snntorch_leaky_dense_step__ts", "snntorch_leaky_dense_extdata_step__dynamo",
    "snntorch_leaky_poolcurrent_step__dynamo", "snntorch_synaptic_dense_step__dynamo",
    "snntorch_leaky_squant4_dense_step__ts", "snntorch_leaky_purefn_dense_scan__dynamo",
    "sj014_lif_dense_multistep__ts", "sj_lif_convavg_multistep__dynamo",
    "sinabs_lif_dense_multistep__dynamo", "sinabs_iafmulti_dense_step__dynamo",
    "norse_lif_dense_step__dynamo", "native_int4_dense_step", "qsnn_function_dense_scan",
    "qsnn_torch_scan_op_node_dynT",
])
def test_cases(name, capsys):
    path = ONNX / f"{name}.onnx"
    code = qsnn.main(["check", str(path), "--data", str(data_of(path)), "--weight-bits", "16",
                      "--membrane-bits", "24", "--json", "-"])
    found = json.loads(capsys.readouterr().out)
    assert code == 0
    assert found["runtime"] == "onnxruntime"
    assert found["float_mismatches"] == found["runtime_mismatches"] == 0
    assert found["fixed_mismatches"] <= 1
    assert found["spikes"] == np.load(data_of(path))["spk"].size


def test_qonnx_runs_its_own(capsys):
    pytest.importorskip("qonnx")
    pytest.importorskip("toposort")
    path = ONNX / "brevitas_b1_snntorch_dense_step_qonnx__dynamo.onnx"
    assert qsnn.main(["check", str(path), "--data", str(data_of(path)), "--json", "-"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["runtime"], found["runtime_mismatches"], found["spikes"]) == ("qonnx", 0, 160)


def test_nir_is_stepped_by_its_equations(capsys):
    pytest.importorskip("nir")
    code = qsnn.main(["check", str(NIR / "snntorch_dense.nir"), "--data",
                      str(NIR / "snntorch_dense.npz"), "--dt", "snntorch", "--reset",
                      "delayed-soft", "--json", "-"])
    found = json.loads(capsys.readouterr().out)
    assert code == 0
    assert found["runtime"] == found["reference"] == "NIR's equations"
    assert (found["spikes"], found["float_mismatches"]) == (320, 0)
    assert found["notes"][0] == "dt = 0.0001 (snntorch's); NIR doesn't say it"


def test_the_table(capsys):
    assert qsnn.main(["check", str(LEAKY), "--data", str(DATA), "--weight-bits", "4"]) == 0
    shown = capsys.readouterr().out
    assert "onnxruntime against spk of the data: 0 of 160 differ (0.000%)" in shown
    assert "float normal form: 0 of 160 differ (0.000%)" in shown
    assert "fixed point, 4-bit weights, 12-bit membranes: " in shown
    assert "neuron1" in shown and "neuron2" in shown


def test_a_difference_is_found_and_placed(tmp_path, capsys):
    data = dict(np.load(DATA))
    data["spk"] = data["spk"].copy()
    data["spk"][3, 2, 0, 1] = 1 - data["spk"][3, 2, 0, 1]
    np.savez(tmp_path / "x.npz", x=data["x"], spk=data["spk"])
    assert qsnn.main(["check", str(LEAKY), "--data", str(tmp_path / "x.npz"), "--json", "-"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["float_mismatches"] == 1 and found["float_first"] == [3, 2, 1]
    assert found["float_steps"] == [0, 0, 1, 0, 0]


def network(weight, threshold, bias=0.0):
    return Network("net", (4,), "frames", 6, (
        Node("fc", Linear(reals(np.full((3, 4), weight)), reals(bias)), ("x",)),
        Node("lif", Neuron(reals(threshold), reset_value=reals(threshold)), ("fc",))), "lif")


def checked(made, x, **settings):
    from qsnn_compile.foreign.float_model import run as floats
    graph, report = quantise(made, calibrate=x, **settings)
    fixed = golden(graph, arranged(made, x))
    return checks.layer_checks(made, graph, report, floats(made, x).spikes, fixed)[0]


def test_a_broken_layer_is_named_with_its_cure():
    x = (np.random.default_rng(0).random((8, 6, 4)) > 0.5).astype(np.float32)
    loud = np.where(np.arange(8)[:, None, None] < 4, x, -x)
    layer = checked(network(0.001, 1.0, -5.0), x, membrane_bits=6)
    assert layer.advice == ""
    made = network(0.3, 1.0)
    graph, report = quantise(made, calibrate=x / 50, membrane_bits=6)
    from qsnn_compile.foreign.float_model import run as floats
    narrow = graph.nodes[1].op
    assert narrow.bits == 6
    silent = golden(graph, np.zeros((8, 6, 4), np.int64))
    found = checks.layer_checks(made, graph, report, floats(made, x).spikes, silent)[0]
    assert found.advice == ("layer 'lif' has gone silent: use more weight bits (--weight-bits), or "
                            "--membrane-bits 10")
    made = network(0.9, 1.0)
    graph, report = quantise(made, calibrate=np.abs(loud), membrane_bits=6)
    full = golden(graph, np.ones((8, 6, 4), np.int64))
    found = checks.layer_checks(made, graph, report, floats(made, x * 0).spikes, full)[0]
    assert found.advice == ("layer 'lif' is saturated: use --membrane-bits 8, or calibrate with "
                            "data like these (--calibrate)")


def end(command, capsys):
    code = command()
    return code, capsys.readouterr().err.strip().split("\n")[-1]


@pytest.mark.parametrize("arguments, message", [
    (["--data", "missing.npz"], "data must be a readable .npz file, not 'missing.npz'"),
    (["--data", str(DATA), "--dt", "1"],
     f"{LEAKY}: --dt must be left out for an ONNX file, which says it, not '1'"),
    (["--data", str(DATA), "--weight-bits", "0"], "weight bits must be in 1..16, not 0"),
    (["--data", str(DATA), "--steps", "3"],
     "x must be [N, 3, 16], not (8, 5, 1, 16); arrange the samples so"),
], ids=["no data", "dt", "weight bits", "steps"])
def test_check_refuses(arguments, message, capsys):
    code, found = end(lambda: qsnn.main(["check", str(LEAKY), *arguments]), capsys)
    assert code == 2
    assert found.startswith(f"qsnn check: {message}")


def test_steps_before_samples_are_recognised(tmp_path, capsys):
    path = ONNX / "snntorch_leaky_dense_unrolled__dynamo.onnx"
    np.savez(tmp_path / "x.npz", x=np.swapaxes(np.load(data_of(path))["x"], 0, 1))
    code, found = end(lambda: qsnn.main(["check", str(path), "--data", str(tmp_path / "x.npz")]),
                      capsys)
    assert code == 2
    assert found == ("qsnn check: x must be samples first, [N, 5, 16], not (5, 8, 1, 16), which "
                     "seems to have the steps first; store np.swapaxes(x, 0, 1)")


def test_data_without_x(tmp_path, capsys):
    np.savez(tmp_path / "y.npz", y=np.zeros(3))
    code, found = end(lambda: qsnn.main(["check", str(LEAKY), "--data", str(tmp_path / "y.npz")]),
                      capsys)
    assert code == 2
    assert found == (f"qsnn check: {tmp_path / 'y.npz'}: must hold the array 'x', not ['y']; store "
                     "it with np.savez(file, x=x)")


def test_dialects_are_told_apart():
    assert is_foreign(LEAKY) and is_foreign(ONNX / "qsnn_function_dense_step.onnx")
    assert not is_foreign(ZOO / "mnist_mlp.onnx")
    assert not is_foreign(ONNX / "missing.onnx") and not is_foreign(DATA)


def test_one_command(tmp_path, capsys):
    assert qsnnc.main([str(LEAKY), "--target", "ice40", "-o", str(tmp_path / "build")]) == 0
    notes = capsys.readouterr().err
    assert "qsnnc: assumed: 16 steps: the file says one step; else --steps T\n" in notes
    assert "assumed: x is the same at every step: the file says one step" in notes
    assert (tmp_path / "build" / "core.v").is_file()


def test_calibrated_with_data(tmp_path, capsys):
    np.savez(tmp_path / "x.npz", x=np.load(DATA)["x"][:, 0, 0])
    assert qsnnc.main([str(LEAKY), "--calibrate", str(tmp_path / "x.npz"), "--steps", "4", "-o",
                       str(tmp_path / "build")]) == 0
    shown = capsys.readouterr()
    assert "float and fixed point on the data given" in shown.out
    assert "assumed: x is the same at every step, as in the data" in shown.err


@pytest.mark.parametrize("name, reason", [
    ("sinabs_iafmulti_dense_step__dynamo", "node 'neuron1' (node 'node_sub' (Sub)): neurons must "
     "send at most one spike a step in the core, not any number of spikes; it is understood: qsnn "
     "check simulates it with the golden model"),
    ("snntorch_leaky_squant4_dense_step__ts", "node 'neuron1' (node '/l1/Gather' (Gather)): a "
     "quantised state must be reset before it is rounded in the core, not a step late; it is "
     "understood: qsnn check simulates it with the golden model"),
])
def test_what_the_core_lacks(tmp_path, capsys, name, reason):
    path = ONNX / f"{name}.onnx"
    code, found = end(lambda: qsnnc.main([str(path), "-o", str(tmp_path / "build")]), capsys)
    assert code == 2
    assert found == f"qsnnc: {path}: {reason}"


@pytest.mark.parametrize("name", [
    "snntorch_synaptic_dense_step__dynamo", "sinabs_lifsyn_dense_step__ts",
    "norse_lif_dense_step__dynamo"])
def test_synaptic_neurons_run_in_the_core(tmp_path, name):
    built = tmp_path / "build"
    assert qsnnc.main([str(ONNX / f"{name}.onnx"), "--steps", "4", "-o", str(built)]) == 0
    np.savez(tmp_path / "x.npz", x=np.random.default_rng(1).integers(0, 2, (20, 16), np.uint8))
    assert qsnn.main(["sim", str(built), "--data", str(tmp_path / "x.npz"), "--json",
                      str(tmp_path / "sim.json")]) == 0
    assert json.loads((tmp_path / "sim.json").read_text())["clocks"]["median"] > 0


def test_integers_take_no_widths(tmp_path, capsys):
    path = ZOO / "mnist_mlp.onnx"
    code, found = end(lambda: qsnnc.main([str(path), "--weight-bits", "4", "-o",
                                          str(tmp_path / "build")]), capsys)
    assert code == 2
    assert found == (f"qsnnc: {path}: options for files of other libraries must be left out for a "
                     "file of integers, which says it all; leave out --weight-bits and the like")


@pytest.mark.parametrize("change, message", [
    ({"x": np.zeros((0, 5, 1, 16))}, "x must have samples, [N, ...], not the shape (0, 5, 1, 16)"),
    ({"x": np.float32(3)}, "x must have samples, [N, ...], not the shape ()"),
    ({"x": np.zeros((8, 5, 1, 16), complex)}, "x must hold integers, booleans or floats, not comp"),
    ({"spk": np.full((8, 5, 1, 4), "a")}, "spk must hold integers, booleans or floats, not <U1"),
    ({"spk": np.full((8, 5, 1, 4), None)}, "array 'spk' must be readable numbers, not damaged"),
    ({"spk": np.zeros((5, 8, 1, 4))}, "spk must be samples first, as x is, not (5, 8, 1, 4)"),
], ids=["no samples", "a number", "complex", "text", "objects", "steps first"])
def test_data_that_are_no_samples(change, message, tmp_path, capsys):
    path = tmp_path / "x.npz"
    np.savez(path, **{**dict(np.load(DATA)), **change})
    code, found = end(lambda: qsnn.main(["check", str(LEAKY), "--data", str(path)]), capsys)
    assert code == 2
    assert found.startswith(f"qsnn check: {path}: {message}")


def test_spikes_that_are_nan_are_no_match(tmp_path, capsys):
    np.savez(tmp_path / "x.npz", x=np.load(DATA)["x"], spk=np.full((8, 5, 1, 4), np.nan))
    code, found = end(lambda: qsnn.main(["check", str(LEAKY), "--data", str(tmp_path / "x.npz")]),
                      capsys)
    assert code == 2
    assert found == "qsnn check: spk must be finite, not NaN or infinite; mend the data"


def test_damaged_data(tmp_path, capsys):
    path, whole = tmp_path / "x.npz", DATA.read_bytes()
    for data in (whole[:300], whole[:200] + b"\xff" * 10 + whole[210:], b"text", b""):
        path.write_bytes(data)
        code, found = end(lambda: qsnn.main(["check", str(LEAKY), "--data", str(path)]), capsys)
        assert code == 2
        assert found.startswith("qsnn check: ") and "pickle" not in found


def test_signed_inputs_are_held_to_both_ends(tmp_path, capsys):
    x = np.load(DATA)["x"]
    for low in (0.5, 0.1, 1e-4, 2.0):
        np.savez(tmp_path / "x.npz", x=x - low)
        assert qsnn.main(["check", str(LEAKY), "--data", str(tmp_path / "x.npz"), "--json",
                          "-"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert found["float_mismatches"] == 0 and found["fixed_mismatches"] <= 8


@pytest.mark.parametrize("option, message", [
    ("--input-bits", "input bits must be in 1..8, not 0"),
    ("--decay-bits", "decay bits must be in 1..24, not 0"),
])
def test_no_bits_are_refused(option, message, capsys):
    assert qsnnc.main([str(LEAKY), "--explain", option, "0"]) == 2
    assert capsys.readouterr().err == f"qsnnc: {message}\n"


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_of_a_training_that_diverged(value, tmp_path, capsys):
    model, path = onnx.load(LEAKY), tmp_path / "nan.onnx"
    weight = next(t for t in model.graph.initializer if t.name == "fc2.weight")
    numbers = numpy_helper.to_array(weight).copy()
    numbers[1, 2] = value
    weight.CopyFrom(numpy_helper.from_array(numbers, weight.name))
    onnx.save(model, path)
    for command in (lambda: qsnnc.main([str(path), "-o", str(tmp_path / "build")]),
                    lambda: qsnn.main(["check", str(path), "--data", str(DATA)])):
        code, found = end(command, capsys)
        assert code == 2 and "Warning" not in found
        if np.isnan(value):     # an infinite one may be refused earlier, by the runs compared
            assert f"{path}: node 'linear2' (node 'node_linear_1' (Gemm)): weight must be " \
                "finite, not nan" in found
    assert not (tmp_path / "build").exists()


def test_what_the_runtime_refuses_is_one_line(tmp_path):
    """onnxruntime and qonnx raise what they like, Exception itself too."""
    model = onnx.load_model(LEAKY)
    cast = next(node for node in model.graph.node if node.op_type == "Cast")
    cast.attribute[0].i = 16                        # bfloat16, which it has no kernel for
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(SourceError, match=r"model.onnx: onnxruntime must run the model, not "
                                          r"refuse it: \[ONNXRuntimeError\] [^\n]*; update onnx"):
        checks.check(path, DATA, Options(), golden)


@pytest.mark.parametrize("error", [Exception("a\nb"), AssertionError("a b"), KeyError("a b")])
def test_whatever_a_runtime_raises(error):
    message = "^f: qonnx must run the model, not refuse it: '?a b'?; update qonnx$"
    with pytest.raises(SourceError, match=message), refusals("f", "qonnx"):
        raise error


def test_a_runtime_that_is_not_there():
    with pytest.raises(ModuleNotFoundError), refusals("f", "qonnx"):
        raise ModuleNotFoundError(name="qonnx")
