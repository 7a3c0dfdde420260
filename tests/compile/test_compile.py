"""The compiler as users call it."""

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

import qsnn_compile
from qsnn_compile.builds import manifest
from qsnn_compile.chips.targets import target
from qsnn_compile.cli import qsnn, qsnnc
from qsnn_compile.ir import equal, parse
from qsnn_compile.lower.program import Program
from qsnn_compile.system.errors import DoesNotFit, QsnnError

MODEL = "models/zoo/mnist_mlp.onnx"
FILES = {"core.v", "manifest.json", "model.qir", "program.json", "report.json", "top.pcf", "top.v",
         "weights.bin"}


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    folder = tmp_path_factory.mktemp("out") / "build"
    return qsnn_compile.compile(MODEL, output=folder), folder


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes()
            for path in sorted(folder.rglob("*")) if path.is_file()}


def test_what_is_in_the_folder(build):
    made, folder = build
    assert {name for name in contents(folder) if not name.startswith("memory/")} == FILES
    assert Program.load(folder) == made.program
    assert equal(parse((folder / "model.qir").read_text()), made.graph)
    assert json.loads((folder / "report.json").read_text()) == made.report
    assert [path.name for path in folder.parent.iterdir()] == ["build"]


def test_report(build):
    report = build[0].report
    assert report["schema"] == 1
    assert (report["target"], report["lanes"]) == ("ice40", 64)
    machine = build[0].program.machine
    parameters, layout = machine.parameters, machine.layout
    units = parameters.banks * parameters.units
    assert (report["banks"], report["units"]) == (parameters.banks, units)
    assert [layer["rows"] for layer in report["layers"]] == [
        last - first for first, last in pairwise([*layout.row, layout.rows])]
    assert (report["weight_bits"], report["membrane_bits"]) == (1, 4)
    assert report["fmax_mhz"] is None and report["resources"] is None
    assert set(report["predicted"]) == {"lc", "ebr", "spram", "dsp"}
    described = Path("docs/report-schema.md").read_text()
    assert all(f"`{key}`" in described for key in report)


def test_two_runs_give_identical_bytes(build, tmp_path):
    again = tmp_path / "again"
    assert qsnnc.main([MODEL, "--target", "ice40", "-o", str(again)]) == 0
    assert contents(again) == contents(build[1])


@pytest.fixture
def no_verilog(monkeypatch):
    """Without Amaranth's second or two, where what is written doesn't matter."""
    monkeypatch.setattr("qsnn_compile.compiler.write_sources", lambda *arguments: None)


@pytest.fixture
def earlier(tmp_path):
    folder = tmp_path / "build"
    folder.mkdir()
    for name in ("program.json", "report.json", "stale.v"):
        (folder / name).write_text("{}")
    manifest.write(folder)
    return folder


def test_an_earlier_build_is_replaced(earlier, no_verilog):
    qsnn_compile.compile(MODEL, output=earlier)
    assert set(contents(earlier.parent)) == {"build/report.json", "build/manifest.json"}


def test_an_earlier_build_survives_an_error(earlier, no_verilog, monkeypatch):
    monkeypatch.setattr("qsnn_compile.compiler.write_report", broken)
    with pytest.raises(RuntimeError):
        qsnn_compile.compile(MODEL, output=earlier)
    assert set(contents(earlier)) == {"program.json", "report.json", "stale.v", "manifest.json"}
    assert [path.name for path in earlier.parent.iterdir()] == ["build"]


def test_a_link_leads_to_the_build(earlier, no_verilog):
    link = earlier.with_name("link")
    link.symlink_to(earlier)
    qsnn_compile.compile(MODEL, output=link)
    assert link.is_symlink() and set(contents(earlier)) == {"report.json", "manifest.json"}
    assert {path.name for path in earlier.parent.iterdir()} == {"build", "link"}


@pytest.mark.parametrize("name", ("report.json", "program.json"))
def test_a_folder_of_others_with_one_of_our_names_is_kept(earlier, no_verilog, name):
    (earlier / name).unlink()
    (earlier / "manifest.json").unlink()
    with pytest.raises(QsnnError, match="^output must be a new or empty folder or an earlier "):
        qsnn_compile.compile(MODEL, output=earlier)
    assert (earlier / "stale.v").exists()


def test_the_current_folder_is_refused(tmp_path, monkeypatch, no_verilog):
    model = Path(MODEL).absolute()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(QsnnError, match=r"^output must be a folder that can be replaced, not '\.', "
                       r"the current folder or a mount; choose another -o, as 'build'$"):
        qsnn_compile.compile(model, output=".")
    assert not list(tmp_path.iterdir())


