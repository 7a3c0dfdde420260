"""Random networks on random machines, and several cores in one Verilog module: compiling for
Verilator costs more than simulating."""

import re
from dataclasses import dataclass

import pytest
from core_graphs import random_graph
from image_graphs import image_graph
from states import stateful

from qsnn_compile.lower.mapping import map_graph
from qsnn_compile.lower.program import Program
from qsnn_compile.passes import PASSES, run_passes
from qsnn_compile.system.errors import QsnnError, Unsupported
from qsnn_hw.core.memory import SPRAM_VERILOG
from qsnn_hw.core.verilog import core_verilog
from qsnn_sim.rtl import simulators as rtl
from qsnn_sim.rtl.plan import Traffic, plan, random_samples

CALM = Traffic()
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
    """One module, ``cores``, with all of them side by side on one clock."""
    texts = [c.verilog(f"core{i}").replace(SPRAM_VERILOG, "") for i, c in enumerate(cores)]
    ports, bodies = ["input clk"], []
    for number, (text, one) in enumerate(zip(texts, cores, strict=True)):
        module = re.search(rf"^module core{number}\(.*?^endmodule", text, re.M | re.S)[0]
        found = re.findall(r"^  (input|output) (\[\d+:0\] )?(\w+);", module, re.M)
        ports += [f"{way} {size}{one.prefix}{name}" for way, size, name in found if name != "clk"]
        wires = [f".{name}({'' if name == 'clk' else one.prefix}{name})" for _, _, name in found]
        bodies.append(f"core{number} c{number} ({', '.join(wires)});")
    top = "module cores({});\n{}\nendmodule\n".format(",\n".join(ports), "\n".join(bodies))
    return "\n".join([*texts, SPRAM_VERILOG, top])


def needs(simulator):
    try:
        rtl.check_tools(simulator)
    except QsnnError as missing:
        pytest.skip(str(missing))
