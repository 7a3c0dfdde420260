"""Names of classes in what the commands say."""

import json

import numpy as np
import pytest

from qsnn_compile.cli.run import _print
from qsnn_sim.measure.measure import by_class
from qsnn_sim.measure.tables import classes

ANSWERS = np.array([0, 0, 1, 0])
NAMES = ("walk", "run", "fall")


def test_each_class_has_its_accuracy():
    rows = by_class(NAMES, np.array([0, 1, 1, 0]), ANSWERS)
    assert json.loads(json.dumps(rows)) == [
        {"class": 0, "name": "walk", "answers": 3, "samples": 2, "accuracy": 1.0},
        {"class": 1, "name": "run", "answers": 1, "samples": 2, "accuracy": 0.5},
        {"class": 2, "name": "fall", "answers": 0, "samples": 0, "accuracy": None}]
    assert classes(rows) == "walk 100.0%, run 50.0%, fall 0"


def test_without_labels_the_answers_are_counted():
    assert classes(by_class(NAMES, None, ANSWERS)) == "walk 3, run 1, fall 0"
    assert by_class((), None, ANSWERS) == []


@pytest.mark.parametrize("names, said", [
    ([], "0 0 1"), (["walk", "run\x1b"], "walk walk run\\x1b")])
def test_a_board_s_answers_have_names(capsys, names, said):
    report = {"port": "p", "samples": 3, "seconds": 1, "accuracy": None, "classes": [0, 0, 1],
              "class_names": names}
    _print(report, None)
    assert f"classes: {said}\n" in capsys.readouterr().out
