import importlib
import re
from dataclasses import replace

import pytest
from core_graphs import random_graph

import qsnn_compile
from qsnn_compile.builds.folder import constraints, write_sources
from qsnn_compile.chips import targets
from qsnn_compile.chips.memories import Memory
from qsnn_compile.chips.resources import predict
from qsnn_compile.chips.targets import BOARDS, DEVICES, FAMILIES, Board, Device, TargetError, target
from qsnn_compile.cli import qsnnc
from qsnn_compile.dialect.reader import import_onnx
from qsnn_compile.lower.mapping import map_graph
from qsnn_compile.lower.program import Program
from qsnn_compile.passes import PASSES, run_passes
from qsnn_compile.search.choose import Aim, choose
from qsnn_compile.system.errors import DoesNotFit
from qsnn_models.export.onnx_export import save

PORTS = {"clk", "uart_rx", "uart_tx", "led_waiting", "led_loaded"}
PLATFORMS = {           # of amaranth-boards: platform, LEDs, clock
    "icebreaker": ("icebreaker.ICEBreakerPlatform", ("led_r", "led_g")),
    "hx8k-evn": ("ice40_hx8k_b_evn.ICE40HX8KBEVNPlatform", ("led", "led")),
    "ulx3s-85f": ("ulx3s.ULX3S_85F_Platform", ("led", "led")),
    "tang-nano-9k": ("tang_nano_9k.TangNano9kPlatform", ("led", "led")),
}


@pytest.mark.parametrize("name", [entry.name for table in (FAMILIES, DEVICES, BOARDS)
                                  for entry in table])
def test_every_name_is_a_target(name):
    goal = target(name)
    assert goal.name == name and goal.board.device == goal.device.name
    assert goal.family.name == goal.device.family
    assert set(goal.board.pins) == PORTS


def test_names_are_unique():
    assert len(set(targets.target_names())) == len(targets.target_names())


def test_an_unknown_target_lists_them():
    with pytest.raises(TargetError, match=r"target must be one of ice40, .*, not 'virtex'; qsnn"):
        target("virtex")


@pytest.mark.parametrize("name", PLATFORMS)
def test_pins_and_oscillator_are_the_boards(name):
    module, _, platform = PLATFORMS[name][0].partition(".")
    pytest.importorskip("amaranth_boards")
    theirs = getattr(importlib.import_module(f"amaranth_boards.{module}"), platform)
    ios = {(r.name, r.number): r.ios for r in theirs.resources}
    uart = {io.name: io.ios[0].names for io in ios["uart", 0] if hasattr(io, "ios")}
    board = target(name).board
    clock = next(r for r in theirs.resources if r.name == theirs.default_clk)
    assert clock.ios[0].names == [board.pins["clk"]]
    assert clock.clock.frequency == board.oscillator_mhz * 1e6
    assert uart["rx"] == [board.pins["uart_rx"]] and uart["tx"] == [board.pins["uart_tx"]]
    leds = PLATFORMS[name][1]
    for number, (led, port) in enumerate(zip(leds, ("led_waiting", "led_loaded"), strict=True)):
        pins = ios[led, number if leds[0] == leds[1] else 0][0]
        assert pins.names == [board.pins[port]] and pins.invert == board.leds_low


@pytest.mark.parametrize("name,lanes", [("up5k", 64), ("hx8k", 128), ("ecp5-25f", 512),
                                        ("ecp5-45f", 1024), ("ecp5-85f", 2048), ("gw1nr-9", 128)])
def test_lanes(name, lanes):
    """As many weight bits as the memories' ports give a clock, if there are cells for them."""
    chosen = target(name).device.lanes
    assert chosen[0] == lanes and chosen[-1] == 16
    assert [2 * few for few in chosen[1:]] == list(chosen[:-1])


# -- what is written for a board ------------------------------------------------------------------

@pytest.fixture(scope="module")
def program():
    machine, image = map_graph(run_passes(random_graph(3, 1, 4, (12, 8, 4)), PASSES), lanes=16)
    return Program(machine, image, random_graph(3, 1, 4, (12, 8, 4)).input, "ice40", "icebreaker",
                   30.0)


