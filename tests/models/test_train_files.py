"""Configuration files, --set, and what is said of mistakes in them."""

import re
import tomllib
from dataclasses import fields, replace
from pathlib import Path

import pytest
from blobs import CONFIG, NETWORK

from qsnn_models.errors import ModelsError
from qsnn_models.training import config_file, search_space
from qsnn_models.training.config_file import Recipe, build, override, read, text_of
from qsnn_models.training.recipes import RECIPES
from qsnn_models.training.train_config import TrainConfig

RECIPE = Recipe(NETWORK, CONFIG)


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "my.toml"
        path.write_text(text)
        return path
    return write


def changed(old, new):
    text = text_of(RECIPE)
    assert old in text
    return text.replace(old, new)


@pytest.mark.parametrize("recipe", [RECIPE, *RECIPES.values(), Recipe(
    replace(NETWORK, decay=(7, 3), weight_bits=(8, 1), reset="soft"),
    replace(CONFIG, target_rate=(0.1,), augment="shift+flip", ema=0.999, learning_rate=1e-05,
            start='runs/"a".pt', device="cpu", amp="bf16"))])
def test_files_say_all_of_a_recipe(write, recipe):
    assert read(write(text_of(recipe))) == recipe


def test_defaults_are_those_of_the_configs(write):
    text = changed("epochs = 4\n", "")
    assert read(write(text)) == replace(RECIPE, config=replace(CONFIG, epochs=40))


def test_integers_are_numbers_too(write):
    weight = read(write(changed("rate_weight = 2.0", "rate_weight = 3"))).config.rate_weight
    assert weight == 3.0 and isinstance(weight, float)


@pytest.mark.parametrize("old, new, message", (
    ("epochs = 4", "epoch = 4", "[training] has no key 'epoch'; did you mean 'epochs'?"),
    ("epochs = 4", "momentum = 4", "[training] has no key 'momentum'; it takes data, epochs, "),
    ("epochs = 4", "epochs = 0", "[training] epochs must be at least 1, not 0"),
    ("epochs = 4", "epochs = '4'", "[training] epochs must be an integer, not '4'"),
    ("epochs = 4", "epochs = 4.0", "[training] epochs must be an integer, not 4.0"),
    ("epochs = 4", "epochs = true", "[training] epochs must be an integer, not True"),
    ("rate_weight = 2.0", "rate_weight = nan",
     "[training] rate_weight must be at least 0, not nan"),
    ("target_rate = 0.18", "target_rate = [0.1, 'low']",
     "[training] target_rate must be a number or a list (a number each), not [0.1, 'low']"),
    ("target_rate = 0.18", "target_rate = [0.1, 1.5]",
     "[training] target_rate must be from 0 to 1, one or one a layer, not (0.1, 1.5)"),
    ("ema = 0.0", "ema = 1", "[training] ema must be from 0 to below 1, not 1.0"),
    ("learning_rate = 0.01", "learning_rate = inf",
     "[training] learning_rate must be above 0, not inf"),
    ('augment = ""', 'augment = "rotate"',
     "[training] augment must be words of shiftK, cropK, flip, cutoutK, mixupK, timeK, bandK, "
     "gainK (K may be left out), joined by +, not 'rotate'"),
    ('device = "auto"', 'device = "gpu"',
     "[training] device must be auto or cpu or cuda, not 'gpu'"),
    ('amp = "off"', "amp = false", "[training] amp must be a string, not False"),
    ('data = "tiny"', "", "[training] must have the key 'data'"),
    ("steps = 4", "steps = 0", "[network] steps must be at least 1, not 0"),
    ("decay = [1, 1]", "decay = [1]",
     "[network] decay must be a list of 2 (an integer each) or a number, not [1]"),
    ('name = "tiny"', 'name = "../tiny"',
     "[network] name must be letters, digits, '_', '-' and '.', as files are named after it, "
     "not '../tiny'"),
    ("[training]", "[trainning]", "it has no table 'trainning'; did you mean 'training'?"),
    ("[network]", "", "it has no table 'name'; it takes network, training"),
))
def test_one_clear_error(write, old, new, message):
    path = write(changed(old, new))
    with pytest.raises(ModelsError) as error:
        read(path)
    assert str(error.value).startswith(f"{path}: {message}")


@pytest.mark.parametrize("content, message", (
    (b"[network]\nname =", r"my.toml must be a TOML file: Invalid value .at end of document"),
    (b"\xff\xfe", r"my.toml must be a TOML file: 'utf-8' codec can't decode"),
    (b"", r"my.toml: it must have a table \[network\]"),
    (b"network = 3", r"my.toml: it must have a table \[network\]"),
    (None, "my.toml must be a file that can be read: No such file or directory"),
))
def test_files_that_are_no_configuration(tmp_path, content, message):
    path = tmp_path / "my.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelsError, match=message):
        read(path)


def test_overrides():
    given = override(RECIPE, ["training.epochs=3", "training.data = mnist", "network.decay=[3, 2]",
                              "training.learning_rate=1e-3", 'training.augment="flip"'])
    assert given == Recipe(replace(NETWORK, decay=(3, 2)),
                           replace(CONFIG, epochs=3, data="mnist", learning_rate=1e-3,
                                   augment="flip"))
    assert override(RECIPE, []) is RECIPE


@pytest.mark.parametrize("setting, message", (
    ("training.epochs", "--set must be TABLE.KEY=VALUE, for example training.epochs=3, "
                        "not 'training.epochs'"),
    ("epochs=3", "--set: 'epochs' must be network.KEY or training.KEY"),
    ("training.epoch=3", "--set: [training] has no key 'epoch'; did you mean 'epochs'?"),
    ("training.epochs=three", "--set: [training] epochs must be an integer, not 'three'"),
    ("training.epochs=-1", "--set: [training] epochs must be at least 1, not -1"),
    ("network.steps=0", "--set: [network] steps must be at least 1, not 0"),
))
def test_overrides_are_checked(setting, message):
    with pytest.raises(ModelsError) as error:
        override(RECIPE, [setting])
    assert str(error.value) == message


def test_every_field_of_training_has_a_type_a_file_can_say():
    content = config_file.content_of(Recipe(NETWORK, TrainConfig("mnist")))["training"]
    assert build(TrainConfig, content, "") == TrainConfig("mnist")


def test_the_network_of_ones_own_in_the_documentation_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (Path(__file__).parents[2] / "docs/training.md").read_text()
    code = "".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL))
    exec(compile(code, "docs/training.md", "exec"), {"__name__": "docs"})
    assert (tmp_path / "own.onnx").stat().st_size


def test_the_files_in_the_documentation_are_read():
    text = (Path(__file__).parents[2] / "docs/training.md").read_text()
    first, second = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    recipe = config_file.recipe_of(tomllib.loads(first), "docs")
    assert recipe.config.targets(2) == (0.2, 0.1)
    assert set(search_space.of(tomllib.loads(second), recipe, "docs")) == {
        "training.learning_rate", "network.membrane_bits", "network.weight_bits"}
    text = text.partition("## In a network of your own")[0]
    table = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", text, re.MULTILINE))))
    assert table <= {field.name for field in fields(TrainConfig)}
