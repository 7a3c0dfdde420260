"""A bank's neurons: the rotation that takes the shadow past the units, and all they read and write.
"""

from types import SimpleNamespace

from amaranth.hdl import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from qsnn_hw.machine.layers import WORD

from .jobs import bits_of, fired_layout, job_layout, slot_layout, word_layout
from .memory import Rom, delays, table
from .neuron import NeuronUnit

__all__ = ["NeuronArray"]


class NeuronArray(wiring.Component):
    """NU units, their parameters and membranes.

    A job comes in the clock in which the shadow takes its group. From the next clock on (in a
    readout shared by several banks: from ``join`` on): 1. a slot a clock; the shadow ``moves`` on,
    in a readout with the last unit's class; 2. after a rotation the next one of a replayed job;
    3. spikes come out ``timing.spike_clock`` clocks behind their slot, and as words of 16 a clock
    after their last spike.

    *memories* are its entries of the inventory, by their names in it: membranes, one word a slot,
    and what else its machine has.

    Members
    -------
    =========== === ==================== =========================================================
    ``heads``   In  a sum a unit         the shadow's first lanes
    ``jobs``    In  stream, always ready `job_layout`: the job of the group that the shadow takes
    ``sum_x``   In  ``sum_bits``         Σx of that group
    ``join``    In  1                    all banks' groups of a shared readout are there
    ``waiting`` Out 1                    this bank's is; until ``join``
    ``active``  Out 1                    a rotation goes on
    ``moves``   Out 1                    the shadow moves on by its units
    ``ring``    Out a number             round which of the lanes' rings
    ``slots``   Out stream, always ready `slot_layout`: the slot of this clock
    ``current`` Out ``current_bits``     of the class of the slot a clock before
    ``fired``   Out stream, always ready `fired_layout`: the slot ``spike_clock`` clocks before; a
                                         readout looks at its spikes without ``valid`` too
    ``words``   Out stream, always ready `word_layout`: spikes for the spike memory
    =========== === ==================== =========================================================
    """

    def __init__(self, timing, memories):
        self.timing, self.arithmetic, self.memories = timing, timing.arithmetic, memories
        self.layout, self.parameters = timing.layout, timing.layout.parameters
        self.clocks = timing.unit_clocks
        arithmetic, layout, units = self.arithmetic, self.layout, self.parameters.units
        super().__init__({
            "heads": In(data.ArrayLayout(unsigned(arithmetic.acc_bits), units)),
            "jobs": In(stream.Signature(job_layout(layout), always_ready=True)),
            "sum_x": In(arithmetic.sum_bits),
            "join": In(1), "waiting": Out(1), "active": Out(1), "moves": Out(1),
            "ring": Out(range(max(len(timing.rings), 2))),
            "slots": Out(stream.Signature(slot_layout(layout), always_ready=True)),
            "current": Out(signed(arithmetic.current_bits)),
            "fired": Out(stream.Signature(fired_layout(units), always_ready=True)),
            "words": Out(stream.Signature(word_layout(layout), always_ready=True)),
        })

    def elaborate(self, platform):
        m = Module()
        clocks, rotates = self.clocks, self.slots.valid
        job = Signal(job_layout(self.layout), reset_less=True)
        sum_x = Signal(self.arithmetic.sum_bits, reset_less=True)
        with m.If(self.jobs.valid):
            m.d.sync += [job.eq(self.jobs.payload), sum_x.eq(self.sum_x)]
        now = self._rotate(m, job, self._constants(m, job))
        slot = now.slot
        closing = rotates & job.closes & now.layer.fires
        valid = delays(m, closing, clocks["clip"] + 1, init=0)
        begins = delays(m, rotates & (slot == 0), clocks["clip"], init=0)
        start = job.start & (now.step == 0)
        firsts = delays(m, start, clocks["product"] + 1)
        address = delays(m, Value.cast(job.slot + slot)[:len(job.slot)], clocks["clip"])
        units = [NeuronUnit(self.arithmetic, pools=self.parameters.pools)
                 for _ in range(self.parameters.units)]
        for number, unit in enumerate(units):
            m.submodules[f"unit{number}"] = unit
            m.d.comb += [
                unit.acc.eq(self._of_step(self.heads[number], now)),
                unit.sum_x.eq(self._of_step(sum_x, now)),
                unit.doubled.eq(now.layer.doubled), unit.first.eq(firsts[clocks["product"]]),
                self.fired.payload.spikes[number].eq(unit.spike),
            ]
        m.d.comb += self.current.eq(self._class(m, units, slot))
        if self.parameters.pools:
            self._pool(m, units, now)
        if self.arithmetic.synapses:
            self._synapses(m, units, now, firsts, valid)
        self._parameters(m, units, address)
        if "membranes" in self.memories:        # some layer fires
            self._membranes(m, units, now, begins[-1], valid[-1])
        self._collect(m, now, valid[self.timing.spike_clock], begins)
        return m

    def _class(self, m, units, slot):
        """The current of a readout's class, unit by unit."""
        turn = delays(m, slot[:bits_of(len(units) - 1)], 2)[1]
        return Array([unit.current for unit in units])[turn] if len(units) > 1 else units[0].current

    def _of_step(self, total, now):
        """What this rotation takes of *total*: all of it, or one step's."""
        bits = self.parameters.batch_bits
        if not bits:
            return total
        return Mux(now.layer.paired, Mux(now.step[0], total[bits:], total[:bits]), total)

    def _constants(self, m, job):
        """Of the layer of *job*."""
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
            with m.Switch(job.layer):
                for index, value in enumerate(values):
                    with m.Case(index):
                        m.d.comb += chosen.eq(value)
            setattr(constants, name, chosen)
        return constants

    def _rotate(self, m, job, layer):
        """The rotation at hand: its *job* and the constants of that one's *layer*, the ``slot`` of
        this clock, the replay (``step``), and whether the rotation ends with this clock."""
        counted, step = Signal(range(max(self.timing.rotation))), Signal(
            range(max(self.parameters.steps, 2)))
        slot, ends = counted[:bits_of(self.layout.most_slots - 1)], counted == layer.end
        with m.If(self.active):
            m.d.sync += counted.eq(Mux(ends, 0, counted + 1))
            with m.If(ends):
                m.d.sync += step.eq(step + 1)
                with m.If(step == Mux(job.closes, layer.replays, 0)):
                    m.d.sync += self.active.eq(0)
        with m.If(self._begins(m)):
            m.d.sync += [self.active.eq(1), counted.eq(0), step.eq(0)]
        units, shown = self.parameters.units, self.slots.payload
        last_unit = (counted & (units - 1)) == units - 1
        m.d.comb += [
            self.slots.valid.eq(self.active & (counted <= layer.used)),
            self.moves.eq(self.slots.valid & (layer.fires | last_unit)), self.ring.eq(layer.ring),
            shown.number.eq(slot), shown.step.eq(step), shown.last_layer.eq(layer.last_layer),
            shown.job.eq(job),
        ]
        return SimpleNamespace(job=job, layer=layer, slot=slot, step=step, ends=ends)

    def _begins(self, m):
        """Whether a rotation begins with the next clock."""
        begin = self.jobs.valid
        if self.parameters.joins:
            joins = Signal()
            silent = [not layer.fires for layer in self.parameters.layers]
            m.d.comb += joins.eq(self.jobs.payload.layer == silent.index(True))
            begin = (self.jobs.valid & ~joins) | self.join
            with m.If(self.jobs.valid & joins):
                m.d.sync += self.waiting.eq(1)
            with m.If(self.join):
                m.d.sync += self.waiting.eq(0)
        return begin

    def _pool(self, m, units, now):
        """The largest current so far, a word a slot: there in the clock of pool, written in the
        next."""
        clock, bits = self.clocks["pool"], self.arithmetic.current_bits
        m.submodules.pool = memory = table(self.memories["pool"])
        write, read = memory.write_port(), memory.read_port()
        slots = delays(m, now.slot, clock + 2)
        writes = delays(m, self.slots.valid & ~now.job.closes, clock + 2, init=0)
        alone = delays(m, now.job.opens | now.layer.ors, clock + 1)[clock]
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

    def _membranes(self, m, units, now, begins, written):
        """Read in the clock of read, ``written`` in that of clip; ``begins``: slot 0 is next."""
        bits = self.arithmetic.membrane_bits
        m.submodules.membranes = memory = table(self.memories["membranes"])
        write, read = memory.write_port(), memory.read_port()
        target = Signal.like(write.addr, reset_less=True)
        m.d.sync += target.eq(Mux(begins, self._place(now.job, 0), target + 1))
        early = delays(m, self._place(now.job, now.slot), self.clocks["read"] + 1)[-1]
        m.d.comb += [read.addr.eq(early), write.addr.eq(target), write.en.eq(written)]
        for number, unit in enumerate(units):
            m.d.comb += [unit.u.eq(read.data.word_select(number, bits)),
                         write.data.word_select(number, bits).eq(unit.u_next)]

    def _place(self, job, slot):
        """Where a slot's state lies: layer by layer one group's is kept, else all."""
        slot = Value.cast(slot)
        if self.parameters.order == "layer":
            return slot
        return (job.membrane + slot)[:len(job.membrane)]

    def _synapses(self, m, units, now, firsts, valid):
        """Synaptic currents beside the membranes, in a memory of their own: read two clocks before
        that of synapse, written in the clock behind it."""
        clock, bits = self.clocks["synapse"], self.arithmetic.synapse_bits
        m.submodules.synapses = memory = table(self.memories["synapses"])
        write, read = memory.write_port(), memory.read_port()
        places = delays(m, self._place(now.job, now.slot), clock + 2)
        m.d.comb += [read.addr.eq(places[clock - 2]), write.addr.eq(places[clock + 1]),
                     write.en.eq(valid[clock + 1])]
        for number, unit in enumerate(units):
            m.d.comb += [unit.i.eq(read.data.word_select(number, bits)),
                         unit.i_first.eq(firsts[clock - 1]),
                         write.data.word_select(number, bits).eq(unit.i_next)]

    def _collect(self, m, now, valid, begins):
        """Spikes into words of 16, lowest neuron in the lowest bit.

        The job is still there when its rotation's first spikes come (a rotation is longer than the
        way to them), so where they go is looked up then, and counts on from word to word.
        """
        job, word, fired = now.job, self.words.payload, self.fired
        parameters, layout = self.parameters, self.layout
        units, per_word, spike = parameters.units, WORD // parameters.units, self.timing.spike_clock
        line, column = self._destination(m, now)
        slot, full = Signal(range(layout.slots), reset_less=True), Signal()
        kept = Signal(data.StructLayout({
            "silent": 1, "stored": 1, "last_layer": 1, "before": 1, "words": len(job.words)}),
            reset_less=True)
        m.d.sync += slot.eq(slot + 1)
        with m.If(begins[spike - 1]):
            m.d.sync += [
                slot.eq(0), kept.silent.eq(job.silent), kept.words.eq(job.words),
                kept.stored.eq(now.layer.stored & ~job.silent),
                kept.last_layer.eq(now.layer.last_layer),
                kept.before.eq(now.layer.ors & ~job.opens)]
        last = delays(m, now.slot == now.layer.used, spike + 1)[spike]
        gathered = Cat(word.spikes[units:], fired.payload.spikes)
        index = slot[bits_of(per_word - 1):] if layout.slots > per_word else Const(0, 1)
        m.d.comb += [full.eq(valid & (((slot & (per_word - 1)) == per_word - 1) | last)),
                     fired.valid.eq(valid & ~kept.silent),
                     fired.payload.last_layer.eq(kept.last_layer)]
        m.d.sync += self.words.valid.eq(full)
        with m.If(valid):
            m.d.sync += [word.spikes.eq(gathered), word.round.eq(last),
                         word.stored.eq(kept.stored & (index <= kept.words))]
        with m.If(self.words.valid):
            m.d.sync += word.line.eq(word.line + 1)
        with m.If(begins[spike]):
            m.d.sync += [word.line.eq(line), word.column.eq(column)]
        if parameters.ors:
            self._combine(m, now, kept.before, full)

    def _combine(self, m, now, before, full):
        """The spikes of several passes in one word: what the passes before sent is added.

        The word so far is read a clock before it is full and written a clock after.
        """
        word, spike = self.words.payload, self.timing.spike_clock
        depth, words = self.memories["sent"].depth, max(self.layout.row_beats, 2)
        replay = now.step if self.parameters.order == "layer" else Const(0)
        step = Value.cast(now.job.step + replay)[:bits_of(depth // words - 1)]
        index = now.slot[bits_of(WORD // self.parameters.units - 1):][:bits_of(words - 1)]
        at = delays(m, Cat(index, step), spike + 2)
        m.submodules.sent = memory = table(self.memories["sent"])
        write, read = memory.write_port(), memory.read_port()
        m.d.comb += [read.addr.eq(at[spike - 1]), write.addr.eq(at[spike + 1]),
                     write.en.eq(self.words.valid), write.data.eq(word.spikes)]
        with m.If(full):
            gathered = Cat(word.spikes[self.parameters.units:], self.fired.payload.spikes)
            m.d.sync += word.spikes.eq(gathered | Mux(before, read.data, 0))

    def _destination(self, m, now):
        """Line and column of this rotation's words."""
        job = now.job
        if set(self.timing.replays) == {1}:
            return job.line, job.column
        columns = self.parameters.columns
        column = now.step[:bits_of(columns - 1)] if columns > 1 else Const(0)
        line, replayed = job.line, now.layer.replays != 0
        if self.parameters.steps > columns:
            behind = Signal(len(job.line))
            with m.If(self.active & now.ends & ((column == columns - 1) | (columns == 1))):
                m.d.sync += behind.eq(behind + now.layer.lines)
            with m.If(self.jobs.valid):
                m.d.sync += behind.eq(0)
            line = (job.line + behind)[:len(job.line)]
        return line, Mux(replayed, column, job.column)
