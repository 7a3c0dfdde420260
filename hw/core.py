"""The spiking core: streams in, a class out. Boards, links and clocks stand around it."""

from amaranth.hdl import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .arch import ISSUE_TO_LANES, WORD
from .lanes import Lanes
from .lists import EventLists
from .memory import WeightMemory
from .neurons import NeuronArray, delays
from .readout import result_layout
from .sequencer import Sequencer

__all__ = ["SpikingCore"]


class SpikingCore(wiring.Component):
    """One network on one core. Load the weights; then a sample's input beats in, its result out.

    An event takes ISSUE_TO_LANES clocks: 0. the list is read; 1. row base + index; 2. the weight
    row is read; 3. it becomes the lanes' enables; 4. the lanes add. A transfer goes the same way. A
    pixel enters in clock 1, as it arrives: the first pass of a sample is done with its last beat.

    Members
    -------
    weights : the weight rows, ``rows · row_beats`` beats (`WeightMemory`); taken between samples
    inputs : ``machine.input_beats`` beats a sample; a next sample waits until the result is taken
    result : the winning class and its score
    loaded : all weights are there
    probe : the units' spikes as they come, slot by slot, for benches
    """

    def __init__(self, machine, image):
        self.machine, self.image = machine, image
        super().__init__({
            "weights": In(stream.Signature(WORD)),
            "inputs": In(stream.Signature(machine.beat_bits)),
            "result": Out(stream.Signature(result_layout(machine))),
            "loaded": Out(1),
            "probe": Out(wiring.Signature({"valid": Out(1), "spikes": Out(machine.units),
                                           "last_layer": Out(1)})),
        })

    def elaborate(self, platform):
        m = Module()
        machine = self.machine
        index_bits = max(5, *((layer.fan_in - 1).bit_length() for layer in machine.layers))
        list_bits = max(5, *((machine.list_depth(i) - 1).bit_length() for i in range(2)))
        widest = max(layer.weight_bits for layer in machine.layers)
        m.submodules.sequencer = sequencer = Sequencer(
            machine, list_bits=list_bits, count_bits=index_bits + 1)
        m.submodules.lists = lists = EventLists(
            machine, index_bits=index_bits, list_bits=list_bits)
        m.submodules.weights = weights = WeightMemory(
            lanes=machine.lanes, rows=machine.rows, kind=machine.weight_memory)
        m.submodules.lanes = lanes = Lanes(
            lanes=machine.lanes, units=machine.units, acc_bits=machine.acc_bits,
            x_bits=machine.value_bits + widest - 1)
        m.submodules.neurons = neurons = NeuronArray(machine, self.image)
        wiring.connect(m, wiring.flipped(self.weights), weights.beats)
        wiring.connect(m, neurons.result, wiring.flipped(self.result))
        self._control(m, sequencer, lists, weights, neurons)
        self._accumulate(m, sequencer, lists, weights, lanes, neurons)
        return m

    def _control(self, m, sequencer, lists, weights, neurons):
        m.d.comb += [
            self.loaded.eq(weights.loaded),
            # Weights go first: a load begun with a sample would wait for it, and it for the load.
            self.inputs.ready.eq(sequencer.idle & weights.loaded
                                 & (lists.filling | ~self.weights.valid)),
            lists.beat.eq(self.inputs.payload),
            lists.beat_valid.eq(self.inputs.valid & self.inputs.ready),
            weights.load.eq(sequencer.idle & ~lists.filling),
            sequencer.begin.eq(lists.begin),
            sequencer.finished.eq(self.result.valid & self.result.ready),
            sequencer.direct_count.eq(lists.direct_count),
            sequencer.direct_sum.eq(lists.direct_sum),
            sequencer.count.eq(lists.count),
            sequencer.lists_done.eq(lists.lists_done),
            lists.count_step.eq(sequencer.count_step),
            lists.buffer.eq(sequencer.buffer), lists.direct.eq(sequencer.direct),
            lists.list_address.eq(sequencer.list_address),
            lists.word.eq(neurons.word), lists.word_valid.eq(neurons.word_valid),
            neurons.job.eq(sequencer.job), neurons.begin.eq(lists.begin),
            sequencer.fired_sum.eq(neurons.fired_sum),
            self.probe.valid.eq(neurons.spikes_valid), self.probe.spikes.eq(neurons.spikes),
            self.probe.last_layer.eq(neurons.spikes_last_layer),
        ]

    def _accumulate(self, m, sequencer, lists, weights, lanes, neurons):
        streamed = Signal()
        m.d.sync += streamed.eq(sequencer.event)
        events = delays(m, streamed | lists.arriving, ISSUE_TO_LANES - 1, init=0)
        transfers = delays(m, sequencer.transfer, ISSUE_TO_LANES + 1, init=0)
        address = Signal(weights.address.shape(), reset_less=True)
        scaled = Signal(lanes.x.shape(), reset_less=True)
        m.d.sync += [
            address.eq(sequencer.row_base + lists.index),
            scaled.eq(lists.value << sequencer.plane),
        ]
        x = scaled
        if self.machine.counted:
            counts, plane = (delays(m, value, 3)[2]
                             for value in (sequencer.counts, sequencer.plane))
            m.d.comb += neurons.fired_index.eq(lists.index)
            x = Mux(counts, neurons.fired_count << plane, scaled)
        m.d.comb += [
            weights.address.eq(address),
            lanes.row.eq(weights.row),
            lanes.valid.eq(events[ISSUE_TO_LANES - 2]),
            lanes.transfer.eq(transfers[ISSUE_TO_LANES - 1]),
            lanes.x.eq(delays(m, x, 3)[2]),
            lanes.rotate.eq(neurons.rotate),
            neurons.heads.eq(lanes.heads),
            neurons.arrive.eq(transfers[ISSUE_TO_LANES]),
        ]
