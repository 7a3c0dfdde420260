"""The neuron array: the rotation that takes the shadow past the units, and all they read and write.
"""

from amaranth.hdl import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .arch import UNIT_LATENCY, WORD
from .memory import table
from .neuron import FIELD_CLOCK, NeuronUnit
from .readout import Argmax, PotentialScore, result_layout
from .sequencer import job_layout

__all__ = ["NeuronArray"]

SPIKE_CLOCK = 5              # of NeuronUnit
READOUT_CLOCK = {"flip": 1, "gain": 1, "bias": 3}


class NeuronArray(wiring.Component):
    """NU units, their parameters and membranes, the readout.

    ``arrive`` comes in the clock in which the shadow takes a group, with its ``job``. From the next
    clock on: 1. a slot a clock, ``rotate`` moves the shadow on; 2. after a rotation the next one of
    a replayed job, ``machine.rotation`` clocks after the one before; 3. spikes come out
    SPIKE_CLOCK clocks behind their slot, and as words of 16 a clock after their last spike.

    For a readout of counts (``machine.counted``) the units' spikes are counted in block RAM; the
    layer before it sends, at its last step, the neurons that fired at all. ``fired_count`` follows
    ``fired_index`` by a clock while no layer but the last rotates, ``fired_sum`` is Σ of them since
    ``begin``.

    Membranes sit in block RAM, one word a slot. A membrane is written UNIT_LATENCY - 1 clocks after
    it was read, before the next rotation gets to it: no read meets a write.
    """

    def __init__(self, machine, image):
        self.machine, self.image = machine, image
        super().__init__({
            "heads": In(data.ArrayLayout(unsigned(machine.acc_bits), machine.units)),
            "arrive": In(1), "job": In(job_layout(machine)), "rotate": Out(1),
            "spikes": Out(machine.units), "spikes_valid": Out(1), "spikes_last_layer": Out(1),
            "word": Out(WORD), "word_valid": Out(1),
            "begin": In(1), "fired_sum": Out(machine.sum_bits),
            "fired_index": In(range(max(max(layer.neurons for layer in machine.layers), 2))),
            "fired_count": Out(machine.steps.bit_length()),
            "result": Out(stream.Signature(result_layout(machine))),
        })

    def elaborate(self, platform):
        m = Module()
        slot, start, settled = self._rotate(m)
        valid = delays(m, self.rotate, UNIT_LATENCY, init=0)
        address = delays(m, Value.cast(self._job.slot + slot)[:len(self._job.slot)], 7)
        units = [NeuronUnit(self.machine) for _ in range(self.machine.units)]
        first = delays(m, start, 2)
        for number, unit in enumerate(units):
            m.submodules[f"unit{number}"] = unit
            m.d.comb += [
                unit.acc.eq(self.heads[number]), unit.sum_x.eq(self._job.sum_x),
                unit.doubled.eq(self._job.doubled), unit.first.eq(first[1]),
                self.spikes[number].eq(unit.spike),
            ]
        self._parameters(m, units, address)
        self._membranes(m, units, slot, valid[UNIT_LATENCY - 1])
        counted = self._count_fired(m, units, start, settled, address, valid)
        self._collect(m, valid[SPIKE_CLOCK], *counted)
        self._read_out(m, units, slot, start, settled, address)
        return m

    def _rotate(self, m):
        """The slot of this clock (while ``rotate``), whether membranes start, whether it is the
        last step."""
        machine = self.machine
        self._job = job = Signal(job_layout(machine), reset_less=True)
        slot, step = Signal(range(machine.rotation)), Signal(range(max(machine.steps, 2)))
        active = Signal()
        m.d.comb += self.rotate.eq(active & (slot < machine.slots))
        end = slot == machine.rotation - 1
        with m.If(active):
            m.d.sync += slot.eq(Mux(end, 0, slot + 1))
            with m.If(end):
                m.d.sync += step.eq(step + 1)
                with m.If(~job.replay | (step == machine.steps - 1)):
                    m.d.sync += active.eq(0)
        with m.If(self.arrive):
            m.d.sync += [job.eq(self.job), active.eq(1), slot.eq(0), step.eq(0)]
        narrow = slot[:(machine.slots - 1).bit_length()] if machine.slots > 1 else Const(0, 1)
        settled = job.settled & (~job.replay | (step == machine.steps - 1))
        return narrow, job.start & (step == 0), settled

    def _parameters(self, m, units, address):
        """The stored fields: a memory for each clock that needs some, the units side by side."""
        machine, image = self.machine, self.image.neuron
        for clock in sorted(set(FIELD_CLOCK.values())):
            fields = [f for f in machine.neuron_fields
                      if f.constant is None and FIELD_CLOCK[f.name] == clock]
            if not fields:
                continue
            columns = [(getattr(unit, field.name), image[field.name][number])
                       for number, unit in enumerate(units) for field in fields]
            rom(m, f"parameters{clock}", columns, address[clock - 1], machine.neuron_slots)

    def _membranes(self, m, units, slot, written):
        bits = self.machine.membrane_bits
        m.submodules.membranes = memory = table(bits * len(units), self.machine.slots)
        write, read = memory.write_port(), memory.read_port()
        target = Signal.like(slot, name="write_slot")
        with m.If(written):
            m.d.sync += target.eq(target + 1)
        m.d.comb += [read.addr.eq(slot), write.addr.eq(target), write.en.eq(written)]
        for number, unit in enumerate(units):
            m.d.comb += [unit.u.eq(read.data.word_select(number, bits)),
                         write.data.word_select(number, bits).eq(unit.u_next)]

    def _count_fired(self, m, units, start, settled, address, valid):
        """In SPIKE_CLOCK: the bits that go into words, and whether they do."""
        machine = self.machine
        last_layer = delays(m, self._job.last_layer, SPIKE_CLOCK + 2)
        if not machine.counted:
            return self.spikes, ~last_layer[SPIKE_CLOCK]
        bits = len(self.fired_count)
        m.submodules.fired = memory = table(bits * len(units), machine.neuron_slots)
        write, read = memory.write_port(), memory.read_port()
        fresh = delays(m, start, SPIKE_CLOCK + 1)[SPIKE_CLOCK]
        counted = delays(m, self._job.counted, SPIKE_CLOCK + 1)[SPIKE_CLOCK]
        ends = delays(m, settled, SPIKE_CLOCK + 1)[SPIKE_CLOCK]
        before = [Mux(fresh, 0, read.data.word_select(i, bits)) for i in range(len(units))]
        totals = Signal(bits * len(units), reset_less=True)
        m.d.sync += totals.eq(Cat((old + unit.spike)[:bits]
                                  for old, unit in zip(before, units, strict=True)))
        counting = valid[SPIKE_CLOCK - 1] & ~last_layer[SPIKE_CLOCK - 1]
        self._look_up(m, read, Mux(counting, address[SPIKE_CLOCK - 1], self._counts()))
        m.d.comb += [write.addr.eq(address[SPIKE_CLOCK + 1]), write.data.eq(totals),
                     write.en.eq(valid[SPIKE_CLOCK + 1] & ~last_layer[SPIKE_CLOCK + 1])]
        spikes = sum(unit.spike for unit in units)
        with m.If(self.begin):
            m.d.sync += self.fired_sum.eq(0)
        with m.Elif(valid[SPIKE_CLOCK] & counted):
            m.d.sync += self.fired_sum.eq(self.fired_sum + spikes)
        fired = Cat(unit.spike | old.any() for old, unit in zip(before, units, strict=True))
        return Mux(counted, fired, self.spikes), ~last_layer[SPIKE_CLOCK] & (~counted | ends)

    def _counts(self):
        """The address of ``fired_index``'s counts."""
        machine = self.machine
        base = machine.slot_base(len(machine.layers) - 2)
        return self.fired_index[(machine.units - 1).bit_length():] + base

    def _look_up(self, m, read, address):
        """Read the counts at *address*; the one of ``fired_index`` is out a clock later."""
        m.d.comb += read.addr.eq(address)
        if self.machine.units == 1:
            m.d.comb += self.fired_count.eq(read.data)
            return
        lane = self.fired_index[:(self.machine.units - 1).bit_length()]
        held = Signal.like(lane, reset_less=True)
        m.d.sync += held.eq(lane)
        m.d.comb += self.fired_count.eq(read.data.word_select(held, len(self.fired_count)))

    def _collect(self, m, valid, bits, wanted):
        """Spikes into words of 16, lowest neuron in the lowest bit."""
        units = self.machine.units
        filled = Signal(range(WORD // units))
        last_layer = delays(m, self._job.last_layer, SPIKE_CLOCK + 1)[SPIKE_CLOCK]
        m.d.comb += [self.spikes_valid.eq(valid), self.spikes_last_layer.eq(last_layer)]
        m.d.sync += self.word_valid.eq(0)
        with m.If(valid):
            m.d.sync += [
                self.word.eq(Cat(self.word[units:], bits)),
                filled.eq(filled + 1),
                self.word_valid.eq((filled == WORD // units - 1) & wanted),
            ]

    def _read_out(self, m, units, slot, start, settled, address):
        """Scores of the last layer's slots that hold a class, into the argmax."""
        machine, job = self.machine, self._job
        last_slot = (machine.classes - 1) % machine.slots
        wanted = self.rotate & job.last_layer & settled & (~job.final | (slot <= last_slot))
        m.submodules.argmax = argmax = Argmax(machine)
        wiring.connect(m, argmax.result, wiring.flipped(self.result))
        clock = 6 if machine.readout == "count" else 4
        marks = delays(m, Cat(wanted, job.opening & (slot == 0), job.final & (slot == last_slot)),
                       clock + 1, init=0)[clock]
        m.d.comb += [argmax.valid.eq(marks[0]), argmax.first.eq(marks[1]), argmax.last.eq(marks[2])]
        if machine.readout == "count":
            self._count_spikes(m, units[0], slot, start, argmax)
        else:
            self._score_potential(m, units[0], address, argmax)

    def _count_spikes(self, m, unit, slot, start, argmax):
        """Σ_t s of unit 0's slots, read in clock 4 and written in clock 6 of the slot."""
        machine = self.machine
        m.submodules.spike_counts = memory = table(machine.score_bits - 1, machine.slots)
        write, read = memory.write_port(), memory.read_port()
        slots = delays(m, slot, 7)
        fresh = delays(m, start, 6)[5]
        valid = delays(m, self.rotate, 7, init=0)[6]
        total = Signal(machine.score_bits - 1, reset_less=True)
        m.d.sync += total.eq(Mux(fresh, 0, read.data) + unit.spike)
        m.d.comb += [
            read.addr.eq(slots[4]), write.addr.eq(slots[6]), write.data.eq(total),
            write.en.eq(valid), argmax.score.eq(total),
        ]

    def _score_potential(self, m, unit, address, argmax):
        machine = self.machine
        m.submodules.score = score = PotentialScore(machine)
        m.d.comb += [score.current.eq(unit.current), argmax.score.eq(score.score)]
        for clock in sorted(set(READOUT_CLOCK.values())):
            fields = [f for f in machine.readout_fields
                      if f.constant is None and READOUT_CLOCK[f.name] == clock]
            if not fields:
                continue
            columns = [(getattr(score, field.name), self.image.readout[field.name])
                       for field in fields]
            rom(m, f"readout{clock}", columns, address[clock - 1], machine.readout_slots)


def delays(m, value, count, *, init=None):
    """*value* and its copies 1 .. count - 1 clocks later; reset only where *init* is given."""
    stages = [value]
    for _ in range(count - 1):
        stage = (Signal(len(value), reset_less=True) if init is None
                 else Signal(len(value), init=init))
        m.d.sync += stage.eq(stages[-1])
        stages.append(stage)
    return stages


def rom(m, name, columns, address, depth):
    """A read-only memory of (port, values) *columns*, lowest first; each port gets what is read."""
    words = [0] * depth
    offset = 0
    for port, values in columns:
        for i, value in enumerate(values):
            words[i] |= (value & ((1 << len(port)) - 1)) << offset
        offset += len(port)
    memory = table(offset, depth, words)
    m.submodules[name] = memory
    read = memory.read_port()
    m.d.comb += read.addr.eq(address)
    offset = 0
    for port, _ in columns:
        m.d.comb += port.eq(read.data[offset:offset + len(port)])
        offset += len(port)
