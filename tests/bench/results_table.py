"""The tables of docs/results.md, from the runs in docs/results and from ledgers.

Text between ``<!-- results: NAME -->`` and ``<!-- end -->`` is made; all else is written by hand.
"""

import json
import re
from collections.abc import Iterable, Sequence
from math import inf
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from results_reach import reach
from results_runs import ROWS, TASKS, Row
from results_store import Line, recipe_of, runs

MADE = re.compile(r"(<!-- results: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
SEEDS = range(1, 10)
NONE = "–"

Known = dict[Any, Line]


def render(folder: Path) -> None:
    """Write the tables of the page beside *folder* again."""
    page = folder.with_suffix(".md")
    page.write_text(rendered(page.read_text(), folder))


def rendered(text: str, folder: Path) -> str:
    """*text* with its tables made from the runs in *folder*."""
    known = {recipe_of(line): line for task in TASKS for line in runs(folder / f"{task}.jsonl")}
    makers = {"runs": account, "bits": bits, "reach": lambda _: reach(folder)} | {
        name: lambda known, name=name: ablation(name, known)
        for name in ("weights", "spikes", "membranes")}
    return MADE.sub(lambda lines: f"{lines[1]}{makers[lines[2]](known)}\n{lines[3]}", text)


def shown(known: Known) -> list[tuple[Row, list[Line]]]:
    """Each row that was run, with its runs by seed."""
    measured = [(row, [known[recipe] for seed in SEEDS if (recipe := row.recipe(seed)) in known])
             for row in ROWS]
    return [(row, lines) for row, lines in measured if lines]


def account(known: Known) -> str:
    """How many runs there are, and what they took."""
    used = {json.dumps(line): line for _, lines in shown(known) for line in lines}.values()
    if not used:
        return "No runs yet."
    seconds = sum(line["train_cpu_seconds"] for line in used)
    versions = ", ".join(sorted({line["torch"] for line in used}))
    counts = [len(lines) for _, lines in shown(known)]
    seeds = f"{min(counts)} to {max(counts)}" if min(counts) < max(counts) else f"{max(counts)}"
    return (f"{len(used)} runs, {seeds} seed{'s' * (max(counts) > 1)} a row; trained in "
            f"{seconds / 60:,.0f} CPU minutes, one thread each, with torch {versions}.")


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; the columns after the second are figures."""
    rule = ["---" if index < 2 else "---:" for index in range(len(heads))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heads, rule, *rows))


def bits(known: Known) -> str:
    """Float against fewer and fewer bits, task by task."""
    rows = [(row, lines) for row, lines in shown(known) if row.table == "bits"]
    return table(
        ("network", "bits", "accuracy %", "weights, bit", "membranes, bit", "firing rate",
         "operations on the input", "on spikes", "UP5K, nJ", "seeds"),
        ((network_of(row, index and rows[index - 1][0]), row.label, accuracy(lines),
          f"{lines[0]['weight_bits']:,}", f"{lines[0]['membrane_bits']:,}",
          f"{average(lines, 'rate'):.1%}", *operations(lines), energy(lines), str(len(lines)))
         for index, (row, lines) in enumerate(rows)))


def ablation(name: str, known: Known) -> str:
    """One change at a time; the difference is to the task's own recipe with the same seeds."""
    rows = [(row, lines) for row, lines in shown(known) if row.table == name]
    return table(
        ("network", "variant", "accuracy %", "difference", "firing rate", "by layer",
         "operations on spikes", "seeds"),
        ((network_of(row, index and rows[index - 1][0]), row.label, accuracy(lines),
          difference(row, known), f"{average(lines, 'rate'):.1%}", by_layer(lines),
          operations(lines)[1], str(len(lines)))
         for index, (row, lines) in enumerate(rows)))


def network_of(row: Row, before: Row | int | None) -> str:
    """The task's name in the first of its lines."""
    if isinstance(before, Row) and before.task == row.task:
        return ""
    task = TASKS[row.task]
    network = task.recipe.network
    return f"{task.title}: {network.layers}, T = {network.steps}"


def accuracy(lines: Sequence[Line]) -> str:
    """Percent: the mean, and the standard deviation of several seeds."""
    values = [100 * line["accuracy"] for line in lines]
    return f"{mean(values):.2f}" + (f" ± {stdev(values):.2f}" if len(values) > 1 else "")


def average(lines: Sequence[Line], name: str) -> float:
    return mean(line[name] for line in lines)


def by_layer(lines: Sequence[Line]) -> str:
    return ", ".join(f"{mean(rates):.1%}" for rates in zip(*(line["rates"] for line in lines),
                                                           strict=True))


def operations(lines: Sequence[Line]) -> tuple[str, str]:
    """Synaptic operations an inference: those of the input, and those of all spikes."""
    first = mean(line["operations"][0] for line in lines)
    return f"{first:,.0f}", f"{mean(sum(line['operations'][1:]) for line in lines):,.0f}"


def energy(lines: Sequence[Line]) -> str:
    """Nanojoules, or why there are none."""
    joules = [line["energy_nj"] for line in lines if line["energy_nj"] is not None]
    if joules:
        return f"{mean(joules):,.0f}"
    return "too large" if "must fit" in lines[0]["refused"] else NONE


def spread(task: str, known: Known) -> float:
    """The standard deviation of one run's accuracy, in points: of the rows of *task* with several
    seeds, together; infinite where there are none."""
    squares = freedom = 0.0
    for lines in {row.recipe(1): lines for row, lines in shown(known) if row.task == task}.values():
        values = [100 * line["accuracy"] for line in lines]
        squares += sum((value - mean(values)) ** 2 for value in values)
        freedom += len(values) - 1
    return (squares / freedom) ** 0.5 if freedom else inf


def difference(row: Row, known: Known) -> str:
    """Points to the task's recipe, mean over the seeds that both have; "none" where that is less
    than two standard deviations of such a difference."""
    base = Row(row.table, row.task, "")
    pairs = [(known[row.recipe(seed)], known[base.recipe(seed)]) for seed in SEEDS
             if row.recipe(seed) in known and base.recipe(seed) in known]
    if row.recipe(1) == base.recipe(1):
        return "the recipe"
    if not pairs:
        return NONE
    points = mean(100 * (ours["accuracy"] - theirs["accuracy"]) for ours, theirs in pairs)
    none = abs(points) < 2 * spread(row.task, known) * (2 / len(pairs)) ** 0.5
    return f"{points:+.2f}{', none' * none}".replace("-", "−")
