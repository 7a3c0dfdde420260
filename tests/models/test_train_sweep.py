"""Sweeps with Optuna: the search space, what judges a trial, shared storages."""

import builtins
import json
import time
from dataclasses import replace

import pytest
from blobs import CONFIG, NETWORK, dataset

from qsnn_compile.cli import qsnn
from qsnn_models import data
from qsnn_models.errors import ModelsError
from qsnn_models.training import config_file, search_space
from qsnn_models.training import recipes as zoo
from qsnn_models.training.loop import Epoch
from qsnn_models.training.search_space import Choices, Interval
from qsnn_models.training.sweep import sweep

RECIPE = zoo.Recipe(NETWORK, replace(CONFIG, holdout=140, epochs=2))
SPACE = {"training.learning_rate": Interval(1e-4, 1e-1, log=True),
         "network.membrane_bits": Choices((2, 4)), "network.weight_bits": Choices((1, (8, 1))),
         "training.batch": Interval(16, 64)}
TOML = """
[training.learning_rate]
low = 1e-4
high = 1e-1
log = true
[training.batch]
low = 16
high = 64
[network]
membrane_bits.choices = [2, 4]
weight_bits.choices = [1, [8, 1]]
"""


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "sweep.toml"
        path.write_text(text)
        return path
    return write


def pretended(seen):
    """A training without one: the nearer its learning rate to 0.01, the better."""
    def train(recipe, report):
        seen.append(recipe)
        rate = recipe.config.learning_rate
        for number in range(1, recipe.config.epochs + 1):
            report(Epoch(number, 0.0, 1.0, (), (), 1 / (1 + abs(rate - 0.01)), "tiny"))
    return train


def test_the_space_in_a_file(write):
    assert search_space.read(write(TOML), RECIPE) == {
        **SPACE, "network.weight_bits": Choices((1, [8, 1]))}


@pytest.mark.parametrize("text, message", (
    ("", "sweep.toml must have a table, as [training.learning_rate] with low and high"),
    ("[sizes]\nlow = 1", "sweep.toml: 'sizes' must be a table [network.KEY] or [training.KEY]"),
    ("training.epoch.choices = [1]",
     "sweep.toml: [training] has no key 'epoch'; did you mean 'epochs'?"),
    ("training.epochs.choices = [2, 0]",
     "sweep.toml: [training] epochs must be at least 1, not 0"),
    ("training.epochs.low = 1", "sweep.toml: [training.epochs] must have low and high (and log = "
                                "true), or a list of choices, not {'low': 1}"),
    ("training.epochs.choices = 3", "sweep.toml: [training.epochs] must have low and high"),
    ("training.epochs = 3", "sweep.toml: [training.epochs] must have low and high"),
    ("training.ema = {low = 0, high = 0.9, log = true}",
     "sweep.toml: [training.ema] must have numbers low < high, above 0, and log true or false"),
    ("training.ema = {low = 0.9, high = 0}",
     "sweep.toml: [training.ema] must have numbers low < high, and log true or false"),
))
def test_mistakes_in_the_space(write, text, message):
    path = write(text)
    with pytest.raises(ModelsError) as error:
        search_space.read(path, RECIPE)
    assert str(error.value).startswith(f"{path.parent}/{message}")


def test_the_best_of_the_trials_wins_and_a_sweep_in_memory_repeats_itself():
    first, again = [], []
    best = sweep(RECIPE, SPACE, pretended(first), trials=12)
    assert sweep(RECIPE, SPACE, pretended(again), trials=12) == best
    assert first == again and len(first) == 12 and best.finished + best.pruned == 12
    assert best.recipe == min(first, key=lambda r: abs(r.config.learning_rate - 0.01))
    assert {r.network.membrane_bits for r in first} == {2, 4}
    assert {r.network.weight_bits for r in first} == {1, (8, 1)}
    assert all(16 <= r.config.batch <= 64 for r in first)


def test_a_trial_worse_than_the_median_is_ended_early():
    held, reported, lines = iter([0.9] * 10 + [0.1] * 2), [], []

    def train(recipe, report):
        for number in (1, 2):
            reported.append(next(held))
            report(Epoch(number, 0.0, 1.0, (), (), reported[-1], "tiny"))
    best = sweep(RECIPE, SPACE, train, trials=6, say=lines.append)
    assert (best.finished, best.pruned) == (5, 1) and reported == [0.9] * 10 + [0.1]
    assert lines[-1].startswith("trial 5: ended after epoch 1 at 10.0%; training.learning_rate")


def test_machines_share_a_storage(tmp_path):
    storage, seen = f"sqlite:///{tmp_path}/sweep.db", []
    sweep(RECIPE, SPACE, pretended(seen), trials=2, storage=storage)
    elsewhere = replace(RECIPE, config=replace(RECIPE.config, threads=8))
    best = sweep(elsewhere, SPACE, pretended(seen), trials=3, storage=storage)
    assert len(seen) == 5 == best.finished + best.pruned
    with pytest.raises(ModelsError, match=r"study 'tiny' must be of this sweep: its "
                                          r"training.epochs is 2, not 9; name another --study"):
        sweep(replace(RECIPE, config=replace(RECIPE.config, epochs=9)), SPACE, pretended(seen),
              trials=1, storage=storage)
    assert sweep(RECIPE, SPACE, pretended([]), trials=1, storage=storage,
                 study="other").study == "other"


