import json
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from qsnn_models.data import Dataset
from qsnn_models.export.freeze import freeze
from qsnn_models.network.notation import parse
from qsnn_models.network.qsnn import QSNN, NetworkConfig
from qsnn_sim.golden import golden

sys.path.insert(0, str(Path(__file__).parents[1] / "bench"))

import results
import results_reach
from results_measure import fan_out, golden_play, on_chip, run, synaptic_operations, torch_play
from results_runs import ROWS, TASKS
from results_store import FOLDER, recipe_of, runs
from results_table import difference, rendered

RANDOM = np.random.default_rng(0)
SOME = {("mnist-dense", "W1/U4"), ("mnist-rows", "W1/U4"), ("mnist-rows", "U4 released"),
        ("mnist-conv", "float"), ("fashion-conv", "W1/U0")}
ONE_OF_EACH = [row for row in ROWS if (row.task, row.label) in SOME]


def network(layers, **others):
    torch.manual_seed(0)
    return QSNN(NetworkConfig("n", layers, **others)).eval()


def images(count, *shape):
    return RANDOM.integers(0, 256, (count, *shape), dtype=np.uint8)


def test_the_page_is_made_from_the_runs():
    page = FOLDER.with_suffix(".md").read_text()
    assert page == rendered(page, FOLDER)


@pytest.mark.parametrize("task", TASKS)
def test_the_runs_are_whole_and_there_once(task):
    rows = runs(FOLDER / f"{task}.jsonl")
    assert len({recipe_of(line) for line in rows}) == len(rows)
    for line in rows:
        assert 0.5 < line["accuracy"] <= 1 and 0 < line["rate"] < 1
        assert len(line["operations"]) == len(line["rates"]) + 1


