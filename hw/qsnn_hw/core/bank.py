"""A bank: walker, reader, weights, lanes and neurons; the banks of a core work side by side."""

from amaranth.hdl import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from qsnn_hw.machine.layers import WORD
from qsnn_hw.machine.memories import within
from qsnn_hw.machine.timing import ISSUE_TO_LANES

from .jobs import (
    address_bits,
    entry_layout,
    fired_layout,
    job_layout,
    progress_bits,
    slot_layout,
    word_layout,
)
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
    first pass of a sample is done with its last beat. *memories* are its entries of the inventory,
    by their names in it.

    Members
    -------
    =============== === ==================== ================================================
    ``weights``     In  stream               beats of 16 bits: the bank's weight rows
    ``load``        In  1                    weights may be taken
    ``loaded``      Out 1                    all are there
    ``begin``       In  1                    a sample begins
    ``fresh``       In  1                    with ``begin``, in a stream: nothing went before
    ``stop``        In  1                    whatever goes on ends (machines that exit early)
    ``idle``        Out 1                    nothing goes on
    ``input_ready`` In  1                    a whole sample is there
    ``pixels``      In  stream, always ready `entry_layout`: pixels as they arrive
    ``list_count``  In  0 .. words           entries of the list
    ``progress``    In  `progress_bits`      rounds that all banks have written
    ``address``     Out `address_bits`       which line and which entry are read
    ``enable``      Out 1                    whether they are
    ``line``        In  a word a column      the line, a clock later
    ``entry``       In  `entry_layout`       the entry, a clock later
    ``words``       Out stream, always ready `word_layout`: spikes for the spike memory
    ``waiting``     Out 1                    the bank's group of a shared readout is there
    ``join``        In  1                    all banks' are
    ``slots``       Out stream, always ready `slot_layout`, as in `NeuronArray`
    ``current``     Out ``current_bits``     as in `NeuronArray`
    ``fired``       Out stream, always ready `fired_layout`, as in `NeuronArray`
    =============== === ==================== ================================================
    """

    def __init__(self, timing, memories):
        self.timing, self.layout, self.memories = timing, timing.layout, memories
        self.parameters = parameters = timing.layout.parameters
        layout, entry = self.layout, entry_layout(self.layout)
        super().__init__({
            "weights": In(stream.Signature(WORD)), "load": In(1), "loaded": Out(1),
            "begin": In(1), "fresh": In(1), "stop": In(1), "idle": Out(1), "input_ready": In(1),
            "pixels": In(stream.Signature(entry, always_ready=True)),
            "list_count": In(range(layout.value_words + 1)),
            "progress": In(progress_bits(timing)),
            "address": Out(address_bits(layout)), "enable": Out(1),
            "line": In(WORD * parameters.columns), "entry": In(entry),
            "words": Out(stream.Signature(word_layout(layout), always_ready=True)),
            "waiting": Out(1), "join": In(1),
            "slots": Out(stream.Signature(slot_layout(layout), always_ready=True)),
            "current": Out(signed(timing.arithmetic.current_bits)),
            "fired": Out(stream.Signature(fired_layout(parameters.units), always_ready=True)),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = memory = WeightMemory(
            within(self.memories, "memory").values(), rows=self.layout.rows)
        wiring.connect(m, wiring.flipped(self.weights), memory.beats)
        m.d.comb += [memory.load.eq(self.load), self.loaded.eq(memory.loaded)]
        if self.parameters.exits:
            m.submodules.work = ResetInserter(self.stop)(work := Module())
            self._work(work, memory)
        else:
            self._work(m, memory)
        return m

    def _work(self, m, memory):
        """All but the weights, which stay."""
        arithmetic, parameters = self.timing.arithmetic, self.parameters
        m.submodules.walker = walker = Walker(self.timing, within(self.memories, "walker"))
        m.submodules.reader = reader = Reader(self.layout, sum_bits=arithmetic.sum_bits)
        m.submodules.neurons = neurons = NeuronArray(
            self.timing, within(self.memories, "neurons"))
        m.submodules.lanes = lanes = Lanes(
            lanes=parameters.lanes, units=parameters.units, acc_bits=arithmetic.acc_bits,
            x_bits=x_bits(self.layout), rings=self.timing.rings)
        self._read(m, walker, reader)
        self._accumulate(m, reader, memory, lanes)
        self._hand_over(m, walker, reader, lanes, neurons)
        self._show(m, neurons)
        m.d.comb += self.idle.eq(walker.idle & reader.quiet & ~neurons.active & ~neurons.waiting)

    def _read(self, m, walker, reader):
        """Requests to the memories, what they read to the reader."""
        wiring.connect(m, walker.requests, reader.requests)
        wiring.connect(m, wiring.flipped(self.pixels), reader.pixels)
        m.d.comb += [
            walker.begin.eq(self.begin), walker.fresh.eq(self.fresh),
            walker.input_ready.eq(self.input_ready),
            walker.progress.eq(self.progress), walker.list_count.eq(self.list_count),
            self.address.eq(walker.requests.payload.address),
            self.enable.eq(walker.requests.ready),
            reader.line.eq(self.line), reader.entry.eq(self.entry),
        ]

    def _accumulate(self, m, reader, memory, lanes):
        """Events to the lanes."""
        address = Signal.like(memory.address, reset_less=True)
        events = delays(m, reader.event, ISSUE_TO_LANES, init=0)
        valid = events[ISSUE_TO_LANES - 1]
        if self.parameters.lists:
            valid |= delays(m, self.pixels.valid, ISSUE_TO_LANES - 1, init=0)[ISSUE_TO_LANES - 2]
        m.d.sync += [address.eq(reader.row), lanes.x.eq(reader.x)]
        m.d.comb += [memory.address.eq(address), lanes.row.eq(memory.row), lanes.valid.eq(valid)]

    def _hand_over(self, m, walker, reader, lanes, neurons):
        """A transfer and its job, the shadow's next turn."""
        transfer = reader.transfers.valid & reader.transfers.ready
        pending, job = Signal(), Signal(job_layout(self.layout), reset_less=True)
        with m.If(transfer):
            m.d.sync += pending.eq(0)
        with m.If(walker.jobs.valid):
            m.d.sync += [pending.eq(1), job.eq(walker.jobs.payload)]
        free = self._shadow_free(m, transfer, job)
        transfers = delays(m, transfer, ISSUE_TO_LANES + 1, init=0)
        held = Signal(job_layout(self.layout), reset_less=True)
        with m.If(transfer):
            m.d.sync += held.eq(job)
        m.d.comb += [
            walker.job_free.eq(~pending), reader.transfers.ready.eq(free & ~neurons.waiting),
            lanes.transfer.eq(transfers[ISSUE_TO_LANES - 1]),
            lanes.rotate.eq(neurons.moves), lanes.ring.eq(neurons.ring),
            neurons.heads.eq(lanes.heads), neurons.sum_x.eq(reader.sum_x),
            neurons.jobs.valid.eq(transfers[ISSUE_TO_LANES]), neurons.jobs.payload.eq(held),
        ]

    def _shadow_free(self, m, transfer, job):
        """Whether the rotations of the last *transfer*, of its *job*, leave the shadow in time."""
        rotations = list(zip(self.timing.rotation, self.timing.replays, strict=True))
        spacing = Signal(range(max(rotation * replays for rotation, replays in rotations)))
        with m.Switch(job.layer):
            for index, (rotation, replays) in enumerate(rotations):
                with m.Case(index):
                    m.d.comb += spacing.eq(Mux(job.closes, rotation * replays, rotation) - 1)
        timer = Signal.like(spacing)
        m.d.sync += timer.eq(Mux(timer == 0, 0, timer - 1))
        with m.If(transfer):
            m.d.sync += timer.eq(spacing)
        if self.parameters.joins:           # the rotation begins when all banks are there
            with m.If(self.join):
                m.d.sync += timer.eq(self.timing.rotation[-1] - ISSUE_TO_LANES - 1)
        return timer == 0

    def _show(self, m, neurons):
        """What leaves the neurons."""
        wiring.connect(m, neurons.words, wiring.flipped(self.words))
        wiring.connect(m, neurons.slots, wiring.flipped(self.slots))
        wiring.connect(m, neurons.fired, wiring.flipped(self.fired))
        m.d.comb += [self.current.eq(neurons.current), self.waiting.eq(neurons.waiting),
                     neurons.join.eq(self.join)]
