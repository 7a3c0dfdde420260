"""The spiking core: streams in, a class out. Boards, links and clocks stand around it."""

from functools import reduce
from operator import and_

from amaranth.hdl import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from qsnn_hw.machine.layers import WORD
from qsnn_hw.machine.memories import inventory, within

from .bank import Bank
from .inputs import Inputs
from .jobs import optional
from .readout import Readout, result_layout
from .spikes import SpikeMemory

__all__ = ["SpikingCore", "core_members", "machine_result"]


def machine_result(machine):
    """The `result_layout` of *machine*."""
    parameters = machine.parameters
    return result_layout(classes=parameters.classes, score_bits=machine.arithmetic.score_bits,
                         exit_margin=parameters.exit_margin)


def core_members(machine):
    """The members of the core of *machine*, by name: `SpikingCore` says what they are."""
    parameters = machine.parameters
    return {
        "weights": In(stream.Signature(WORD)),
        "inputs": In(stream.Signature(machine.layout.beat_bits)),
        "result": Out(stream.Signature(machine_result(machine))),
        "loaded": Out(1),
        **optional(parameters.streaming, restart=In(1)),
        "probe": Out(wiring.Signature({
            "valid": Out(parameters.banks), "spikes": Out(parameters.units * parameters.banks),
            "last_layer": Out(parameters.banks)})),
    }


