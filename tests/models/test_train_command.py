"""``qsnn train`` as a user calls it."""

import json
import shlex
from dataclasses import replace

import numpy as np
import pytest
from blobs import CONFIG, NETWORK, dataset

from qsnn_compile.cli import qsnn, training
from qsnn_models import data
from qsnn_models.errors import ModelsError
from qsnn_models.training import config_file
from qsnn_models.training import recipes as zoo
from qsnn_models.training import tensorboard_log as board
from qsnn_models.training.train import train

RECIPE = zoo.Recipe(NETWORK, CONFIG)


@pytest.fixture
def command(monkeypatch, tmp_path):
    """``qsnn train tiny`` on the blobs, in a folder of its own."""
    monkeypatch.setitem(zoo.RECIPES, "tiny", RECIPE)
    monkeypatch.setattr(data, "load", lambda name, folder: dataset())
    monkeypatch.chdir(tmp_path)
    return lambda *options, name="tiny": qsnn.main(["train", name, *options])


def test_the_command_writes_network_ledger_and_checkpoint(command, tmp_path, capsys):
    assert command("--seed", "3", "--epochs", "2", "--set", "network.membrane_bits=2") == 0
    ledger = json.loads((tmp_path / "runs/tiny.ledger.json").read_text())
    assert [s["stage"] for s in ledger["stages"]] == ["training", "qat", "frozen", "onnx", "golden"]
    assert [s["differ"] for s in ledger["stages"]] == [None, None, None, 0, 0]
    assert [s["changed"] for s in ledger["stages"]][2:] == [0, 0, 0] and ledger["seed"] == 3
    assert ledger["command"] == ("qsnn train tiny --set=network.membrane_bits=2 --seed 3 "
                                 "--epochs 2")
    assert ledger["chosen"] == "by the user: a file, or options of the command"
    assert ledger["network"]["membrane_bits"] == 2 and ledger["training"]["epochs"] == 2
    assert set(ledger["spike_rates"]) == {"lif1"}
    assert sorted(p.name for p in (tmp_path / "runs").iterdir()) == [
        "tiny.checkpoint.pt", "tiny.ledger.json", "tiny.onnx"]
    out = capsys.readouterr().out
    assert "epoch   2/2" in out
    rows = [line.split("│") for line in out.splitlines() if "│" in line]
    assert [row[1].strip() for row in rows] == [
        "training", "evaluation", "frozen integers", "ONNX in onnxruntime", "golden model"]
    assert [row[3].strip() for row in rows][2:] == ["0", "0", "0"]
    assert "confusion" not in ledger and "worst classes" not in out


def test_details_are_the_answers_of_each_class(command, tmp_path, capsys):
    assert command("--epochs", "1", "--details") == 0
    out = capsys.readouterr().out
    ledger = json.loads((tmp_path / "runs/tiny.ledger.json").read_text())
    counts, y = np.array(ledger["confusion"]), dataset().test_y
    assert counts.sum(1).tolist() == np.bincount(y).tolist()
    assert counts.trace() / len(y) == pytest.approx(ledger["stages"][-1]["accuracy"])
    assert "answers (columns) to samples of each class" in out and "worst classes" in out


def test_it_says_what_it_trains_before_it_starts(command, capsys):
    assert command("--epochs", "1", "--set", "network.weight_bits=[8, 1]",
                   "--set", "training.device=cpu") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == [
        "tiny: 16-24-4, 4 steps, on tiny",
        "device CPU, 1 thread; 585 parameters",
        "weights 384 of 8 bits + 96 of 1 bit = 3,168 bits; membranes 24 of 4 bits = 96 bits"]
    assert lines[3].startswith("epoch   1/1")


def test_the_command_resumes_and_prints_json(command, capsys):
    assert command("--epochs", "2") == 0
    capsys.readouterr()
    assert command("--epochs", "2", "--resume", "--json", "-") == 0
    assert json.loads(capsys.readouterr().out)["resumed"] is True


