"""qsnn check and qsnnc on files of other libraries: figures, messages, exit codes."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from qsnn_compile.cli import qsnn, qsnnc
from qsnn_compile.cli.foreign import golden
from qsnn_compile.compare import check as checks
from qsnn_compile.compare.layers import layer_checks
from qsnn_compile.compare.source_runtime import SourceError, refusals
from qsnn_compile.foreign.onnx.front import read_onnx
from qsnn_compile.foreign.reader import Options, is_foreign, quantise_file
from qsnn_compile.quantise.network import quantise
from qsnn_compile.reals.calibrate import input_codes
from qsnn_compile.reals.float_model import arranged
from qsnn_compile.reals.normal_form import Linear, Network, Neuron, Node, reals
from qsnn_sim.golden.golden import run

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
            train = spikes[report.nodes[network.output]].ravel()
            size = next(n.op.amplitude for n in network.nodes if n.name == network.output)
            wrong[bits] += int((train != np.rint(data["spk"].ravel() / size)).sum())
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
    content = json.loads(capsys.readouterr().out)
    assert code == 0
    assert content["runtime"] == "onnxruntime"
    assert content["float_mismatches"] == content["runtime_mismatches"] == 0
    assert content["fixed_mismatches"] <= 1
    assert content["spikes"] == np.load(data_of(path))["spk"].size


def test_qonnx_runs_its_own(capsys):
    pytest.importorskip("qonnx")
    pytest.importorskip("toposort")
    path = ONNX / "brevitas_b1_snntorch_dense_step_qonnx__dynamo.onnx"
    assert qsnn.main(["check", str(path), "--data", str(data_of(path)), "--json", "-"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert [content[key] for key in ("runtime", "runtime_mismatches", "spikes")] == [
        "qonnx", 0, 160]


SNNTORCH = ["check", str(NIR / "snntorch_dense.nir"), "--dt", "snntorch", "--data"]


def test_nir_without_the_library_is_no_success(capsys):
    pytest.importorskip("nir")
    command = [*SNNTORCH, str(NIR / "snntorch_dense.npz")]
    assert qsnn.main([*command, "--json", "-"]) == 1
    content = json.loads(capsys.readouterr().out)
    assert content["runtime"] == content["reference"] == "NIR's equations"
    assert content["compared_with_library"] is False and content["runtime_mismatches"] is None
    assert (content["spikes"], content["float_mismatches"]) == (320, 0)
    assert content["notes"][0] == "dt = 0.0001 (snntorch's); NIR doesn't say it"
    assert qsnn.main(command) == 1
    shown = capsys.readouterr().out
    assert "float normal form against NIR's equations: 0 of 320 differ (0.000%)\n" in shown
    assert "NIR's equations against" not in shown
    assert shown.endswith(
        "not compared with the library: the data hold no spk, so all of the above is held against "
        "NIR's equations as they were understood here; store the library's answers with "
        "np.savez(file, x=x, spk=spk)\n")


def test_nir_with_the_librarys_spikes(tmp_path, capsys):
    pytest.importorskip("nir")
    data = np.load(NIR / "snntorch_dense.npz")
    np.savez(tmp_path / "x.npz", x=data["x"], spk=data["spk_framework"])
    assert qsnn.main([*SNNTORCH, str(tmp_path / "x.npz"), "--json", "-"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["compared_with_library"] is True and content["runtime_mismatches"] == 0
    assert content["reference"] == "spk of the data" and content["accuracy"] is None
    assert len(content["warnings"]) == 2
    assert qsnn.main([*SNNTORCH, str(tmp_path / "x.npz"), "--reset", "hard"]) == 1
    shown = capsys.readouterr().out
    assert "NIR's equations against spk of the data: 111 of 320 differ" in shown
    assert "not compared" not in shown


def test_onnx_is_compared_with_its_own_run(tmp_path, capsys):
    np.savez(tmp_path / "x.npz", x=np.load(DATA)["x"])
    assert qsnn.main(["check", str(LEAKY), "--data", str(tmp_path / "x.npz")]) == 0
    shown = capsys.readouterr().out
    assert "float normal form against onnxruntime: 0 of 160 differ (0.000%)\n" in shown
    assert "onnxruntime against" not in shown and "not compared" not in shown


def test_a_potential_is_compared_by_its_classes(tmp_path, capsys):
    nir = pytest.importorskip("nir")
    full = np.full(3, 1.0)
    graph = nir.NIRGraph({
        "input": nir.Input({"input": np.array([3])}), "fc": nir.Linear(np.eye(3)),
        "li": nir.LI(4 * full, full, 0 * full), "output": nir.Output({"output": np.array([3])})},
        [("input", "fc"), ("fc", "li"), ("li", "output")], type_check=False)
    nir.write(tmp_path / "a.nir", graph)
    x = np.random.default_rng(0).random((20, 6, 3)).astype(np.float32)
    v, answers = 0.0, []
    for t in range(6):
        v = v + (x[:, t] - v) / 4
        answers.append(v)
    y = answers[-1].argmax(axis=1)
    np.savez(tmp_path / "x.npz", x=x, spk=np.stack(answers, 1), y=y)
    command = ["check", str(tmp_path / "a.nir"), "--dt", "1", "--data", str(tmp_path / "x.npz")]
    assert qsnn.main([*command, "--json", "-"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["fixed_mismatches"] is None and content["same_class"] >= 0.95
    assert content["accuracy"]["spk of the data"] == content["accuracy"]["float normal form"] == 1
    assert content["accuracy"]["fixed point"] == content["same_class"]
    assert qsnn.main(command) == 0
    shown = capsys.readouterr().out
    assert ("fixed point, 8-bit weights, 12-bit membranes: the network ends in a potential, which "
            "integers count in other units; only classes are compared\n") in shown
    assert "class: the integers choose that of spk of the data in " in shown
    assert ("accuracy on 20 samples: spk of the data 100.00%, NIR's equations 100.00%, float "
            "normal form 100.00%, fixed point ") in shown


def test_the_table(capsys):
    assert qsnn.main(["check", str(LEAKY), "--data", str(DATA), "--weight-bits", "4"]) == 0
    shown = capsys.readouterr().out
    assert "onnxruntime against spk of the data: 0 of 160 differ (0.000%)" in shown
    assert "float normal form against spk of the data: 0 of 160 differ (0.000%)" in shown
    assert "fixed point, 4-bit weights, 12-bit membranes, against spk of the data: " in shown
    assert "neuron1" in shown and "neuron2" in shown


def test_a_difference_is_found_and_placed(tmp_path, capsys):
    data = dict(np.load(DATA))
    data["spk"] = data["spk"].copy()
    data["spk"][3, 2, 0, 1] = 1 - data["spk"][3, 2, 0, 1]
    np.savez(tmp_path / "x.npz", x=data["x"], spk=data["spk"])
    assert qsnn.main(["check", str(LEAKY), "--data", str(tmp_path / "x.npz"), "--json", "-"]) == 1
    content = json.loads(capsys.readouterr().out)
    assert content["float_mismatches"] == 1 and content["float_first"] == [3, 2, 1]
    assert content["float_steps"] == [0, 0, 1, 0, 0]


def network(weight, threshold, bias=0.0):
    return Network("net", (4,), "frames", 6, (
        Node("fc", Linear(reals(np.full((3, 4), weight)), reals(bias)), ("x",)),
        Node("lif", Neuron(reals(threshold), reset_value=reals(threshold)), ("fc",))), "lif")


def checked(made, x, **settings):
    from qsnn_compile.reals.float_model import run as floats
    graph, report = quantise(made, calibrate=x, **settings)
    fixed = golden(graph, arranged(made, x))
    return layer_checks(made, graph, report, floats(made, x).spikes, fixed)[0]


def test_a_broken_layer_is_named_with_its_cure():
    x = (np.random.default_rng(0).random((8, 6, 4)) > 0.5).astype(np.float32)
    loud = np.where(np.arange(8)[:, None, None] < 4, x, -x)
    layer = checked(network(0.001, 1.0, -5.0), x, membrane_bits=6)
    assert layer.advice == ""
    made = network(0.3, 1.0)
    graph, report = quantise(made, calibrate=x / 50, membrane_bits=6)
    from qsnn_compile.reals.float_model import run as floats
    narrow = graph.nodes[1].op
    assert narrow.bits == 6
    silent = golden(graph, np.zeros((8, 6, 4), np.int64))
    layer = layer_checks(made, graph, report, floats(made, x).spikes, silent)[0]
    assert layer.advice == ("layer 'lif' has gone silent: use more weight bits (--weight-bits), or "
                            "--membrane-bits 10")
    made = network(0.9, 1.0)
    graph, report = quantise(made, calibrate=np.abs(loud), membrane_bits=6)
    full = golden(graph, np.ones((8, 6, 4), np.int64))
    layer = layer_checks(made, graph, report, floats(made, x * 0).spikes, full)[0]
    assert layer.advice == ("layer 'lif' is saturated: use --membrane-bits 8, or calibrate with "
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
    code, ended = end(lambda: qsnn.main(["check", str(LEAKY), *arguments]), capsys)
    assert code == 2
    assert ended.startswith(f"qsnn check: {message}")


def test_steps_before_samples_are_recognised(tmp_path, capsys):
    path = ONNX / "snntorch_leaky_dense_unrolled__dynamo.onnx"
    np.savez(tmp_path / "x.npz", x=np.swapaxes(np.load(data_of(path))["x"], 0, 1))
    code, ended = end(lambda: qsnn.main(["check", str(path), "--data", str(tmp_path / "x.npz")]),
                      capsys)
    assert code == 2
    assert ended == ("qsnn check: x must be samples first, [N, 5, 16], not (5, 8, 1, 16), which "
                     "seems to have the steps first; store np.swapaxes(x, 0, 1)")


def test_data_without_x(tmp_path, capsys):
    np.savez(tmp_path / "y.npz", y=np.zeros(3))
    code, ended = end(lambda: qsnn.main(["check", str(LEAKY), "--data", str(tmp_path / "y.npz")]),
                      capsys)
    assert code == 2
    assert ended == (f"qsnn check: {tmp_path / 'y.npz'}: must hold the array 'x', not ['y']; store "
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
    code, ended = end(lambda: qsnnc.main([str(path), "-o", str(tmp_path / "build")]), capsys)
    assert code == 2
    assert ended == f"qsnnc: {path}: {reason}"


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
    code, ended = end(lambda: qsnnc.main([str(path), "--weight-bits", "4", "-o",
                                          str(tmp_path / "build")]), capsys)
    assert code == 2
    assert ended == (f"qsnnc: {path}: options for files of other libraries must be left out for a "
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
    code, ended = end(lambda: qsnn.main(["check", str(LEAKY), "--data", str(path)]), capsys)
    assert code == 2
    assert ended.startswith(f"qsnn check: {path}: {message}")


def test_spikes_that_are_nan_are_no_match(tmp_path, capsys):
    np.savez(tmp_path / "x.npz", x=np.load(DATA)["x"], spk=np.full((8, 5, 1, 4), np.nan))
    code, ended = end(lambda: qsnn.main(["check", str(LEAKY), "--data", str(tmp_path / "x.npz")]),
                      capsys)
    assert code == 2
    assert ended == "qsnn check: spk must be finite, not NaN or infinite; mend the data"


def test_damaged_data(tmp_path, capsys):
    path, whole = tmp_path / "x.npz", DATA.read_bytes()
    for data in (whole[:300], whole[:200] + b"\xff" * 10 + whole[210:], b"text", b""):
        path.write_bytes(data)
        code, ended = end(lambda: qsnn.main(["check", str(LEAKY), "--data", str(path)]), capsys)
        assert code == 2
        assert ended.startswith("qsnn check: ") and "pickle" not in ended


def test_signed_inputs_are_held_to_both_ends(tmp_path, capsys):
    x = np.load(DATA)["x"]
    for low in (0.5, 0.1, 1e-4, 2.0):
        np.savez(tmp_path / "x.npz", x=x - low)
        assert qsnn.main(["check", str(LEAKY), "--data", str(tmp_path / "x.npz"), "--json",
                          "-"]) == 0
        content = json.loads(capsys.readouterr().out)
        assert content["float_mismatches"] == 0 and content["fixed_mismatches"] <= 8


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
        code, ended = end(command, capsys)
        assert code == 2 and "Warning" not in ended
        if np.isnan(value):     # an infinite one may be refused earlier, by the runs compared
            assert f"{path}: node 'linear2' (node 'node_linear_1' (Gemm)): weight must be " \
                "finite, not nan" in ended
    assert not (tmp_path / "build").exists()


def pixels(tmp_path, dtype, top=255):
    """x of 0 … 1 that LEAKY was trained on, as codes 0 … *top* of *dtype*, and the right spikes."""
    rng = np.random.default_rng(4)
    codes = rng.integers(0, top + 1, (8, 5, 1, 16)).astype(dtype)
    codes[0, 0, 0, 0] = top
    real = (codes / np.float32(top)).astype(np.float32)
    np.savez(tmp_path / "real.npz", x=real)
    np.savez(tmp_path / "codes.npz", x=codes, y=np.arange(8) % 4)
    return str(tmp_path / "codes.npz")


@pytest.mark.parametrize("top, bits", [(255, 8), (16, 5)])
def test_codes_of_another_scale(top, bits, tmp_path, capsys):
    command = ["check", str(LEAKY), "--json", "-", "--data"]
    data = pixels(tmp_path, np.uint8, top)
    assert qsnn.main([*command, str(tmp_path / "real.npz")]) == 0
    right = json.loads(capsys.readouterr().out)
    assert right["warnings"] == []
    assert qsnn.main([*command, data]) == 0
    wrong = json.loads(capsys.readouterr().out)
    assert wrong["warnings"] == [
        f"x holds whole numbers 0 … {top}, taken as they are: a network that was trained on x / "
        f"{top} sees them {top} times too large; say --input-scale {1 / top:.6g}, or --input-scale "
        "1 if it was trained on them"]
    assert wrong["layers"][0]["float_rate"] > 1.2 * right["layers"][0]["float_rate"]
    assert qsnn.main([*command, data, "--input-scale", str(1 / top)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["warnings"] == []
    assert told["layers"][0]["float_rate"] == right["layers"][0]["float_rate"]
    assert set(told["accuracy"]) == {"onnxruntime", "float normal form", "fixed point"}
    quantised = quantise_file(LEAKY, Options(calibrate=data, input_scale=1 / top))
    assert (quantised.graph.input.bits, quantised.graph.input.scale) == (bits, 1 / top)
    assert quantised.labels.tolist() == [0, 1, 2, 3] * 2
    assert quantised.report.input == f"x = {1 / top:g} · (code - 0), as told"


def test_whole_numbers_beyond_one_are_warned_of(tmp_path, capsys):
    data = pixels(tmp_path, np.float32)
    assert qsnnc.main([str(LEAKY), "--explain", "--calibrate", data]) == 0
    shown = capsys.readouterr().out
    assert "warning: x holds whole numbers 0 … 255, taken as they are: " in shown
    assert "accuracy on 8 samples: float normal form " in shown and ", fixed point " in shown
    counts = pixels(tmp_path, np.uint8, 4)
    assert qsnnc.main([str(LEAKY), "--explain", "--calibrate", counts]) == 0
    assert "whole numbers 0 … 4, taken" in (shown := capsys.readouterr().out)
    assert "warning" not in shown


@pytest.mark.parametrize("x, said", [
    ([0, 1023], "0 … 1023, taken as they are: a network that was trained on x / 1023 sees them "
     "1023 times too large; store x / 1023 if it was"),
    ([-128, 127], "-128 … 127, taken as they are: a network that was trained on x / 128 sees them "
     "128 times too large; store x / 128 if it was"),
    ([0.0, 200.0], "0 … 200, taken as they are: a network that was trained on x / 255 sees them "
     "255 times too large; say --input-scale 0.00392157, or --input-scale 1 if it was trained on "
     "them"), ([0.5, 200.0], None), ([-3, 4], None), ([0, 1], None)])
def test_what_is_said_of_whole_numbers(x, said):
    warning = input_codes(np.array(x), 8).warning
    assert warning == ("" if said is None else f"x holds whole numbers {said}")


def test_a_zero_point_as_told(tmp_path):
    rng = np.random.default_rng(5)
    codes = rng.integers(0, 256, (8, 5, 1, 16))
    np.savez(tmp_path / "codes.npz", x=codes)
    np.savez(tmp_path / "real.npz", x=((codes - 100) / 64).astype(np.float32))
    told = Options(input_scale=1 / 64, input_zero_point=100)
    for name in ("codes", "real"):
        checked = checks.check(LEAKY, tmp_path / f"{name}.npz", told, golden)
        assert checked.good and checked.fixed_mismatches <= 4
    source = quantise_file(LEAKY, replace(told, calibrate=str(tmp_path / "codes.npz"))).graph.input
    assert (source.bits, source.scale, source.zero_point) == (8, 1 / 64, 100)


@pytest.mark.parametrize("options, message", [
    (["--input-scale", "0"], "input scale must be a positive number, not 0.0; say what 1 of the "
     "input's codes is worth"),
    (["--input-scale", "nan"], "input scale must be a positive number, not nan; say what 1 of the "
     "input's codes is worth"),
    (["--input-zero-point", "3"], "--input-zero-point must come with --input-scale, not alone; say "
     "what 1 of the input's codes is worth"),
    (["--input-scale", "0.1", "--input-zero-point", "300"], "input zero point must be a code, 0 … "
     "255, not 300; say which code stands for 0"),
    (["--input-scale", "0.1", "--input-bits", "4"], "x must be codes 0 … 15 with this "
     "--input-scale, not "),
    (["--input-scale", "0.1", "--input-bits", "9"], "input bits must be in 1..8, not 9"),
])
def test_scales_that_are_refused(options, message, tmp_path, capsys):
    data = pixels(tmp_path, np.uint8)
    for command in (["check", str(LEAKY), "--data", data], ):
        assert qsnn.main([*command, *options]) == 2
        assert capsys.readouterr().err.startswith(f"qsnn check: {message}")
    assert qsnnc.main([str(LEAKY), "--explain", "--calibrate", data, *options]) == 2
    assert capsys.readouterr().err.startswith(f"qsnnc: {message}")


def test_codes_stored_as_floats(tmp_path, capsys):
    data = pixels(tmp_path, np.float32)
    assert qsnn.main(["check", str(LEAKY), "--data", data, "--input-scale", str(1 / 255)]) == 0
    assert ("assumed: the input is x = 0.00392157 · (code - 0), as told; x holds codes, though as "
            "floats\n") in capsys.readouterr().out
    np.savez(data, x=np.load(data)["x"] + np.float32(0.5))
    assert qsnn.main(["check", str(LEAKY), "--data", data, "--input-scale", str(1 / 256)]) == 2
    source = capsys.readouterr().err
    assert source.startswith("qsnn check: x must be real numbers 0 … 0.996094 with this "
                            "--input-scale, not ")
    assert source.endswith("; whole numbers are codes, others are real numbers\n")


@pytest.mark.parametrize("y", [np.zeros(7, int), np.zeros(8), np.full(8, -1)])
def test_labels_that_are_none(y, tmp_path, capsys):
    np.savez(tmp_path / "x.npz", x=np.load(DATA)["x"], y=y)
    assert qsnn.main(["check", str(LEAKY), "--data", str(tmp_path / "x.npz")]) == 2
    assert capsys.readouterr().err == (
        f"qsnn check: {tmp_path / 'x.npz'}: y must be whole numbers [N] = [8], the classes from 0 "
        f"on, not {y.dtype!s} {list(y.shape)!r}\n")


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