@pytest.mark.parametrize("name,line", [
    ("icebreaker", "set_io -pullup yes uart_rx 6\n"),
    ("hx8k-evn", "set_io clk J3\n"),
    ("ulx3s-85f", 'LOCATE COMP "uart_rx" SITE "M1";\n'
                  'IOBUF PORT "uart_rx" IO_TYPE=LVCMOS33 PULLMODE=UP;\n'),
    ("tang-nano-9k", 'IO_LOC "clk" 52;\nIO_PORT "clk" IO_TYPE=LVCMOS33 PULL_MODE=NONE;\n')])
def test_constraints_name_every_port_of_the_top(name, line, program, tmp_path, monkeypatch):
    monkeypatch.setattr("qsnn_hw.core.verilog.core_verilog", lambda *given: "")
    goal = target(name)
    write_sources(tmp_path, run_passes(random_graph(3, 1, 4, (12, 8, 4)), PASSES),
                  replace(program, board=name, clock_mhz=60.0))
    written = (tmp_path / f"top.{goal.family.constraints}").read_text()
    top = (tmp_path / "top.v").read_text()
    assert line in written == constraints(goal)
    assert set(re.findall(r"\w+", re.search(r"module top\(([^)]*)\)", top)[1])) == PORTS
    assert all(name in written for name in PORTS)
    assert goal.board.pll in top
    assert not list(tmp_path.glob("*.pcf")) or goal.family.name == "ice40"


def test_a_device_is_a_table_entry(monkeypatch, program, tmp_path):
    """Two rows, and the compiler builds for a chip that it did not know."""
    device = Device("lp8k", "ice40", "Lattice iCE40 LP8K", 7_680, 32, 0, 0,
                    ("--lp8k", "--package", "cm81"), "-device lp")
    board = Board("tinyfpga-bx", "TinyFPGA BX", "lp8k", 16.0, 16.0, "",
                  {"clk": "B2", "uart_rx": "A2", "uart_tx": "A1", "led_waiting": "B3",
                   "led_loaded": "C2"})
    monkeypatch.setattr(targets, "DEVICES", (*DEVICES, device))
    monkeypatch.setattr(targets, "BOARDS", (*BOARDS, board))
    save(random_graph(3, 1, 4, (12, 8, 4)), tmp_path / "net.onnx")
    made = qsnn_compile.compile(tmp_path / "net.onnx", target="lp8k", output=tmp_path / "build",
                                lanes=16)
    assert made.report["board"] == "tinyfpga-bx" and made.report["available"]["lc"] == 7_680
    assert made.program.machine.parameters.weight_memory == "ebr"
    assert made.report["predicted"]["spram"] == 0
    assert "set_io clk B2" in (tmp_path / "build/top.pcf").read_text()
    assert "PLL" not in (tmp_path / "build/top.v").read_text()


# -- machines for a chip --------------------------------------------------------------------------

@pytest.mark.parametrize("family,width,depth,rom,blocks,place", [
    ("ecp5", 16, 64, False, 0, "distributed"), ("ecp5", 16, 128, False, 1, "block"),
    ("ecp5", 16, 80, False, 0, "distributed"), ("ecp5", 16, 96, False, 1, "block"),
    ("ecp5", 28, 64, False, 1, "block"), ("ecp5", 8, 100, False, 0, "distributed"),
    ("ecp5", 18, 784, False, 1, "block"), ("ecp5", 36, 512, False, 1, "block"),
    ("ecp5", 16, 3088, False, 4, "block"), ("ecp5", 16, 6000, False, 6, "block"),
    ("ecp5", 16, 4160, False, 5, "block"), ("ecp5", 20, 1500, True, 2, "block"),
    ("gowin", 16, 4160, False, 5, "block"),
    ("ecp5", 16, 2048, False, 2, "block"), ("ecp5", 8, 32, True, 0, "logic"),
    ("ecp5", 16, 256, True, 1, "block"), ("ecp5", 38, 1024, True, 3, "block"),
    ("gowin", 16, 64, False, 0, "distributed"), ("gowin", 24, 512, False, 1, "block"),
    ("gowin", 16, 6000, False, 6, "block"), ("gowin", 38, 256, True, 2, "block")])
