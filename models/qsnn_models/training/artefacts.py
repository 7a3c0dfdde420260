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

from .confusion import confusion_tables
from .recipes import Recipe

STAGES = {"training": "training", "qat": "evaluation", "frozen": "frozen integers",
          "onnx": "ONNX in onnxruntime", "golden": "golden model"}


def deliver(model: QSNN, recipe: Recipe, x: Bytes, y: Bytes, folder: Path, facts: dict[str, Any],
            console: Console, *, golden: ledger.Judge | None = None, details: bool = False
            ) -> dict[str, Any]:
    """Write *model*, measured at every stage on test inputs *x* and labels *y*, to *folder*.

    ``NAME.onnx`` and ``NAME.ledger.json``, whose content is returned; *facts* are entries of it. A
    network that has no integer form has only the ledger, which says why. *golden* runs the file in
    the golden model. *details* are which class got which answer, in the ledger and as a table.
    """
    path = folder / f"{recipe.network.name}.onnx"
    result = _measured(model, path, x, y, golden)
    counts = ledger.confusion(y, result.answers, recipe.network.structure.layers[-1].outputs)
    content = _content(recipe, result, len(x)) | facts | {"torch": torch.__version__}
    if details:
        content["confusion"] = counts.tolist()
    ledger.write(path.with_suffix(".ledger.json"), content)
    _show(console, recipe, result, path)
    if details:
        console.print(*confusion_tables(counts), sep="\n", highlight=False, soft_wrap=True)
    return content


def _content(recipe: Recipe, result: ledger.Evaluation, samples: int) -> dict[str, Any]:
    config = recipe.config
    return {"version": 1, "network": asdict(recipe.network), "training": asdict(config),
            "seed": config.seed, "chosen": recipe.chosen,
            "test": f"{config.data}, all {samples:,} test images",
            "stages": [asdict(stage) for stage in result.stages],
            "spike_rates": result.spike_rates}


def _measured(model: QSNN, path: Path, x: Bytes, y: Bytes, golden: ledger.Judge | None
              ) -> ledger.Evaluation:
    if model.refusals():
        path.unlink(missing_ok=True)        # another network's, of that name
        return ledger.evaluate_floats(model, x, y)
    frozen = freeze(model)
    save(frozen.graph(), path)
    return ledger.evaluate(model, frozen, path, x, y, golden)


def _show(console: Console, recipe: Recipe, result: ledger.Evaluation, path: Path) -> None:
    table = Table("stage", "accuracy", "answers changed", "scores that differ",
                  title=f"{recipe.network.name} on {recipe.config.data}")
    for stage in result.stages:
        accuracy = "none" if stage.accuracy is None else f"{stage.accuracy:.2%}"
        table.add_row(STAGES[stage.stage], accuracy, *("" if count is None else f"{count:,}"
                                                       for count in (stage.changed, stage.differ)))
    rates = ", ".join(f"{name} {rate:.1%}" for name, rate in result.spike_rates.items())
    files = [file for file in (path, path.with_suffix(".ledger.json")) if file.exists()]
    notes = [f"{STAGES[stage.stage]}: {stage.note}" for stage in result.stages if stage.note]
    console.print(table, *notes, f"firing rates: {rates}", f"wrote {' and '.join(map(str, files))}",
                  sep="\n", highlight=False, soft_wrap=True)
