"""``qsnn train``: train a network, freeze it, write its ONNX file and its ledger.

NAME is a recipe (--list) or a TOML file with the tables [network] and [training].
"""

import argparse
import json
import shlex
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryFile
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

from .errors import Arguments

FLAGS = {"seed": "random seed", "epochs": "passes over the training images",
         "holdout": "training images kept back and only measured",
         "threads": "CPU threads; the result depends on it"}
FULL = ("can't allocate memory", "out of memory")       # what torch says, on CPU and GPU


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``qsnn train`` with *argv*; 0 when done, 2 on bad input (one message on stderr)."""
    arguments = parser().parse_args(argv)
    console = Console(stderr=arguments.json == "-")
    try:
        _run(arguments, console)
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


def parser() -> argparse.ArgumentParser:
    """The arguments of ``qsnn train``."""
    found = Arguments(prog="qsnn train", description=__doc__)
    found.add_argument("name", metavar="NAME", nargs="?",
                       help=f"one of {', '.join(RECIPES)}, or a file FILE.toml")
    found.add_argument("--list", action="store_true", help="print the recipes and end")
    found.add_argument("--set", action="append", default=[], metavar="TABLE.KEY=VALUE",
                       help="another value of a field, as network.membrane_bits=2; may be repeated")
    for name, text in FLAGS.items():
        found.add_argument(f"--{name}", type=int, help=f"{text}; as --set training.{name}=N")
    found.add_argument("--data", type=Path, metavar="PATH", help="data of your own, a file or a "
                       "folder; or the folder where the data set is")
    found.add_argument("--init", type=Path, metavar="FILE.toml", help="write a file to begin from, "
                       "made for the data of --data (mnist), with what each field means, and end")
    found.add_argument("--out", type=Path, default=Path("runs"), metavar="DIR",
                       help="where NAME.onnx, NAME.ledger.json and the checkpoint go (%(default)s)")
    found.add_argument("--resume", action="store_true", help="go on from the checkpoint in --out")
    found.add_argument("--folds", action="store_true", help="train once for every fold of the data "
                       "(speaker, of spoken-digits), which is then for testing")
    found.add_argument("--details", action="store_true",
                       help="print the confusion matrix and the worst classes too")
    found.add_argument("--json", metavar="FILE", help="write the ledger there too; - is stdout")
    found.add_argument("--log", type=Path, metavar="DIR", help="write a log for TensorBoard there")
    sweeps = found.add_argument_group("sweeps")
    sweeps.add_argument("--sweep", type=Path, metavar="FILE.toml",
                        help="train variants: FILE has the fields that vary and their ranges")
    sweeps.add_argument("--trials", type=int, metavar="N", help="how many (20)")
    sweeps.add_argument("--storage", metavar="URL", help="database that several machines share, "
                        "as sqlite:///sweep.db or postgresql://…")
    sweeps.add_argument("--study", metavar="NAME", help="its name there (the network's)")
    return found


def _run(arguments: argparse.Namespace, console: Console) -> None:
    if arguments.list:
        _list(console)
        return
    if arguments.init:
        console.print(write_starter(arguments.init, str(arguments.data or "mnist")),
                      highlight=False, soft_wrap=True, markup=False)
        return
    chosen = _chosen(arguments)
    space = _space(arguments, chosen)
    _check_json(arguments.json)
    runs = folds.variants(chosen) if arguments.folds else [chosen]
    found = runs[0].load(arguments.data)
    _make(arguments.out)
    if space:
        _sweep(chosen, space, found, arguments, console)
        return
    content = (_folds(chosen, runs, arguments, console) if arguments.folds else
               _one(chosen, found, _command(arguments), arguments, console))
    if arguments.json:
        _write_json(arguments.json, content)


def _one(chosen: Recipe, found: data.Dataset, command: str, arguments: argparse.Namespace,
         console: Console) -> dict[str, Any]:
    """Train *chosen* on *found* and write its files; its ledger."""
    chosen = chosen.fitted(found)
    start = time.monotonic(), time.process_time()
    model = _train(chosen, found, arguments, console)
    facts = {"command": command, "resumed": arguments.resume,
             "train_seconds": round(time.monotonic() - start[0], 1),
             "train_cpu_seconds": round(time.process_time() - start[1], 1)}
    return deliver(model, chosen, found, arguments.out,
                   facts, console, golden=_golden, details=arguments.details)


def _golden(path: Path, x: NDArray[Any]) -> NDArray[np.int64]:
    return golden.run(import_onnx(path), x).scores


def _folds(chosen: Recipe, runs: list[Recipe], arguments: argparse.Namespace, console: Console
           ) -> dict[str, Any]:
    """Train and write every fold, then ``NAME.folds.json``, whose content is returned."""
    ledgers = [_one(run, run.load(arguments.data),
                    _command(arguments, folds.settings(run, chosen)), arguments, console)
               for run in runs]
    content = folds.summary(chosen, f"{_command(arguments)} --folds", ledgers)
    path = arguments.out / f"{chosen.network.name}.folds.json"
    ledger.write(path, content)
    console.print(f"mean of {len(runs)} folds: {content['accuracy']:.2%}", f"wrote {path}",
                  sep="\n", highlight=False, soft_wrap=True)
    return content


def _list(console: Console) -> None:
    table = Table()
    for head in ("name", "network", "T", "weights", "membranes", "data", "epochs"):
        table.add_column(head, no_wrap=head in ("name", "data"), overflow="fold")
    for name, known in RECIPES.items():
        network, config = known.network, known.config
        one = isinstance(network.weight_bits, int)
        weights = "-".join(map(str, network.widths[:1] if one else network.widths))
        table.add_row(name, network.layers, str(network.steps), f"{weights} bit",
                      f"{network.membrane_bits} bit", config.data.partition("?")[0],
                      str(config.epochs))
    console.print(table)


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


def _chosen(arguments: argparse.Namespace) -> Recipe:
    """The recipe or file, then --set, then the flags."""
    name = arguments.name
    if name is None:
        raise ModelsError("the name of a network must be given, or a file FILE.toml; "
                          "--list shows those there are")
    found = config_file.read(Path(name)) if name.endswith(".toml") else recipe(name)
    found = config_file.override(found, arguments.set)
    name, arguments.data = data_of(found, arguments.data)
    if name != found.config.data:
        arguments.set = [*arguments.set, f"training.data={name}"]
        found = config_file.with_values(found, {"training.data": name}, "--data")
    return replace(found, config=replace(found.config, **_flags(arguments)))


def _flags(arguments: argparse.Namespace) -> dict[str, Any]:
    return {name: getattr(arguments, name) for name in FLAGS
            if getattr(arguments, name) is not None}


def _train(chosen: Recipe, found: data.Dataset, arguments: argparse.Namespace,
           console: Console) -> QSNN:
    network, config = chosen.network, chosen.config
    x = chosen.inputs(found.train_x)
    resume = arguments.resume and not (
        arguments.folds and not checkpoint.path_of(arguments.out, network.name).exists())
    done = checkpoint.epochs(arguments.out, network.name) if resume else 0
    with ExitStack() as stack:
        progress = stack.enter_context(TrainingProgress(console, network.name, config.epochs, done))
        for line in described(network, config):
            progress.print(line)
        log = _log(arguments, chosen, done, progress, stack)

        def report(epoch: Epoch) -> None:
            progress.report(epoch)
            if log:
                log.report(epoch)
        return train(network, config, x, found.train_y, folder=arguments.out,
                     resume=resume, report=report, tick=progress.tick)


def _command(arguments: argparse.Namespace, settings: Sequence[str] = ()) -> str:
    """What repeats this training, but for where its files go."""
    given = [f"--set={setting}" for setting in (*arguments.set, *settings)]
    for name, value in _flags(arguments).items():
        given += [f"--{name}", str(value)]
    return shlex.join(["qsnn", "train", arguments.name, *given])


def _space(arguments: argparse.Namespace, chosen: Recipe) -> Space:
    """What --sweep varies; empty without. Options that only one of both takes are refused."""
    others, word = (("resume", "log", "folds"), "without") if arguments.sweep else (
        ("trials", "storage", "study"), "with")
    for name in others:
        if getattr(arguments, name) not in (None, False):
            raise ModelsError(f"--{name} must be given {word} --sweep FILE.toml")
    return search_space.read(arguments.sweep, chosen) if arguments.sweep else {}


def _sweep(chosen: Recipe, space: Space, found: data.Dataset, arguments: argparse.Namespace,
           console: Console) -> None:
    """Run the trials, print the best and write its file."""
    def one(variant: Recipe, report: Report) -> None:
        same = variant.config.data == chosen.config.data
        its = found if same else variant.load(arguments.data)
        variant = variant.fitted(its)
        train(variant.network, variant.config, variant.inputs(its.train_x), its.train_y,
              report=report)

    def say(line: str) -> None:
        console.print(line, highlight=False, soft_wrap=True, markup=False)
    trials = 20 if arguments.trials is None else arguments.trials
    best = sweep(chosen, space, one, trials=trials, storage=arguments.storage,
                 study=arguments.study, say=say)
    path = arguments.out / f"{chosen.network.name}.best.toml"
    text = (f"best of study {best.study}: {best.accuracy:.2%} of {chosen.config.holdout:,} "
            f"held-out images; {best.finished} trials finished, {best.pruned} ended early, "
            f"{best.failed} failed")
    with whole(path) as part:
        part.write_text(f"# {text}\n{config_file.text_of(best.recipe)}", encoding="utf-8")
    say(f"{text}\nwrote {path}: qsnn train {path}")
    if arguments.json:
        _write_json(arguments.json, {"version": 1, **asdict(best)})


def _log(arguments: argparse.Namespace, chosen: Recipe, done: int, progress: TrainingProgress,
         stack: ExitStack) -> BoardLog | None:
    if arguments.log is None:
        return None
    try:
        return stack.enter_context(BoardLog(arguments.log, config_file.text_of(chosen), done))
    except ImportError:
        progress.print(MISSING)
        return None


def _write_json(target: str, content: dict[str, Any]) -> None:
    if target == "-":
        print(json.dumps(content, indent=1))
    else:
        ledger.write(Path(target), content)


if __name__ == "__main__":
    raise SystemExit(main())
