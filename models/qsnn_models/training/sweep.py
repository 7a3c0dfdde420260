"""Sweeps: Optuna proposes, networks are trained, images held back from training judge them.

Several processes and machines share one sweep through ``storage``: each adds its trials.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from qsnn_models.errors import ModelsError

from . import config_file
from .loop import Epoch, Report
from .progress import percents
from .recipes import Recipe
from .search_space import Space

STARTUP = 4         # whole trials before the median of the others may end one
LOCAL = ("threads", "device", "amp")    # what machines that share a study may differ in

Training = Callable[[Recipe, Report], object]


@dataclass(frozen=True)
class Best:
    """The best recipe of ``study``, its accuracy on the held-out images, and how many trials of all
    machines were finished, ended early and failed."""

    study: str
    recipe: Recipe
    accuracy: float
    finished: int
    pruned: int
    failed: int


def sweep(recipe: Recipe, space: Space, train: Training, *, trials: int, storage: str | None = None,
          study: str | None = None, say: Callable[[str], None] = lambda line: None) -> Best:
    """Train *trials* variants of *recipe* drawn from *space*, by ``train(recipe, report)``.

    The objective is the accuracy on ``recipe.config.holdout`` training images after the last
    epoch, reported every epoch, so that the median of the other trials can end a bad one.
    *storage* is a database's address (sqlite:///FILE, postgresql://…), None for memory; a *study*
    (the network's name) that is there is gone on with. With memory alone, a sweep repeats itself.
    """
    if trials < 1:
        raise ModelsError(f"--trials must be at least 1, not {trials!r}")
    if recipe.config.holdout < 1:
        raise ModelsError("holdout must be above 0 for a sweep, which is judged by images held "
                          "back from training; --holdout 5000, for example")
    if "training.holdout" in space:
        raise ModelsError("training.holdout must be the same in all trials of a sweep, which it "
                          "judges; give --holdout instead")
    optuna = _optuna()
    running = _study(optuna, recipe, space, storage, study or recipe.network.name)
    objective = _Objective(optuna, recipe, space, train, say)
    running.optimize(objective, n_trials=trials, catch=(ModelsError,))
    return _best(optuna, running, recipe, objective.errors)


def _optuna() -> Any:
    try:
        import optuna
    except ImportError:
        raise ModelsError("--sweep must have the package optuna; pip install 'qsnn[train]'") \
            from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


def _study(optuna: Any, recipe: Recipe, space: Space, storage: str | None, name: str) -> Any:
    sampler = optuna.samplers.TPESampler(seed=None if storage else recipe.config.seed)
    study = _opened(optuna, storage, study_name=name, sampler=sampler, direction="maximize",
                    pruner=optuna.pruners.MedianPruner(STARTUP), load_if_exists=True)
    ours = json.loads(json.dumps(_fields(recipe) | {
        f"the space of {key}": repr(dimension) for key, dimension in space.items()}))
    theirs = study.user_attrs.get("sweep", ours)
    for key in ours.keys() | theirs.keys():
        if ours.get(key) != theirs.get(key):
            raise ModelsError(f"study {name!r} must be of this sweep: its {key} is "
                              f"{theirs.get(key)!r}, not {ours.get(key)!r}; name another --study")
    study.set_user_attr("sweep", ours)
    return study


def _opened(optuna: Any, storage: str | None, tries: int = 5, **options: Any) -> Any:
    """The study; of machines that make the same database at once, all but one must try again."""
    from sqlalchemy.exc import IntegrityError, SQLAlchemyError
    try:
        return optuna.create_study(storage=storage, **options)
    except (SQLAlchemyError, ImportError, optuna.exceptions.OptunaError) as error:
        if tries > 1 and (isinstance(error, IntegrityError) or "already exists" in str(error)):
            time.sleep(0.5)
            return _opened(optuna, storage, tries - 1, **options)
        reason = str(error).partition("\n")[0]
        raise ModelsError("--storage must be a database that can be opened, as sqlite:///sweep.db, "
                          f"not {storage!r}: {reason}") from None


def _fields(recipe: Recipe) -> dict[str, Any]:
    return {f"{table}.{key}": value
            for table, values in config_file.content_of(recipe).items()
            for key, value in values.items() if key not in LOCAL}


class _Objective:
    """What Optuna calls with a trial: one training, its accuracy."""

    def __init__(self, optuna: Any, recipe: Recipe, space: Space, train: Training,
                 say: Callable[[str], None]) -> None:
        self.optuna, self.recipe, self.space = optuna, recipe, space
        self.train, self.say = train, say
        self.errors: list[str] = []

    def __call__(self, trial: Any) -> float:
        values = {key: dimension.suggest(trial, key) for key, dimension in self.space.items()}
        text = ", ".join(f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}"
                         for key, value in values.items())
        try:
            accuracy = self._accuracy(trial, values)
        except self.optuna.TrialPruned as pruned:
            self.say(f"trial {trial.number}: {pruned}; {text}")
            raise
        except ModelsError as error:
            self.errors.append(str(error))
            self.say(f"trial {trial.number}: failed, {error}; {text}")
            raise
        self.say(f"trial {trial.number}: {accuracy:.2%} of the held-out images; {text}")
        return accuracy

    def _accuracy(self, trial: Any, values: dict[str, Any]) -> float:
        recipe = config_file.with_values(self.recipe, values, f"trial {trial.number}")
        held = [0.0]

        def report(epoch: Epoch) -> None:
            if epoch.network != recipe.network.name or epoch.holdout is None:
                return      # a teacher's
            held.append(epoch.holdout)
            trial.report(epoch.holdout, epoch.number)
            if epoch.number < recipe.config.epochs and trial.should_prune():
                raise self.optuna.TrialPruned(f"ended after epoch {epoch.number} at "
                                              f"{percents([epoch.holdout])}")
        self.train(recipe, report)
        return held[-1]


def _best(optuna: Any, study: Any, recipe: Recipe, errors: list[str]) -> Best:
    states = [trial.state for trial in study.get_trials(deepcopy=False)]
    kinds = optuna.trial.TrialState
    if kinds.COMPLETE not in states:
        why = f"; the first failed with: {errors[0]}" if errors else ""
        raise ModelsError(f"a sweep must finish a trial, but none of {len(states)} did{why}")
    values = {key: json.loads(value) if isinstance(value, str) else value
              for key, value in study.best_params.items()}
    return Best(study.study_name, config_file.with_values(recipe, values, "best trial"),
                study.best_value, states.count(kinds.COMPLETE), states.count(kinds.PRUNED),
                states.count(kinds.FAIL))