def test_memories_as_yosys_maps_them(family, width, depth, rom, blocks, place):
    """The counts are of synth_ecp5 and synth_gowin, a memory at a time."""
    made = next(one for one in FAMILIES if one.name == family)
    memory = Memory("m", width, depth, rom, family=made)
    assert (memory.ebr, memory.place) == (blocks, place)


@pytest.mark.parametrize("width,depth,rom,place", [
    (16, 16, False, "logic"), (16, 17, False, "block"), (16, 256, True, "logic"),
    (16, 257, True, "block")])
def test_small_memories_spare_block_ram(width, depth, rom, place):
    assert Memory("m", width, depth, rom, small="logic").place == place


def zoo(name):
    return run_passes(import_onnx(f"models/zoo/{name}.onnx"), PASSES)


def test_mnist_on_a_chip_without_single_port_ram():
    """Weights take 26 of the 32 block RAMs, so that small memories must be logic."""
    machine, image = choose(zoo("mnist_mlp"), target("hx8k"))
    parameters = machine.parameters
    assert parameters.weight_memory == "ebr" and parameters.small_memories == "logic"
    needed = predict(machine, image, target("hx8k").device)
    assert needed.ebr <= 32 and needed.spram == needed.dsp == 0


def test_512_lanes_on_the_largest_chip():
    machine, image = choose(zoo("fashion_mnist_mlp"), target("ecp5-85f"), Aim(lanes=512))
    parameters = machine.parameters
    assert parameters.banks * parameters.lanes == 512 and parameters.weight_memory == "ebr"
    assert parameters.small_memories == "auto"
    assert predict(machine, image, target("ecp5-85f").device).ebr <= 208


def test_a_refusal_names_the_array_that_is_too_large():
    with pytest.raises(DoesNotFit, match=r"fashion_mnist_mlp' must fit hx8k, and with \d+ lanes it "
                       r"needs (\d+) block RAMs, (\d+) more than there are \(weights (\d+), neuron "
                       r"parameters \d+, input list 5\)") as caught:
        choose(zoo("fashion_mnist_mlp"), target("hx8k"))
    needed, over, weights = map(int, re.search(
        r"needs (\d+) .*?, (\d+) more .*?weights (\d+)", str(caught.value)).groups())
    assert needed - over == 32 < weights < needed


@pytest.mark.parametrize("device", DEVICES, ids=lambda device: device.name)
def test_the_command_compiles_for_every_chip(device, tmp_path, capsys, monkeypatch):
    """Its table too, where a chip has none of something. (What is written for each family's
    boards: above.)"""
    monkeypatch.setattr("qsnn_compile.compiler.write_sources", lambda *arguments: None)
    monkeypatch.setenv("COLUMNS", "100")
    save(random_graph(3, 1, 4, (12, 8, 4)), tmp_path / "net.onnx")
    assert qsnnc.main([str(tmp_path / "net.onnx"), "--target", device.name, "--lanes", "16",
                       "-o", str(tmp_path / "build")]) == 0
    rows = {cells[0]: cells[3:] for line in capsys.readouterr().out.splitlines()
            if len(cells := [cell.strip() for cell in line.split("│")[1:-1]]) == 5}
    assert rows["SPRAM"][0] == str(device.spram) and rows["logic cells"][1].endswith("%")
    assert (rows["multipliers"][1] == "–") == (device.dsp == 0)


@pytest.mark.slow
@pytest.mark.parametrize("name,bitstream", [("hx8k", "top.bin"), ("ecp5-25f", "top.bit"),
                                            ("gw1nr-9", "top.fs")])
def test_bitstream(name, bitstream, tmp_path):
    save(random_graph(3, 1, 4, (12, 8, 4)), tmp_path / "net.onnx")
    report = qsnn_compile.compile(tmp_path / "net.onnx", target=name, output=tmp_path / "build",
                                  lanes=16, bitstream=True, clock=60).report
    assert (tmp_path / "build" / bitstream).stat().st_size > 10_000
    assert report["bitstream_fmax_mhz"] >= report["clock_mhz"] == 60
    assert 0.8 < report["predicted"]["lc"] / report["resources"]["lc"] < 1.3
    assert report["predicted"]["ebr"] == report["resources"]["ebr"]
