import contextlib
import sys

import pytest

import qsnn_compile
from qsnn_compile.builds import clocks
from qsnn_compile.builds import tools as fpga
from qsnn_compile.builds.tools import Placed, ToolError, Tools
from qsnn_compile.chips.targets import target
from qsnn_compile.system.errors import DoesNotFit

USED = {"lc": 4000, "ebr": 17, "spram": 4, "dsp": 1}
DEVICE = target("ice40").device


@pytest.fixture
def runs(monkeypatch):
    """Runs to come, by seed; the commands that packed a bitstream."""
    planned, packed = {}, []
    tools = Tools((), (), ("icepack",), {"yosys": "x"})
    monkeypatch.setattr(fpga, "find_tools", lambda family: tools)
    monkeypatch.setattr(fpga, "synthesise", lambda *arguments: None)
    monkeypatch.setattr(fpga, "place", lambda tools, folder, device, seed, mhz:
                        Placed(seed, planned[seed], USED if planned[seed] else {}))
    monkeypatch.setattr(fpga, "_run", lambda command, folder: packed.append(command))
    return planned, packed


def made(folder):
    return fpga.implement(folder, DEVICE, 30.0, lambda stage: contextlib.nullcontext())


def test_median_and_best(runs, tmp_path):
    runs[0].update({1: 36.0, 2: 38.5, 3: 33.0})
    tool = made(tmp_path)
    assert (tool.fmax_mhz, tool.resources, tool.tools) == (36.0, USED, {"yosys": "x"})
    assert (tool.seed, tool.best_mhz) == (2, 38.5) and not runs[1]
    (tmp_path / "top.1.asc").touch()
    fpga.pack(tmp_path, DEVICE, tool)
    assert runs[1] == [("icepack", "top.2.asc", "top.bin")] and not list(tmp_path.iterdir())


def test_a_seed_without_placement(runs, tmp_path):
    runs[0].update({1: None, 2: 34.0, 3: 36.0})
    assert made(tmp_path).fmax_mhz == 35.0


def test_no_placement_at_all(runs, tmp_path):
    runs[0].update({1: None, 2: None, 3: None})
    with pytest.raises(DoesNotFit, match=r"must find a placement on up5k, and none of the seeds"):
        made(tmp_path)


def test_a_tool_that_fails(tmp_path):
    tools = Tools(("false",), ("false",), ("false",), {})
    with pytest.raises(ToolError, match="must succeed, and it ended with exit code 1"):
        fpga.synthesise(tools, tmp_path, DEVICE)


NEXTPNR = """
import json, sys
arguments = dict(zip(sys.argv, sys.argv[1:]))
seed = arguments["--seed"]
if seed == "3":
    sys.exit("ERROR: Unable to place cell")
with open(arguments["--report"], "w") as report:
    json.dump({"fmax": {"core": {"achieved": 40.0, "constraint": 12.0},
                        "link": {"achieved": 31.5, "constraint": 12.0}},
               "utilization": {"ICESTORM_LC": {"used": 7}}}, report)
sys.exit("ERROR: broken" if seed == "4" else 0)
"""


@pytest.fixture
def placed(tmp_path):
    """A seed, placed by a stand-in for nextpnr."""
    (tmp_path / "nextpnr.py").write_text(NEXTPNR)
    tools = Tools((), (sys.executable, "nextpnr.py"), (), {})
    return lambda seed: fpga.place(tools, tmp_path, DEVICE, seed, 40.0)


def test_fmax_is_the_slowest_clock_domains(placed):
    assert placed(1) == Placed(1, 31.5, {"lc": 7, "ebr": 0, "spram": 0, "dsp": 0})


def test_an_earlier_placement_is_none_of_this_netlist(placed, tmp_path):
    """A seed that placed at one clock may fail at the next, in the same folder."""
    (tmp_path / "top.3.report").write_text("{}")
    assert placed(3) == Placed(3, None, {})


def test_a_report_of_a_nextpnr_that_failed_is_none(placed):
    with pytest.raises(ToolError, match=r"must succeed, .* exit code 1: ERROR: broken; report"):
        placed(4)


@pytest.mark.slow
def test_bitstream(tmp_path, monkeypatch):
    """The one of the chosen clock is that of the same clock, asked for."""
    from core_graphs import random_graph

    from qsnn_models.export.onnx_export import save
    save(random_graph(3, 1, 4, (12, 8, 4)), tmp_path / "net.onnx")
    report = qsnn_compile.compile(tmp_path / "net.onnx", output=tmp_path / "a", lanes=16,
                                  bitstream=True).report
    monkeypatch.setattr(clocks, "SEEDS", (report["bitstream_seed"],))
    again = qsnn_compile.compile(tmp_path / "net.onnx", output=tmp_path / "b", lanes=16,
                                 bitstream=True, clock=report["clock_mhz"]).report
    assert (tmp_path / "a/top.bin").read_bytes() == (tmp_path / "b/top.bin").read_bytes()
    assert not list((tmp_path / "a").glob("*.asc"))
    assert report["bitstream_fmax_mhz"] >= 1.05 * report["clock_mhz"] > 36
    assert report["bitstream_fmax_mhz"] == again["fmax_mhz"]
    assert [run["seed"] for run in report["seeds"]] == [1, 2, 3]
    assert 0 < report["resources"]["lc"] < report["available"]["lc"]
    assert report["clock_from"] == "placed" and again["clock_from"] == "asked"
    assert {"yosys", "nextpnr"} <= report["tools"].keys()
