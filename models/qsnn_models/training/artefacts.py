"""What a training leaves behind: the ONNX file, its ledger, and a table."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from qsnn_models import data
from qsnn_models.data.labelled import Array
from qsnn_models.export import ledger
from qsnn_models.export.freeze import freeze
from qsnn_models.export.onnx_export import save
from qsnn_models.files import whole
from qsnn_models.network.qsnn import QSNN

from .confusion import confusion_tables
from .recipes import Recipe

STAGES = {"training": "training", "qat": "evaluation", "frozen": "frozen integers",
          "onnx": "ONNX in onnxruntime", "golden": "golden model"}


def deliver(model: QSNN, recipe: Recipe, dataset: data.Dataset, folder: Path, facts: dict[str, Any],
            console: Console, *, golden: ledger.Judge | None = None, details: bool = False
            ) -> dict[str, Any]:
    """Write *model*, measured at every stage on the test part of *dataset*, to *folder*.

    ``NAME.onnx`` and ``NAME.ledger.json``, whose content is returned; *facts* are entries of it. A
    network that has no integer form has only the ledger, which says why. ``NAME.test.npz`` has the
    test part of data of one's own as the file takes it. *golden* runs the file in the golden model.
    *details* are which class got which answer, in the ledger and as a table.
    """
    path = folder / f"{recipe.network.name}.onnx"
    x, y = recipe.inputs(dataset.test_x), dataset.test_y
    raw = dataset.test_x if dataset.real else None
    result = _measured(model, path, x, y, golden, raw)
    counts = ledger.confusion(y, result.answers, recipe.network.structure.classes)
    content = _content(recipe, result, len(x)) | facts | {"torch": torch.__version__}
    if details:
        content["confusion"] = counts.tolist()
    ledger.write(path.with_suffix(".ledger.json"), content)
    files = [path, path.with_suffix(".ledger.json")]
    if dataset.own:
        files.append(path.with_suffix(".test.npz"))
        _keep(files[-1], x if raw is None else raw.reshape(x.shape), y, dataset.names)
    _show(console, recipe, result, files)
    if details:
        console.print(*confusion_tables(counts, dataset.names), sep="\n", highlight=False,
                      soft_wrap=True)
    return content


def _keep(path: Path, x: Array, y: data.Bytes, names: tuple[str, ...]) -> None:
    with whole(path) as part, part.open("wb") as file:
        arrays: dict[str, Any] = {"x": x, "y": y}
        np.savez_compressed(file, **(arrays | ({"names": np.array(names)} if names else {})))


def _content(recipe: Recipe, result: ledger.Evaluation, samples: int) -> dict[str, Any]:
    config = recipe.config
    return {"version": 1, "network": asdict(recipe.network), "training": asdict(config),
            "seed": config.seed, "chosen": recipe.chosen,
            "test": f"{config.data}, all {samples:,} test images",
            "stages": [asdict(stage) for stage in result.stages],
            "spike_rates": result.spike_rates}


def _measured(model: QSNN, path: Path, x: data.Bytes, y: data.Bytes, golden: ledger.Judge | None,
              raw: Array | None) -> ledger.Evaluation:
    if model.refusals():
        path.unlink(missing_ok=True)        # another network's, of that name
        return ledger.evaluate_floats(model, x, y)
    frozen = freeze(model)
    save(frozen.graph(), path)
    return ledger.evaluate(model, frozen, path, x, y, golden, raw)


def _show(console: Console, recipe: Recipe, result: ledger.Evaluation, files: list[Path]) -> None:
    table = Table("stage", "accuracy", "answers changed", "scores that differ",
                  title=f"{recipe.network.name} on {recipe.config.data}")
    for stage in result.stages:
        accuracy = "none" if stage.accuracy is None else f"{stage.accuracy:.2%}"
        table.add_row(STAGES[stage.stage], accuracy, *("" if count is None else f"{count:,}"
                                                       for count in (stage.changed, stage.differ)))
    rates = ", ".join(f"{name} {rate:.1%}" for name, rate in result.spike_rates.items())
    files = [file for file in files if file.exists()]
    notes = [f"{STAGES[stage.stage]}: {stage.note}" for stage in result.stages if stage.note]
    console.print(table, *notes, f"firing rates: {rates}", f"wrote {' and '.join(map(str, files))}",
                  sep="\n", highlight=False, soft_wrap=True)
