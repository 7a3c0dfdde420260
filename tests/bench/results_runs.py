"""What docs/results.md compares: the tasks, their short recipes, and the rows of its tables."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from qsnn_models.network.qsnn import NetworkConfig
from qsnn_models.training.recipes import Recipe
from qsnn_models.training.train_config import TrainConfig

Changes = Mapping[str, Any]


@dataclass(frozen=True)
class Task:
    """A data set and a network; the recipe is that of the row W1/U4."""

    title: str
    recipe: Recipe


def _training(data: str, epochs: int, **others: Any) -> TrainConfig:
    """The recipe that all rows share: batches of 256, Adam from 5e-3 along a cosine to 0."""
    given = {"dropout": 0.05, "rate_weight": 2.0} | others
    return TrainConfig(data, epochs=epochs, batch=256, learning_rate=5e-3, label_smoothing=0.05,
                       target_rate=0.2, device="cpu", **given)


def _conv(data: str) -> Recipe:
    network = NetworkConfig(f"{data.replace('-', '_')}_conv", "1x28x28-16C3s2-32C3s2-10", steps=2,
                            weight_bits=(8, 1, 8))
    return Recipe(network, _training(data, 4, dropout=0.0))


TASKS = {
    "mnist-dense": Task("MNIST, dense", Recipe(
        NetworkConfig("mnist_dense", "784-128-10"), _training("mnist", 15))),
    "fashion-dense": Task("Fashion-MNIST, dense", Recipe(
        NetworkConfig("fashion_dense", "784-256-256-10"), _training("fashion-mnist", 10))),
    "mnist-rows": Task("MNIST row by row", Recipe(
        NetworkConfig("mnist_rows", "28-128-128-10", steps=28, weight_bits=(8, 1, 8),
                      coding="spikes", decay=(14, 4), learn_decay=True),
        _training("mnist-rows", 6, dropout=0.0, rate_weight=0.2))),
    "mnist-conv": Task("MNIST, convolutions", _conv("mnist")),
    "fashion-conv": Task("Fashion-MNIST, convolutions", _conv("fashion-mnist")),
}


@dataclass(frozen=True)
class Row:
    """A line of a table: what differs from the task's recipe."""

    table: str
    task: str
    label: str
    network: Changes = field(default_factory=dict)
    training: Changes = field(default_factory=dict)

    def recipe(self, seed: int, epochs: int | None = None) -> Recipe:
        """The run of this line with *seed*, and another number of *epochs* where it is given."""
        base = TASKS[self.task].recipe
        config = replace(base.config, **self.training, seed=seed)
        return Recipe(replace(base.network, **self.network),
                      config if epochs is None else replace(config, epochs=epochs))


FLOAT = {"weights": "float", "membrane": "float"}
NOTHING = {"membrane": "none", "membrane_bits": 0}

BITS: tuple[tuple[str, Changes], ...] = (
    ("float", FLOAT), ("W8/U8", {"weight_bits": 8, "membrane_bits": 8}),
    ("W1/U8", {"membrane_bits": 8}), ("W1/U4", {}), ("W1/U2", {"membrane_bits": 2}),
    ("W1/U0", NOTHING))

MEMBRANES: tuple[tuple[str, Changes], ...] = (
    ("float state", {"membrane": "float"}),
    *((f"U{bits} {name}", {"membrane": name, "membrane_bits": bits}) for bits in (4, 2)
      for name in ("trainable", "fixed", "mint", "centred", "released")))

WEIGHTS: tuple[tuple[str, Changes], ...] = (
    ("weight half on (straight-through)", {}), ("weight half off", {"weights": "plain"}),
    ("the paper's backward", {"weights": "scheduled"}),
    ("ternary", {"weights": "ternary", "weight_bits": 2}))

SPIKES: tuple[tuple[str, Changes], ...] = (
    ("spike half off", {"rate_weight": 0.0}),
    ("target 0.5, weight 0.005 (the paper's)", {"target_rate": 0.5, "rate_weight": 0.005}),
    *((f"target {rate}, weight 2", {"target_rate": rate, "rate_weight": 2.0})
      for rate in (0.5, 0.2, 0.1)))

ENDS = {"weight_bits": (8, 2, 8)}       # first and last stay as they are when the others change


def _rows() -> Iterator[Row]:
    for task in TASKS:
        for label, network in BITS:
            yield Row("bits", task, label, network)
    yield from _ablation("mnist-rows", ENDS)
    yield from (Row("membranes", "mnist-rows", *given) for given in MEMBRANES)
    yield Row("weights", "mnist-rows", "first and last layer of 1 bit too", {"weight_bits": 1})
    yield from _ablation("fashion-dense", {})
    yield Row("weights", "fashion-dense", "both halves off", {"weights": "plain"},
              {"rate_weight": 0.0})
    yield Row("weights", "fashion-dense", "first and last layer of 8 bits",
              {"weight_bits": (8, 1, 8)})


def _ablation(task: str, ends: Changes) -> Iterator[Row]:
    for label, network in WEIGHTS:
        yield Row("weights", task, label, {**network, **(ends if label == "ternary" else {})})
    for label, training in SPIKES:
        yield Row("spikes", task, label, {}, training)


ROWS = tuple(_rows())
