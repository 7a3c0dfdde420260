"""The ledger of a network's accuracy: its stages and its confusion."""

import copy

import numpy as np
import torch
from blobs import CONFIG, NETWORK, X, Y, dataset
from rich.console import Console

from qsnn_models.export import ledger
from qsnn_models.export.freeze import freeze
from qsnn_models.export.onnx_export import save
from qsnn_models.training.confusion import confusion_tables
from qsnn_models.training.train import train


def evaluated(tmp_path, model, golden=None):
    data, frozen = dataset(), freeze(model)
    save(frozen.graph(), tmp_path / "tiny.onnx")
    return ledger.evaluate(model, frozen, tmp_path / "tiny.onnx", data.test_x, data.test_y, golden)


def test_an_answer_that_a_stage_changes_is_counted_there_and_nowhere_else(tmp_path):
    model, data = train(NETWORK, CONFIG, X, Y), dataset()
    right = evaluated(tmp_path, model).stages[-1]

    def golden(path, x):
        scores = freeze(model)(torch.from_numpy(data.test_x)).numpy()
        scores[:3] = np.eye(4, dtype=int)[(scores[:3].argmax(1) + 1) % 4]
        return scores
    stages = {stage.stage: stage for stage in evaluated(tmp_path, model, golden).stages}
    assert stages["golden"].changed == 3 and stages["golden"].differ == 3
    assert stages["onnx"] == right and right.changed == right.differ == 0


def test_the_stage_of_training_shows_statistics_that_are_not_the_weights_own(tmp_path):
    model = train(NETWORK, CONFIG, X, Y)
    wrong = copy.deepcopy(model)
    wrong.blocks[0].layer.mean += 3 * wrong.blocks[0].layer.var.sqrt()
    drift = {name: evaluated(tmp_path, each).stages[1].changed
             for name, each in (("settled", model), ("wrong", wrong))}
    assert drift["settled"] < 20 < drift["wrong"]


def test_measuring_moves_no_statistics(tmp_path):
    model = train(NETWORK, CONFIG, X, Y)
    before = copy.deepcopy(model.state_dict())
    evaluated(tmp_path, model)
    assert all(torch.equal(before[name], values) for name, values in model.state_dict().items())


def printed(counts, names=()):
    console = Console(width=120)
    with console.capture() as text:
        console.print(*confusion_tables(np.array(counts), names), sep="\n")
    return text.get()


def test_the_worst_class_is_the_one_with_the_most_errors_among_its_own():
    counts = ledger.confusion(np.array([0] * 10 + [1] * 2), np.array([0] * 8 + [1, 1, 1, 0]), 3)
    assert counts.tolist() == [[8, 2, 0], [1, 1, 0], [0, 0, 0]]
    rows = printed(counts, ("ant", "bee", "cat")).partition("worst classes")[2].splitlines()
    cells = [[cell.strip() for cell in row.split("│")[1:-1]] for row in rows if "│" in row]
    assert cells == [["bee", "2", "50.0%", "ant, 1 times"], ["ant", "10", "80.0%", "bee, 2 times"]]


def test_a_matrix_of_more_classes_than_a_terminal_is_wide_is_left_out():
    assert "answers (columns)" in printed(np.eye(20, dtype=int))
    assert "answers (columns)" not in printed(np.eye(21, dtype=int))
