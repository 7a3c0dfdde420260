"""One mutant against the tests that run its line, in a copy of the working tree."""

import os
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as xml
from functools import cache
from hashlib import sha256
from pathlib import Path
from shutil import copytree, ignore_patterns
from tempfile import mkdtemp
from typing import Any

from cosmic_ray.mutating import mutate_and_test
from cosmic_ray.work_item import MutationSpec
from coverage import CoverageData
from mutants_rooms import ROOMS, Mutant

LEFT_OUT = ignore_patterns(".git", ".venv", "*.pyc", "__pycache__", ".*_cache", "build", "runs")
QUICK = "not slow and not formal"
APART = 60                      # seconds of a file of tests that is not measured
_COPY: list[Path] = []          # this process's tree
_ROOT: list[Path] = []


def start(root: Path, folder: str) -> None:
    """Copy the tree of *root* into *folder*, for this process alone."""
    copy = Path(mkdtemp(dir=folder)) / "tree"
    copytree(root, copy, ignore=LEFT_OUT, symlinks=True)
    _ROOT.append(root)
    _COPY.append(copy)
    os.chdir(copy)
    os.environ |= {"PYTHONPATH": ":".join(str(copy / part) for part in
                                          ("", "hw", "sim", "runtime", "models")),
                   "OMP_NUM_THREADS": "1"}


def run(mutant: Mutant) -> dict[str, object]:
    """What became of *mutant*: ``killed`` by a test, ``survived`` them, or ``unseen``: none of them
    runs its line."""
    tests, seconds = _tests(mutant.room, mutant.file, mutant.line)
    begun = time.monotonic()
    outcome, diff = "unseen", ""
    if tests:
        spec = MutationSpec(module_path=_COPY[0] / mutant.file, operator_name=mutant.operator,
                            occurrence=mutant.occurrence, start_pos=(1, 0), end_pos=(1, 1))
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-n", "0", "-p", "no:cacheprovider",
                   "-m", QUICK, *tests]
        result = mutate_and_test([spec], " ".join(_quoted(word) for word in command),
                                 60 + 5 * seconds)
        outcome = str(getattr(result.test_outcome, "value", result.worker_outcome.value))
        diff = "\n".join(line for line in (result.diff or "").splitlines()
                         if re.match(r"[-+](?![-+]{2})", line))
    return {"room": mutant.room, "outcome": outcome, "file": mutant.file, "line": mutant.line,
            "diff": diff, "tests": len(tests), "seconds": round(time.monotonic() - begun, 1),
            "source": mutant.source, "suite": _suite(_COPY[0], mutant.room)}


def settled(root: Path, mutant: Mutant, outcome: dict[str, Any] | None) -> bool:
    """Whether *outcome* is of this file and, of a survivor, of these tests."""
    return outcome is not None and outcome["source"] == mutant.source and (
        outcome["outcome"] == "killed" or outcome["suite"] == _suite(root, mutant.room))


def _quoted(word: str) -> str:
    return f"'{word}'" if " " in word else word


@cache
def _suite(root: Path, room: str) -> str:
    """The digest of a room's tests."""
    digest = sha256()
    for test in _files(root, ROOMS[room].tests + ROOMS[room].apart):
        digest.update(test.read_bytes())
    return digest.hexdigest()[:16]


def _files(root: Path, tests: tuple[str, ...]) -> list[Path]:
    paths = [root / test for test in tests]
    return sorted(file for path in paths
                  for file in ([path] if path.is_file() else path.glob("test_*.py")))


def _tests(room: str, file: str, line: int) -> tuple[list[str], float]:
    """The tests of *room* that run *line* of *file*, the quickest first, and their seconds; all of
    them where the line runs when the module is loaded. Last come those apart."""
    contexts, seconds = _measured(room)
    names = contexts.get(file, {}).get(line, set())
    chosen = [name for name in seconds if "" in names or name in names]
    chosen.sort(key=seconds.__getitem__)
    apart = ROOMS[room].apart
    return [*chosen, *apart], sum(seconds[name] for name in chosen) + APART * len(apart)


def _node(module: str, test: str) -> str:
    return f"{module.replace('.', '/')}.py::{test}"


@cache
def _measured(room: str) -> tuple[dict[str, dict[int, set[str]]], dict[str, float]]:
    """Which tests run each line of each file of *room*, and the seconds of each test (a node, all
    its parameters together). Measured once a run, by the first process that asks."""
    folder = _COPY[0].parents[1] / f"measured-{room}"
    done = folder / "done"
    try:
        folder.mkdir()
    except FileExistsError:
        while not done.exists():
            time.sleep(1)
    else:
        _measure(room, folder)
        done.touch()
    data = CoverageData(str(folder / "coverage"))
    data.read()
    contexts = {}
    for name in data.measured_files():
        parts = Path(name).parts
        file = "/".join(parts[parts.index("tree") + 1:])
        contexts[file] = {line: set(tests) for line, tests in
                          data.contexts_by_lineno(name).items()}
    return contexts, _seconds(folder / "times.xml")


def _measure(room: str, folder: Path) -> None:
    settings = folder / "coveragerc"
    settings.write_text(f"[run]\ndata_file = {folder / 'coverage'}\ninclude =\n" +
                        "".join(f"    {_COPY[0]}/{glob}\n" for glob in ROOMS[room].code))
    result = subprocess.run(
        [sys.executable, "-m", "coverage", "run", f"--rcfile={settings}", "-m", "pytest", "-q",
         "-n", "0", "-m", QUICK, f"--junitxml={folder / 'times.xml'}", "-p", "no:cacheprovider",
         "-p", "mutants_context",
         *(str(file.relative_to(_COPY[0])) for file in _files(_COPY[0], ROOMS[room].tests))],
        capture_output=True, text=True, env=os.environ | {
            "PYTHONPATH": f"{_COPY[0] / 'tests/bench'}:{os.environ['PYTHONPATH']}"})
    if result.returncode:
        raise RuntimeError(f"{room}: its tests must pass\n{result.stdout[-3000:]}")


def _seconds(file: Path) -> dict[str, float]:
    seconds: dict[str, float] = {}
    for case in xml.parse(file).iter("testcase"):
        if case.find("skipped") is None:
            node = _node(case.attrib["classname"], case.attrib["name"].partition("[")[0])
            seconds[node] = seconds.get(node, 0.0) + float(case.attrib["time"])
    return seconds
