import sys
from pathlib import Path

import pytest

from qsnn_compile.memories import Memory, memories, spram
from qsnn_compile.resource import predict

sys.path.insert(0, str(Path(__file__).parents[1] / "bench"))

from fit_resources import WITHIN, measured, show
from machine_shapes import CHECKED, FITTED, Zoo


@pytest.mark.parametrize("width, depth, rom, blocks", (
    (16, 256, False, 1), (17, 256, False, 2), (18, 1024, False, 5), (10, 1024, False, 3),
    (2, 2048, False, 1), (8, 32, False, 1), (11, 4, False, 0), (2, 256, True, 0),
    (8, 256, True, 1), (38, 256, True, 3), (10, 600, False, 2), (18, 1200, False, 6),
    (9, 2400, False, 6)))
def test_block_rams_of_a_memory(width, depth, rom, blocks):
    assert Memory("m", width, depth, rom).ebr == blocks


def test_the_zoo_machine():
    machine, image = Zoo("fashion_mnist_mlp").machine()
    assert {m.name: m.ebr for m in memories(machine, image) if m.ebr} == {
        "buffer0": 5, "buffer1": 3, "queue": 1, "counts": 1, "membranes": 1, "fired": 1,
        "parameters1": 3, "parameters2": 2, "parameters3": 1}
    assert spram(machine) == 4


def test_more_lanes_take_more_cells():
    cells = [predict(*Zoo("mnist_mlp", lanes).machine()).lc for lanes in (16, 32, 64)]
    assert cells == sorted(cells)


def test_checked_shapes_were_not_fitted_to():
    assert len(CHECKED) == 8 and not set(CHECKED) & set(FITTED)


@pytest.mark.slow
def test_prediction_within_fifteen_percent_of_nextpnr():
    assert show(list(measured(CHECKED, None))) <= WITHIN