def test_a_file_is_trained_as_the_recipe_it_holds(command, tmp_path):
    (tmp_path / "my.toml").write_text(config_file.text_of(RECIPE).replace('"tiny"', '"mine"', 1))
    assert command("--epochs", "1", "--out", "a") == 0
    assert command("--set", "training.epochs=1", "--out", "b", name="my.toml") == 0
    assert (tmp_path / "a/tiny.onnx").stat().st_size
    ledgers = [json.loads((tmp_path / path).read_text())
               for path in ("a/tiny.ledger.json", "b/mine.ledger.json")]
    assert ledgers[0]["stages"] == ledgers[1]["stages"]
    assert ledgers[1]["command"] == "qsnn train my.toml --set=training.epochs=1"


def test_the_list_of_recipes(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    assert qsnn.main(["train", "--list"]) == 0
    out = capsys.readouterr().out
    assert all(name in out and recipe.config.data.partition("?")[0] in out
               for name, recipe in zoo.RECIPES.items())


def test_a_network_without_an_integer_form_has_a_ledger_that_says_why(command, tmp_path, capsys):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs/tiny.onnx").write_text("an older one")
    assert command("--epochs", "2", "--set", "network.weights=float") == 0
    assert not (tmp_path / "runs/tiny.onnx").exists()
    ledger = json.loads((tmp_path / "runs/tiny.ledger.json").read_text())
    _, trained, frozen = ledger["stages"]
    assert trained["accuracy"] > 0.5 and frozen["accuracy"] is None
    assert frozen["note"].startswith("none: weights 'float' are no integers")
    assert 0 < ledger["spike_rates"]["lif1"] < 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "wrote runs/tiny.ledger.json"
    assert f"frozen integers: {frozen['note']}" in lines


def test_images_come_in_the_network_s_shape(command, tmp_path, capsys):
    assert command("--epochs", "1", "--set", "network.layers=1x4x4-4C3-4",
                   "--set", "training.augment=shift+flip") == 0
    stages = json.loads((tmp_path / "runs/tiny.ledger.json").read_text())["stages"]
    assert stages[3]["differ"] == 0 and stages[2]["accuracy"] == stages[3]["accuracy"]
    assert ("weights 292 of 1 bit = 292 bits; membranes 64 of 4 bits = 256 bits"
            in capsys.readouterr().out.splitlines())


@pytest.fixture
def folds(command, monkeypatch):
    """The blobs in three folds: each tests another part of the 200."""
    def load(name, folder):
        blobs, part = dataset(), int(name[5])
        return replace(blobs, test_x=blobs.test_x[part::3], test_y=blobs.test_y[part::3])
    monkeypatch.setattr(data, "load", load)
    monkeypatch.setattr(data, "folds", lambda name: [f"tiny:{fold}?x=1" for fold in range(3)])
    return lambda *options: command("--set=training.data=tiny:0?x=1", "--epochs=2", "--folds",
                                    *options)


def test_every_fold_is_trained_and_their_mean_told(folds, command, tmp_path, capsys):
    assert folds() == 0
    runs = tmp_path / "runs"
    content = json.loads((runs / "tiny.folds.json").read_text())
    ledgers = [json.loads((runs / f"{name}.ledger.json").read_text())
               for name in ("tiny", "tiny_1", "tiny_2")]
    accuracies = [ledger["stages"][2]["accuracy"] for ledger in ledgers]
    assert [fold["accuracy"] for fold in content["folds"]] == accuracies
    assert content["accuracy"] == pytest.approx(sum(accuracies) / 3, abs=1e-6)
    assert [fold["test"] for fold in content["folds"]] == [
        f"tiny:{fold}?x=1, all {count} test images" for fold, count in enumerate((67, 67, 66))]
    assert f"mean of 3 folds: {content['accuracy']:.2%}" in capsys.readouterr().out
    assert content["command"] == (
        "qsnn train tiny '--set=training.data=tiny:0?x=1' --epochs 2 --folds")


def test_a_fold_s_ledger_has_the_command_for_it_alone(folds, tmp_path):
    assert folds() == 0
    ledger = json.loads((tmp_path / "runs/tiny_1.ledger.json").read_text())
    words = shlex.split(ledger["command"])
    assert qsnn.main([*words[1:], "--out", "again"]) == 0
    assert (tmp_path / "again/tiny_1.onnx").read_bytes() == (
        tmp_path / "runs/tiny_1.onnx").read_bytes()
    assert json.loads((tmp_path / "again/tiny_1.ledger.json").read_text())["command"] == (
        ledger["command"])


def test_folds_are_resumed_where_they_were_begun(folds, tmp_path, monkeypatch):
    assert folds() == 0
    runs = tmp_path / "runs"
    before = json.loads((runs / "tiny.folds.json").read_text())["folds"]
    (runs / "tiny_2.checkpoint.pt").unlink()
    trained = []
    monkeypatch.setattr(training, "train", lambda network, *rest, **options: trained.append(
        (network.name, options["resume"])) or train(network, *rest, **options))
    assert folds("--resume") == 0
    assert trained == [("tiny", True), ("tiny_1", True), ("tiny_2", False)]
    after = json.loads((runs / "tiny.folds.json").read_text())["folds"]
    assert [f["accuracy"] for f in after] == [f["accuracy"] for f in before]


def test_data_without_folds(command, tmp_path, capsys):
    assert command("--folds", "--set", "training.data=mnist") == 2
    assert capsys.readouterr().err == ("qsnn train: a data set with folds must be nmnist-subset or "
                                       "spoken-digits, not 'mnist'\n")


def test_a_log_is_written_or_the_missing_package_named_and_training_goes_on(
        command, tmp_path, capsys, monkeypatch):
    assert command("--epochs", "1", "--log", "log") == 0
    assert [path.name[:19] for path in (tmp_path / "log/tiny").iterdir()] == ["events.out.tfevents"]

    def missing(*_):
        raise ImportError
    monkeypatch.setattr(board.BoardLog, "__init__", missing)
    assert command("--epochs", "1", "--log", "log") == 0
    assert ("--log writes nothing: the package tensorboard is missing; pip install 'qsnn[train]'"
            in capsys.readouterr().out.splitlines())


@pytest.mark.parametrize("options, said", (
    (("--holdout", "-1"), "holdout must be at least 0, not -1"),
    (("--holdout", "640"), "holdout must be below the 640 training images, not 640"),
    (("--set", "training.epochs=0"), "--set: [training] epochs must be at least 1, not 0"),
    (("--json", "."), "--json must name a file in a folder that can be written, not '.'; choose "
                      "another"),
    (("--out", "occupied"), "--out must be a folder that can be written, not 'occupied': "
                            "File exists; choose another"),
    (("--log", "occupied"), "--log must be a folder that can be written, not 'occupied': "
                            "File exists; choose another"),
    (("--resume",), "runs/tiny.checkpoint.pt: no checkpoint there; name one that qsnn "
                    "train wrote, or train without --resume first"),
    (("--set", "network.layers=16-24-3"), "layers must end in 4 or more, the classes of the data, "
                                          "not 3"),
    (("--set", "network.input_scale=inf"), "--set: [network] input scale must be a number above "
                                           "0, not inf"),
    (("--trials", "3"), "--trials must be given with --sweep FILE.toml"),
    (("--storage", "sqlite:///x"), "--storage must be given with --sweep FILE.toml"),
))
def test_the_command_refuses_before_it_trains(command, tmp_path, capsys, options, said):
    (tmp_path / "occupied").write_text("a letter")
    assert command(*options) == 2
    assert capsys.readouterr().err == f"qsnn train: {said}\n"
    assert not [path for path in tmp_path.rglob("*") if path.name not in ("runs", "occupied")]


def test_a_network_beyond_all_memory(command, capsys):
    assert command("--set", "network.layers=16-99999999999-4") == 2
    assert capsys.readouterr().err == ("qsnn train: network and batch must fit into memory, and "
                                       "they don't; take fewer neurons, fewer steps or a smaller "
                                       "batch\n")


@pytest.mark.parametrize("arguments, said", (
    (["resnet"], "qsnn train: network must be one of fashion-mnist-mlp, fashion-mnist-mlp-soft, "
     "mnist-mlp"),
    ([], "qsnn train: the name of a network must be given, or a file FILE.toml; --list shows "
         "those there are"),
    (["my.toml"], "qsnn train: my.toml must be a file that can be read: No such file"),
))
def test_a_network_that_is_not_there(capsys, arguments, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert qsnn.main(["train", *arguments]) == 2
    assert capsys.readouterr().err.startswith(said)


def test_recipes_are_named():
    with pytest.raises(ModelsError, match="network must be one of .*mnist-mlp.*, not 'resnet'"):
        zoo.recipe("resnet")