def test_machines_that_make_the_same_storage_at_once(tmp_path, monkeypatch):
    import optuna
    from sqlalchemy.exc import IntegrityError
    create, refused = optuna.create_study, []

    def beaten(**options):
        if len(refused) < 2:
            refused.append(options)
            raise IntegrityError("UNIQUE constraint failed", {}, Exception())
        return create(**options)
    monkeypatch.setattr(optuna, "create_study", beaten)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    assert sweep(RECIPE, SPACE, pretended([]), trials=1).finished == 1 and len(refused) == 2


@pytest.mark.parametrize("storage, reason", (
    ("nonsense", "Could not parse"), ("sqlite:////nowhere/x.db", "unable to open database"),
))
def test_storages_that_cannot_be_opened(storage, reason):
    with pytest.raises(ModelsError, match=f"--storage must be a database that can be opened, as "
                                          f"sqlite:///sweep.db, not '{storage}': .*{reason}"):
        sweep(RECIPE, SPACE, pretended([]), trials=1, storage=storage)


def test_the_test_set_judges_nothing():
    with pytest.raises(ModelsError, match="holdout must be above 0 for a sweep, which is judged by "
                                          "images held back from training; --holdout 5000"):
        sweep(zoo.Recipe(NETWORK, CONFIG), SPACE, pretended([]), trials=1)


def test_all_trials_are_judged_by_the_same_images():
    space = SPACE | {"training.holdout": next(iter(SPACE.values()))}
    with pytest.raises(ModelsError, match="training.holdout must be the same in all trials of a "
                                          "sweep, which it judges; give --holdout instead"):
        sweep(RECIPE, space, pretended([]), trials=1)


def test_trials_that_fail_are_told_and_left_out():
    lines = []

    def failing(recipe, report):
        raise ModelsError("the network is too small")
    with pytest.raises(ModelsError, match="a sweep must finish a trial, but none of 2 did; the "
                                          "first failed with: the network is too small"):
        sweep(RECIPE, SPACE, failing, trials=2, say=lines.append)
    assert lines[0].startswith("trial 0: failed, the network is too small; training.learning_rate")


# -- the command ----------------------------------------------------------------------------------

@pytest.fixture
def command(monkeypatch, tmp_path, write):
    monkeypatch.setitem(zoo.RECIPES, "tiny", RECIPE)
    monkeypatch.setattr(data, "load", lambda name, folder: dataset())
    monkeypatch.chdir(tmp_path)
    write(TOML)
    return lambda *options: qsnn.main(["train", "tiny", "--sweep", "sweep.toml", *options])


def test_the_command_writes_the_best_as_a_file_to_train(command, tmp_path, capsys):
    assert command("--trials", "2", "--json", "best.json") == 0
    said = json.loads((tmp_path / "best.json").read_text())
    best = config_file.read(tmp_path / "runs/tiny.best.toml")
    assert said["recipe"]["config"]["learning_rate"] == best.config.learning_rate
    assert said["finished"] == 2 and 0.2 < said["accuracy"] <= 1
    out = capsys.readouterr().out
    assert "trial 1: " in out and "wrote runs/tiny.best.toml: qsnn train runs/tiny.best.toml" in out
    assert [p.name for p in (tmp_path / "runs").iterdir()] == ["tiny.best.toml"]


def test_a_trial_trains_on_the_data_that_it_says(command, write, monkeypatch):
    loaded = []

    def load(name, folder):
        loaded.append(name)
        return dataset()
    monkeypatch.setattr(data, "load", load)
    write('[training.data]\nchoices = ["another"]\n')
    assert command("--trials", "1") == 0
    assert loaded == [RECIPE.config.data, "another"]


@pytest.mark.parametrize("options, said", (
    (("--trials", "0"), "--trials must be at least 1, not 0"),
    (("--holdout", "0"), "holdout must be above 0 for a sweep"),
    (("--resume",), "--resume must be given without --sweep FILE.toml"),
))
def test_the_command_says_what_is_wrong(command, capsys, options, said):
    assert command(*options) == 2
    assert capsys.readouterr().err.startswith(f"qsnn train: {said}")


def test_a_sweep_needs_optuna(command, capsys, monkeypatch):
    real = builtins.__import__

    def without(name, *rest):
        if name == "optuna":
            raise ImportError(name)
        return real(name, *rest)
    monkeypatch.setattr(builtins, "__import__", without)
    assert command("--trials", "1") == 2
    assert capsys.readouterr().err == (
        "qsnn train: --sweep must have the package optuna; pip install 'qsnn[train]'\n")
