"""The build folder: written beside its place under another name, then put there whole.

A folder that is there already is exchanged with the new one in one step of the system (Linux), so
that whenever the process is killed a whole build is there. Where a system can't do that, the old
build is renamed first and the new one next; `restore` puts the old one back after a kill between
the two, and every command that reads or writes a build calls it.
"""

import ctypes
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from qsnn_compile.chips.targets import Target, target
from qsnn_compile.ir import Graph, to_text
from qsnn_compile.lower.program import Program
from qsnn_compile.system.outputs import OutputError, mode_of_new
from qsnn_compile.system.processes import held

from . import manifest

OLDER = {"report.json", "program.json"}     # told a build from somebody's folder once
AT_FDCWD, RENAME_EXCHANGE = -100, 2         # of Linux's renameat2


@contextmanager
def build_folder(output: str | Path) -> Iterator[Path]:
    """A folder to write into, which becomes *output*, with a manifest, when the block ends.

    An earlier build there is replaced. On an exception it stays and nothing new is left; so it does
    when the disk is full. Raises OutputError.
    """
    place = Path(output)
    check_place(place)
    part = None
    try:
        with held():
            part = _beside(place)
        yield part
        manifest.write(part)
        with held():
            _publish(part, place)
    except OSError as error:
        if error.filename is not None and str(part) not in str(error.filename):
            raise                           # not of this folder
        raise _unwritable(place, error) from None
    finally:
        with held():
            shutil.rmtree(part or "", ignore_errors=True)


def check_place(output: str | Path, option: str = "output") -> None:
    """Raise OutputError unless *output* is a new or empty folder or one that a command of ours
    wrote, and can be written: before the work, not after it."""
    place = Path(output)
    restore(place)
    try:
        entries = sorted(os.listdir(place)) if place.exists() else []
        _try(_existing(place))
    except OSError as error:
        raise _unwritable(place, error, option) from None
    if place.exists() and (Path.cwd().is_relative_to(place.resolve()) or place.is_mount()):
        raise OutputError(f"{option} must be a folder that can be replaced, not {str(place)!r}, "
                          "the current folder or a mount; choose another"
                          f"{_own(option)}, as {str(place / 'build')!r}")
    if entries:
        _check_strangers(place, entries, option)


def restore(output: str | Path) -> None:
    """Put back a build that a kill between two renames left beside its place."""
    place = Path(output)
    with suppress(OSError):
        if os.path.lexists(place) or not place.name:
            return
        for old in place.parent.iterdir():
            ours = old.name.startswith(f".{place.name}.") and old.name.endswith(".old")
            if ours and (old / manifest.NAME).is_file():
                old.rename(place)
                return


def write_sources(folder: Path, graph: Graph, program: Program) -> None:
    """Everything but the bitstream and the report."""
    from qsnn_hw.boards.top import Clocking, top_verilog
    from qsnn_hw.core.verilog import core_verilog
    machine, image = program.machine, program.image
    goal = target(program.board)
    clocking = Clocking(program.clock_mhz, goal.board.oscillator_mhz, goal.board.pll)
    program.save(folder)
    (folder / "model.qir").write_text(to_text(graph), encoding="utf-8")
    core = core_verilog(machine, image)
    (folder / "core.v").write_text(core, encoding="utf-8")
    (folder / "top.v").write_text(
        top_verilog(machine, image, clocking=clocking, leds_low=goal.board.leds_low, core=core),
        encoding="utf-8")
    (folder / f"top.{goal.family.constraints}").write_text(constraints(goal), encoding="utf-8")


def constraints(goal: Target) -> str:
    """The pins of ``top.v`` on the board of *goal*, in the words of its nextpnr."""
    write = PIN_WRITERS[goal.family.constraints]
    return "".join(write(name, pin, name == "uart_rx") for name, pin in goal.board.pins.items())


def _pcf(name: str, pin: str, pull_up: bool) -> str:
    return f"set_io {'-pullup yes ' if pull_up else ''}{name} {pin}\n"


def _lpf(name: str, pin: str, pull_up: bool) -> str:
    pull = "UP" if pull_up else "NONE"
    return (f'LOCATE COMP "{name}" SITE "{pin}";\n'
            f'IOBUF PORT "{name}" IO_TYPE=LVCMOS33 PULLMODE={pull};\n')


def _cst(name: str, pin: str, pull_up: bool) -> str:
    pull = "UP" if pull_up else "NONE"
    return (f'IO_LOC "{name}" {pin};\n'
            f'IO_PORT "{name}" IO_TYPE=LVCMOS33 PULL_MODE={pull};\n')


# Of each pin; pulled up where an open line must not look like a break.
PIN_WRITERS = {"pcf": _pcf, "lpf": _lpf, "cst": _cst}


def _existing(place: Path) -> Path:
    """The nearest folder above *place*, free of links, that is there."""
    return next(folder for folder in place.resolve().parents if os.path.lexists(folder))


def _try(parent: Path) -> None:
    """Raise OSError unless new folders can be made in *parent*."""
    if not parent.is_dir():
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
    tempfile.TemporaryFile(dir=parent).close()


def _beside(place: Path) -> Path:
    """A hidden new folder on the file system of *place*, whose parents are made at the end."""
    try:
        return Path(tempfile.mkdtemp(prefix=f".{place.resolve().name}.", dir=_existing(place)))
    except OSError as error:
        raise _unwritable(place, error) from None


def _check_strangers(place: Path, entries: list[str], option: str) -> None:
    """Raise OutputError unless all of *place*, which holds *entries*, is listed as ours."""
    must = (f"{option} must be a new or empty folder or an earlier build, not {str(place)!r}, "
            "which holds")
    try:
        name = manifest.stranger(place)
    except FileNotFoundError:
        if not set(entries) >= OLDER:
            raise OutputError(f"{must} {entries[0]!r}; choose another{_own(option)}") from None
        raise OutputError(f"{must} {', '.join(map(repr, entries))} and no {manifest.NAME!r} that "
                          "lists what is ours; delete it if an older qsnnc made it all, or choose "
                          f"another{_own(option)}") from None
    if name is not None:
        raise OutputError(f"{must} {name!r}, which {manifest.NAME!r} does not list; move it away, "
                          f"or choose another{_own(option)}")


def _publish(part: Path, place: Path) -> None:
    """Put *part* in the place of *place*, or of what that links to; *part* is the old build then.
    """
    check_place(place)                      # again: somebody may have put something there
    part.chmod(mode_of_new(0o777))
    real = place.resolve()
    real.parent.mkdir(parents=True, exist_ok=True)
    if not real.exists() or not any(real.iterdir()):
        part.rename(real)
    elif not _exchanged(part, real):
        old = part.with_name(part.name + ".old")
        real.rename(old)
        part.rename(real)
        shutil.rmtree(old)


def _exchanged(one: Path, other: Path) -> bool:
    """Whether the system could exchange both folders in one step."""
    try:
        rename = ctypes.CDLL(None).renameat2
    except (OSError, AttributeError):
        return False
    names = [os.fsencode(path) for path in (one, other)]
    return bool(rename(AT_FDCWD, names[0], AT_FDCWD, names[1], RENAME_EXCHANGE) == 0)


def _unwritable(place: Path, error: OSError, option: str = "output") -> OutputError:
    return OutputError(f"{option} must be a folder that can be written, not {str(place)!r}: "
                       f"{error.strerror or error}; choose another{_own(option)}")


def _own(option: str) -> str:
    """How *option* is called where one chooses another."""
    return " -o" if option == "output" else ""
