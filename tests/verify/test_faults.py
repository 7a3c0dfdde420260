"""What the bench says when the RTL is wrong."""

import re
from dataclasses import replace

import numpy as np
import pytest
from cores import core, needs

from qsnn_compile.ir import Dense, Graph, Input, Neuron, Node, Readout, ints
from qsnn_sim.measure.verify import build_core, run_plans
from qsnn_sim.rtl.plan import Traffic

SAMPLES = 5
LATE = """
module qsnn_core(input clk, rst, result__ready, output reg result__valid, {ports});
  wire valid;
  wire ready = result__ready & result__valid;
  always @(posedge clk) result__valid <= valid & ~ready & ~rst;
  inner core(.clk(clk), .rst(rst), .result__valid(valid), .result__ready(ready), {wires});
endmodule
"""
DEAF = """
module qsnn_core(input clk, rst, weights__valid, inputs__valid, result__ready,
                 input [15:0] weights__payload, input [3:0] inputs__payload,
                 output weights__ready, inputs__ready, result__valid, loaded,
                 output [7:0] result__payload, output probe__valid, probe__last_layer,
                 output [1:0] probe__spikes);
  assign {weights__ready, inputs__ready, loaded} = 7;
  assign {result__valid, result__payload, probe__valid, probe__last_layer, probe__spikes} = 0;
endmodule
"""


@pytest.fixture
def network():
    needs("icarus")
    rng = np.random.default_rng(3)
    nodes, source = [], "x"
    for name, fan_in, count in (("a", 9, 20), ("b", 20, 4)):
        weight = ints(rng.choice([-1, 1], (count, fan_in)))
        neuron = Neuron(4, ints(rng.integers(0, 20, count) if name == "a" else 1), ints(0),
                        ints(2), ints(1), 1, 0, "hard", ints(0), ints(0))
        nodes += [Node(f"fc_{name}", Dense(weight, 1), (source,)),
                  Node(name, neuron, (f"fc_{name}",))]
        source = name
    return core(Graph("faulty", 3, Input((9,), 4, "direct"), tuple(nodes), Readout("count", "b")))


def verdict(verilog, plan, folder):
    built = build_core({"core.v": verilog}, folder, simulator="icarus")
    return run_plans(built, [plan])[0]


def test_one_wrong_spike(network, tmp_path):
    plan = network.plan(SAMPLES)
    layer = plan.spikes[1].copy()
    layer[3, 2, 0, 1] ^= 1
    compared = verdict(network.verilog(), replace(plan, spikes=(plan.spikes[0], layer)), tmp_path)
    assert (compared.samples, compared.spike_mismatches, compared.result_mismatches,
            compared.clock_mismatches) == (SAMPLES, 1, 0, 0)
    spike = layer[3, 2, 0, 1].item()
    assert compared.first.startswith("sample 3, layer b, neuron 1, step 2, clock ")
    assert compared.first.endswith(f": golden {spike}, RTL {1 - spike}")


def test_wrong_threshold_in_the_rtl(network, tmp_path):
    image = network.program.image
    ((first, *others),) = image.neuron["threshold"]
    changed = ((tuple(number ^ 1 for number in first), *others),)
    wrong = replace(image, neuron=image.neuron | {"threshold": changed})
    other = replace(network, program=replace(network.program, image=wrong))
    compared = verdict(other.verilog(), network.plan(12), tmp_path)
    assert compared.spike_mismatches > 0
    assert ", layer a, neuron " in compared.first and ": golden " in compared.first


def test_late_result(network, tmp_path):
    inner = network.verilog("inner")
    ports = {"weights__valid": "input", "weights__payload": "input [15:0]",
             "inputs__valid": "input", "inputs__payload": "input [3:0]",
             "weights__ready": "output", "inputs__ready": "output", "loaded": "output",
             "result__payload": f"output [{1 + network.program.machine.arithmetic.score_bits}:0]",
             "probe__valid": "output", "probe__spikes": "output [1:0]",
             "probe__last_layer": "output"}
    late = LATE.format(ports=", ".join(f"{way} {name}" for name, way in ports.items()),
                       wires=", ".join(f".{name}({name})" for name in ports))
    compared = verdict(inner + late, network.plan(SAMPLES), tmp_path)
    assert (compared.spike_mismatches, compared.result_mismatches, compared.clock_mismatches) == (
        0, 0, SAMPLES)
    clocks = re.fullmatch(r"sample 0, result valid, clock (\d+): cycle model (\d+), RTL (\d+)",
                          compared.first)
    at, model, rtl = map(int, clocks.groups())
    assert at == model == rtl - 1


def test_core_that_never_answers(network, tmp_path):
    compared = verdict(DEAF, network.plan(SAMPLES, Traffic(resets=1)), tmp_path)
    assert (compared.samples, compared.result_mismatches, compared.clock_mismatches) == (
        SAMPLES, SAMPLES, SAMPLES)
    assert compared.first.startswith("sample 0, layer a, neuron 0, step 0, clock ")
    assert compared.first.endswith("RTL nothing")
