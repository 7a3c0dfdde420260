"""The build folder: written beside its place under another name, then moved there whole."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import QsnnError
from .ir import Graph, to_text
from .program import Program
from .targets import Target, target

OURS = {"report.json", "program.json"}      # both tell a build from somebody's folder


class OutputError(QsnnError):
    """The build can't be written where the user wants it."""


@contextmanager
def build_folder(output: str | Path) -> Iterator[Path]:
    """A folder to write into, which becomes *output* when the block ends without an exception.

    An earlier build there is replaced; on an exception it stays, and nothing new is left.
    Raises OutputError.
    """
    place = Path(output)
    _check_place(place)
    try:
        part = Path(tempfile.mkdtemp(prefix=f".{place.name}.", dir=_parent(place)))
    except OSError as error:
        raise _unwritable(place, error) from None
    try:
        yield part
        _publish(part, place)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def write_sources(folder: Path, graph: Graph, program: Program) -> None:
    """Everything but the bitstream and the report."""
    from qsnn_hw.top import Clocking, top_verilog
    from qsnn_hw.verilog import core_verilog
    machine, image = program.machine, program.image
    goal = target(program.board)
    clocking = Clocking(program.clock_mhz, goal.board.oscillator_mhz, goal.board.pll)
    program.save(folder)
    (folder / "model.qir").write_text(to_text(graph), encoding="utf-8")
    (folder / "core.v").write_text(core_verilog(machine, image), encoding="utf-8")
    (folder / "top.v").write_text(
        top_verilog(machine, image, clocking=clocking, leds_low=goal.board.leds_low),
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


def _parent(place: Path) -> Path:
    parent = place.resolve().parent
    parent.mkdir(parents=True, exist_ok=True)
    return parent


def _check_place(place: Path) -> None:
    try:
        entries = set(os.listdir(place)) if place.exists() else set()
    except OSError as error:
        raise _unwritable(place, error) from None
    if place.exists() and (place.resolve() == Path.cwd() or place.is_mount()):
        raise OutputError(f"output must be a folder that can be replaced, not {str(place)!r}, the "
                          "current folder or a mount; choose another -o, as "
                          f"{str(place / 'build')!r}")
    if entries and not entries >= OURS:
        raise OutputError(f"output must be a new or empty folder or an earlier build, not "
                          f"{str(place)!r}, which holds {min(entries)!r}; choose another -o")


def _publish(part: Path, place: Path) -> None:
    """Put *part* in the place of *place*, or of what that links to."""
    umask = os.umask(0)
    os.umask(umask)
    part.chmod(0o777 & ~umask)
    real = place.resolve()
    try:
        if real.exists():
            old = part.with_name(part.name + ".old")
            real.rename(old)
            part.rename(real)
            shutil.rmtree(old)
        else:
            part.rename(real)
    except OSError as error:
        raise _unwritable(place, error) from None


def _unwritable(place: Path, error: OSError) -> OutputError:
    return OutputError(f"output must be a folder that can be written, not {str(place)!r}: "
                       f"{error.strerror}; choose another -o")