def broken(*arguments):
    raise RuntimeError


def test_nothing_is_written_without_output(tmp_path, monkeypatch):
    model = Path(MODEL).absolute()
    monkeypatch.chdir(tmp_path)
    made = qsnn_compile.compile(model, lanes=16)
    machine = made.program.machine
    parameters = machine.parameters
    assert parameters.banks * parameters.lanes == 16 and not list(tmp_path.iterdir())


def test_steps_go_before_the_file(tmp_path):
    assert qsnn_compile.compile(MODEL, steps=2).graph.steps == 2


def test_a_stream_runs_step_by_step():
    machine = qsnn_compile.compile(MODEL, stream=True).program.machine
    assert machine.parameters.streaming and machine.parameters.order == "step"
    assert machine.layout.input_beats == machine.layout.frame_words


def test_an_exit_margin_chooses_the_order(no_verilog, tmp_path, capsys):
    """Layer by layer there is no answer before the last step."""
    assert qsnnc.main([str(MODEL), "-o", str(tmp_path / "build"), "--exit-margin", "7",
                       "--json", str(tmp_path / "report.json")]) == 0
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["order"], report["streaming"], report["exit_margin"]) == ("step", False, 7)
    assert "settled when the best score leads by 7, or after the last step" in " ".join(
        capsys.readouterr().out.split())


def test_json_on_standard_output(build, capsys):
    assert qsnn.main(["report", str(build[1]), "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out) == build[0].report


def test_tables(build, capsys):
    assert qsnn.main(["report", str(build[1])]) == 0
    assert "64 lanes" in capsys.readouterr().out
    assert qsnn.main(["targets"]) == 0
    assert "icebreaker" in capsys.readouterr().out


def test_print_between_passes(tmp_path, capsys, no_verilog):
    assert qsnnc.main([MODEL, "-o", str(tmp_path / "b"), "--print-between-passes"]) == 0
    printed = capsys.readouterr().out
    for name in ("import", "reduce-decay", "clip-thresholds", "legalise"):
        assert f"// after {name}: " in printed


def test_json_has_standard_output_to_itself(tmp_path, capsys, no_verilog):
    assert qsnnc.main([MODEL, "-o", str(tmp_path / "b"), "--print-between-passes",
                       "--json", "-"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["name"] == "mnist_mlp"
    assert "// after legalise: " in printed.err


def test_targets():
    assert target("ice40").device is target("icebreaker").device is target("up5k").device


def test_what_does_not_fit_says_so():
    from qsnn_compile.chips.targets import Device, Target
    from qsnn_compile.search.choose import choose
    graph = qsnn_compile.compile(MODEL).graph
    small = Device("small", "ice40", "", 1000, 4, 4, 8, ())
    with pytest.raises(DoesNotFit, match=r"must fit small, and with \d+ lanes it needs .* logic"):
        choose(graph, Target("small", small, target("ice40").board))


@pytest.mark.parametrize("code", (
    "import qsnn_compile",
    "from qsnn_compile.cli import qsnnc; qsnnc.main(['--help'])",
    "from qsnn_compile.cli import qsnn; qsnn.main(['--help'])",
    "import qsnn_compile.lower.program",
))
def test_imports_stay_light(code):
    check = f"{code}\nimport sys\nassert not {{'torch', 'onnx', 'amaranth'}} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", check], check=True, capture_output=True)


@pytest.mark.parametrize("arguments, message", (
    (("--json", "build/r.json"), "--json must name a file outside of the build folder 'build', "
     "which is replaced, not 'build/r.json'; choose another"),
    (("--nir", "nowhere/n.nir"), "--nir must name a file in a folder that can be written, not "
     "'nowhere/n.nir'; choose another"),
    (("--nir", "build"), "--nir must name a file, not the folder 'build'; choose another"),
    (("--json", "build/core.v/r.json"), "--json must name a file in a folder that can be written, "
     "not 'build/core.v/r.json'; choose another"),
    ((), "output must be a new or empty folder or an earlier build, not 'build', which holds "
     "'core.v'; choose another -o")))
def test_places_are_tried_before_the_work(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("qsnn_compile.compiler.read_model", broken)
    Path("build").mkdir()
    Path("build/core.v").write_text("somebody's")
    assert qsnnc.main(["any.onnx", "-o", "build", *arguments]) == 2
    assert capsys.readouterr().err == f"qsnnc: {message}\n"
    assert contents(tmp_path) == {"build/core.v": b"somebody's"}
