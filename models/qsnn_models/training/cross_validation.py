"""Cross-validation: a recipe trained once for every fold of its data, which is then for testing."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from statistics import mean
from typing import Any

from qsnn_models import data

from .recipes import Recipe

Ledger = dict[str, Any]


def variants(recipe: Recipe) -> list[Recipe]:
    """*recipe* for each fold of its data set, the network called NAME_FOLD; where that is
    *recipe*'s own fold it is *recipe*. Raises DataError where the data set has no folds."""
    return [_variant(recipe, fold) for fold in data.folds(recipe.config.data)]


def _variant(recipe: Recipe, fold: str) -> Recipe:
    if fold == recipe.config.data:
        return recipe
    part = fold.partition("?")[0].partition(":")[2]
    return replace(recipe, config=replace(recipe.config, data=fold),
                   network=replace(recipe.network, name=f"{recipe.network.name}_{part}"))


def settings(variant: Recipe, recipe: Recipe) -> list[str]:
    """What ``--set`` must be given to make *variant* of *recipe*."""
    if variant == recipe:
        return []
    return [f"training.data={variant.config.data}", f"network.name={variant.network.name}"]


def summary(recipe: Recipe, command: str, ledgers: Sequence[Ledger]) -> Ledger:
    """The folds' *ledgers* in short: ``accuracy`` is the mean over the folds, each counts alike."""
    rows = [{"data": ledger["training"]["data"], "test": ledger["test"],
              "accuracy": accuracy(ledger), "seed": ledger["seed"],
              "epochs": ledger["training"]["epochs"],
              "train_cpu_seconds": ledger["train_cpu_seconds"], "command": ledger["command"]}
             for ledger in ledgers]
    return {"version": 1, "network": asdict(recipe.network), "training": asdict(recipe.config),
            "chosen": recipe.chosen, "command": command,
            "accuracy": round(mean(fold["accuracy"] for fold in rows), 6),
            "folds": rows, "torch": ledgers[0]["torch"]}


def accuracy(ledger: Ledger) -> float:
    """Of the frozen integers, which the golden model equals; of torch where there are none."""
    stages = {stage["stage"]: stage["accuracy"] for stage in ledger["stages"]}
    right: float = stages["qat"] if stages["frozen"] is None else stages["frozen"]
    return right