@pytest.fixture
def tiny():
    """A data set of a task's shape; its classes are as bright as their number."""
    def make(task):
        y = np.arange(64, dtype=np.uint8) % 10
        x = np.clip(images(64, 784) // 8 + 24 * y[:, None], 0, 255).astype(np.uint8)
        x = x.reshape(64, 28, 28) if task == "mnist-rows" else x
        return Dataset("tiny", x, y, x[:20], y[:20])
    return make


@pytest.mark.parametrize("row", ONE_OF_EACH, ids=lambda row: f"{row.task} {row.label}")
def test_a_run_of_each_kind(row, tiny):
    line = json.loads(json.dumps(run(row.recipe(1, epochs=1), tiny(row.task))))
    assert recipe_of(line) == row.recipe(1, epochs=1)
    assert line["judge"] == ("torch" if row.label in ("float", "U4 released") else "golden")
    assert (line["membrane_bits"] == 0) == (row.label == "W1/U0")
    assert line["refused"] if line["judge"] == "torch" else line["energy_nj"] > 0


def test_a_killed_queue_goes_on(tmp_path):
    chosen, asked = list(results.queue([row for row in ROWS if row.task == "mnist-dense"], 2)), []

    def one(recipe):
        if len(asked) == 5:
            raise KeyboardInterrupt
        asked.append(recipe)
        return {"network": vars(recipe.network), "training": vars(recipe.config),
                "accuracy": 0.5, "train_cpu_seconds": 1.0}

    with pytest.raises(KeyboardInterrupt):
        results.work(chosen, tmp_path, one)
    assert results.work(chosen[:5], tmp_path, one) == 0
    asked.clear()
    with pytest.raises(KeyboardInterrupt):
        results.work(chosen, tmp_path, one)
    assert asked == [recipe for _, recipe in chosen[5:10]]
    assert list(map(recipe_of, runs(tmp_path / "mnist-dense.jsonl"))) == [r for _, r in chosen[:10]]


def test_the_rows_of_a_table_are_all_different():
    made = [(row.table, row.task, row.recipe(1)) for row in ROWS]
    assert len(set(made)) == len(made)


@pytest.mark.parametrize("layers", ("2x9x9-4C3-3", "2x9x8-4C3s2-3", "4x9x9-8C5s3g2-3",
                                    "2x8x8-4C3p0-P2-3"))
def test_operations_of_a_convolution_are_what_weights_of_one_sum_up(layers):
    layer = parse(layers).layers[0]
    x = (RANDOM.random((5, *layer.source)) < 0.3).astype(np.uint8)
    ones = torch.ones(layer.outputs, layer.inputs // layer.groups, *layer.kernel)
    sums = F.conv2d(torch.from_numpy(x).float(), ones, None, layer.stride, layer.padding, 1,
                    layer.groups)
    assert synaptic_operations([layer], [x[:, None]]) == [float(sums.sum())]


def test_a_residual_is_an_operation_more():
    plain, residual = (parse(f"2x6x6-2C3{mark}-3").layers[0] for mark in ("", "+"))
    assert np.array_equal(fan_out(residual), fan_out(plain) + 1)


def test_operations_are_the_golden_model_s_events_times_the_fan_out():
    model = network("20-12R-8-3", steps=5, coding="spikes", input_bits=1)
    x = RANDOM.integers(0, 2, (30, 5, 20), dtype=np.uint8)
    graph = freeze(model).graph()
    events = {name: int(count.sum()) for name, count in golden.run(graph, x).events.items()}
    trains = golden_play(graph)(x)[1]
    operations = synaptic_operations(model.config.structure.layers, [x, *trains])
    assert operations == [12 * (events["x"] + events["delay1"]), 8 * events["lif1"],
                     3 * events["lif2"]]


@pytest.mark.parametrize("layers, others", (
    ("20-12R-8-3", {"coding": "spikes", "steps": 5}), ("2x6x6-4C3-P2-8-3", {}),
    ("20-8-3", {"membrane": "none", "membrane_bits": 0})))
def test_torch_and_golden_play_the_same_spikes(layers, others):
    model = network(layers, **others)
    steps = (model.config.steps,) if others.get("coding") else ()
    x = images(30, *steps, *model.config.structure.shape)
    ours, theirs = (play(x) for play in (torch_play(model), golden_play(freeze(model).graph())))
    assert np.array_equal(ours[0], theirs[0])
    assert all(np.array_equal(a, b) for a, b in zip(ours[1], theirs[1], strict=True))


def test_no_energy_where_the_chip_has_no_room():
    large = on_chip(freeze(network("784-256-10", weight_bits=8)).graph(), images(1, 784))
    assert (large["energy_nj"], large["clocks"]) == (None, None) and "must fit" in large["refused"]


def test_a_difference_below_two_deviations_is_none():
    row = next(row for row in ROWS if (row.task, row.label) == ("mnist-rows", "ternary"))
    base = replace(row, network={}, label="")
    def known(base_accuracies, ours):
        lines = {base.recipe(seed): {"accuracy": a} for seed, a in enumerate(base_accuracies, 1)}
        return lines | {row.recipe(1): {"accuracy": ours}}
    # s = 0.2 points, so of a pair of runs 2 · 0.2 · √2 = 0.57
    spread = [0.960, 0.962, 0.964]
    assert difference(row, known(spread, 0.9655)) == "+0.55, none"
    assert difference(row, known(spread, 0.9659)) == "+0.59"
    assert difference(row, known(spread, 0.9541)) == "−0.59"
    assert difference(row, known(spread[:1], 0.99)) == "+3.00, none"      # nothing is known of s


def test_a_line_that_is_too_old_to_know_a_field_has_its_default():
    recipe = TASKS["mnist-dense"].recipe
    line = {"network": vars(recipe.network), "training": dict(vars(recipe.config))}
    del line["training"]["ema"]
    assert recipe_of(line) == recipe
    line["training"]["seed"] = 5
    assert recipe_of(line) == replace(recipe, config=replace(recipe.config, seed=5))


def test_seeds_and_folds_are_gathered_once(tmp_path):
    zoo, reach = tmp_path / "models" / "zoo", tmp_path / "docs" / "results" / "reach"
    config = NetworkConfig("a", "2x17x17-8C3-10", steps=10, coding="spikes", weight_bits=(8, 1))
    common = {"network": asdict(config), "command": "qsnn train a"}
    for place, seed, accuracy in ((zoo, 1, 0.97), (reach, 2, 0.99)):
        place.mkdir(parents=True)
        (place / f"a{seed}.ledger.json").write_text(json.dumps(common | {
            "training": {"data": "nmnist-subset:0"},
            "seed": seed, "stages": [{"stage": "frozen", "accuracy": accuracy}]}))
    (reach / "a.folds.json").write_text(json.dumps(common | {
        "folds": [{"data": f"nmnist-subset:{fold}", "seed": 1, "accuracy": 0.9 + fold / 100}
                  for fold in range(3)]}))
    table = results_reach.reach(reach.parent).splitlines()
    assert table[2:] == ["| N-MNIST subset, 5 folds | 2x17x17-8C3-10 | 10 | 8-1 / 4 | "
                         "93.00 ± 4.08 | 90.00 | 95 | 4 | `qsnn train a` |"]
