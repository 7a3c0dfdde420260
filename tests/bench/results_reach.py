"""The networks that docs/results.md asks most of: accuracies from the ledgers that training wrote.

What counts lies in models/zoo or docs/results/reach: ``NAME.ledger.json`` of a seed or a fold, and
``NAME.folds.json`` of all folds.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from qsnn_models.network.qsnn import NetworkConfig
from qsnn_models.training.cross_validation import accuracy


@dataclass(frozen=True)
class Trained:
    """A run: ``data`` is the data set's name with its part and options."""

    network: NetworkConfig
    data: str
    seed: int
    accuracy: float
    command: str

    @property
    def kind(self) -> tuple[Any, ...]:
        """What seeds and folds of one network have in common."""
        network = self.network
        return network.layers, network.steps, bits(network), network.reset, network.decay


@dataclass(frozen=True)
class Goal:
    """A data set, ``part`` where one of its folds or speakers must be named, and what is asked."""

    title: str
    data: str
    asked: str
    convolutions: bool | None = None
    part: bool | None = None
    layers: str = ""                # how the network begins

    def fits(self, run: Trained) -> bool:
        name, _, part = run.data.partition("?")[0].partition(":")
        has = "C" in run.network.layers.partition("-")[2]
        return (name == self.data and self.part in (None, bool(part))
                and self.convolutions in (None, has)
                and run.network.layers.startswith(self.layers))


GOALS = (
    Goal("MNIST, dense", "mnist", "97.4", convolutions=False),
    Goal("Fashion-MNIST, dense", "fashion-mnist", "89.5", convolutions=False),
    Goal("MNIST, convolutions", "mnist", "99.2", convolutions=True),
    Goal("Fashion-MNIST, convolutions", "fashion-mnist", "92.0", True, layers="1x28x28-32C3"),
    Goal("Fashion-MNIST, small convolutions", "fashion-mnist", "reported", True,
         layers="1x28x28-16C3"),
    Goal("MNIST row by row", "mnist-rows", "float state − 1"),
    Goal("N-MNIST subset, 5 folds", "nmnist-subset", "95"),
    Goal("spoken digits, official split", "spoken-digits", "95", part=False),
    Goal("spoken digits, a speaker held out", "spoken-digits", "reported", part=True),
)


def reach(folder: Path) -> str:
    """The table, for *folder* docs/results: a line for each goal and network that was trained."""
    runs_read = trained((folder.parents[1] / "models" / "zoo", folder / "reach"))
    lines = ["| task | network | T | weights / membranes, bit | accuracy % | lowest | asked "
             "| runs | command |", "|---|---|---:|---|---:|---:|---:|---:|---|"]
    for goal in GOALS:
        kinds: dict[Any, list[Trained]] = {}
        for run in filter(goal.fits, runs_read):
            kinds.setdefault(run.kind, []).append(run)
        lines += [_line(goal, group) for group in kinds.values()]
    return "\n".join(lines)


def trained(places: Sequence[Path]) -> list[Trained]:
    """The runs in *places*, each seed and fold of a network once."""
    files = [file for pattern in ("*.ledger.json", "*.folds.json") for place in places
             for file in sorted(place.glob(pattern))]
    ledgers = [run for file in files for run in _read(json.loads(file.read_text()))]
    return list({(run.kind, run.data, run.seed): run for run in ledgers}.values())


def _read(content: dict[str, Any]) -> Iterator[Trained]:
    network, command = NetworkConfig(**content["network"]), content["command"]
    if "folds" not in content:
        yield Trained(network, content["training"]["data"], content["seed"], accuracy(content),
                      command)
    for fold in content.get("folds", ()):
        yield Trained(network, fold["data"], fold["seed"], fold["accuracy"], command)


def bits(network: NetworkConfig) -> str:
    """``8-1-1 / 4``: the weights' widths layer by layer, one where they are alike."""
    widths = network.widths if len(set(network.widths)) > 1 else network.widths[:1]
    weights = "float" if network.weights == "float" else "-".join(map(str, widths))
    return f"{weights} / {'float' if network.membrane == 'float' else network.membrane_bits}"


def _line(goal: Goal, group: Sequence[Trained]) -> str:
    network, values = group[0].network, [100 * run.accuracy for run in group]
    spread = f" ± {stdev(values):.2f}" if len(values) > 1 else ""
    return (f"| {goal.title} | {network.layers} | {network.steps} | {bits(network)} | "
            f"{mean(values):.2f}{spread} | {min(values):.2f} | {goal.asked} | {len(values)} | "
            f"`{group[0].command}` |")
