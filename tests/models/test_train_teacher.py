"""Knowledge transfer from a full-precision network."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from blobs import CONFIG, NETWORK, X, Y, blobs

from qsnn_models.errors import CheckpointError
from qsnn_models.training import checkpoint, teacher
from qsnn_models.training.train import accuracy_of, train


@pytest.fixture(scope="module")
def taught(tmp_path_factory):
    """The path of a trained teacher's checkpoint."""
    folder = tmp_path_factory.mktemp("teacher")
    train(replace(NETWORK, name="big", layers="16-48-4", weights="float"), CONFIG, X, Y,
          folder=folder)
    return str(checkpoint.path_of(folder, "big"))


def test_divergence():
    ours, theirs = torch.tensor([[2.0, 0.0]], requires_grad=True), torch.tensor([[0.0, 4.0]])
    p, q = (np.exp([0, 2]) / np.exp([0, 2]).sum(), np.exp([1, 0]) / np.exp([1, 0]).sum())
    loss = teacher.divergence(ours, theirs, 2.0)
    assert loss.item() == pytest.approx(4 * (p * np.log(p / q)).sum())
    assert teacher.divergence(theirs, theirs, 2.0).item() == pytest.approx(0, abs=1e-6)
    loss.backward()        # τ · (q - p)
    assert ours.grad[0].tolist() == pytest.approx((2 * (q - p)).tolist(), rel=1e-5)


@pytest.mark.parametrize("augment", ("", "shift"))
def test_a_student_learns_from_its_teacher_alone(taught, augment):
    wrong = np.random.default_rng(99).integers(0, 4, len(Y)).astype(np.uint8)
    config = replace(CONFIG, teacher=taught, teacher_weight=1.0, augment=augment,
                     epochs=8 if augment else 4)
    student = train(NETWORK, config, X, wrong)
    x, y = map(torch.from_numpy, blobs(400, 1))
    assert accuracy_of(student, x, y) > (0.7 if augment else 0.85)
    assert accuracy_of(train(NETWORK, replace(CONFIG, epochs=2), X, wrong), x, y) < 0.6


def test_a_float_twin_is_trained_first_and_once(tmp_path):
    config = replace(CONFIG, teacher="float", epochs=2)
    seen = []

    def stop(epoch):
        seen.append((epoch.network, epoch.number))
        if epoch.network == "tiny" and epoch.number == 1:
            raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt):
        train(NETWORK, config, X, Y, folder=tmp_path, report=stop)
    assert seen == [("tiny_teacher", 1), ("tiny_teacher", 2), ("tiny", 1)]
    twin = checkpoint.read(checkpoint.path_of(tmp_path, "tiny_teacher"))["network"]
    assert (twin["weights"], twin["membrane"]) == ("float", "float")

    again = []
    resumed = train(NETWORK, config, X, Y, folder=tmp_path, resume=True, report=again.append)
    assert [(epoch.network, epoch.number) for epoch in again] == [("tiny", 2)]
    whole = train(NETWORK, config, X, Y)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), resumed.parameters(),
                                                 strict=True))


@pytest.mark.parametrize("fields, message", (
    ({"layers": "16-8-5"}, "teacher must have the student's classes 5, not 4 as .*big.checkpoint"),
    ({"layers": "25-8-4"}, r"student's input \(\(25,\), 8\), not \(\(16,\), 8\)"),
    ({"coding": "spikes", "input_bits": 8}, "student's coding 'spikes', not 'direct'"),
))
def test_a_teacher_of_another_task_is_refused(taught, fields, message):
    with pytest.raises(CheckpointError, match=message):
        teacher.read(Path(taught), replace(NETWORK, **fields))


def test_a_teacher_of_other_frames_is_refused(tmp_path):
    spiking = replace(NETWORK, coding="spikes", input_bits=1, steps=2)
    x = np.zeros((64, 2, 16), np.uint8)
    train(spiking, replace(CONFIG, epochs=1), x, Y[:64], folder=tmp_path)
    with pytest.raises(CheckpointError, match="teacher must have the student's frames 3, not 2"):
        teacher.read(checkpoint.path_of(tmp_path, "tiny"), replace(spiking, steps=3))


def saved(path, network, *example):
    batch = ({0: torch.export.Dim.AUTO},)
    torch.export.save(torch.export.export(network.eval(), example, dynamic_shapes=batch), path)
    return str(path)


@pytest.mark.parametrize("augment", ("", "shift"))
def test_a_student_learns_from_an_ann_alone(tmp_path, augment):
    ann, x, y = torch.nn.Linear(16, 4), torch.from_numpy(X).float(), torch.from_numpy(Y).long()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        torch.nn.init.zeros_(ann.weight)
        optimizer = torch.optim.Adam(ann.parameters(), 1e-3)
        for _ in range(200):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(ann(x), y).backward()
            optimizer.step()
    path = saved(tmp_path / "ann.pt2", ann, torch.zeros(2, 16))
    wrong = np.random.default_rng(99).integers(0, 4, len(Y)).astype(np.uint8)
    student = train(NETWORK, replace(CONFIG, teacher=path, teacher_weight=1.0, augment=augment,
                                     epochs=8), X, wrong)
    assert accuracy_of(student, *map(torch.from_numpy, blobs(400, 1))) > 0.7


@pytest.mark.parametrize("network, message", (
    (torch.nn.Linear(16, 5), r"teacher must answer 3 inputs with \(3, 4\), not \(3, 5\) as"),
    (torch.nn.Linear(12, 4), "teacher must take the student's inputs, any number of them, which"),
))
def test_an_ann_of_another_task_is_refused(tmp_path, network, message):
    path = saved(tmp_path / "ann.pt2", network, torch.zeros(2, network.in_features))
    with pytest.raises(CheckpointError, match=message):
        teacher.read(Path(path), NETWORK)


def test_a_file_that_is_no_ann(tmp_path):
    (tmp_path / "ann.pt2").write_text("a letter")
    for path in (tmp_path / "ann.pt2", tmp_path / "nowhere.pt2"):
        with pytest.raises(CheckpointError, match="must be a file that torch.export.save wrote"):
            teacher.read(path, NETWORK)


def test_what_is_no_teacher(tmp_path):
    with pytest.raises(CheckpointError, match="nowhere.pt: no checkpoint there"):
        train(NETWORK, replace(CONFIG, teacher="nowhere.pt"), X, Y)
    path = tmp_path / "x.checkpoint.pt"
    checkpoint.save(path, NETWORK, CONFIG, 1, {"model": {}, "average": None})
    with pytest.raises(CheckpointError, match="must be a checkpoint of qsnn train; it can't be "
                                              "read"):
        train(NETWORK, replace(CONFIG, teacher=str(path)), X, Y)
