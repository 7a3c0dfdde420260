"""What a training leaves behind: the ONNX file, its ledger, and a table."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from qsnn_models.data import Bytes
from qsnn_models.export import ledger
from qsnn_models.export.freeze import freeze
from qsnn_models.export.onnx_export import save
from qsnn_models.network.qsnn import QSNN

from .recipes import Recipe


def deliver(model: QSNN, recipe: Recipe, x: Bytes, y: Bytes, folder: Path, facts: dict[str, Any],
            console: Console) -> dict[str, Any]:
    """Write *model*, measured at every stage on test inputs *x* and labels *y*, to *folder*.

    ``NAME.onnx`` and ``NAME.ledger.json``, whose content is returned; *facts* are entries of it. A
    network that has no integer form has only the ledger, which says why.
    """
    path = folder / f"{recipe.network.name}.onnx"
    result = _measured(model, path, x, y)
    config = recipe.config
    content = {
        "version": 1, "network": asdict(recipe.network), "training": asdict(config),
        "command": facts["command"], "seed": config.seed,
        "chosen": recipe.chosen,
        "test": f"{config.data}, all {len(x):,} test images",
        "stages": [asdict(stage) for stage in result.stages], "spike_rates": result.spike_rates,
        **facts, "torch": torch.__version__,
    }
    ledger.write(path.with_suffix(".ledger.json"), content)
    _show(console, recipe, result, path)
    return content


def _measured(model: QSNN, path: Path, x: Bytes, y: Bytes) -> ledger.Evaluation:
    if model.refusals():
        path.unlink(missing_ok=True)        # another network's, of that name
        return ledger.evaluate_floats(model, x, y)
    frozen = freeze(model)
    save(frozen.graph(), path)
    return ledger.evaluate(model, frozen, path, x, y)


def _show(console: Console, recipe: Recipe, result: ledger.Evaluation, path: Path) -> None:
    table = Table("stage", "accuracy", "scores that differ",
                  title=f"{recipe.network.name} on {recipe.config.data}")
    for stage in result.stages:
        accuracy = stage.note if stage.accuracy is None else f"{stage.accuracy:.2%}"
        table.add_row(stage.stage, accuracy, "" if stage.differ is None else str(stage.differ))
    rates = ", ".join(f"{name} {rate:.1%}" for name, rate in result.spike_rates.items())
    files = [file for file in (path, path.with_suffix(".ledger.json")) if file.exists()]
    console.print(table, f"firing rates: {rates}", f"wrote {' and '.join(map(str, files))}",
                  sep="\n", highlight=False, soft_wrap=True)
