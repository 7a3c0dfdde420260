"""What the campaign has done so far: a small file, written whole after each batch, and the page
that tells of it."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import Any

from campaign_batch import Result

from qsnn_compile.outputs import whole

ROOT = Path(__file__).parents[2]
STATE, PAGE = ROOT / "docs" / "campaign.json", ROOT / "docs" / "campaign.md"
COUNTS = {"networks": "networks", "samples": "network-samples", "updates": "neuron updates",
           "spikes": "spikes", "clocks": "clocks", "icarus_networks": "in Icarus",
           "verilator_networks": "in Verilator", "netlists": "netlists"}
BEGIN, END = "<!-- campaign -->", "<!-- end -->"


@dataclass
class State:
    """``done``: of each version of qsnn its batches, and what they did together. ``differences``
    stand until they are ``settled``."""

    done: dict[str, tuple[set[int], Result]] = field(default_factory=dict)
    differences: list[dict[str, Any]] = field(default_factory=list)
    settled: list[dict[str, Any]] = field(default_factory=list)

    @staticmethod
    def load(path: Path) -> "State":
        """The state at *path*; an empty one where there is none."""
        if not path.exists():
            return State()
        given = json.loads(path.read_text())
        done = {name: (set(_numbers(row["batches"])),
                       Result(Counter(row["counts"]), Counter(row["features"])))
                for name, row in given["qsnn"].items()}
        return State(done, given["differences"], given["settled"])

    def save(self, path: Path) -> None:
        """Write *path* whole, or leave what is there."""
        rows = {name: {"batches": _ranges(numbers), "counts": dict(sorted(result.counts.items())),
                       "features": dict(sorted(result.features.items()))}
                for name, (numbers, result) in self.done.items()}
        text = json.dumps({"qsnn": rows, "differences": self.differences,
                           "settled": self.settled}, indent=1)
        with whole("the campaign's state", path) as part:
            part.write_text(text + "\n")

    def add(self, number: int, result: Result) -> None:
        """Batch *number* is done."""
        name = version("qsnn")
        numbers, before = self.done.get(name, (set(), Result()))
        self.done[name] = (numbers | {number},
                           before + Result(result.counts, result.features))
        self.differences += result.differences

    def todo(self) -> Iterator[int]:
        """The batches that no version has done."""
        done = {number for numbers, _ in self.done.values() for number in numbers}
        return (number for number in count() if number not in done)

    def total(self) -> Result:
        """What all versions did."""
        return sum((result for _, result in self.done.values()), Result())


def page(text: str, state: State) -> str:
    """The *text* of docs/campaign.md with what the state says between its marks."""
    head, rest = text.split(BEGIN)
    each = sorted(state.total().features.items())
    features = ", ".join(f"{name} {many:,}" for name, many in each)
    lines = [BEGIN, *_table(state), "", f"**{_networks(state.differences)} differences**, "
             f"{_networks(state.settled)} settled.", "", *_told(state.differences, ""),
             *_told(state.settled, ", settled"), f"Networks of each feature: {features}."]
    return head + "\n".join(lines) + "\n" + END + rest.partition(END)[2]


def _table(state: State) -> list[str]:
    """A row a count, a column a version and one of them all."""
    columns = [result.counts for _, result in state.done.values()] + [state.total().counts]
    rows = [["qsnn", *state.done, "all"], ["---", *["---:"] * len(columns)]]
    rows += [[title, *(f"{counts[key]:,}" for counts in columns)] for key, title in COUNTS.items()]
    return [f"| {' | '.join(row)} |" for row in rows]


def _networks(records: Iterable[dict[str, Any]]) -> int:
    return len({one["seed"] for one in records})


def _told(records: Iterable[dict[str, Any]], settled: str) -> list[str]:
    return [f"- seed {one['seed']}, {one['engine']}{settled}: {one['first']}\n" for one in records]


def _numbers(ranges: Iterable[tuple[int, int]]) -> Iterator[int]:
    return (number for first, last in ranges for number in range(first, last + 1))


def _ranges(numbers: Iterable[int]) -> list[list[int]]:
    """First and last of each run of *numbers*."""
    ranges: list[list[int]] = []
    for number in sorted(numbers):
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ranges
