"""The state of the mutants, docs/mutants.json, and its page, docs/mutants.md."""

import json
import tomllib
from pathlib import Path
from typing import Any

from mutants_rooms import ROOMS

DOCS = Path(__file__).parents[2] / "docs"
STATE, PAGE = DOCS / "mutants.json", DOCS / "mutants.md"
Outcomes = dict[str, dict[str, Any]]

# Why a mutant may live: of each room, by the line that it writes.
REASONS: dict[str, dict[str, str]] = tomllib.loads(
    Path(__file__).with_name("mutants_reasons.toml").read_text(encoding="utf-8"))

HEAD = (
    "# Mutants\n"
    "A mutant is one change in the code: another operator, number, comparison or constant. Where "
    "no test of the code's own package fails with it, the tests have a gap, or the change means "
    "nothing.\n\n"
    "```\nmake mutants            # goes on where the last run stopped\n```\n\n"
    "{count} places, drawn with seed {seed}, {killed} killed: **{share:.1%}**. "
    "`tests/bench/mutants_rooms.py` says which tests answer for which code; annotations, "
    "decorators and changes that Python itself refuses are left out. **unseen**: no "
    "quick test runs the line.\n\n"
    "| code | mutants | killed | survived | unseen |\n|---|---:|---:|---:|---:|\n")


def read(file: Path) -> Outcomes:
    """What is known of each mutant, by its key."""
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}


def write(file: Path, outcomes: Outcomes) -> None:
    """Write *outcomes* to *file*."""
    file.write_text(json.dumps(dict(sorted(outcomes.items())), indent=1, ensure_ascii=False) + "\n",
                    encoding="utf-8")


def page(outcomes: Outcomes, seed: int) -> str:
    """The page: totals a room, then the survivors, each with a reason."""
    killed = sum(outcome["outcome"] == "killed" for outcome in outcomes.values())
    text = HEAD.format(count=len(outcomes), seed=seed, killed=killed,
                       share=killed / max(1, len(outcomes)))
    text += "".join(_row(name, [outcome for outcome in outcomes.values()
                                if outcome["room"] == name]) for name in ROOMS)
    return text + "\n## Survivors\n" + "".join(
        _survivor(outcome) for outcome in outcomes.values() if outcome["outcome"] != "killed")


def _row(name: str, outcomes: list[dict[str, Any]]) -> str:
    counts = [sum(outcome["outcome"] == kind for outcome in outcomes)
              for kind in ("killed", "survived", "unseen")]
    return f"| {', '.join(f'`{glob}`' for glob in ROOMS[name].code)} | {len(outcomes)} | " \
           f"{' | '.join(map(str, counts))} |\n"


def _survivor(outcome: dict[str, Any]) -> str:
    new = next((line[1:].strip() for line in outcome["diff"].splitlines() if line[0] == "+"), "")
    reason = REASONS.get(outcome["room"], {}).get(new, "not looked at yet")
    return (f"\n`{outcome['file']}:{outcome['line']}`, {outcome['outcome']}: {reason}\n"
            f"```diff\n{outcome['diff']}\n```\n")
