"""The networks of the zoo, through the commands that a user types."""

import json
from pathlib import Path

import numpy as np
import pytest
from cores import needs

import qsnn_compile
from qsnn_compile.cli import qsnn

ZOO = Path(__file__).parents[2] / "models" / "zoo"
IMAGES = ZOO / "fashion_mnist_test1k.npz"
NONE = {"spike_mismatches": 0, "result_mismatches": 0, "clock_mismatches": 0}


@pytest.fixture(scope="module")
def fashion(tmp_path_factory):
    folder = tmp_path_factory.mktemp("zoo") / "build"
    qsnn_compile.compile(ZOO / "fashion_mnist_mlp.onnx", output=folder)
    return folder


def report(command, tmp_path):
    assert qsnn.main([*map(str, command), "--json", str(tmp_path / "out.json")]) == 0
    return json.loads((tmp_path / "out.json").read_text())


def test_real_images_in_verilator(fashion, tmp_path):
    needs("verilator")
    said = report(["verify", fashion, "--data", IMAGES, "--samples", 3], tmp_path)
    assert said.items() >= ({"samples": 3, "first": None} | NONE).items()


def test_mnist_network_in_icarus_under_rough_traffic(tmp_path):
    needs("icarus")
    qsnn_compile.compile(ZOO / "mnist_mlp.onnx", output=tmp_path / "build")
    said = report(["verify", tmp_path / "build", "--samples", 3, "--simulator", "icarus",
                    "--idle", 0.1, "--stall", 0.5], tmp_path)
    assert said.items() >= ({"samples": 3, "simulator": "icarus"} | NONE).items()


def test_thousand_real_images_in_the_models(fashion, tmp_path, capsys):
    said = report(["sim", fashion, "--data", IMAGES, "--record", tmp_path / "traces.npz"],
                   tmp_path)
    assert said["samples"] == 1000 and said["accuracy"] > 0.85
    assert said["clocks"]["median"] <= 3100 and said["utilisation"] >= 0.85
    shown = capsys.readouterr().out
    assert "proven worst" in shown and "µs with input, a beat a clock " in shown
    with np.load(tmp_path / "traces.npz") as traces:
        assert traces["spikes/lif1"].shape == (1000, 4, 256)
        assert np.abs(traces["membranes/lif1"]).max() <= 8


@pytest.mark.slow
def test_twenty_real_images_in_verilator(fashion, tmp_path):
    needs("verilator")
    said = report(["verify", fashion, "--data", IMAGES, "--samples", 20, "--idle", 0.05,
                    "--stall", 0.5, "--resets", 3], tmp_path)
    assert said.items() >= ({"samples": 20} | NONE).items()
