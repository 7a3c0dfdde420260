"""The commands of docs/data.md, each as it stands there, on tiny data; what qsnn train refuses."""

import csv
import json
import re
import shlex
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from qsnn_compile.cli.qsnn import main as qsnn
from qsnn_compile.cli.qsnnc import main as qsnnc

PAGE = Path(__file__).parents[2] / "docs" / "data.md"
RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("QSNN_DATA", raising=False)
    return tmp_path


def example(title):
    """The commands below *title*, run one after another."""
    section = PAGE.read_text().split(f"## {title}\n")[1].split("\n## ")[0]
    for line in re.findall(r"^\$ (.*)$", section, re.MULTILINE):
        name, *argv = shlex.split(line)
        assert {"qsnn": qsnn, "qsnnc": qsnnc}[name](argv) == 0, line


def stages(name):
    """The last accuracy of the ledger of *name*; the file's scores are the integers'."""
    ledger = json.loads(Path(f"runs/{name}.ledger.json").read_text())
    by_name = {stage["stage"]: stage for stage in ledger["stages"]}
    assert by_name["onnx"]["differ"] == by_name["golden"]["differ"] == 0
    return by_name["golden"]["accuracy"], ledger


def test_a_sensor_s_recordings_from_a_csv_file_to_a_build(capsys):
    with Path("gesture.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["recording", "ax", "ay", "az", "label"])
        for number in range(16):
            way = "shake" if number % 2 else "still"
            for step in range(64):
                move = np.sin(step / 2) * 2 * (number % 2)
                values = np.add(RNG.normal(0, 0.2, 3), (move, -1, 0.1))
                rows.writerow([f"r{number}", *values, way])
    example("A sensor's recordings, from a CSV file to a build")
    out = capsys.readouterr().out
    accuracy, ledger = stages("gesture")
    assert accuracy > 0.9 and ledger["network"]["class_names"] == ["shake", "still"]
    assert re.search(r"classes +shake \d", out) and "│ shake │" in out
    assert "scores of 0 differ" in out
    test = np.load("runs/gesture.test.npz")
    assert test["x"].shape[1:] == (32, 3) and test["x"].dtype == np.float32
    assert test["names"].tolist() == ["shake", "still"]


def test_images(place):
    for label, level in (("cat", 50), ("dog", 180)):
        (place / "pets" / label).mkdir(parents=True)
        for number in range(10):
            pixels = RNG.normal(level, 20, (40, 36, 3)).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(place / "pets" / label / f"{number}.png")
    example("Images")
    assert stages("pets")[1]["training"]["augment"] == "crop2+flip+cutout8"


def test_event_recordings(place):
    for label, column in (("left", 3), ("right", 24)):
        (place / "moves" / label).mkdir(parents=True)
        for number in range(6):
            t = np.sort(RNG.integers(0, 8000, 400))
            x, y = RNG.integers(column, column + 8, 400), RNG.integers(0, 32, 400)
            (place / "moves" / label / f"{number}.bin").write_bytes(b"".join(
                struct.pack(">BBI", a, b, int(c))[:2] + struct.pack(">I", int(c))[1:]
                for a, b, c in zip(x, y, t, strict=True)))
    example("Event recordings")
    assert stages("moves")[1]["network"]["input_bits"] == 2


def test_the_python_of_the_page(place):
    code = PAGE.read_text().split("## From Python")[1]
    code = re.search(r"```python\n(.*?)```", code, re.DOTALL)[1]
    names = {"__name__": "docs"}
    exec(compile(code, "docs/data.md", "exec"), names)
    from qsnn_compile.dialect.reader import import_onnx
    graph = import_onnx("lift.onnx")
    assert graph.readout.names == ("rest", "lift") and graph.input.takes == "reals"
    assert graph.input.quantise(names["x"], 16).shape == (200, 16, 3)


def npz(name, **changed):
    arrays = {"x": RNG.normal(size=(20, 6, 3)), "y": np.arange(20) % 2} | changed
    np.savez(name, **{key: value for key, value in arrays.items() if value is not None})


TOML = """[network]
name = "own"
layers = "3-8-2"
steps = 6
coding = "spikes"

[training]
data = "own.npz"
epochs = 1
batch = 8
"""


@pytest.mark.parametrize("argv, data", [
    ([], "own.npz"), (["--data", "other.npz"], "other.npz"),
    (["--data", "there"], "own.npz"), (["--data", "long.npz?window=6"], "long.npz?window=6"),
    (["--set", "training.test=other.npz"], "own.npz")])
def test_data_of_the_command(place, argv, data):
    Path("own.toml").write_text(TOML)
    npz("other.npz")
    npz("long.npz", x=RNG.normal(size=(20, 12, 3)))
    (place / "there").mkdir()
    npz("there/own.npz" if "there" in argv else "own.npz")
    assert qsnn(["train", "own.toml", *argv]) == 0
    ledger = json.loads(Path("runs/own.ledger.json").read_text())
    assert ledger["training"]["data"] == data
    repeated = shlex.split(ledger["command"])[1:]
    assert repeated[:2] == ["train", "own.toml"] and (data == "own.npz" or data in repeated[2])


def test_a_folder_of_classes_is_the_data(place):
    Path("own.toml").write_text(TOML.replace("own.npz", "elsewhere"))
    for label in "ab":
        (place / "runs-of" / label).mkdir(parents=True)
        for number in range(3):
            np.savetxt(place / "runs-of" / label / f"{number}.csv", RNG.normal(size=(6, 3)),
                       delimiter=",")
    assert qsnn(["train", "own.toml", "--data", "runs-of"]) == 0
    assert json.loads(Path("runs/own.ledger.json").read_text())["training"]["data"] == "runs-of"


@pytest.mark.parametrize("changed, message", [
    ({"y": None}, "own.npz: data must hold an array 'y', not only ['x']"),
    ({"y": np.arange(20) % 2 + 1}, "own.npz: y must be labels from 0, not 1 to 2; store y - 1"),
    ({"y": np.zeros(20, int)}, "own.npz: y must be of two classes or more, not only 0"),
    ({"x": np.full((20, 6, 3), np.nan)}, "own.npz: x must be finite numbers, not nan (sample 0)"),
    ({"y": np.array([0] * 19 + [1])}, "own.npz: a class must have 2 samples or more to be split"),
    ({"x": np.zeros((20, 6, 4))}, "x must be [N, 6, 3], the inputs of '3-8-2' at each step, not "),
    ({"x": np.zeros((20, 6, 4)), "y": np.array(["a", "b", "c", "d"])[np.arange(20) % 4]},
     "layers must end in 4, the classes of the data (a, b, c, d), not 2"),
])
def test_bad_data_end_it_before_the_training(place, capsys, changed, message):
    Path("own.toml").write_text(TOML)
    npz("own.npz", **changed)
    assert qsnn(["train", "own.toml"]) == 2
    error = capsys.readouterr().err
    assert message in error and error.startswith("qsnn train: ") and error.count("\n") == 1
    assert not list(place.glob("runs/*"))


@pytest.mark.parametrize("argv, message", [
    (["--init", "own.toml"], "--init must name a new file, not 'own.toml', which is there"),
    (["--init", "own.txt"], "--init must name a file FILE.toml, not 'own.txt'"),
    (["--init", "new.toml", "--data", "no.npz"], "or a file or folder that is here or in data"),
    (["own.toml", "--data", "no.npz"], "--data must be a file or a folder that is there, not "
                                       "'no.npz'"),
])
def test_what_the_options_refuse(place, capsys, argv, message):
    Path("own.toml").write_text(TOML)
    npz("own.npz")
    assert qsnn(["train", *argv]) == 2
    assert message in capsys.readouterr().err
    assert not Path("new.toml").exists() and Path("own.toml").read_text() == TOML
