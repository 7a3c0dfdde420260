"""The configuration file that a training begins with: it reads, says what it means, and trains."""

import numpy as np
import pytest
from PIL import Image

from qsnn_models import data
from qsnn_models.training import config_file
from qsnn_models.training.starter import starter
from qsnn_models.training.train import train

RNG = np.random.default_rng(0)
ARRAYS = {
    "series": (RNG.normal(size=(40, 6, 3)), "3-64-32-4", "spikes", 6, 8),
    "values": (RNG.normal(size=(40, 5)), "5-64-32-4", "direct", 4, 8),
    "images": (RNG.integers(0, 256, (40, 3, 9, 8), np.uint8), "3x9x8-16C3s2-32C3s2-4", "direct", 4,
               8),
    "small": (RNG.integers(0, 256, (40, 1, 4, 4), np.uint8), "1x4x4-64-32-4", "direct", 4, 8),
}


@pytest.mark.parametrize("kind", ARRAYS)
def test_it_trains_as_it_is(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    x, layers, coding, steps, bits = ARRAYS[kind]
    np.savez("own.npz", x=x, y=np.arange(40) % 4)
    dataset = data.load("own.npz")
    text = starter("mine", "own.npz", dataset)
    (tmp_path / "mine.toml").write_text(text)
    recipe = config_file.read(tmp_path / "mine.toml")
    network = recipe.network
    assert (network.layers, network.coding, network.steps, network.input_bits) == (
        layers, coding, steps, bits)
    assert recipe.config.data == "own.npz" and recipe.config.test == ""
    recipe = config_file.override(recipe, ["training.epochs=1"])
    assert train(network, recipe.config, dataset).config.name == "mine"


def test_every_line_says_what_it_means(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    y = np.array(["up", "down"])[np.arange(40) % 2]
    np.savez("own.npz", x=RNG.normal(size=(40, 6, 3)), y=y)
    text = starter("my own", "own.npz?window=3", data.load("own.npz?window=3"), "other.npz")
    lines = [line for line in text.splitlines() if " = " in line]
    assert all("   # " in line for line in lines)
    assert 'name = "my_own"' in text and 'test = "other.npz"' in text
    assert ("# options: own.npz?frames=false&window=0&stride=0&scaling=standardise&share=0.2&"
            "seed=0") in text
    assert "64 to train on, 16 for testing: 3 steps of 3 numbers, 2 classes (down, up)" in text


def test_frames_of_a_catalogue_and_images_of_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for label in ("a", "b"):
        (tmp_path / "pics" / label).mkdir(parents=True)
        for number in range(2):
            Image.new("L", (8, 8), number).save(tmp_path / "pics" / label / f"{number}.png")
    text = starter("pics", "pics", data.load("pics"))
    assert 'layers = "1x8x8-16C3s2-32C3s2-2"' in text
    assert "# options: pics?size=0&gray=false&share=0.2&seed=0" in text
    text = starter("digits", "digits", data.load("digits"))
    assert 'layers = "1x8x8-16C3s2-32C3s2-10"' in text and "options" not in text
