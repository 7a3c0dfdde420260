"""What a sweep tries: a TOML file with a table for each field that varies.

::

    [training.learning_rate]
    low = 1e-4
    high = 1e-2
    log = true

    [network.membrane_bits]
    choices = [2, 4, 8]
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qsnn_models.errors import ModelsError

from . import config_file
from .recipes import Recipe

if TYPE_CHECKING:
    from optuna import Trial

FORMS = "low and high (and log = true), or a list of choices"


@dataclass(frozen=True)
class Interval:
    """Numbers from ``low`` to ``high``, both included; integers where both are."""

    low: int | float
    high: int | float
    log: bool = False

    @property
    def ends(self) -> tuple[Any, ...]:
        return self.low, self.high

    def suggest(self, trial: "Trial", key: str) -> int | float:
        if isinstance(self.low, int) and isinstance(self.high, int):
            return trial.suggest_int(key, self.low, self.high, log=self.log)
        return trial.suggest_float(key, self.low, self.high, log=self.log)


@dataclass(frozen=True)
class Choices:
    """One of ``ends``, which may be lists; Optuna is told them as JSON."""

    ends: tuple[Any, ...]

    def suggest(self, trial: "Trial", key: str) -> Any:
        return json.loads(trial.suggest_categorical(key, list(map(json.dumps, self.ends))))


Space = dict[str, Interval | Choices]


def read(path: Path, recipe: Recipe) -> Space:
    """The search space in file *path*, see `of`."""
    return of(config_file.parse(path), recipe, str(path))


def of(content: Mapping[str, Any], recipe: Recipe, where: str) -> Space:
    """The search space in a file's *content*, by dotted field; each end is tried on *recipe*.

    Raises ModelsError beginning with *where*, and naming the field and what is wrong.
    """
    space: Space = {}
    for table, entries in content.items():
        if table not in config_file.TABLES or not isinstance(entries, Mapping):
            raise ModelsError(f"{where}: {table!r} must be a table [network.KEY] or [training.KEY]")
        for key, entry in entries.items():
            space[f"{table}.{key}"] = _dimension(entry, f"{where}: [{table}.{key}]")
    if not space:
        raise ModelsError(f"{where} must have a table, as [training.learning_rate] with {FORMS}")
    for key, dimension in space.items():
        for value in dimension.ends:
            config_file.with_values(recipe, {key: value}, where)
    return space


def _dimension(entry: Any, where: str) -> Interval | Choices:
    keys = set(entry) if isinstance(entry, Mapping) else set()
    if keys == {"choices"} and isinstance(entry["choices"], list) and entry["choices"]:
        return Choices(tuple(entry["choices"]))
    if not {"low", "high"} <= keys <= {"low", "high", "log"}:
        raise ModelsError(f"{where} must have {FORMS}, not {entry!r}")
    interval = Interval(**entry)
    if not _fits(interval):
        above = ", above 0" if interval.log else ""
        raise ModelsError(f"{where} must have numbers low < high{above}, and log true or false, "
                          f"not {entry!r}")
    return interval


def _fits(interval: Interval) -> bool:
    return (all(type(end) in (int, float) for end in interval.ends)
            and interval.low < interval.high and type(interval.log) is bool
            and not (interval.log and interval.low <= 0))
