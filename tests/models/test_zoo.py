import json
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

from qsnn_compile.dialect.reader import import_onnx
from qsnn_models import data
from qsnn_models.errors import DataError
from qsnn_models.network.qsnn import NetworkConfig
from qsnn_models.training.recipes import RECIPES
from qsnn_models.training.train import TrainConfig
from qsnn_sim.golden.golden import run

ZOO = Path(__file__).parents[2] / "models" / "zoo"
FLOORS = {"fashion-mnist-conv": 0.92, "fashion-mnist-mlp": 0.885, "mnist-conv": 0.992,
          "mnist-mlp": 0.974, "nmnist-subset": 0.95, "spoken-digits": 0.98}
NAMES = sorted(FLOORS)
WHOLE = [pytest.param(name, marks=pytest.mark.slow) if name.endswith("-conv") else name
         for name in NAMES]         # two minutes each


def path(name):
    return ZOO / f"{RECIPES[name].network.name}.onnx"


def ledger(name):
    return json.loads(path(name).with_suffix(".ledger.json").read_text())


def graph(name):
    return import_onnx(path(name))


def onnx_scores(name, x):
    session = ort.InferenceSession(str(path(name)), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x.astype(np.float32)})[0]


def shaped(name, x):
    """Images ``[N, P]`` as the network takes them; frames as they are."""
    network = RECIPES[name].network
    return x.reshape(-1, *network.structure.shape) if network.coding == "direct" else x


def any_inputs(name):
    """A thousand images of Fashion-MNIST; for a network of frames a hundred random ones."""
    network = RECIPES[name].network
    if network.coding == "direct":
        return shaped(name, np.load(ZOO / "fashion_mnist_test1k.npz")["x"])
    shape = (100, network.steps, *network.structure.shape)
    return np.random.default_rng(0).integers(0, 2 ** network.input_bits, shape, np.uint8)


@pytest.mark.parametrize("name", NAMES)
def test_onnxruntime_equals_golden(name):
    x = any_inputs(name)
    assert onnx_scores(name, x).tolist() == run(graph(name), x).scores.tolist()


@pytest.mark.parametrize("name", WHOLE)
def test_the_whole_test_set_is_equal_and_as_good_as_the_ledger_says(name):
    try:
        x, y = data.load_test(RECIPES[name].config.data)
    except DataError as missing:
        pytest.skip(str(missing))
    x = shaped(name, x)
    golden = run(graph(name), x)
    assert np.array_equal(onnx_scores(name, x), golden.scores)
    accuracy = float((golden.classes == y).mean())
    assert accuracy == ledger(name)["stages"][1]["accuracy"] >= FLOORS[name]


@pytest.mark.parametrize("name", NAMES)
def test_the_ledger_is_of_the_recipe_and_its_stages_agree(name):
    content = ledger(name)
    assert NetworkConfig(**content["network"]) == RECIPES[name].network
    assert TrainConfig(**content["training"]) == RECIPES[name].config
    assert content["chosen"] == RECIPES[name].chosen
    assert content["command"] == f"qsnn train {name}"
    qat, frozen, exported = content["stages"]
    assert frozen["accuracy"] == exported["accuracy"] >= FLOORS[name]
    assert abs(qat["accuracy"] - frozen["accuracy"]) < 0.001 and exported["differ"] == 0
    assert all(0.09 <= rate <= 0.22 for rate in content["spike_rates"].values())


def test_the_thousand_images():
    arrays = np.load(ZOO / "fashion_mnist_test1k.npz")
    assert (arrays["x"].shape, arrays["x"].dtype) == ((1000, 784), np.uint8)
    assert arrays["y"].shape == (1000,)
    accuracy = (run(graph("fashion-mnist-mlp"), arrays["x"]).classes == arrays["y"]).mean()
    assert accuracy > 0.87
