"""A bank: walker, reader, weights, lanes and neurons; the banks of a core work side by side."""

from amaranth.hdl import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from qsnn_hw.machine.layers import WORD
from qsnn_hw.machine.memories import within
from qsnn_hw.machine.timing import ISSUE_TO_LANES

from .jobs import job_layout, progress_bits
from .lanes import Lanes
from .memory import WeightMemory, delays
from .neurons import NeuronArray
from .reader import Reader, x_bits
from .walker import Walker

__all__ = ["Bank"]


class Bank(wiring.Component):
    """One bank of the core.

    An event takes ISSUE_TO_LANES clocks: 0. the reader issues it; 1. its weight row's address is
    added up; 2. the row is read; 3. it is there; 4. it has become the lanes' enables, the lanes
    add. A transfer goes the same way. A pixel of the list enters in clock 1, as it arrives: the
    first pass of a sample is done with its last beat. ``stop`` ends whatever goes on.
    *memories* are its entries of the inventory, by their names in it.
    """

    def __init__(self, timing, memories):
        self.timing, self.layout, self.parameters = timing, timing.layout, timing.layout.parameters
        self.walker = Walker(timing, within(memories, "walker"))
        self.reader = Reader(self.layout, sum_bits=timing.arithmetic.sum_bits)
        self.neurons = NeuronArray(timing, within(memories, "neurons"))
        self.memory = WeightMemory(within(memories, "memory").values(), rows=self.layout.rows)
        super().__init__({
            "begin": In(1), "fresh": In(1), "stop": In(1), "input_ready": In(1),
            "progress": In(progress_bits(self.timing)),
            "weights": In(stream.Signature(WORD)), "load": In(1), "loaded": Out(1),
            "line": In(WORD * self.parameters.columns), "value": In(self.layout.value_bits),
            "index": In(range(max(self.layout.value_words, 2))),
            "address": Out(self.walker.request.address.shape()), "enable": Out(1),
            "list_count": In(range(self.layout.value_words + 1)),
            "arriving": In(1), "arriving_index": In(range(max(self.layout.value_words, 2))),
            "arriving_value": In(self.layout.value_bits),
            "idle": Out(1),
        })

    def elaborate(self, platform):
        m, memory = Module(), self.memory
        m.submodules.memory = memory
        wiring.connect(m, wiring.flipped(self.weights), memory.beats)
        m.d.comb += [memory.load.eq(self.load), self.loaded.eq(memory.loaded)]
        if self.parameters.exits:
            m.submodules.work = ResetInserter(self.stop)(work := Module())
            self._work(work)
        else:
            self._work(m)
        return m

    def _work(self, m):
        """All but the weights, which stay."""
        parameters = self.parameters
        m.submodules.walker, m.submodules.reader = walker, reader = self.walker, self.reader
        m.submodules.neurons = neurons = self.neurons
        m.submodules.lanes = self.lanes = Lanes(
            lanes=parameters.lanes, units=parameters.units,
            acc_bits=self.timing.arithmetic.acc_bits, x_bits=x_bits(self.layout),
            rings=self.timing.rings)
        m.d.comb += [
            walker.begin.eq(self.begin), walker.fresh.eq(self.fresh),
            walker.input_ready.eq(self.input_ready),
            walker.progress.eq(self.progress), walker.list_count.eq(self.list_count),
            walker.advance.eq(reader.advance),
            reader.request.eq(walker.request), reader.request_valid.eq(walker.valid),
            reader.line.eq(self.line), reader.value.eq(self.value),
            reader.listed_index.eq(self.index), reader.arriving.eq(self.arriving),
            reader.arriving_value.eq(self.arriving_value),
            reader.arriving_index.eq(self.arriving_index),
            self.address.eq(walker.request.address), self.enable.eq(reader.advance),
            self.idle.eq(walker.idle & reader.quiet & ~neurons.active & ~neurons.waiting),
        ]
        self._accumulate(m)
        self._hand_over(m)

    def _accumulate(self, m):
        """Events to the lanes."""
        reader, lanes, memory = self.reader, self.lanes, self.memory
        address = Signal.like(memory.address, reset_less=True)
        events = delays(m, reader.event, ISSUE_TO_LANES, init=0)
        valid = events[ISSUE_TO_LANES - 1]
        if self.parameters.lists:
            valid |= delays(m, self.arriving, ISSUE_TO_LANES - 1, init=0)[ISSUE_TO_LANES - 2]
        m.d.sync += [address.eq(reader.row), lanes.x.eq(reader.x)]
        m.d.comb += [
            memory.address.eq(address), lanes.row.eq(memory.row), lanes.valid.eq(valid),
            lanes.rotate.eq(self.neurons.moves), lanes.ring.eq(self.neurons.ring),
            self.neurons.heads.eq(lanes.heads),
        ]

    def _hand_over(self, m):
        """A transfer and its job, the shadow's next turn."""
        walker, reader, neurons = self.walker, self.reader, self.neurons
        pending, job = Signal(), Signal(job_layout(self.layout), reset_less=True)
        with m.If(reader.transfer):
            m.d.sync += pending.eq(0)
        with m.If(walker.job_valid):
            m.d.sync += [pending.eq(1), job.eq(walker.job)]
        rotations = list(zip(self.timing.rotation, self.timing.replays, strict=True))
        spacing = Signal(range(max(rotation * replays for rotation, replays in rotations)))
        with m.Switch(job.layer):
            for index, (rotation, replays) in enumerate(rotations):
                with m.Case(index):
                    m.d.comb += spacing.eq(Mux(job.closes, rotation * replays, rotation) - 1)
        timer = Signal.like(spacing)
        m.d.sync += timer.eq(Mux(timer == 0, 0, timer - 1))
        with m.If(reader.transfer):
            m.d.sync += timer.eq(spacing)
        if self.parameters.joins:           # the rotation begins when all banks are there
            with m.If(neurons.join):
                m.d.sync += timer.eq(self.timing.rotation[-1] - ISSUE_TO_LANES - 1)
        transfers = delays(m, reader.transfer, ISSUE_TO_LANES + 1, init=0)
        held = Signal(job_layout(self.layout), reset_less=True)
        with m.If(reader.transfer):
            m.d.sync += held.eq(job)
        m.d.comb += [
            walker.job_free.eq(~pending), reader.shadow_free.eq((timer == 0) & ~neurons.waiting),
            self.lanes.transfer.eq(transfers[ISSUE_TO_LANES - 1]),
            neurons.arrive.eq(transfers[ISSUE_TO_LANES]),
            neurons.job.eq(held), neurons.sum_x.eq(reader.sum_x),
        ]
