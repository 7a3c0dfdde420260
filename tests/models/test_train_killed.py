"""A training process that is killed in the middle of an epoch, and resumed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import torch
from blobs import CONFIG, NETWORK, dataset

from qsnn_compile.cli import qsnn
from qsnn_models import data
from qsnn_models.training import checkpoint
from qsnn_models.training import recipes as zoo

TESTS = Path(__file__).parents[1]

# `qsnn train tiny`, which stops in the middle of its third epoch and waits there to be killed
CHILD = """
import sys, time
from pathlib import Path
from blobs import CONFIG, NETWORK, dataset
from qsnn_compile.cli import qsnn
from qsnn_models import data
from qsnn_models.training import recipes as zoo
from qsnn_models.training.progress import TrainingProgress

ticks = []

def tick(progress, batch):
    ticks.append(batch.share)
    if ticks.count(1.0) == 2 and batch.share == 0.5:
        Path("in-mid-epoch").touch()
        time.sleep(600)

TrainingProgress.tick = tick
zoo.RECIPES["tiny"] = zoo.Recipe(NETWORK, CONFIG)
data.load = lambda name, folder: dataset()
sys.exit(qsnn.main(["train", "tiny", "--out", "."]))
"""


def killed_in_mid_epoch(folder):
    paths = os.pathsep.join([str(TESTS), *sys.path])
    with (folder / "log").open("wb") as log:
        child = subprocess.Popen([sys.executable, "-c", CHILD], cwd=folder,
                                 stdout=log, stderr=log, env=os.environ | {"PYTHONPATH": paths})
    while not (folder / "in-mid-epoch").exists():
        assert child.poll() is None, (folder / "log").read_text()
        time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL


def test_a_killed_training_resumes_to_the_same_bytes(tmp_path, monkeypatch):
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    killed.mkdir()
    killed_in_mid_epoch(killed)
    assert checkpoint.epochs(killed, "tiny") == 2
    assert not (killed / "tiny.onnx").exists()
    (killed / "tiny.checkpoint.pt.part").write_bytes(b"half of a third one")

    monkeypatch.setitem(zoo.RECIPES, "tiny", zoo.Recipe(NETWORK, CONFIG))
    monkeypatch.setattr(data, "load", lambda name, folder: dataset())
    assert qsnn.main(["train", "tiny", "--out", str(killed), "--resume"]) == 0
    assert qsnn.main(["train", "tiny", "--out", str(whole)]) == 0
    assert (killed / "tiny.onnx").read_bytes() == (whole / "tiny.onnx").read_bytes()
    ours, theirs = (checkpoint.read(checkpoint.path_of(folder, "tiny"))["state"]
                    for folder in (killed, whole))
    assert ours["model"].keys() == theirs["model"].keys()
    assert all(torch.equal(ours["model"][name], theirs["model"][name]) for name in ours["model"])
    assert torch.equal(ours["random"], theirs["random"])
