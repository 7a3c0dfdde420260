"""The runs and tables of docs/results.md.

    python tests/bench/results.py --seeds 3              # all runs that are not there yet
    python tests/bench/results.py --only mnist-rows --rows float W1/U4
    python tests/bench/results.py --list                 # what is there, what is left
    python tests/bench/results.py --render               # the tables and the plot

A run is a line in docs/results/TASK.jsonl, written when it is done: after a kill the same command
goes on. A line whose network and training differ from all of today's rows is kept and not shown.
Needs both data sets (`qsnn train --help` says how to get them).
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from results_measure import run
from results_plot import plot
from results_runs import ROWS, TASKS, Row
from results_store import FOLDER, Line, add, recipe_of, runs
from results_table import render

from qsnn_models import data
from qsnn_models.training.recipes import Recipe


def queue(rows: list[Row], seeds: int, epochs: int | None = None) -> Iterator[tuple[Row, Recipe]]:
    """Each run once, all rows with one seed before the next seed."""
    seen = set()
    for seed in range(1, seeds + 1):
        for row in rows:
            recipe = row.recipe(seed, epochs)
            if recipe not in seen:
                seen.add(recipe)
                yield row, recipe


def work(chosen: list[tuple[Row, Recipe]], folder: Path, one: Callable[[Recipe], Line]) -> int:
    """Make the runs that *folder* lacks, one after another; how many that were."""
    folder.mkdir(parents=True, exist_ok=True)
    made = 0
    for row, recipe in chosen:
        path = folder / f"{row.task}.jsonl"
        if recipe in map(recipe_of, runs(path)):
            continue
        line = one(recipe)
        add(path, line)
        if folder.with_suffix(".md").exists():
            render(folder)
        made += 1
        print(f"{row.task}, {row.label}, seed {recipe.config.seed}: {line['accuracy']:.2%}, "
              f"{line['train_cpu_seconds']:.0f} s", flush=True)
    return made


def show(chosen: list[tuple[Row, Recipe]], folder: Path) -> None:
    """What is there and what is left."""
    for row, recipe in chosen:
        tables = {recipe_of(line): line for line in runs(folder / f"{row.task}.jsonl")}
        state = f"{tables[recipe]['accuracy']:.2%}" if recipe in tables else "to do"
        print(f"{row.task:14} {row.label:40} seed {recipe.config.seed}  {state}")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=list(TASKS), metavar="TASK", choices=TASKS)
    parser.add_argument("--rows", nargs="+", metavar="ROW", choices={row.label for row in ROWS},
                        help="labels of the tables; all")
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="1 to N (%(default)s)")
    parser.add_argument("--epochs", type=int, help="another number, for a try in another --out")
    parser.add_argument("--data", help="folder of the data sets")
    parser.add_argument("--out", type=Path, default=FOLDER, help="where the runs are")
    parser.add_argument("--list", action="store_true", help="print the runs and end")
    parser.add_argument("--render", action="store_true", help="write docs/results.md and the plot")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    rows = [row for row in ROWS if row.task in options.only
            and (options.rows is None or row.label in options.rows)]
    chosen = list(queue(rows, options.seeds, options.epochs))
    if options.render:
        render(options.out)
        plot(options.out)
    elif options.list:
        show(chosen, options.out)
    else:
        load = lru_cache(maxsize=None)(lambda name: data.load(name, options.data))
        work(chosen, options.out, lambda recipe: run(recipe, load(recipe.config.data)))


if __name__ == "__main__":
    main()
