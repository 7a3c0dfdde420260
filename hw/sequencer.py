"""The sequencer: which list entry meets which weight row, clock by clock."""

from amaranth.hdl import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Sequencer", "job_layout"]


def job_layout(machine):
    """What the rotation needs to know of the transfer that starts it.

    ``sum_x`` is Σx·2^(W-1); ``slot`` the parameter address of slot 0; ``doubled``: weights are
    1-bit; ``start``: membranes start at u0; ``counted``: the next layer takes spike counts;
    ``replay``: the rotation runs for every step; ``last_layer``; ``opening``: its first group;
    ``settled``: its last step; ``final``: the last transfer of the sample.
    """
    addresses = max(machine.neuron_slots, machine.readout_slots, 2)
    flags = ("doubled", "start", "replay", "counted", "last_layer", "opening", "settled", "final")
    return data.StructLayout({"sum_x": machine.sum_bits, "slot": range(addresses),
                              **dict.fromkeys(flags, 1)})


class Sequencer(wiring.Component):
    """Runs the passes of a sample: for each layer, group, step and weight plane its event list.

    States. IDLE: until ``begin``. TAKEN: the first pass of a direct-coded input is already in the
    lanes, which took each pixel as it came. FETCH: until the step's list is complete; its count is
    read.
    STREAM: one list entry a clock; one empty clock for an empty list. NEXT: the pass's transfer, if
    it ends with one, is issued as soon as the shadow will be free when it gets there; the loop
    counters move on. REST: after the last pass, until ``finished``; SETTLE: until the last rotation
    is over, so that samples do not touch each other. So a pass of n events takes max(n, 1) + 2
    clocks, and consecutive transfers are at least rotation × replays clocks apart.

    ``list_address`` counts through the list (it is read in the clock of ``event``); the entry meets
    weight row ``row_base`` + its index in plane ``plane``, both valid a clock longer than the pass.
    ``counts`` says that x is a spike count, ``fired_sum`` the sum of all of them.
    ``job`` describes a transfer from the clock after it until the next one.
    """

    def __init__(self, machine, *, list_bits, count_bits):
        self.machine = machine
        layers = machine.layers
        super().__init__({
            "begin": In(1), "finished": In(1), "idle": Out(1),
            "direct_count": In(count_bits), "direct_sum": In(machine.sum_bits),
            "fired_sum": In(machine.sum_bits), "counts": Out(1),
            "count": In(count_bits), "count_step": Out(range(max(machine.steps, 2))),
            "lists_done": In(range(len(layers) * machine.steps + 1)),
            "buffer": Out(1), "direct": Out(1, init=machine.coding == "direct"),
            "list_address": Out(list_bits), "event": Out(1), "transfer": Out(1),
            "row_base": Out(range(machine.rows + 1)),
            "plane": Out(range(max(layer.weight_bits for layer in layers))),
            "job": Out(job_layout(machine)),
        })

    def elaborate(self, platform):
        m = Module()
        direct = self.machine.coding == "direct"
        shape = self._shape(m)
        done, advance = Signal.like(self.count), Signal()
        count = Mux(self.direct, self.direct_count, self.count)
        timer = Signal(range(self.machine.rotation * self.machine.steps))
        last_event, transfers = Signal(), Signal()
        needed = Signal.like(self.lists_done)
        m.d.comb += [
            last_event.eq((count == 0) | (count == done + 1)),
            transfers.eq(shape.last_plane & (shape.now.fires | shape.last_step)),
            needed.eq(shape.lists_before + self.count_step),
        ]
        m.d.sync += timer.eq(Mux(timer == 0, 0, timer - 1))
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.idle.eq(1)
                with m.If(self.begin):
                    m.next = "TAKEN" if self.machine.coding == "direct" else "FETCH"
            with m.State("TAKEN"):
                m.d.sync += shape.sum_x.eq(self.direct_sum)
                m.next = "NEXT"
            with m.State("FETCH"):
                m.d.sync += [self.list_address.eq(shape.list_base), done.eq(0)]
                with m.If(self.direct | (self.lists_done > needed)):
                    m.next = "STREAM"
            with m.State("STREAM"):
                m.d.comb += self.event.eq(count != 0)
                m.d.sync += [self.list_address.eq(self.list_address + 1), done.eq(done + 1)]
                with m.If(last_event):
                    m.next = "NEXT"
            with m.State("NEXT"):
                with m.If(~transfers | (timer == 0)):
                    m.d.comb += [advance.eq(1), self.transfer.eq(transfers)]
                    m.next = "FETCH"
                    with m.If(shape.last_plane & shape.last_step & shape.last_group
                              & shape.now.last_layer):
                        m.next = "REST"
            with m.State("REST"):
                m.d.sync += [shape.layer.eq(0), shape.lists_before.eq(0), shape.slot.eq(0),
                             self.row_base.eq(0), shape.group_row.eq(0), self.direct.eq(direct)]
                with m.If(self.finished):
                    m.next = "SETTLE"
            with m.State("SETTLE"):
                with m.If(timer == 0):
                    m.next = "IDLE"
        self._count_loops(m, shape, advance)
        self._sum_inputs(m, shape, count, done)
        with m.If(self.transfer):
            replay = Mux(shape.now.replay, self.machine.rotation * self.machine.steps,
                         self.machine.rotation)
            m.d.sync += timer.eq(replay - 1)
            self._describe(m, shape)
        return m

    def _shape(self, m):
        """Constants of the current layer, and the loop counters with their ends."""
        machine = self.machine
        index = Signal(range(max(len(machine.layers), 2)), name="layer")
        group = Signal(range(max(machine.groups(i) for i in range(len(machine.layers))) + 1))
        shape = data.StructLayout({
            "fan_in": range(max(layer.fan_in for layer in machine.layers) + 1),
            "planes_1": self.plane.shape(), "groups_1": group.shape(),
            "steps_1": self.count_step.shape(), "fires": 1, "replay": 1, "stays": 1,
            "doubled": 1, "last_layer": 1,
        })
        constants, now = Signal(shape, name="constants"), Signal(shape, name="now")
        with m.Switch(index):
            for i, layer in enumerate(machine.layers):
                direct = machine.is_direct(i)
                with m.Case(i):
                    m.d.comb += constants.eq(shape.const({
                        "fan_in": layer.fan_in, "planes_1": layer.weight_bits - 1,
                        "groups_1": machine.groups(i) - 1,
                        "steps_1": machine.list_steps(i) - 1,
                        "fires": layer.fires, "replay": direct and layer.fires,
                        "stays": direct,
                        "doubled": layer.weight_bits == 1, "last_layer": machine.is_last(i),
                    }))
        m.d.sync += now.eq(constants)
        m.d.comb += [self.buffer.eq(index[0]),
                     self.counts.eq(now.last_layer & machine.counted)]
        return _Loops(m, self, now, index, group)

    def _count_loops(self, m, shape, advance):
        """Moves plane, step, group and layer on: the innermost first."""
        next_row = self.row_base + shape.now.fan_in
        with m.If(advance):
            m.d.sync += [self.plane.eq(self.plane + 1), self.row_base.eq(next_row)]
            with m.If(shape.last_plane):
                m.d.sync += [
                    self.plane.eq(0), self.row_base.eq(shape.group_row),
                    self.count_step.eq(self.count_step + 1),
                    shape.list_base.eq(shape.list_base
                                       + Mux(shape.now.stays, 0, shape.now.fan_in)),
                ]
                with m.If(shape.last_step):
                    m.d.sync += [
                        self.count_step.eq(0), shape.list_base.eq(0),
                        self.row_base.eq(next_row), shape.group_row.eq(next_row),
                        shape.group.eq(shape.group + 1), shape.slot.eq(shape.next_slot),
                    ]
                    with m.If(shape.last_group):
                        m.d.sync += [shape.group.eq(0), shape.layer.eq(shape.layer + 1)]
                        self._next_layer(m, shape)
    def _next_layer(self, m, shape):
        layers = self.machine.layers
        m.d.sync += shape.lists_before.eq(
            shape.lists_before + Mux(shape.now.stays, 0, self.machine.steps))
        m.d.sync += self.direct.eq(0)
        if not layers[-1].fires:
            with m.If(shape.layer == len(layers) - 2):
                m.d.sync += shape.slot.eq(0)

    def _sum_inputs(self, m, shape, count, done):
        """Σx over the steps since the last transfer, once a plane."""
        with m.If(self.transfer):
            m.d.sync += shape.sum_x.eq(0)
        with m.Elif((done == 0) & (self.event) & (self.plane == 0)):
            m.d.sync += shape.sum_x.eq(
                shape.sum_x + Mux(self.direct, self.direct_sum,
                                  Mux(self.counts, self.fired_sum, count)))

    def _describe(self, m, shape):
        machine, job = self.machine, self.job
        with m.Switch(shape.layer):
            for i, layer in enumerate(machine.layers):
                with m.Case(i):
                    m.d.sync += job.sum_x.eq(shape.sum_x << (layer.weight_bits - 1))
        last_layer = shape.now.last_layer
        m.d.sync += [
            job.slot.eq(shape.slot),
            job.doubled.eq(shape.now.doubled),
            job.start.eq(self.count_step == 0),
            job.replay.eq(shape.now.replay),
            job.counted.eq(self.machine.counted & (shape.layer == len(machine.layers) - 2)),
            job.last_layer.eq(last_layer),
            job.opening.eq(shape.group == 0),
            job.settled.eq(shape.last_step),
            job.final.eq(last_layer & shape.last_group & shape.last_step),
        ]


class _Loops:
    """The sequencer's loop counters, and what the present layer makes of them.

    The constants of the layer and the ends of the loops are registers, to keep them off the long
    path. They are right two clocks after the counters move, in NEXT at the earliest.
    """

    def __init__(self, m, owner, now, layer, group):
        machine = owner.machine
        self.now, self.layer, self.group = now, layer, group
        self.last_plane, self.last_step, self.last_group = (
            Signal(name=name) for name in ("last_plane", "last_step", "last_group"))
        m.d.sync += [
            self.last_plane.eq(owner.plane == now.planes_1),
            self.last_step.eq(owner.count_step == now.steps_1),
            self.last_group.eq(group == now.groups_1),
        ]
        self.list_base = Signal.like(owner.list_address, name="list_base")
        self.lists_before = Signal.like(owner.lists_done, name="lists_before")
        self.group_row = Signal.like(owner.row_base, name="group_row")
        self.slot = Signal(range(max(machine.slot_base(len(machine.layers)) + 1, 2)), name="slot")
        self.next_slot = self.slot + machine.slots
        self.sum_x = Signal(machine.sum_bits, name="sum_x")
