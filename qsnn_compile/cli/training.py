"""What ``qsnn train`` does, with torch: train, freeze, export, sweep."""

import shlex
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryFile
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from qsnn_compile.dialect.reader import import_onnx
from qsnn_compile.system.text import line
from qsnn_models import data
from qsnn_models.errors import ModelsError
from qsnn_models.export import ledger
from qsnn_models.files import check_file, whole
from qsnn_models.network.qsnn import QSNN
from qsnn_models.training import checkpoint, config_file, search_space
from qsnn_models.training import cross_validation as folds
from qsnn_models.training.artefacts import deliver
from qsnn_models.training.data_option import data_of, write_starter
from qsnn_models.training.loop import Epoch, Report
from qsnn_models.training.progress import TrainingProgress
from qsnn_models.training.recipes import RECIPES, Recipe, recipe
from qsnn_models.training.search_space import Space
from qsnn_models.training.summary import described
from qsnn_models.training.sweep import sweep
from qsnn_models.training.tensorboard_log import MISSING, BoardLog
from qsnn_models.training.train import train
from qsnn_sim.golden import golden

from .options import TRAINING
from .output import write_json

FULL = ("can't allocate memory", "out of memory")       # what torch says, on CPU and GPU


def train_network(given: SimpleNamespace) -> int:
    """Do what the options *given* to ``qsnn train`` ask; 0 when done, 2 on bad input (one message
    on stderr)."""
    console = Console(stderr=given.json == "-")
    try:
        _run(given, console)
    except (ModelsError, OSError) as error:
        print(f"qsnn train: {line(str(error))}", file=sys.stderr)
        return 2
    except RuntimeError as error:
        if not any(text in str(error) for text in FULL):
            raise
        print("qsnn train: network and batch must fit into memory, and they don't; take fewer "
              "neurons, fewer steps or a smaller batch", file=sys.stderr)
        return 2
    return 0


def _run(given: SimpleNamespace, console: Console) -> None:
    if given.list:
        _list(given.json, console)
        return
    if given.init:
        console.print(write_starter(given.init, str(given.data or "mnist")), highlight=False,
                      soft_wrap=True, markup=False)
        return
    chosen = _chosen(given)
    space = _space(given, chosen)
    _check_json(given.json)
    runs = folds.variants(chosen) if given.folds else [chosen]
    dataset = runs[0].load(given.data)
    _make(given.out)
    if space:
        _sweep(chosen, space, dataset, given, console)
        return
    content = (_folds(chosen, runs, given, console) if given.folds else
               _one(chosen, dataset, _command(given), given, console))
    if given.json:
        _write_json(given.json, content)


def _one(chosen: Recipe, dataset: data.Dataset, command: str, given: SimpleNamespace,
         console: Console) -> dict[str, Any]:
    """Train *chosen* on *dataset* and write its files; its ledger."""
    chosen = chosen.fitted(dataset)
    start = time.monotonic(), time.process_time()
    model = _train(chosen, dataset, given, console)
    facts = {"command": command, "resumed": given.resume,
             "train_seconds": round(time.monotonic() - start[0], 1),
             "train_cpu_seconds": round(time.process_time() - start[1], 1)}
    return deliver(model, chosen, dataset, given.out, facts, console, golden=_golden,
                   details=given.details)


def _golden(path: Path, x: NDArray[Any]) -> NDArray[np.int64]:
    return golden.run(import_onnx(path), x).scores


def _folds(chosen: Recipe, runs: list[Recipe], given: SimpleNamespace, console: Console
           ) -> dict[str, Any]:
    """Train and write every fold, then ``NAME.folds.json``, whose content is returned."""
    ledgers = [_one(run, run.load(given.data),
                    _command(given, folds.settings(run, chosen)), given, console)
               for run in runs]
    content = folds.summary(chosen, f"{_command(given)} --folds", ledgers)
    path = given.out / f"{chosen.network.name}.folds.json"
    ledger.write(path, content)
    console.print(f"mean of {len(runs)} folds: {content['accuracy']:.2%}", f"wrote {path}",
                  sep="\n", highlight=False, soft_wrap=True)
    return content


def _list(json: str | None, console: Console) -> None:
    """The recipes as a table, and as JSON where that is asked for."""
    _check_json(json)
    rows = [_row(name, known) for name, known in RECIPES.items()]
    if json:
        _write_json(json, {"recipes": rows})
    if json == "-":
        return
    table = Table()
    for head in ("name", "network", "T", "weights", "membranes", "data", "epochs"):
        table.add_column(head, no_wrap=head in ("name", "data"), overflow="fold")
    for row in rows:
        weights = "-".join(map(str, row["weight_bits"]))
        table.add_row(row["name"], row["layers"], str(row["steps"]), f"{weights} bit",
                      f"{row['membrane_bits']} bit", row["data"], str(row["epochs"]))
    console.print(table)


