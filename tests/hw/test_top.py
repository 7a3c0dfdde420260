import json
import shutil
import subprocess

import numpy as np
import pytest
from amaranth.sim import Simulator

from qsnn_compile.ir import Dense, Graph, Input, Neuron, Node, Readout, ints
from qsnn_compile.lower.mapping import map_graph
from qsnn_compile.passes import PASSES, run_passes
from qsnn_compile.system.errors import QsnnError
from qsnn_hw.boards.top import POWER_ON, BoardTop, Clocking, linked_verilog, top_verilog
from qsnn_runtime import protocol
from qsnn_sim.golden import golden
from qsnn_sim.rtl import simulators as rtl

DIVISOR = 8
BENCH = "qsnn_sim.rtl.benches.link_bench"


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


def faults(known, run):
    """A byte doubled, dropped or added: no answer to this, nor to anything up to a break."""
    weights, sample = known[1][0], run[0]
    mute = [(known[0][0], b""), (sample, b""), None]
    return [None, (weights[:9] + weights[8:], b""), *mute,
            (weights[:-3] + weights[-4:], b""), *mute,
            known[1], (sample[:3] + sample[4:], b""), *mute,
            *known, run, (b"X" + sample, b""), *mute,
            (b"?", b""), *mute, *known, run]


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
    steps = exchanges(machine, image, graph, data)
    if simulator == "verilator":
        steps += faults(steps[:2], steps[2])
    plan = [[None, ""] if step is None else [step[0].hex(), step[1].hex()] for step in steps]
    (tmp_path / "plan.json").write_text(json.dumps({"divisor": DIVISOR, "exchanges": plan}))
    rtl.build_and_test({"linked.v": linked_verilog(machine, image, DIVISOR)}, "linked_core", BENCH,
                       simulator=simulator, build_dir=tmp_path,
                       env={"LINK_EXCHANGES": str(tmp_path / "plan.json")}).check()


# -- board ----------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def linked():
    return map_graph(run_passes(network("direct", "count"), PASSES), lanes=16, units=2)


# A PLL that locks late, in Verilog of its own; the rest of the board's top as it is synthesised.
BENCH_OF_RESET = """
module SB_PLL40_PAD #(parameter FEEDBACK_PATH = "", DIVR = 0, DIVF = 0, DIVQ = 0, FILTER_RANGE = 0)
    (input RESETB, BYPASS, PACKAGEPIN, output PLLOUTGLOBAL, output reg LOCK);
  initial begin LOCK = 0; #800 LOCK = 1; end
  assign PLLOUTGLOBAL = PACKAGEPIN;
endmodule
module bench;
  reg clk = 0;
  always #5 clk = ~clk;
  top board(.clk(clk), .uart_rx(1'b1));
  integer held = 0, edges = 0;
  always @(posedge clk) begin
    edges = edges + 1;
    if (board.rst !== 0) held = held + 1;
    if (board.rst !== 0 && edges != held) begin $display("reset again"); $finish; end
    if (edges == 200) begin $display("held %0d", held); $finish; end
  end
endmodule
"""


@pytest.mark.parametrize("clocking,held", [
    (Clocking(27, 27, ""), POWER_ON - 1), (Clocking(), 80 + 2)], ids=["no PLL", "PLL"])
def test_a_board_is_held_in_reset_first(clocking, held, linked, tmp_path):
    """For POWER_ON clocks, or until the PLL locks (and two clocks more, to be in step)."""
    if shutil.which("iverilog") is None:
        pytest.skip("needs iverilog")
    (tmp_path / "top.v").write_text(top_verilog(*linked, clocking=clocking) + BENCH_OF_RESET)
    subprocess.run(["iverilog", "-g2005", "-s", "bench", "-o", "bench", "top.v"], cwd=tmp_path,
                   check=True, capture_output=True)
    out = subprocess.run(["vvp", "bench"], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert out.stdout.split() == ["held", str(held)]


def test_the_top_is_the_same_text_each_time(linked):
    assert top_verilog(*linked) == top_verilog(*linked)
    assert BoardTop(*linked).divisor == 30


def test_no_pll_where_the_oscillator_is_the_clock(linked):
    text = top_verilog(*linked, clocking=Clocking(27, 27, ""))
    assert "PLL" not in text and "SB_PLL40_PAD" in top_verilog(*linked)


@pytest.mark.parametrize("leds_low,waiting", [(True, 0), (False, 1)])
def test_leds_and_reset_without_a_pll(linked, leds_low, waiting):
    """The line answers after the power-on reset; the LED waits for weights."""
    top = BoardTop(*linked, clocking=Clocking(27, 27, ""), leds_low=leds_low)

    async def bench(ctx):
        for _ in range(40):
            for level in (1, 0):
                ctx.set(top.clk, level)
                await ctx.delay(1e-8)
        assert (ctx.get(top.led_waiting), ctx.get(top.led_loaded)) == (waiting, 1 - waiting)
        assert ctx.get(top.uart_tx) == 1

    sim = Simulator(top)
    sim.add_testbench(bench)
    sim.run()
