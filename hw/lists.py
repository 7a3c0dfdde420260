"""The event lists: the active inputs of each layer and step, made once and read many times."""

from amaranth.hdl import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .arch import WORD
from .events import SpikeEncoder, WordQueue
from .memory import table

__all__ = ["EventLists"]


class EventLists(wiring.Component):
    """Two list memories in turn: list l, the input of layer l, is in buffer l mod 2.

    Input beats come at ``beat_valid``; ``begin`` is high with the last one, which starts the
    sequencer. Pixels that are not 0 go straight into buffer 0 as {index, value}. Spike words, of
    the input or of a layer (``word``), go through the queue and the encoder; it takes the input's
    as they come, but no layer may start before they are all queued, or their words would mix.

    A pixel that is not 0 shows at ``index`` and ``value`` a clock after its beat, ``arriving`` with
    it: it can go straight on to the lanes.

    A clock of a read: ``list_address`` and ``buffer``; ``index`` and ``value`` (1 for a spike) a
    clock later. ``count`` follows ``count_step`` and ``buffer`` by a clock. A list is read only
    when it is complete, so no read meets a write.
    """

    def __init__(self, machine, *, index_bits, list_bits):
        self.machine = machine
        self.direct_coded = machine.coding == "direct"
        self.index_bits, self.list_bits = index_bits, list_bits
        super().__init__({
            "beat": In(machine.beat_bits), "beat_valid": In(1),
            "begin": Out(1), "filling": Out(1),
            "word": In(WORD), "word_valid": In(1),
            "buffer": In(1), "direct": In(1), "list_address": In(list_bits),
            "index": Out(index_bits), "value": Out(machine.input_bits), "arriving": Out(1),
            "count_step": In(range(max(machine.steps, 2))), "count": Out(index_bits + 1),
            "lists_done": Out(range(len(machine.layers) * machine.steps + 1)),
            "direct_count": Out(index_bits + 1), "direct_sum": Out(machine.sum_bits),
        })

    def elaborate(self, platform):
        m = Module()
        machine = self.machine
        beat = Signal(range(max(machine.input_beats, 2)))
        last, restart = beat == machine.input_beats - 1, Signal()
        m.d.comb += [
            self.filling.eq(beat != 0),
            self.begin.eq(self.beat_valid & last),
            restart.eq(self.begin if self.direct_coded else self.beat_valid & (beat == 0)),
        ]
        with m.If(self.beat_valid):
            m.d.sync += beat.eq(Mux(last, 0, beat + 1))
        m.submodules.encoder = encoder = self._encoder()
        job = self._encode(m, encoder, restart)
        produced = ~job[0] if self.direct_coded else job[0]    # the buffer being written
        ports = self._buffers(m)
        for number, write in enumerate(ports):
            m.d.comb += [
                write.addr.eq(encoder.entry_address),
                write.data.eq(encoder.entry),
                write.en.eq(encoder.entry_valid & (produced == number)),
            ]
        if self.direct_coded:
            self._take_pixels(m, beat, ports[0])
        self._count(m, encoder, produced)
        return m

    def _encoder(self):
        machine = self.machine
        groups = [machine.groups(i) for i in range(len(machine.layers))]
        words = [machine.lanes // WORD, -(-machine.layers[0].fan_in // WORD)]
        return SpikeEncoder(
            steps=machine.steps, index_bits=self.index_bits, address_bits=self.list_bits,
            max_words=max(words), max_groups=max(groups), jobs=len(machine.layers))

    def _encode(self, m, encoder, restart):
        """Queue and encoder, told of the layer whose spikes they handle."""
        machine = self.machine
        m.submodules.queue = queue = WordQueue(depth=machine.fifo_depth)
        jobs = [(machine.lanes // WORD, machine.groups(i), machine.lists(i + 1), layer.neurons)
                for i, layer in enumerate(machine.layers[:-1])]
        if not self.direct_coded:
            fan_in = machine.layers[0].fan_in
            jobs.insert(0, (-(-fan_in // WORD), 1, machine.steps, fan_in))
        job = Signal(range(max(len(jobs) + 1, 2)))
        with m.Switch(job):
            for number, (words, groups, steps, stride) in enumerate(jobs):
                with m.Case(number):
                    m.d.comb += [encoder.words.eq(words), encoder.groups.eq(groups),
                                 encoder.last.eq(steps - 1), encoder.stride.eq(stride)]
            with m.Default():       # all encoded: a block that never fills
                m.d.comb += encoder.words.eq(1)
        m.d.sync += job.eq(Mux(restart, 0, job + encoder.layer_done))
        from_input = self.beat_valid & (not self.direct_coded)
        m.d.comb += [
            queue.data.eq(self.word if self.direct_coded
                          else Mux(self.word_valid, self.word, self.beat)),
            queue.push.eq(self.word_valid | from_input),
            encoder.head.eq(queue.head), encoder.have.eq(queue.have),
            queue.take.eq(encoder.take), encoder.restart.eq(restart),
            self.lists_done.eq(encoder.done),
        ]
        return job

    def _buffers(self, m):
        """The write ports of both buffers; reads come out at ``index`` and ``value``."""
        machine = self.machine
        held_buffer, held_direct = Signal(), Signal()
        m.d.sync += [held_buffer.eq(self.buffer), held_direct.eq(self.direct)]
        ports, reads = [], []
        for number in range(2):
            value_bits = machine.input_bits if self.direct_coded and number == 0 else 0
            memory = table(self.index_bits + value_bits, machine.list_depth(number))
            m.submodules[f"buffer{number}"] = memory
            write, read = memory.write_port(), memory.read_port()
            m.d.comb += read.addr.eq(self.list_address)
            ports.append(write)
            reads.append(read.data)
        m.d.comb += [
            self.index.eq(Mux(held_buffer, reads[1], reads[0][:self.index_bits])),
            self.value.eq(1),
        ]
        if self.direct_coded:
            with m.If(held_direct):
                m.d.comb += self.value.eq(reads[0][self.index_bits:])
        return ports

    def _take_pixels(self, m, beat, write):
        valid, entry = Signal(), Signal(len(write.data), reset_less=True)
        position = Signal.like(self.direct_count)
        active = self.beat_valid & (self.beat != 0)
        count, total = (Mux(beat == 0, 0, value) for value in (self.direct_count, self.direct_sum))
        m.d.sync += [
            valid.eq(active), position.eq(count),
            entry.eq(Cat(Value.cast(beat)[:self.index_bits] if len(beat) >= self.index_bits
                         else Cat(beat, C(0, self.index_bits - len(beat))), self.beat)),
        ]
        with m.If(self.beat_valid):
            m.d.sync += [self.direct_count.eq(count + active),
                         self.direct_sum.eq(total + self.beat)]
        m.d.comb += self.arriving.eq(valid)
        with m.If(valid):
            m.d.comb += [self.index.eq(entry[:self.index_bits]),
                         self.value.eq(entry[self.index_bits:])]
            m.d.comb += [write.addr.eq(position), write.data.eq(entry), write.en.eq(1)]

    def _count(self, m, encoder, produced):
        """Events of each complete list, for the sequencer."""
        step_bits = len(self.count_step)
        m.submodules.counts = counts = table(len(self.count), 2 << step_bits)
        write, read = counts.write_port(), counts.read_port()
        m.d.comb += [
            write.addr.eq(Cat(encoder.count_step, produced)), write.data.eq(encoder.count),
            write.en.eq(encoder.counted),
            read.addr.eq(Cat(self.count_step, self.buffer)), self.count.eq(read.data),
        ]
