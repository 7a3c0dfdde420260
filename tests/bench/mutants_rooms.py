"""The rooms that are mutated, the tests that answer for each, and which mutants are drawn."""

import ast
import random
import warnings
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path

from cosmic_ray.commands.init import init
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator
from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import MutationSpec, WorkItem


@dataclass(frozen=True)
class Room:
    """Files that are mutated (globs), and the tests of their package that should notice. Those
    *apart* run the code in a simulator's process, where nobody sees which lines."""

    code: tuple[str, ...]
    tests: tuple[str, ...]
    apart: tuple[str, ...] = ()


ROOMS = {
    "ir": Room(("qsnn_compile/ir/*.py",), ("tests/ir", "tests/compile/test_onnx_import.py",
                                           "tests/compile/test_passes.py")),
    "golden": Room(("sim/qsnn_sim/golden/*.py",), ("tests/sim/test_golden.py",
                                                   "tests/sim/test_golden_limits.py",
                                                   "tests/sim/test_stream.py")),
    "cycle": Room(("sim/qsnn_sim/cycle/*.py",), ("tests/sim",),
                  ("tests/verify/test_draws.py", "tests/verify/test_stream.py",
                   "tests/verify/test_random.py")),
    "quantise": Room(("qsnn_compile/quantise/*.py",), ("tests/foreign",)),
    "neurons": Room(("qsnn_compile/foreign/onnx/neurons/*.py",), ("tests/foreign",)),
    "parameters": Room(
        ("hw/qsnn_hw/machine/*.py", "qsnn_compile/lower/parameter_fields.py",
         "qsnn_compile/lower/widths.py", "qsnn_compile/lower/mapping.py"),
        ("tests/hw/test_arch.py", "tests/hw/test_validity.py", "tests/compile/test_fields.py",
         "tests/compile/test_mapping.py", "tests/compile/test_lowering.py",
         "tests/compile/test_program.py", "tests/sim/test_worst_case.py",
         "tests/verify/test_random.py")),
    "protocol": Room(("runtime/qsnn_runtime/protocol.py", "runtime/qsnn_runtime/link.py",
                      "runtime/qsnn_runtime/stream.py", "hw/qsnn_hw/link/frames.py"),
                     ("tests/runtime", "tests/hw/test_link.py")),
}


@dataclass(frozen=True)
class Mutant:
    """One change at one place. ``source`` is the digest of its file as it is."""

    room: str
    file: str
    operator: str
    occurrence: int
    line: int
    source: str

    @property
    def key(self) -> str:
        """What tells mutants apart, whatever their file holds."""
        return f"{self.room} {self.file}:{self.line} {self.operator} {self.occurrence}"


def sample(root: Path, name: str, count: int, seed: int) -> list[Mutant]:
    """*count* places of room *name*, all where there are fewer, and one mutant at each; none where
    Python takes no change."""
    files = sorted(path for glob in ROOMS[name].code for path in root.glob(glob)
                   if path.name != "__init__.py")
    places: dict[tuple[str, tuple[int, int]], list[MutationSpec]] = {}
    for item in _all(files):
        mutation = item.mutations[0]
        if not _declared(mutation.module_path, mutation.start_pos):
            file = str(mutation.module_path.relative_to(root))
            places.setdefault((file, mutation.start_pos), []).append(mutation)
    dice = random.Random(f"{name} {seed}")
    drawn = dice.sample(sorted(places), min(count, len(places)))
    changes = [(file, _change(places[file, start], dice)) for file, start in drawn]
    return [_mutant(root, name, file, change) for file, change in changes if change]


def _change(changes: list[MutationSpec], dice: random.Random) -> MutationSpec | None:
    """One of *changes*; where Python does not take it, the next one that Python takes."""
    first = changes.index(dice.choice(changes))
    return next(filter(_taken, changes[first:] + changes[:first]), None)


def _taken(change: MutationSpec) -> bool:
    """Whether Python compiles *change* without a warning: else no test is needed to notice it. A
    decorator that is taken away is a declaration, as those of ``_declarations`` are."""
    if change.operator_name == "core/RemoveDecorator":
        return False
    code = change.module_path.read_text(encoding="utf-8")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            compile(mutate_code(code, get_operator(change.operator_name)(), change.occurrence),
                    str(change.module_path), "exec")
        except SyntaxError:                 # a SyntaxWarning becomes one
            return False
    return True


def _all(files: list[Path]) -> list[WorkItem]:
    with use_db(":memory:", WorkDB.Mode.create) as database:
        init(files, database, {})
        return sorted(database.work_items, key=lambda item: (
            item.mutations[0].module_path, item.mutations[0].operator_name,
            item.mutations[0].occurrence))


def _mutant(root: Path, room: str, file: str, mutation: MutationSpec) -> Mutant:
    return Mutant(room, file, mutation.operator_name, mutation.occurrence, mutation.start_pos[0],
                  sha256((root / file).read_bytes()).hexdigest()[:16])


@cache
def _declarations(path: Path) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Where the annotations and decorators of a file begin and end: no result depends on them."""
    parts: list[ast.AST | None] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        parts += [getattr(node, "annotation", None), getattr(node, "returns", None),
                  *getattr(node, "decorator_list", [])]
    return [((part.lineno, part.col_offset), (part.end_lineno, part.end_col_offset))
            for part in parts if part is not None]


def _declared(path: Path, place: tuple[int, int]) -> bool:
    return any(start <= place < end for start, end in _declarations(path))
