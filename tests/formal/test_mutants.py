"""Each proof fails where its block is broken: one line of the block is changed, and the proof must
find it."""

import inspect
import sys
import textwrap

import pytest
import test_inputs
import test_link
import test_memory
import test_neuron
import test_reader
import test_readout
import test_spikes
import test_uart
import test_walker
from benches import machine

from qsnn_hw.core.inputs import Inputs
from qsnn_hw.core.memory import WeightMemory
from qsnn_hw.core.neuron import NeuronUnit
from qsnn_hw.core.reader import Reader
from qsnn_hw.core.readout import Argmax
from qsnn_hw.core.spikes import SpikeMemory
from qsnn_hw.core.walker import Walker
from qsnn_hw.link.uart_link import Framer, UartRx, UartTx

MUTANTS = [     # block, method, its text, another; the proof and its case
    (UartRx, "elaborate", "with m.If(free):", "with m.If(stop | free):",
     test_link.test_receiver_holds_its_byte),
    (UartTx, "elaborate", "BYTE + 2)", "BYTE + 1)",
     test_link.test_sender_counts_in_range_and_rests_high),
    (UartRx, "elaborate", "self.divisor // 2 - 1", "self.divisor - 1",
     test_uart.test_byte_comes_out_as_it_went_in, 4),
    (UartTx, "elaborate", "Cat(shift[1:], 1)", "Cat(shift[1:], 0)",
     test_uart.test_byte_comes_out_as_it_went_in, 4),
    (UartRx, "elaborate", "Cat(shift[1:], line)", "Cat(line, shift[1:])",
     test_uart.test_byte_comes_out_as_it_went_in, 4),
    (Framer, "_reply", "with m.If(self.replies.ready):", "with m.If(1):",
     test_link.test_framer_holds_its_streams, machine()),
    (Framer, "_receive", "left.eq(weight_bytes - 1)", "left.eq(weight_bytes - 2)",
     test_link.test_frames_are_as_long_as_they_say),
    (Inputs, "elaborate", "self.layout.input_beats - 1)", "self.layout.input_beats)",
     test_inputs.test_counts_in_range, test_inputs.CORES["list"]),
    (Inputs, "_spikes", "parameters.columns - 1", "parameters.columns",
     test_inputs.test_counts_in_range, test_inputs.CORES["spikes"]),
    (WeightMemory, "elaborate", "column == index", "column != index",
     test_memory.test_row_reads_as_last_written, 32, 3),
    (Argmax, "elaborate", "behind[-1])", "(behind <= 0))", test_readout.test_best_of_all_scores, 3),
    (Argmax, "elaborate", "with m.If(self.result.ready):", "with m.If(1):",
     test_readout.test_answer_stays_until_taken, 3),
    (Argmax, "_decide", "least, best.score", "least, least",
     test_readout.test_margin_is_that_of_the_next_best, 3),
    (NeuronUnit, "_integrate", "acc << 1", "acc << 2",
     test_neuron.test_unit_is_its_equation, test_neuron.CASES["hard"]),
    (NeuronUnit, "_pool", "self.alone | ", "", test_neuron.test_unit_is_its_equation,
     test_neuron.CASES["pooled"]),
    (NeuronUnit, "_synapse", "product >> arithmetic.synapse_shift", "product",
     test_neuron.test_unit_is_its_equation, test_neuron.CASES["synapses"]),
    (NeuronUnit, "_quantise", "u < lowest", "u <= lowest + 1",
     test_neuron.test_unit_is_its_equation, test_neuron.CASES["clamped"]),
    (SpikeMemory, "_turns", "turn + 1", "turn + 2", test_spikes.test_no_word_is_lost, 2),
    (SpikeMemory, "_copy", "word.column == column)", "word.column != column)",
     test_spikes.test_line_reads_as_last_sent, 1, 2),
    (Reader, "elaborate", "spikes & below),", "spikes & below & (below << 1)[:WORD]),",
     test_reader.test_each_spike_is_an_event, test_reader.CORES["spikes"]),
    (Reader, "_wait", "spikes.any() | fetched.ends", "spikes.any()",
     test_reader.test_each_spike_is_an_event, test_reader.CORES["spikes"]),
    (Reader, "_planes", "(number == 1)", "(number <= 2)",
     test_reader.test_each_spike_is_an_event, test_reader.CORES["planes"]),
    (Walker, "_request", "entry.offset + source.behind", "entry.offset + source.behind + 1",
     test_walker.test_requests_are_in_range, test_walker.CORES["spikes"]),
]


def changed(block, name, old, new):
    """The method *name* of *block* with *new* for its text *old*."""
    method = getattr(block, name)
    source = textwrap.dedent(inspect.getsource(method))
    assert source.count(old) == 1, f"{block.__name__}.{name} must have {old!r} once"
    names = {}
    code = compile(source.replace(old, new), inspect.getsourcefile(method), "exec")
    exec(code, vars(sys.modules[block.__module__]), names)
    return names[name]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: f"{m[0].__name__}: {m[3]}")
def test_proof_finds_it(mutant, monkeypatch):
    block, name, old, new, proof, *case = mutant
    monkeypatch.setattr(block, name, changed(block, name, old, new))
    with pytest.raises(AssertionError, match=r"^\S+:\d+ fails in (step|induction)"):
        proof(*case)