class SpikingCore(wiring.Component):
    """One network on one core. Load the weights; then a sample's input beats in, its result out.

    Members
    -------
    =========== === ====================== ========================================================
    ``weights`` In  stream                 beats of 16 bits: the weight rows of bank 0, then those
                                           of bank 1, …; ``row_beats`` beats a row; taken between
                                           samples
    ``inputs``  In  stream                 ``layout.input_beats`` beats a sample; a next sample
                                           waits until the result is taken
    ``result``  Out stream                 `machine_result`: the winning class and its score; with
                                           an exit margin, whether it is settled
    ``loaded``  Out 1                      all weights are there
    ``restart`` In  1, in a stream         the sample whose first beat comes behind it is a first
                                           step
    ``probe``   Out a bit and units a bank the units' spikes as they come, bank by bank and slot by
                                           slot, for benches
    =========== === ====================== ========================================================
    """

    def __init__(self, machine, image):
        self.machine, self.image = machine, image
        super().__init__(core_members(machine))

    def elaborate(self, platform):
        m = Module()
        machine, timing = self.machine, self.machine.timing
        memories = inventory(machine, self.image)
        m.submodules.inputs = inputs = Inputs(machine.layout, within(memories, "inputs"))
        m.submodules.readout = readout = Readout(timing, within(memories, "readout"))
        banks = [Bank(timing, within(memories, f"bank{number}"))
                 for number in range(machine.parameters.banks)]
        for number, bank in enumerate(banks):
            m.submodules[f"bank{number}"] = bank
        m.submodules.spikes = spikes = SpikeMemory(timing, within(memories, "spikes"))
        self._feed(m, banks, inputs, spikes)
        self._show(m, banks)
        self._read_out(m, banks, readout)
        busy, taken, all_loaded = Signal(), Signal(), Signal()
        m.d.sync += all_loaded.eq(self.loaded & ~self.weights.valid | (all_loaded & busy))
        with m.If(inputs.begin):
            m.d.sync += [busy.eq(1), taken.eq(0)]
        with m.If(self.result.valid & self.result.ready):
            m.d.sync += taken.eq(1)
        settled = busy & taken & self._quiet(m, banks)
        with m.If(settled):
            m.d.sync += busy.eq(0)
        m.d.comb += [
            # Weights go first: a load begun with a sample would wait for it, and it for the load.
            self.inputs.ready.eq(all_loaded & (inputs.filling | (~busy & ~self.weights.valid))),
            inputs.beats.payload.eq(self.inputs.payload), inputs.finished.eq(settled),
            inputs.beats.valid.eq(self.inputs.valid & self.inputs.ready),
        ]
        # `busy` follows the first beat by a clock; no weight is taken in the clock of that beat
        self._load(m, banks, ~busy)
        if machine.parameters.streaming:
            self._restart(m, banks, inputs)
        if machine.parameters.exits:
            m.d.comb += [bank.stop.eq(self.result.valid) for bank in banks]
            m.d.comb += readout.stop.eq(self.result.valid)
        return m

    def _restart(self, m, banks, inputs):
        """The first step after power-up, a reset or a restart finds nothing before it."""
        fresh = Signal(init=1)
        with m.If(inputs.begin):
            m.d.sync += fresh.eq(0)
        with m.If(self.restart):
            m.d.sync += fresh.eq(1)
        m.d.comb += [bank.fresh.eq(fresh) for bank in banks]

    def _quiet(self, m, banks):
        """Whether the last spikes are written and counted too: a next sample counts from 0."""
        clocks = self.machine.timing.unit_latency + len(banks)
        quiet = Signal(range(clocks + 1))
        with m.If(quiet != clocks):
            m.d.sync += quiet.eq(quiet + 1)
        with m.If(~reduce(and_, [bank.idle for bank in banks])):
            m.d.sync += quiet.eq(0)
        return quiet == clocks

    def _load(self, m, banks, allowed):
        """Weights go to the banks one after the other."""
        turn = Signal(range(max(len(banks), 2)))
        for number, bank in enumerate(banks):
            chosen, ended = turn == number, Signal(name=f"ended{number}")
            passes_on = bank.loaded & ~ended
            m.d.sync += ended.eq(bank.loaded)
            m.d.comb += [bank.load.eq(allowed),
                         bank.weights.payload.eq(self.weights.payload),
                         bank.weights.valid.eq(self.weights.valid & chosen & ~passes_on)]
            with m.If(chosen):
                m.d.comb += self.weights.ready.eq(bank.weights.ready & ~passes_on)
            with m.If(passes_on):
                m.d.sync += turn.eq(0 if number == len(banks) - 1 else number + 1)
        m.d.comb += self.loaded.eq(reduce(and_, [bank.loaded for bank in banks]))

    def _feed(self, m, banks, inputs, spikes):
        """The input and the layers' spikes to the banks."""
        wiring.connect(m, inputs.words, spikes.beats)
        m.d.comb += spikes.begin.eq(inputs.begin)
        for number, bank in enumerate(banks):
            wiring.connect(m, bank.words, spikes.words[number])
            m.d.comb += [
                bank.begin.eq(inputs.begin), bank.input_ready.eq(inputs.ready),
                bank.progress.eq(spikes.progress), bank.list_count.eq(inputs.count),
                bank.pixels.valid.eq(inputs.pixels.valid),
                bank.pixels.payload.eq(inputs.pixels.payload),
                spikes.address[number].eq(bank.address), spikes.enable[number].eq(bank.enable),
                inputs.address[number].eq(bank.address), inputs.enable[number].eq(bank.enable),
                bank.line.eq(spikes.lines[number]), bank.entry.eq(inputs.entries[number]),
            ]

    def _show(self, m, banks):
        """The probe."""
        units = self.machine.parameters.units
        for number, bank in enumerate(banks):
            fired = bank.fired.payload
            m.d.comb += [self.probe.valid[number].eq(bank.fired.valid),
                         self.probe.last_layer[number].eq(fired.last_layer),
                         self.probe.spikes.word_select(number, units).eq(fired.spikes)]

    def _read_out(self, m, banks, readout):
        wiring.connect(m, readout.result, wiring.flipped(self.result))
        wiring.connect(m, banks[0].slots, readout.slots)
        m.d.comb += readout.spike.eq(banks[0].fired.payload.spikes[0])
        m.d.comb += [readout.currents[i].eq(bank.current) for i, bank in enumerate(banks)]
        joined = reduce(and_, [bank.waiting for bank in banks])
        m.d.comb += [bank.join.eq(joined) for bank in banks]