def _row(name: str, known: Recipe) -> dict[str, Any]:
    network, config = known.network, known.config
    one = isinstance(network.weight_bits, int)
    return {"name": name, "layers": network.layers, "steps": network.steps,
            "weight_bits": list(network.widths[:1] if one else network.widths),
            "membrane_bits": network.membrane_bits, "data": config.data.partition("?")[0],
            "epochs": config.epochs}


def _check_json(file: str | None) -> None:
    """Refuse ``--json`` *file* that can't be written now, not after the training."""
    if file not in (None, "-"):
        check_file("--json", str(file))


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        TemporaryFile(dir=folder).close()
    except OSError as error:
        raise ModelsError(f"--out must be a folder that can be written, not {str(folder)!r}: "
                          f"{error.strerror}; choose another") from None


def _chosen(given: SimpleNamespace) -> Recipe:
    """The recipe or file, then --set, then the flags."""
    name = given.name
    if name is None:
        raise ModelsError("the name of a network must be given, or a file FILE.toml; "
                          "--list shows those there are")
    chosen = config_file.read(Path(name)) if name.endswith(".toml") else recipe(name)
    chosen = config_file.override(chosen, given.set)
    source, given.data = data_of(chosen, given.data)
    if source != chosen.config.data:
        given.set = (*given.set, f"training.data={source}")
        chosen = config_file.with_values(chosen, {"training.data": source}, "--data")
    return replace(chosen, config=replace(chosen.config, **_flags(given)))


def _flags(given: SimpleNamespace) -> dict[str, Any]:
    return {name: getattr(given, name) for name in TRAINING
            if getattr(given, name) is not None}


def _train(chosen: Recipe, dataset: data.Dataset, given: SimpleNamespace,
           console: Console) -> QSNN:
    network, config = chosen.network, chosen.config
    x = chosen.inputs(dataset.train_x)
    resume = given.resume and not (
        given.folds and not checkpoint.path_of(given.out, network.name).exists())
    done = checkpoint.epochs(given.out, network.name) if resume else 0
    with ExitStack() as stack:
        progress = stack.enter_context(TrainingProgress(console, network.name, config.epochs, done))
        for line in described(network, config):
            progress.print(line)
        log = _log(given, chosen, done, progress, stack)

        def report(epoch: Epoch) -> None:
            progress.report(epoch)
            if log:
                log.report(epoch)
        return train(network, config, x, dataset.train_y, folder=given.out,
                     resume=resume, report=report, tick=progress.tick)


def _command(given: SimpleNamespace, settings: Sequence[str] = ()) -> str:
    """What repeats this training, but for where its files go."""
    words = [f"--set={setting}" for setting in (*given.set, *settings)]
    for name, value in _flags(given).items():
        words += [f"--{name}", str(value)]
    return shlex.join(["qsnn", "train", given.name, *words])


def _space(given: SimpleNamespace, chosen: Recipe) -> Space:
    """What --sweep varies; empty without. Options that only one of both takes are refused."""
    others, word = (("resume", "log", "folds"), "without") if given.sweep else (
        ("trials", "storage", "study"), "with")
    for name in others:
        if getattr(given, name) not in (None, False):
            raise ModelsError(f"--{name} must be given {word} --sweep FILE.toml")
    return search_space.read(given.sweep, chosen) if given.sweep else {}


def _sweep(chosen: Recipe, space: Space, dataset: data.Dataset, given: SimpleNamespace,
           console: Console) -> None:
    """Run the trials, print the best and write its file."""
    def one(variant: Recipe, report: Report) -> None:
        same = variant.config.data == chosen.config.data
        its = dataset if same else variant.load(given.data)
        variant = variant.fitted(its)
        train(variant.network, variant.config, variant.inputs(its.train_x), its.train_y,
              report=report)

    def say(line: str) -> None:
        console.print(line, highlight=False, soft_wrap=True, markup=False)
    trials = 20 if given.trials is None else given.trials
    best = sweep(chosen, space, one, trials=trials, storage=given.storage,
                 study=given.study, say=say)
    path = given.out / f"{chosen.network.name}.best.toml"
    text = (f"best of study {best.study}: {best.accuracy:.2%} of {chosen.config.holdout:,} "
            f"held-out images; {best.finished} trials finished, {best.pruned} ended early, "
            f"{best.failed} failed")
    with whole(path) as part:
        part.write_text(f"# {text}\n{config_file.text_of(best.recipe)}", encoding="utf-8")
    say(f"{text}\nwrote {path}: qsnn train {path}")
    if given.json:
        _write_json(given.json, {"version": 1, **asdict(best)})


def _log(given: SimpleNamespace, chosen: Recipe, done: int, progress: TrainingProgress,
         stack: ExitStack) -> BoardLog | None:
    if given.log is None:
        return None
    try:
        return stack.enter_context(BoardLog(given.log, config_file.text_of(chosen), done))
    except ImportError:
        progress.print(MISSING)
        return None


def _write_json(target: str, content: dict[str, Any]) -> None:
    if target == "-":
        write_json(content, target)
    else:
        ledger.write(Path(target), content)
