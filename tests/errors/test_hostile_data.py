"""Data, checkpoints, configurations and options made to break things: each is one clear message."""

import os
import re
import struct
import zipfile

import numpy as np
import pytest
import torch

from qsnn_compile.builds.report import ReportError, read_report
from qsnn_compile.cli.qsnn import main
from qsnn_compile.lower.program import Program, ProgramError
from qsnn_compile.reals.calibrate import read_data
from qsnn_compile.reals.float_model import DataError
from qsnn_compile.system.arrays import ArrayError, NotNpz, read_npz
from qsnn_models.errors import CheckpointError, ModelsError
from qsnn_models.network.config import NetworkConfig
from qsnn_models.training import checkpoint, config_file, teacher, warm_start
from qsnn_models.training.train_config import TrainConfig


def member(header, data=b"", version=(1, 0)):
    """The bytes of a .npy file with the text *header*."""
    text = header.encode("latin1") + b"\n"
    size = struct.pack("<H" if version == (1, 0) else "<I", len(text))
    return b"\x93NUMPY" + bytes(version) + size + text + data


def npz(path, **members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return path


def header(shape, kind="|u1"):
    return repr({"descr": kind, "fortran_order": False, "shape": shape})


ARRAYS = {
    "it must hold 1,073,741,824 bytes by its header, not 4": member(header((1 << 30,)), b"1234"),
    "83,886,080 bytes must not be packed into": member(header((80 << 20,)), bytes(80 << 20)),
    "Object arrays cannot be loaded": member(header((1,), "|O"), b"x" * 8),
    "its shape must be of sizes, not (-1, -4)": member(header((-1, -4)), b"1234"),
    "version must be 1.0 or 2.0, not (9, 9)": member(header((1,)), b"1", (9, 9)),
    "Header is not a dictionary": member("7"),
    "EOF in multi-line statement": member("[" * 3000),
    "its elements must be numbers, not [": member(
        "{'descr': [('a', '|u1')], 'fortran_order': False, 'shape': (1,)}", b"1"),
    "magic string": b"no array at all, but text",
    "EOF: reading magic string": b"",
}


@pytest.mark.parametrize("text, content", ARRAYS.items())
def test_arrays_are_judged_by_their_headers(text, content, tmp_path):
    with read_npz(npz(tmp_path / "x.npz", x=content)) as arrays, \
            pytest.raises(ArrayError, match=re.escape(text)):
        arrays["x"]


def test_an_array_too_large_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr("qsnn_compile.system.arrays.LARGEST", 3)
    with read_npz(npz(tmp_path / "x.npz", x=member(header((4,)), b"1234"))) as arrays, \
            pytest.raises(ArrayError, match="it must hold at most 3 bytes, not 4; split the file"):
        arrays["x"]


def test_a_packed_array_that_is_usual_is_read(tmp_path):
    frames = np.zeros((40, 784), np.uint8)
    frames[:, 5] = 7
    np.savez_compressed(tmp_path / "x.npz", x=frames)
    with read_npz(tmp_path / "x.npz") as arrays:
        assert arrays.names == ["x"] and (arrays["x"] == frames).all()


@pytest.mark.parametrize("content", [b"", b"PK", b"text", b"PK\x05\x06" + bytes(18) + b"x" * 40])
def test_a_file_that_is_no_archive(content, tmp_path):
    (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises((NotNpz, KeyError)), read_npz(tmp_path / "x.npz") as arrays:
        arrays["x"]


def test_data_for_calibration_are_read_by_the_same_door(tmp_path):
    (tmp_path / "zero.npz").symlink_to("/dev/zero")
    with pytest.raises(DataError, match="not a regular file but a device"):
        read_data(tmp_path / "zero.npz")
    with pytest.raises(DataError, match="array 'x' must be readable numbers.*by its header, not 1"):
        read_data(npz(tmp_path / "x.npz", x=member(header((9,)), b"1")))


# -- builds ---------------------------------------------------------------------------------------

@pytest.mark.parametrize("text, reason", [("[" * 100_000, "nested too deep"),
                                          ('{"schema": NaN}', "numbers must be finite, not NaN")])
def test_reports_and_programs_of_odd_json(text, reason, tmp_path):
    for name in ("report.json", "program.json"):
        (tmp_path / name).write_text(text)
    with pytest.raises(ReportError, match=f"must be JSON: {reason}; compile the model again"):
        read_report(tmp_path)
    with pytest.raises(ProgramError, match=f"must be a readable JSON file: {reason}; compile"):
        Program.load(tmp_path)


# -- training -------------------------------------------------------------------------------------

NETWORK, CONFIG = NetworkConfig("n", "4-3-2"), TrainConfig("digits")


def stored(path, **changes):
    """A checkpoint at *path*, its content changed."""
    content = {"version": checkpoint.VERSION, "network": {}, "config": {}, "epochs": 1, "state": {}}
    torch.save(content | changes, path)
    return path


@pytest.mark.parametrize("changes", [{"state": [1]}, {"network": 7}, {"config": None},
                                     {"epochs": "1"}, {"epochs": True}])
def test_checkpoints_of_wrong_types(changes, tmp_path):
    path = stored(tmp_path / "n.pt", **changes)
    with pytest.raises(CheckpointError, match="must be a checkpoint of qsnn train; it can't be "
                       r"read \(TypeError\). Delete it and train again"):
        checkpoint.load(path, NETWORK, CONFIG)


@pytest.mark.parametrize("state", [{}, {"average": 3}, {"model": {"a": 1}}, {"model": [1]}])
def test_a_start_or_teacher_without_tensors(state, tmp_path):
    path = stored(tmp_path / "n.pt", state=state, network={"name": "n", "layers": "4-3-2"})
    for read in (lambda: warm_start.tensors(path), lambda: teacher.read(path, NETWORK)):
        with pytest.raises(CheckpointError, match="must be a checkpoint of qsnn train"):
            read()


def test_checkpoints_that_unpack_to_too_much_or_are_devices(tmp_path, monkeypatch):
    path = stored(tmp_path / "n.pt")
    monkeypatch.setattr(checkpoint, "LARGEST", path.stat().st_size - 1)
    with pytest.raises(CheckpointError, match=r"can't be read \(OSError\)"):
        checkpoint.read(path)


def test_an_exported_teacher_that_is_none(tmp_path):
    (tmp_path / "t.pt2").write_bytes(npz(tmp_path / "x", x=b"").read_bytes())
    with pytest.raises(CheckpointError, match="must be a file that torch.export.save wrote"):
        teacher.read(tmp_path / "t.pt2", NETWORK)


def test_configurations_that_nest_or_are_no_files(tmp_path):
    path = tmp_path / "c.toml"
    path.write_text("a = " + "[" * 9000)
    with pytest.raises(ModelsError, match="c.toml must be a TOML file: "):
        config_file.parse(path)
    path.write_text("a = " + "{a=" * 9000)
    with pytest.raises(ModelsError, match="c.toml must be a TOML file: nested too deep"):
        config_file.parse(path)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(ModelsError, match="must be a file that can be read: not a regular file"):
        config_file.parse(path)


@pytest.mark.parametrize("layers", [
    "9" * 5000 + "-2", "4-" + "9" * 5000, "1x4x4-1234567890123C3-2", "1x4x4-2C3-P1234567890123-2"])
def test_sizes_of_too_many_digits(layers):
    with pytest.raises(ModelsError, match="layers .* must be"):
        NetworkConfig("n", layers)


def test_threads_beyond_any_machine():
    with pytest.raises(ModelsError, match="threads must be at most 256, not 1000000"):
        TrainConfig("digits", threads=1_000_000)


# -- options --------------------------------------------------------------------------------------

MODEL = "models/zoo/mnist_mlp.onnx"


@pytest.mark.parametrize("arguments, text", [
    (["explore", MODEL, "--jobs", "1000000"], "--jobs must be at most 1024 processes, not 1000000"),
    (["explore", MODEL, "--dask", "tls://127.0.0.1:1"], "--dask must be the address of a scheduler "
     "that answers, not 'tls://127.0.0.1:1'"),
    (["explore", MODEL, "--dask", "[/]"], "--dask must be the address of a scheduler that answers, "
     "not '[/]' (missing port number"),
])
def test_options_that_mean_nothing(arguments, text, capsys):
    pytest.importorskip("distributed")
    assert main(arguments) == 2
    told = capsys.readouterr().err
    assert text in told and told.count("\n") == 1
