"""A bank's neurons: the rotation that takes the shadow past the units, and all they read and write.
"""

from types import SimpleNamespace

from amaranth.hdl import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from qsnn_hw.machine.layers import WORD

from .jobs import bits_of, job_layout
from .memory import Rom, delays, table
from .neuron import NeuronUnit

__all__ = ["NeuronArray", "word_layout"]


def word_layout(layout):
    """Spikes on their way to the spike memory; ``round``: the last ones of a round."""
    return data.StructLayout({
        "line": range(max(layout.lines, 2)),
        "column": range(max(layout.parameters.columns, 2)),
        "spikes": WORD, "stored": 1, "round": 1})


class NeuronArray(wiring.Component):
    """NU units, their parameters and membranes.

    ``arrive`` comes in the clock in which the shadow takes a group, with its ``job``. From the next
    clock on (in a readout shared by several banks: from ``join`` on): 1. a slot a clock,
    ``rotate``; the shadow ``moves`` on, in a readout with the last unit's class; 2. after a
    rotation the next one of a replayed job; 3. spikes come out ``timing.spike_clock`` clocks
    behind their slot, and as words of 16 a clock after their last spike. ``current`` is a class's
    I, a clock behind its slot.

    *memories* are its entries of the inventory, by their names in it: membranes, one word a slot,
    and what else its machine has.
    """

    def __init__(self, timing, memories):
        self.timing, self.arithmetic, self.memories = timing, timing.arithmetic, memories
        self.layout, self.parameters = timing.layout, timing.layout.parameters
        parameters, arithmetic = self.parameters, self.arithmetic
        super().__init__({
            "heads": In(data.ArrayLayout(unsigned(arithmetic.acc_bits), parameters.units)),
            "arrive": In(1), "job": In(job_layout(self.layout)), "sum_x": In(arithmetic.sum_bits),
            "join": In(1), "waiting": Out(1), "active": Out(1),
            "rotate": Out(1), "moves": Out(1), "layer": Out(range(max(len(parameters.layers), 2))),
            "last_layer": Out(1), "ring": Out(range(max(len(self.timing.rings), 2))),
            "spikes": Out(parameters.units), "spikes_valid": Out(1), "spikes_last_layer": Out(1),
            "word": Out(word_layout(self.layout)), "word_valid": Out(1),
            "current": Out(signed(arithmetic.current_bits)),
            "slot": Out(range(self.layout.most_slots)),
            "step": Out(range(max(parameters.steps, 2))),
            "now": Out(job_layout(self.layout)),
        })

    def elaborate(self, platform):
        m = Module()
        self.held = job = Signal(job_layout(self.layout), reset_less=True)
        sum_x = Signal(self.arithmetic.sum_bits, reset_less=True)
        with m.If(self.arrive):
            m.d.sync += [job.eq(self.job), sum_x.eq(self.sum_x)]
        self.of_layer = self._constants(m)
        slot = self._rotate(m)
        self.clocks = clocks = self.timing.unit_clocks
        closing = self.rotate & job.closes & self.of_layer.fires
        valid = delays(m, closing, clocks["clip"] + 1, init=0)
        begins = delays(m, self.rotate & (slot == 0), clocks["clip"], init=0)
        start = job.start & (self.step == 0)
        firsts = delays(m, start, clocks["product"] + 1)
        address = delays(m, Value.cast(job.slot + slot)[:len(job.slot)], clocks["clip"])
        units = [NeuronUnit(self.arithmetic, pools=self.parameters.pools)
                 for _ in range(self.parameters.units)]
        for number, unit in enumerate(units):
            m.submodules[f"unit{number}"] = unit
            m.d.comb += [
                unit.acc.eq(self._of_step(self.heads[number])),
                unit.sum_x.eq(self._of_step(sum_x)),
                unit.doubled.eq(self.of_layer.doubled), unit.first.eq(firsts[clocks["product"]]),
                self.spikes[number].eq(unit.spike),
            ]
        m.d.comb += [self.current.eq(self._class(m, units, slot)), self.slot.eq(slot),
                     self.now.eq(job)]
        if self.parameters.pools:
            self._pool(m, units, slot)
        if self.arithmetic.synapses:
            self._synapses(m, units, slot, firsts, valid)
        self._parameters(m, units, address)
        if "membranes" in self.memories:        # some layer fires
            self._membranes(m, units, slot, begins[-1], valid[-1])
        self._collect(m, valid[self.timing.spike_clock], begins)
        return m

    def _class(self, m, units, slot):
        """The current of a readout's class, unit by unit."""
        turn = delays(m, slot[:bits_of(len(units) - 1)], 2)[1]
        return Array([unit.current for unit in units])[turn] if len(units) > 1 else units[0].current

    def _of_step(self, total):
        """What this rotation takes of *total*: all of it, or one step's."""
        bits = self.parameters.batch_bits
        if not bits:
            return total
        return Mux(self.of_layer.paired, Mux(self.step[0], total[bits:], total[:bits]), total)

    def _constants(self, m):
        """Of the job's layer."""
        layout, timing, parameters = self.layout, self.timing, self.parameters
        layers, numbers = parameters.layers, range(len(parameters.layers))
        tables = {
            "used": [used - 1 for used in layout.used_slots],
            "end": [clocks - 1 for clocks in timing.rotation],
            "replays": [replays - 1 for replays in timing.replays],
            "doubled": [layer.doubled for layer in layers],
            "last_layer": [parameters.is_last(number) for number in numbers],
            "fires": [layer.fires for layer in layers],
            "lines": layout.line_words[:-1],
            "stored": [parameters.stored(number) for number in numbers],
            "ring": timing.ring,
            "ors": [layer.pooling == "or" for layer in layers],
            "paired": [parameters.paired(number) for number in numbers],
        }
        constants = SimpleNamespace()
        for name, values in tables.items():
            values = [int(value) for value in values]
            if len(set(values)) == 1:
                setattr(constants, name, Const(values[0]))
                continue
            chosen = Signal(bits_of(max(values)), name=name)
            with m.Switch(self.held.layer):
                for index, value in enumerate(values):
                    with m.Case(index):
                        m.d.comb += chosen.eq(value)
            setattr(constants, name, chosen)
        m.d.comb += [self.layer.eq(self.held.layer), self.last_layer.eq(constants.last_layer),
                     self.ring.eq(constants.ring)]
        return constants

    def _rotate(self, m):
        """The slot of this clock (while ``rotate``); ``step`` counts replays."""
        longest = max(self.timing.rotation)
        slot = Signal(range(longest))
        m.d.comb += self.rotate.eq(self.active & (slot <= self.of_layer.used))
        self.turned = end = slot == self.of_layer.end
        with m.If(self.active):
            m.d.sync += slot.eq(Mux(end, 0, slot + 1))
            with m.If(end):
                m.d.sync += self.step.eq(self.step + 1)
                with m.If(self.step == Mux(self.held.closes, self.of_layer.replays, 0)):
                    m.d.sync += self.active.eq(0)
        begin = self.arrive
        if self.parameters.joins:
            joins = Signal()
            silent = [not layer.fires for layer in self.parameters.layers]
            m.d.comb += joins.eq(self.job.layer == silent.index(True))
            begin = (self.arrive & ~joins) | self.join
            with m.If(self.arrive & joins):
                m.d.sync += self.waiting.eq(1)
            with m.If(self.join):
                m.d.sync += self.waiting.eq(0)
        with m.If(begin):
            m.d.sync += [self.active.eq(1), slot.eq(0), self.step.eq(0)]
        last_unit = (slot & (self.parameters.units - 1)) == self.parameters.units - 1
        m.d.comb += self.moves.eq(self.rotate & (self.of_layer.fires | last_unit))
        return slot[:bits_of(self.layout.most_slots - 1)]

    def _pool(self, m, units, slot):
        """The largest current so far, a word a slot: there in the clock of pool, written in the
        next."""
        clock, bits = self.clocks["pool"], self.arithmetic.current_bits
        m.submodules.pool = memory = table(self.memories["pool"])
        write, read = memory.write_port(), memory.read_port()
        slots = delays(m, slot, clock + 2)
        writes = delays(m, self.rotate & ~self.held.closes, clock + 2, init=0)
        alone = delays(m, self.held.opens | self.of_layer.ors, clock + 1)[clock]
        m.d.comb += [read.addr.eq(slots[clock - 1]), write.addr.eq(slots[clock + 1]),
                     write.en.eq(writes[clock + 1])]
        for number, unit in enumerate(units):
            m.d.comb += [unit.pooled.eq(read.data.word_select(number, bits)),
                         unit.alone.eq(alone),
                         write.data.word_select(number, bits).eq(unit.largest)]

    def _parameters(self, m, units, address):
        """The stored fields: a memory for each clock that needs some, the units side by side."""
        clocks = self.timing.field_clocks
        stored = [one.name for one in self.arithmetic.neuron_fields if one.constant is None]
        for clock in sorted({clocks[name] for name in stored}):
            m.submodules[f"parameters{clock}"] = rom = Rom(self.memories[f"parameters{clock}"])
            m.d.comb += rom.address.eq(address[clock - 1])
            for name in stored:
                if clocks[name] == clock:
                    m.d.comb += [getattr(unit, name).eq(getattr(rom.word, f"{name}{number}"))
                                 for number, unit in enumerate(units)]

    def _membranes(self, m, units, slot, begins, written):
        """Read in the clock of read, ``written`` in that of clip; ``begins``: slot 0 is next."""
        bits = self.arithmetic.membrane_bits
        m.submodules.membranes = memory = table(self.memories["membranes"])
        write, read = memory.write_port(), memory.read_port()
        target = Signal.like(write.addr, reset_less=True)
        m.d.sync += target.eq(Mux(begins, self._place(0), target + 1))
        early = delays(m, self._place(slot), self.clocks["read"] + 1)[-1]
        m.d.comb += [read.addr.eq(early), write.addr.eq(target), write.en.eq(written)]
        for number, unit in enumerate(units):
            m.d.comb += [unit.u.eq(read.data.word_select(number, bits)),
                         write.data.word_select(number, bits).eq(unit.u_next)]

    def _place(self, slot):
        """Where a slot's state lies: layer by layer one group's is kept, else all."""
        slot = Value.cast(slot)
        if self.parameters.order == "layer":
            return slot
        return (self.held.membrane + slot)[:len(self.held.membrane)]

    def _synapses(self, m, units, slot, firsts, valid):
        """Synaptic currents beside the membranes, in a memory of their own: read two clocks before
        that of synapse, written in the clock behind it."""
        clock, bits = self.clocks["synapse"], self.arithmetic.synapse_bits
        m.submodules.synapses = memory = table(self.memories["synapses"])
        write, read = memory.write_port(), memory.read_port()
        places = delays(m, self._place(slot), clock + 2)
        m.d.comb += [read.addr.eq(places[clock - 2]), write.addr.eq(places[clock + 1]),
                     write.en.eq(valid[clock + 1])]
        for number, unit in enumerate(units):
            m.d.comb += [unit.i.eq(read.data.word_select(number, bits)),
                         unit.i_first.eq(firsts[clock - 1]),
                         write.data.word_select(number, bits).eq(unit.i_next)]

    def _collect(self, m, valid, begins):
        """Spikes into words of 16, lowest neuron in the lowest bit.

        The job is still there when its rotation's first spikes come (a rotation is longer than the
        way to them), so where they go is looked up then, and counts on from word to word.
        """
        job, word = self.held, self.word
        parameters, layout = self.parameters, self.layout
        units, per_word, spike = parameters.units, WORD // parameters.units, self.timing.spike_clock
        line, column = self._destination(m)
        slot, full = Signal(range(layout.slots), reset_less=True), Signal()
        kept = Signal(data.StructLayout({
            "silent": 1, "stored": 1, "last_layer": 1, "before": 1, "words": len(job.words)}),
            reset_less=True)
        m.d.sync += slot.eq(slot + 1)
        with m.If(begins[spike - 1]):
            m.d.sync += [
                slot.eq(0), kept.silent.eq(job.silent), kept.words.eq(job.words),
                kept.stored.eq(self.of_layer.stored & ~job.silent),
                kept.last_layer.eq(self.last_layer),
                kept.before.eq(self.of_layer.ors & ~job.opens)]
        last = delays(m, self.slot == self.of_layer.used, spike + 1)[spike]
        gathered = Cat(word.spikes[units:], self.spikes)
        index = slot[bits_of(per_word - 1):] if layout.slots > per_word else Const(0, 1)
        m.d.comb += [full.eq(valid & (((slot & (per_word - 1)) == per_word - 1) | last)),
                     self.spikes_valid.eq(valid & ~kept.silent),
                     self.spikes_last_layer.eq(kept.last_layer)]
        m.d.sync += self.word_valid.eq(full)
        with m.If(valid):
            m.d.sync += [word.spikes.eq(gathered), word.round.eq(last),
                         word.stored.eq(kept.stored & (index <= kept.words))]
        with m.If(self.word_valid):
            m.d.sync += word.line.eq(word.line + 1)
        with m.If(begins[spike]):
            m.d.sync += [word.line.eq(line), word.column.eq(column)]
        if parameters.ors:
            self._combine(m, kept.before, full)

    def _combine(self, m, before, full):
        """The spikes of several passes in one word: what the passes before sent is added.

        The word so far is read a clock before it is full and written a clock after.
        """
        word, spike = self.word, self.timing.spike_clock
        depth, words = self.memories["sent"].depth, max(self.layout.row_beats, 2)
        replay = self.step if self.parameters.order == "layer" else Const(0)
        step = Value.cast(self.held.step + replay)[:bits_of(depth // words - 1)]
        index = self.slot[bits_of(WORD // self.parameters.units - 1):][:bits_of(words - 1)]
        at = delays(m, Cat(index, step), spike + 2)
        m.submodules.sent = memory = table(self.memories["sent"])
        write, read = memory.write_port(), memory.read_port()
        m.d.comb += [read.addr.eq(at[spike - 1]), write.addr.eq(at[spike + 1]),
                     write.en.eq(self.word_valid), write.data.eq(word.spikes)]
        with m.If(full):
            m.d.sync += word.spikes.eq(Cat(word.spikes[self.parameters.units:], self.spikes)
                                        | Mux(before, read.data, 0))

    def _destination(self, m):
        """Line and column of this rotation's words."""
        job = self.held
        if set(self.timing.replays) == {1}:
            return job.line, job.column
        columns = self.parameters.columns
        column = self.step[:bits_of(columns - 1)] if columns > 1 else Const(0)
        line, replayed = job.line, self.of_layer.replays != 0
        if self.parameters.steps > columns:
            behind = Signal(len(job.line))
            with m.If(self.active & self.turned & ((column == columns - 1) | (columns == 1))):
                m.d.sync += behind.eq(behind + self.of_layer.lines)
            with m.If(self.arrive):
                m.d.sync += behind.eq(0)
            line = (job.line + behind)[:len(job.line)]
        return line, Mux(replayed, column, job.column)
