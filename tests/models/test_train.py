import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from qsnn_models import cli, data, zoo
from qsnn_models.errors import CheckpointError, ModelsError
from qsnn_models.freeze import freeze
from qsnn_models.network import NetworkConfig
from qsnn_models.train import TrainConfig, accuracy_of, train

NETWORK = NetworkConfig("tiny", (16, 24, 4))
CONFIG = TrainConfig("tiny", epochs=4, batch=32, learning_rate=5e-3)


def blobs(count, seed):
    """Four noisy patterns of 16 pixels."""
    rng = np.random.default_rng(seed)
    patterns = np.random.default_rng(7).integers(40, 216, (4, 16))
    y = rng.integers(0, 4, count)
    return np.clip(patterns[y] + rng.normal(0, 30, (count, 16)), 0, 255).astype(np.uint8), \
        y.astype(np.uint8)


X, Y = blobs(640, 0)


def same(a, b):
    return all(torch.equal(p, q) for p, q in zip(a.state_dict().values(), b.state_dict().values(),
                                                 strict=True))


def test_training_learns_and_reports():
    epochs, ticks = [], []
    model = train(NETWORK, replace(CONFIG, holdout=140), X, Y, report=epochs.append,
                  tick=ticks.append)
    x, y = blobs(400, 1)
    assert accuracy_of(model, torch.from_numpy(x), torch.from_numpy(y)) > 0.9
    assert (freeze(model)(torch.from_numpy(x)).argmax(1).numpy() == y).mean() > 0.9
    assert [e.number for e in epochs] == [1, 2, 3, 4] and epochs[-1].holdout > 0.9
    assert 0.05 < epochs[-1].rates[0] < 0.4 and 0 <= epochs[-1].saturation[0] <= 1
    assert len(ticks) == 4 * (500 // 32) and ticks[-1].share == 1
    assert ticks[-1].rates.shape == ticks[-1].saturation.shape == (1,)


def test_seeds_decide_and_the_global_random_state_is_left_alone():
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    first, again = (train(NETWORK, CONFIG, X, Y) for _ in range(2))
    assert same(first, again)
    assert not same(first, train(NETWORK, replace(CONFIG, seed=5), X, Y))
    assert torch.equal(state, torch.get_rng_state()) and threads == torch.get_num_threads()


class Killed(Exception):
    pass


def killed_at(number):
    def report(epoch):
        if epoch.number == number:
            raise Killed
    return report


def test_a_killed_training_resumes_to_the_same_bits(tmp_path):
    whole = train(NETWORK, CONFIG, X, Y)
    with pytest.raises(Killed):
        train(NETWORK, CONFIG, X, Y, folder=tmp_path, report=killed_at(2))
    seen = []
    resumed = train(NETWORK, CONFIG, X, Y, folder=tmp_path, resume=True, report=seen.append)
    assert [e.number for e in seen] == [3, 4]
    assert same(whole, resumed)
    assert [p.name for p in tmp_path.iterdir()] == ["tiny.checkpoint.pt"]


@pytest.mark.parametrize(("network", "config", "message"), [
    (replace(NETWORK, sizes=(16, 8, 4)), CONFIG,
     r"must be a checkpoint of this network: its sizes is \(16, 24, 4\), not \(16, 8, 4\)"),
    (NETWORK, replace(CONFIG, seed=9),
     r"must be a checkpoint of this training recipe: its seed is 1, not 9. Give the same options, "
     r"another --out, or drop --resume"),
])
def test_a_checkpoint_of_another_network_is_refused(tmp_path, network, config, message):
    train(NETWORK, replace(CONFIG, epochs=1), X, Y, folder=tmp_path)
    with pytest.raises(CheckpointError, match=message):
        train(network, replace(config, epochs=1), X, Y, folder=tmp_path, resume=True)


@pytest.mark.parametrize("content", [None, b"", b"not a checkpoint", "other pickle", "truncated",
                                     "a bare list"])
def test_what_is_no_checkpoint_is_refused(tmp_path, content):
    path = tmp_path / "tiny.checkpoint.pt"
    if content in ("other pickle", "a bare list"):
        torch.save({"some": "thing"} if content == "other pickle" else [1], path)
    elif content == "truncated":
        train(NETWORK, replace(CONFIG, epochs=1), X, Y, folder=tmp_path)
        path.write_bytes(path.read_bytes()[:3000])
    elif content is not None:
        path.write_bytes(content)
    message = "no checkpoint there" if content is None else "must be a checkpoint of qsnn train"
    with pytest.raises(CheckpointError, match=message):
        train(NETWORK, CONFIG, X, Y, folder=tmp_path, resume=True)


def test_recipes_are_checked():
    with pytest.raises(ModelsError, match="epochs must be at least 1, not 0"):
        replace(CONFIG, epochs=0)
    with pytest.raises(ModelsError, match="network must be one of .*mnist-mlp, not 'resnet'"):
        zoo.recipe("resnet")


@pytest.fixture
def command(monkeypatch, tmp_path):
    """``qsnn train tiny`` on the blobs."""
    sets = data.Dataset("tiny", X, Y, *blobs(200, 1))
    monkeypatch.setitem(zoo.RECIPES, "tiny", zoo.Recipe(NETWORK, CONFIG))
    monkeypatch.setattr(data, "load", lambda name, folder: sets)
    return lambda *options: cli.main(["tiny", "--out", str(tmp_path), *options])


def test_the_command_writes_network_ledger_and_checkpoint(command, tmp_path, capsys):
    assert command("--seed", "3", "--epochs", "2") == 0
    ledger = json.loads((tmp_path / "tiny.ledger.json").read_text())
    assert [s["stage"] for s in ledger["stages"]] == ["qat", "frozen", "onnx"]
    assert ledger["stages"][2]["differ"] == 0
    assert ledger["command"] == "qsnn train tiny --seed 3 --epochs 2" and ledger["seed"] == 3
    assert set(ledger["spike_rates"]) == {"lif1"}
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "tiny.checkpoint.pt", "tiny.ledger.json", "tiny.onnx"]
    out = capsys.readouterr().out
    assert "epoch   2/2" in out and "frozen" in out


def test_the_command_resumes_and_prints_json(command, capsys):
    assert command("--epochs", "2") == 0
    capsys.readouterr()
    assert command("--epochs", "2", "--resume", "--json", "-") == 0
    assert json.loads(capsys.readouterr().out)["resumed"] is True


def test_the_command_says_what_is_wrong(command, capsys):
    assert command("--resume") == 2
    error = capsys.readouterr().err
    assert error.startswith("qsnn train: ")
    assert "no checkpoint there; train without --resume" in error
    assert cli.main(["resnet"]) == 2


@pytest.mark.parametrize("options, said", (
    (("--holdout", "-1"), "holdout must be at least 0, not -1"),
    (("--holdout", "640"), "holdout must be below the 640 training images, not 640"),
    (("--json", "."), "--json must name a file in a folder that can be written, not '.'; choose "
                      "another"),
    (("--out", "pyproject.toml"), "--out must be a folder that can be written, not "
                                  "'pyproject.toml': File exists; choose another"),
))
def test_the_command_refuses_before_it_trains(command, tmp_path, capsys, options, said):
    assert command(*options) == 2
    assert capsys.readouterr().err == f"qsnn train: {said}\n" and not list(tmp_path.iterdir())
