"""The clock of a build: no bitstream misses it, and none is far from what was placed."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from core_graphs import random_graph

from qsnn_compile import compiler
from qsnn_compile.builds import tools as fpga
from qsnn_compile.builds.clocks import FIRST, ROUNDS, clock_of, settle, steps
from qsnn_compile.builds.tools import SEEDS, Implementation, Placed, Tools
from qsnn_compile.chips import targets
from qsnn_compile.chips.targets import BOARDS, target
from qsnn_compile.cli import qsnn, qsnnc
from qsnn_compile.system.errors import DoesNotFit
from qsnn_models.export.onnx_export import save

USED = {"lc": 900, "ebr": 5, "spram": 4, "dsp": 0}
BOARD = target("icebreaker").board
BARE = replace(BOARD, name="bare", clock_mhz=16.0, oscillator_mhz=16.0, pll="")


def placing(*fmax):
    """A stand-in for place and route: what its calls reach, one after the other, and its calls."""
    calls, plan = [], iter(fmax)

    def place(mhz, seeds):
        calls.append((mhz, tuple(seeds)))
        reached = next(plan)
        if reached is None:
            raise DoesNotFit("none of the seeds did")
        return Implementation(tuple(Placed(seed, mhz, USED) for seed, mhz in
                                    zip(seeds, reached, strict=True)), {})
    return place, calls


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)
def test_a_boards_own_clock_is_one_that_it_makes(board):
    assert clock_of(board, None) == board.clock_mhz in steps(board)


def test_a_clock_is_chosen_from_what_was_placed():
    """The fastest step of 0.75 MHz that leaves 5 % to the median."""
    place, calls = placing((41.0, 42.5), (39.0, 41.9, 40.5))
    rounds = settle(BOARD, None, place)
    assert calls == [(36.0, FIRST), (39.75, SEEDS)]
    assert rounds[-1].clock_mhz == 39.75 and rounds[-1].made.best_mhz == 41.9


def test_a_placement_that_misses_is_stepped_down():
    place, calls = placing((50.0, 50.0), (40.0, 48.0, 41.0), (30.0, 42.0, 41.0))
    assert settle(BOARD, None, place)[-1].clock_mhz == 39.0
    assert [mhz for mhz, _ in calls] == [36.0, 47.25, 39.0]


def test_a_clock_that_is_met_without_the_margin_is_stepped_down():
    place, calls = placing((42.0, 42.0), (40.0, 41.7, 40.0), (40.0, 41.7, 40.0))
    assert settle(BOARD, None, place)[-1].clock_mhz == 37.5
    assert [mhz for mhz, _ in calls] == [36.0, 39.75, 37.5]


def test_a_placement_may_be_slower_than_the_boards_table():
    place, _ = placing((30.0, 30.0), (30.0, 30.0, 30.0))
    assert settle(BOARD, None, place)[-1].clock_mhz == 28.5


def test_the_first_seeds_may_find_no_placement():
    place, calls = placing(None, (None, None, 42.0), (42.0, None, None))
    assert settle(BOARD, None, place)[-1].clock_mhz == 39.75
    assert calls == [(36.0, FIRST), (36.0, SEEDS), (39.75, SEEDS)]


def test_tries_end():
    place, calls = placing((50.0, 50.0), *((mhz, mhz, mhz) for mhz in (47.0, 44.0, 41.0)))
    with pytest.raises(DoesNotFit, match=r"^the placed design must reach 41\.25 MHz, with 5% to "
                       r"spare, the slowest of 3 tries, not 41\.00 MHz; use --clock 40\.5, or use "
                       r"fewer --lanes$"):
        settle(BOARD, None, place)
    assert len(calls) == 1 + ROUNDS


def test_slower_than_every_clock():
    place, _ = placing((12.3, 12.3))
    with pytest.raises(DoesNotFit, match=r"^the placed design must reach 12 MHz, icebreaker's "
                       r"slowest clock, with 5% to spare, not 12\.30 MHz; use --clock 12, or use "
                       r"fewer --lanes$"):
        settle(BOARD, None, place)


@pytest.mark.parametrize("asked,clock", [(36.0, 36.0), (40, 39.75), (41.25, 41.25), (30, 30)])
def test_an_asked_clock_is_placed_once(asked, clock):
    """It needs no margin: whoever asks knows."""
    place, calls = placing((41.0, 41.25, 39.0))
    assert settle(BOARD, asked, place)[-1].clock_mhz == clock
    assert calls == [(clock, SEEDS)]


@pytest.mark.parametrize("asked,message", [
    (50, r"must reach 49\.5 MHz, as --clock 50 asks, not 41\.24 MHz; lower --clock to 40\.5, or"),
    (41.25, r"must reach 41\.25 MHz, as --clock 41\.25 asks, not 41\.24 MHz; lower --clock to 4")])
def test_an_asked_clock_that_is_missed(asked, message):
    place, _ = placing((41.0, 41.24, 39.0))
    with pytest.raises(DoesNotFit, match=message):
        settle(BOARD, asked, place)


@pytest.mark.parametrize("fmax", (15.9, 16.0))
def test_a_board_without_a_pll_has_one_clock(fmax):
    place, calls = placing((14.0, fmax, 15.0))
    if fmax >= 16:
        assert settle(BARE, None, place)[-1].clock_mhz == 16
    else:
        with pytest.raises(DoesNotFit, match=r"^the placed design must reach 16 MHz, bare's only "
                           r"clock, not 15\.90 MHz; lower|use fewer --lanes$"):
            settle(BARE, None, place)
    assert calls == [(16, SEEDS)]


@pytest.mark.parametrize("board,mhz,there", [
    (BOARD, 11.9, "12 to 270"), (BOARD, 276.0, "12 to 270"), (BOARD, float("nan"), "12 to 270"),
    (BARE, 20.0, "16")])
def test_a_clock_that_the_board_cannot_make(board, mhz, there):
    with pytest.raises(targets.TargetError, match=rf"^--clock must be {there} MHz on {board.name}, "
                       rf"not {mhz}; leave it out for the fastest that is reached$"):
        clock_of(board, mhz)


# -- the command ----------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("clocks") / "net.onnx"
    save(random_graph(3, 1, 4, (12, 8, 4)), path)
    return path


@pytest.fixture
def command(model, tmp_path, monkeypatch, capsys):
    """``qsnnc`` with stand-ins for the FPGA tools that reach planned clocks, call by call, and, if
    not *real*, for the Verilog; its exit code and what it printed."""
    plan, tops = [], []

    def write(folder, graph, program):
        program.save(folder)
        (folder / "top.v").write_text(f"{program.clock_mhz}")

    def synthesise(tools, folder, device):
        tops.append((folder / "top.v").read_text())

    def place(tools, folder, device, seed, mhz):
        return Placed(seed, plan[len(tops) - 1] + seed / 10, USED)

    def pack(command, folder):
        (folder / "top.bin").write_text(tops[-1])

    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setattr(fpga, "find_tools", lambda family: Tools((), (), ("pack",), {}))
    monkeypatch.setattr(compiler, "find_tools", fpga.find_tools)
    for name, stand_in in (("synthesise", synthesise), ("place", place), ("_run", pack)):
        monkeypatch.setattr(fpga, name, stand_in)

    def run(*arguments, reaching=(), real=False):
        plan[:], tops[:] = reaching, []
        with monkeypatch.context() as patch:
            if not real:
                patch.setattr(compiler, "write_sources", write)
            code = qsnnc.main([str(model), "--lanes", "16", "-o", str(tmp_path / "build"),
                               *arguments])
        assert len(tops) == len(plan)
        return code, capsys.readouterr()
    return run


def report(build):
    return json.loads((build / "report.json").read_text())


def pll_mhz(top):
    divf, divq = (int(re.search(rf"\.{name}\(\d+'[hd]([0-9a-f]+)\)", top)[1], 16)
                  for name in ("DIVF", "DIVQ"))
    return 12 * (divf + 1) / 2 ** divq


def test_everything_carries_the_bitstreams_clock(command, tmp_path, capsys):
    code, said = command("--bitstream", reaching=(44, 44), real=True)
    build, clock = tmp_path / "build", 42.0
    made = report(build)
    assert code == 0 and made["clock_mhz"] == clock
    assert json.loads((build / "program.json").read_text())["clock_mhz"] == clock
    assert pll_mhz((build / "top.v").read_text()) == clock
    assert (build / "top.bin").read_text() == (build / "top.v").read_text()
    assert (made["clock_from"], made["clock_asked_mhz"]) == ("placed", None)
    assert (made["fmax_mhz"], made["bitstream_seed"], made["bitstream_fmax_mhz"]) == (44.2, 3, 44.3)
    assert made["clock_margin"] == round(44.3 / clock - 1, 4)
    assert [one["clock_mhz"] for one in made["rounds"]] == [36, clock]
    assert made["rounds"][-1]["seeds"] == made["seeds"]
    assert said.out.endswith(
        "clock     42 MHz, the fastest that leaves 5% to what was placed\n"
        "margin    5.5%: the bitstream, seed 3, reaches 44.3 MHz\n"
        "Fmax      44.2 MHz (median of seeds 1, 2, 3), placed for 36, then 42 MHz\n")
    check_times(build, clock, capsys)


def check_times(build, clock, capsys):
    """``qsnn sim`` counts µs at *clock*."""
    graph = random_graph(3, 1, 4, (12, 8, 4))
    times = () if graph.input.coding == "direct" else (graph.steps,)
    np.savez(build.parent / "x.npz", x=np.ones((2, *times, 12), np.uint8))
    assert qsnn.main(["sim", str(build), "--data", str(build.parent / "x.npz"), "--json",
                      str(build.parent / "sim.json")]) == 0
    content = json.loads((build.parent / "sim.json").read_text())
    assert f"lanes at {clock:g} MHz\n" in capsys.readouterr().out
    assert content["clock_mhz"] == clock and content["clock_placed"]
    assert content["latency_us"]["max"] == content["clocks"]["max"] / clock


def test_without_a_bitstream_it_is_the_boards_table(command, tmp_path):
    code, said = command()
    made = report(tmp_path / "build")
    assert code == 0 and (made["clock_mhz"], made["clock_from"]) == (36, "board's table")
    assert made["rounds"] is made["clock_margin"] is made["bitstream_fmax_mhz"] is None
    assert "clock     36 MHz, the board's table's; not placed: add --bitstream\n" in said.out
    assert "Fmax" not in said.out


@pytest.mark.parametrize("asked,clock,why", [
    ("30", 30, "as asked"), ("40", 39.75, "the fastest that the board makes and is not above the "
                             "40 MHz asked for")])
def test_a_clock_that_was_asked_for(command, tmp_path, asked, clock, why):
    code, said = command("--clock", asked)
    assert f"clock     {clock:g} MHz, {why}; not placed: add --bitstream\n" in said.out
    code, said = command("--clock", asked, "--bitstream", reaching=(41,))
    made = report(tmp_path / "build")
    assert code == 0 and (made["clock_mhz"], made["clock_from"]) == (clock, "asked")
    assert made["clock_asked_mhz"] == float(asked)
    assert float((tmp_path / "build" / "top.bin").read_text()) == clock
    assert f"clock     {clock:g} MHz, {why}\n" in said.out


@pytest.mark.parametrize("arguments,reaching,message", [
    (("--clock", "60"), (41,), "the placed design must reach 60 MHz, as --clock 60 asks, not 41.30 "
     "MHz; lower --clock to 41.25, or use fewer --lanes"),
    ((), (60, 50, 44, 38), "the placed design must reach 42 MHz, with 5% to spare, the slowest "
     "of 3 tries, not 38.30 MHz; use --clock 38.25, or use fewer --lanes"),
    (("--latency-us", "1.5"), (12.9, 12.9), "--latency-us must be at least 3.5, a typical sample's "
     "µs at the 12 MHz that the placed design reaches, not 1.5; raise it, or use fewer --lanes")])
def test_no_bitstream_that_misses_its_clock(command, tmp_path, arguments, reaching, message):
    """And nothing half-written: an earlier build stays as it was."""
    command("--bitstream", "--clock", "30", reaching=(41,))
    before = {path: path.read_bytes() for path in (tmp_path / "build").rglob("*.*")}
    code, said = command("--bitstream", *arguments, reaching=reaching)
    assert (code, said.out) == (3, "") and said.err.endswith(f"\nqsnnc: {message}\n")
    assert {path: path.read_bytes() for path in (tmp_path / "build").rglob("*.*")} == before
    assert [path.name for path in tmp_path.iterdir()] == ["build"]


@pytest.mark.parametrize("asked", ("0", "-3", "nan", "inf", "1e9"))
def test_a_clock_that_is_none(command, asked):
    code, said = command("--clock", asked)
    assert code == 2 and said.out == ""
    assert said.err == (f"qsnnc: --clock must be 12 to 270 MHz on icebreaker, not {float(asked)!r};"
                        " leave it out for the fastest that is reached\n")


def test_a_report_of_an_earlier_version_is_still_read(command, tmp_path, capsys):
    """Without the keys that say where its clock is from."""
    command("--bitstream", reaching=(44, 44))
    path: Path = tmp_path / "build" / "report.json"
    old = {key: value for key, value in report(path.parent).items() if key not in (
        "clock_from", "clock_asked_mhz", "clock_margin", "bitstream_seed", "bitstream_fmax_mhz",
        "rounds")}
    path.write_text(json.dumps(old))
    (path.parent / "manifest.json").unlink()        # which those versions did not write
    assert qsnn.main(["report", str(path.parent)]) == 0
    assert "Fmax      44.2 MHz (median of seeds 1, 2, 3)\n" in capsys.readouterr().out
