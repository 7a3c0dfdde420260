"""The networks that docs/results.md asks most of: accuracies from the ledgers that training wrote.

A ledger counts where it lies in models/zoo or in docs/results/reach: a seed, or a fold, each.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from qsnn_models.network import NetworkConfig

Ledger = dict[str, Any]


@dataclass(frozen=True)
class Goal:
    """A data set (``part``: one of its parts is named, a fold or a speaker) and what is asked."""

    title: str
    data: str
    asked: str
    convolutions: bool | None = None
    part: bool = False

    def fits(self, ledger: Ledger) -> bool:
        name, _, part = ledger["training"]["data"].partition(":")
        has = "C" in ledger["network"]["layers"].partition("-")[2]
        return (name == self.data and bool(part) == self.part
                and self.convolutions in (None, has))


GOALS = (
    Goal("MNIST, dense", "mnist", "97.4", convolutions=False),
    Goal("Fashion-MNIST, dense", "fashion-mnist", "89.5", convolutions=False),
    Goal("MNIST, convolutions", "mnist", "99.2", convolutions=True),
    Goal("Fashion-MNIST, convolutions", "fashion-mnist", "92.0", convolutions=True),
    Goal("MNIST row by row", "mnist-rows", "float state − 1"),
    Goal("N-MNIST subset, 5 folds", "nmnist-subset", "95", part=True),
    Goal("spoken digits, official split", "spoken-digits", "95"),
    Goal("spoken digits, a speaker held out", "spoken-digits", "reported", part=True),
)


def reach(folder: Path) -> str:
    """The table: a line for each goal and network that has ledgers; *folder* is docs/results."""
    zoo = folder.parents[1] / "models" / "zoo"
    found = [json.loads(path.read_text()) for place in (zoo, folder / "reach")
             for path in sorted(place.glob("*.ledger.json"))]
    lines = ["| task | network | T | weights / membranes, bit | accuracy % | lowest | asked "
             "| runs | command of the first |",
             "|---|---|---:|---|---:|---:|---:|---:|---|"]
    for goal in GOALS:
        kinds: dict[Any, list[Ledger]] = {}
        for ledger in filter(goal.fits, found):
            kinds.setdefault(_kind(ledger), []).append(ledger)
        lines += [_line(goal, group) for group in kinds.values()]
    return "\n".join(lines)


def _kind(ledger: Ledger) -> tuple[Any, ...]:
    network = NetworkConfig(**ledger["network"])
    return network.layers, network.steps, _bits(network)


def _bits(network: NetworkConfig) -> str:
    weights = "float" if network.weights == "float" else "-".join(
        map(str, network.widths)) if len(set(network.widths)) > 1 else str(network.widths[0])
    return f"{weights} / {'float' if network.membrane == 'float' else network.membrane_bits}"


def _line(goal: Goal, group: Sequence[Ledger]) -> str:
    network = NetworkConfig(**group[0]["network"])
    values = [100 * accuracy(ledger) for ledger in group]
    spread = f" ± {stdev(values):.2f}" if len(values) > 1 else ""
    return (f"| {goal.title} | {network.layers} | {network.steps} | {_bits(network)} | "
            f"{mean(values):.2f}{spread} | {min(values):.2f} | {goal.asked} | {len(values)} | "
            f"`{group[0]['command']}` |")


def accuracy(ledger: Ledger) -> float:
    """Of the frozen integers, which the golden model equals; of torch where there are none."""
    stages = {stage["stage"]: stage["accuracy"] for stage in ledger["stages"]}
    found: float = stages["qat"] if stages.get("frozen") is None else stages["frozen"]
    return found
