"""The runs of docs/results.md as files: a line of JSON each, in docs/results/TASK.jsonl."""

import json
import os
from pathlib import Path
from typing import Any

from qsnn_models.network.qsnn import NetworkConfig
from qsnn_models.training.recipes import Recipe
from qsnn_models.training.train_config import TrainConfig

FOLDER = Path(__file__).parents[2] / "docs" / "results"

Line = dict[str, Any]


def runs(path: Path) -> list[Line]:
    """The runs in *path*, none where it isn't there yet."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def recipe_of(line: Line) -> Recipe:
    """What was run; fields that the line is too old to know have today's defaults."""
    return Recipe(NetworkConfig(**line["network"]), TrainConfig(**line["training"]))


def add(path: Path, line: Line) -> None:
    """Add a run to *path*: the file is replaced, whole or not at all."""
    before = path.read_text() if path.exists() else ""
    part = path.with_name(path.name + ".part")
    part.write_text(before + json.dumps(line) + "\n")
    os.replace(part, path)
