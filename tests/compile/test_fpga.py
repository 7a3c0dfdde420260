import contextlib

import pytest

import qsnn_compile
from qsnn_compile import fpga
from qsnn_compile.errors import DoesNotFit
from qsnn_compile.fpga import Placed, ToolError, Tools
from qsnn_compile.targets import target

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
    found = made(tmp_path)
    assert (found.fmax_mhz, found.resources, found.tools) == (36.0, USED, {"yosys": "x"})
    assert runs[1] == [("icepack", "top.2.asc", "top.bin")]


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


@pytest.mark.slow
def test_bitstream(tmp_path):
    from core_graphs import random_graph

    from qsnn_models.onnx_export import save
    save(random_graph(3, 1, 4, (12, 8, 4)), tmp_path / "net.onnx")
    for name in ("a", "b"):
        report = qsnn_compile.compile(tmp_path / "net.onnx", output=tmp_path / name, lanes=16,
                                      bitstream=True).report
    assert (tmp_path / "a/top.bin").read_bytes() == (tmp_path / "b/top.bin").read_bytes()
    assert not list((tmp_path / "a").glob("*.asc"))
    assert report["fmax_mhz"] > 20 and [run["seed"] for run in report["seeds"]] == [1, 2, 3]
    assert 0 < report["resources"]["lc"] < report["available"]["lc"]
    assert {"yosys", "nextpnr"} <= report["tools"].keys()
