"""A whole core of 2-2-2 neurons answers every sample as the golden model does, in time. It does not
use what a read returns that meets a write: here that is the complement of the word. Bounded to its
first sample after the weights; complete over the samples, the clocks in which beats come, and the
clocks in which the answer is taken."""

from types import SimpleNamespace

import numpy as np
import pytest
from amaranth.hdl import Array, Mux, Signal
from core_graphs import random_graph
from poison import Poisoned
from prover import Setting, bound

import qsnn_hw.core.memory
from qsnn_compile.lower.mapping import map_graph
from qsnn_compile.passes import PASSES, run_passes
from qsnn_hw.core.core import SpikingCore
from qsnn_hw.link.beats import weight_beats
from qsnn_sim.cycle import cycle
from qsnn_sim.golden.golden import run

GAPS = 2            # clocks that a beat comes late, at most


def small(readout):
    """The first random network of 1-bit pixels that ends so and gives three different answers."""
    for seed in range(2000):
        graph = random_graph(seed, sizes=(2, 2, 2), membrane_bits=4)
        if (graph.input.coding, graph.input.bits, graph.steps) != ("direct", 1, 2):
            continue
        graph = run_passes(graph, PASSES)
        if graph.readout.kind == readout and len(set(answers(graph))) > 2:
            return graph
    raise LookupError(readout)


def samples():
    return np.array([[number & 1, number >> 1] for number in range(4)], np.uint8)


def answers(graph):
    """Class and score of each sample, number by number."""
    result = run(graph, samples())
    return [(int(c), int(s[c])) for c, s in zip(result.classes, result.scores, strict=True)]


@pytest.mark.parametrize("readout", ["count", "potential"])
def test_every_sample_has_its_answer_in_time(readout, monkeypatch):
    monkeypatch.setattr(qsnn_hw.core.memory, "memory", SimpleNamespace(Memory=Poisoned))
    graph = small(readout)
    machine, image = map_graph(graph, lanes=16, units=2)
    machine = machine.with_parameters(weight_memory="ebr")
    weights, table = weight_beats(machine, image), answers(graph)
    setting = Setting()
    m, sample = setting.m, setting.fixed(2, "sample")
    late = setting.free(1, "late")
    loaded, beat = Signal(range(len(weights) + 1)), Signal(range(machine.layout.input_beats + 1))
    dut = SpikingCore(machine, image)
    sent = beat == machine.layout.input_beats
    setting.block(
        dut, weights_valid=loaded != len(weights), weights_payload=Array(weights)[loaded],
        inputs_valid=~sent & ~late, inputs_payload=sample.bit_select(beat[0], 1))
    with m.If(dut.weights.valid & dut.weights.ready):
        m.d.sync += loaded.eq(loaded + 1)
    with m.If(dut.inputs.valid & dut.inputs.ready):
        m.d.sync += beat.eq(beat + 1)
    delay, age = Signal(range(GAPS + 2)), Signal(12)
    m.d.sync += delay.eq(Mux(late & dut.inputs.ready, delay + 1, 0))
    setting.assume(delay <= GAPS)
    with m.If((beat != 0) & ~(dut.inputs.ready & late)):
        m.d.sync += age.eq(age + 1)
    answered = Signal()
    with m.If(dut.result.valid):
        m.d.sync += answered.eq(1)
    classes, scores = zip(*table, strict=True)
    worst = cycle.worst_case(machine)
    setting.claim(setting.holds(dut.result),
                  ~dut.result.valid | (dut.result.payload.index == Array(classes)[sample]),
                  ~dut.result.valid | (dut.result.payload.score == Array(scores)[sample]),
                  answered | dut.result.valid | (age < worst))
    bound(setting, len(weights) + worst + GAPS * machine.layout.input_beats + 4)
