"""The rooms of the house: how the code's folders lie on each other, from its imports alone.

    python tests/bench/rooms.py [REVISION]      # of the working tree, or of a commit

A *room* is a folder with modules; a module that lies in a package's own folder, beside its
``__init__``, is a room of its own. An *arrow* is an ordered pair of rooms of which the first
imports the second, once or often. All imports count: at the top, in functions, under
TYPE_CHECKING. A *circle* is a group of modules, or of rooms, that all reach each other by imports.
The *depth* of a package is the number of rooms on the longest way through its arrows, a circle of
rooms counted as one. The last line is of all packages together.
"""

import ast
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path, PurePosixPath

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[2]
FOLDERS = {"qsnn_compile": "qsnn_compile", "hw": "qsnn_hw", "sim": "qsnn_sim",
           "runtime": "qsnn_runtime", "models": "qsnn_models"}
Arrows = Mapping[str, set[str]]


def main(argv: list[str]) -> None:
    """Print the table."""
    modules = sources(argv[0] if argv else None)
    imports = {name: imported(name, text, is_init, modules)
               for name, (text, is_init) in modules.items()}
    rooms = {name: room_of(name, is_init) for name, (_, is_init) in modules.items()}
    table = Table("package", "files", "rooms", "depth", "arrows", "circles of rooms",
                  "of modules", "lines")
    for package in [*FOLDERS.values(), ""]:
        table.add_row(*_row(package, modules, imports, rooms))
    Console().print(table)


def _row(package: str, modules: Mapping[str, tuple[str, bool]], imports: Arrows,
         rooms: Mapping[str, str]) -> list[str]:
    inside = [name for name in modules if f"{name}.".startswith(f"{package}." if package else "")]
    between = room_arrows({name: imports[name] & set(inside) for name in inside}, rooms)
    within = {name: imports[name] & set(inside) for name in inside}
    figures = (len(inside), len(between), depth(between), sum(map(len, between.values())),
               len(circles(between)), len(circles(within)),
               sum(modules[name][0].count("\n") for name in inside))
    return [package or "all", *(f"{figure:,}" for figure in figures)]


def sources(revision: str | None) -> dict[str, tuple[str, bool]]:
    """Every module's text, and whether it is a package's ``__init__``."""
    paths = _git("ls-tree", "-r", "--name-only", revision).split("\n") if revision else [
        str(path.relative_to(ROOT)) for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
    places = [PurePosixPath(path) for path in paths if path.endswith(".py")]
    return {module_name(place): (_git("show", f"{revision}:{place}") if revision
                                 else (ROOT / place).read_text(), place.stem == "__init__")
            for place in places if place.parts[0] in FOLDERS}


def module_name(place: PurePosixPath) -> str:
    """The import name of the file *place*, whose folder holds a package or is one."""
    folder, *rest = place.with_suffix("").parts
    inner = rest[1:] if rest[0] == FOLDERS[folder] else rest
    return ".".join([FOLDERS[folder], *(part for part in inner if part != "__init__")])


def imported(name: str, text: str, is_init: bool, modules: Iterable[str]) -> set[str]:
    """The modules of ours that *name* imports, anywhere in its *text*."""
    package = name.split(".") if is_init else name.split(".")[:-1]
    named = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            named |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[:len(package) - node.level + 1] if node.level else []
            whole = ".".join([*base, *([node.module] if node.module else [])])
            named |= {f"{whole}.{alias.name}" for alias in node.names}
    return {own for full in named if (own := _longest(full, modules)) and own != name}


def _longest(name: str, modules: Iterable[str]) -> str:
    """The module that *name*, a module or something in one, belongs to; else nothing."""
    while name and name not in modules:
        name = name.rpartition(".")[0]
    return name


def room_of(name: str, is_init: bool) -> str:
    """The room that the module *name* lies in."""
    folder = name if is_init else name.rpartition(".")[0]
    return name if folder.count(".") == 0 else folder


def room_arrows(imports: Arrows, rooms: Mapping[str, str]) -> dict[str, set[str]]:
    """From room to room, of modules' *imports*."""
    arrows: dict[str, set[str]] = {rooms[name]: set() for name in imports}
    for name, others in imports.items():
        arrows[rooms[name]] |= {rooms[other] for other in others} - {rooms[name]}
    return arrows


def reached(arrows: Arrows) -> dict[str, set[str]]:
    """All that can be reached from each, by one arrow or more."""
    everything = {}
    for start in arrows:
        seen, ahead = set(), list(arrows[start])
        while ahead:
            one = ahead.pop()
            if one not in seen:
                seen.add(one)
                ahead.extend(arrows[one])
        everything[start] = seen
    return everything


def circles(arrows: Arrows) -> list[list[str]]:
    """The groups that reach each other."""
    ways = reached(arrows)
    groups = {tuple(sorted(other for other in ways[one] if one in ways[other]))
              for one in arrows if one in ways[one]}
    return [list(group) for group in sorted(groups)]


def depth(arrows: Arrows) -> int:
    """Rooms on the longest way, a circle counted as one."""
    of = {one: group[0] for group in circles(arrows) for one in group}
    merged: dict[str, set[str]] = defaultdict(set)
    for one, others in arrows.items():
        merged[of.get(one, one)] |= {of.get(other, other) for other in others}

    @cache
    def below(one: str) -> int:
        return 1 + max((below(other) for other in merged[one] if other != one), default=0)

    return max(map(below, list(merged)), default=0)


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True,
                          check=True).stdout


if __name__ == "__main__":
    main(sys.argv[1:])
