"""The walker of a bank: which word is read next, and which weight rows its spikes will meet."""

from types import SimpleNamespace

from amaranth.hdl import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .jobs import address_bits, bits_of, job_layout, listed_planes, progress_bits, request_layout
from .memory import Rom

__all__ = ["Walker"]


class Walker(wiring.Component):
    """Walks items, steps and windows: a request a clock while they are taken.

    Two read-only *memories* say what to do: ``items`` and ``windows`` of the inventory. A clock: 1.
    the entry at hand and its item's origin make the request; 2. when it is taken the next entry is
    read: of the window, or behind its last one the window's start, for the next step. Behind an
    item's last step one clock passes in which the next item is read.

    An entry waits until what it reads is written. The last one of a pass waits until the job of its
    transfer may go, and hands that over in the clock in which it is taken itself. A list's entry
    stands for the whole list, ``list_count`` requests; in a sample's first pass the lanes have
    taken plane 0 as the pixels came: it stands for nothing if there is no other. In a stream a step
    is a sample.

    Members
    -------
    =============== === ==================== ==================================================
    ``begin``       In  1                    a sample begins
    ``fresh``       In  1                    with ``begin``, in a stream: nothing went before
    ``input_ready`` In  1                    a whole sample is there
    ``progress``    In  `progress_bits`      rounds of the sample that every bank has behind it
    ``list_count``  In  0 .. words           entries of the list
    ``idle``        Out 1                    all requests of the sample are taken
    ``requests``    Out stream               `request_layout`: the words to read
    ``jobs``        Out stream, always ready `job_layout`: the jobs of the transfers
    ``job_free``    In  1                    a job may come; until it does
    =============== === ==================== ==================================================
    """

    def __init__(self, timing, memories):
        self.timing, self.layout, self.memories = timing, timing.layout, memories
        self.parameters = timing.layout.parameters
        super().__init__({
            "begin": In(1), "fresh": In(1), "input_ready": In(1), "idle": Out(1),
            "progress": In(progress_bits(self.timing)),
            "list_count": In(range(self.layout.value_words + 1)),
            "requests": Out(stream.Signature(request_layout(self.layout))),
            "jobs": Out(stream.Signature(job_layout(self.layout), always_ready=True)),
            "job_free": In(1),
        })

    def elaborate(self, platform):
        m = Module()
        at, items, windows = self._place(m)
        list_last = self._list(m, at)
        last_step = at.step == at.now.last_step
        transfers = at.now.fires | (last_step if self.parameters.order == "layer" else 1)
        running, moving, leaves = Signal(), Signal(), Signal()
        requests, jobs = self.requests, self.jobs
        m.d.comb += [
            at.ends.eq(at.entry.ends & transfers & list_last),
            requests.valid.eq(running & self._allowed(m, at) & (~at.ends | self.job_free)),
            jobs.valid.eq(requests.valid & requests.ready & at.ends),
            moving.eq(requests.valid & requests.ready & list_last),
            leaves.eq(moving & at.entry.ends & last_step & at.entry.final),
            windows.enable.eq(at.entering | moving), items.enable.eq(self.idle | leaves),
        ]
        self._walk(m, at, items, windows, SimpleNamespace(
            running=running, moving=moving, leaves=leaves, last_step=last_step))
        self._request(m, at)
        self._job(m, at, last_step)
        if platform == "formal":
            self._claim(m)
        return m

    def _place(self, m):
        """Where the walk is: its item and entry, the layer's constants, the step; and the memories
        of items and windows."""
        m.submodules.windows = windows = Rom(self.memories["windows"])
        m.submodules.items = items = Rom(self.memories["items"])
        now = self._constants(m, items.word)
        parameters = self.parameters
        step, column = (Signal(range(max(n, 2)), name=name) for name, n in (
            ("step", parameters.steps), ("column", parameters.columns)))
        behind = [Signal(address_bits(self.layout), name=f"behind{i}")
                  for i in range(len(now.maps))]
        entering, advanced, ends = (Signal(name=name) for name in (
            "entering", "advanced", "ends"))
        return SimpleNamespace(
            item=items.word, entry=windows.word, now=now, step=step, column=column, behind=behind,
            entering=entering, advanced=advanced, ends=ends, time=self._time(m)), items, windows

    def _walk(self, m, at, items, windows, this):
        """From entry to entry, from step to step, from item to item."""
        entry, item, following, home = at.entry, at.item, *(
            Signal.like(windows.address, name=name) for name in ("following", "home"))
        next_item, at_last = Signal.like(items.address, name="next_item"), Signal()
        last_item = self.memories["items"].depth - 1
        m.d.comb += [windows.address.eq(following), items.address.eq(next_item)]
        m.d.sync += at.advanced.eq(0)
        with m.If(windows.enable):
            m.d.sync += following.eq(windows.address + 1)
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.idle.eq(1)
                with m.If(self.begin):
                    m.next = "ENTER"
            with m.State("ENTER"):
                m.d.comb += [at.entering.eq(1), windows.address.eq(item.start)]
                m.d.sync += [home.eq(item.start), at.step.eq(0), at.column.eq(0),
                             at_last.eq(next_item == last_item),
                             next_item.eq(Mux(next_item == last_item, 0, next_item + 1))]
                m.d.sync += [behind.eq(0) for behind in at.behind]
                m.next = "RUN"
            with m.State("RUN"):
                m.d.comb += this.running.eq(1)
                with m.If(this.moving & entry.ends & (entry.final | at.now.ors)):
                    self._next_step(m, at, this.last_step)
                    with m.If(this.last_step):
                        m.d.sync += home.eq(following)
                with m.If(entry.ends & (entry.final | at.now.ors) & ~this.last_step):
                    m.d.comb += windows.address.eq(home)
                with m.If(this.leaves):
                    m.next = "ENTER"
                    with m.If(at_last & at.time.last):
                        m.next = "IDLE"
        with m.If(this.leaves & at_last):
            self._next_time(m, at.time)

    def _claim(self, m):
        """What is asked for is there: a line or a value, a weight row; a job's line too."""
        out, job = self.requests.payload, self.jobs.payload
        asked, handed = self.requests.valid, self.jobs.valid
        words = Mux(out.value | out.listed, self.layout.value_words, self.layout.lines)
        m.d.comb += [Assert(~asked | out.skip | out.pad | (out.address < words)),
                     Assert(~asked | out.skip | (out.row < self.layout.rows)),
                     Assert(~handed | (job.line < self.layout.lines)),
                     Assert(~handed | (job.layer < len(self.parameters.layers)))]

    def _constants(self, m, item):
        """What all items of a layer share, registered: settled when its first entry is there."""
        tables = [_layer_constants(self.timing, i) for i in range(len(self.parameters.layers))]
        now = SimpleNamespace(maps=[])
        for name in tables[0][0]:
            chosen, held = self._chosen(m, item, name, [table[0][name] for table in tables])
            setattr(now, name, held)
            setattr(now, f"next_{name}", chosen)
        for source in range(max(len(table[1]) for table in tables)):
            now.maps.append(SimpleNamespace(**{
                name: self._chosen(m, item, f"{name}{source}",
                                   [table[1][min(source, len(table[1]) - 1)][name]
                                    for table in tables])[1]
                for name in tables[0][1][0]}))
        return now

    def _chosen(self, m, item, name, values):
        """The value of the layer of *item*: at once, and a clock later."""
        if len(set(values)) == 1:
            return Const(values[0]), Const(values[0])
        chosen, held = (Signal(bits_of(max(values)), name=f"{prefix}{name}")
                        for prefix in ("next_", ""))
        with m.Switch(item.layer):
            for index, value in enumerate(values):
                with m.Case(index):
                    m.d.comb += chosen.eq(value)
        m.d.sync += held.eq(chosen)
        return chosen, held

    def _time(self, m):
        """In a core that runs step by step: which step (``number``), whether it is the ``first``
        or the ``last`` one, and what lies behind it."""
        parameters = self.parameters
        if parameters.order != "step":
            return SimpleNamespace(first=Const(1), last=Const(1), rounds=Const(0), frames=Const(0),
                                   parity=Const(0))
        number = Signal(range(max(parameters.steps, 2)), name="time")
        rounds, frames = Signal(progress_bits(self.timing)), Signal(address_bits(self.layout))
        first, last, parity = number == 0, number == parameters.steps - 1, Signal()
        with m.If(self.idle):
            m.d.sync += rounds.eq(0)
            if not parameters.streaming:
                m.d.sync += parity.eq(0)
        if parameters.streaming:
            first, last = self._stream_begins(m, number), Const(1)
        return SimpleNamespace(number=number, first=first, last=last, rounds=rounds, frames=frames,
                               parity=parity)

    def _stream_begins(self, m, number):
        """Whether the step at hand is a stream's first; *number* goes round, for the totals are
        halved after each round."""
        first = Signal(name="first_time")
        with m.If(self.idle & self.begin):
            m.d.sync += first.eq(self.fresh)
            with m.If(self.fresh):
                m.d.sync += number.eq(0)
        return first

    def _next_time(self, m, time):
        if self.parameters.order == "step":
            last = self.parameters.steps - 1
            m.d.sync += [
                time.number.eq(Mux(time.number == last, 0, time.number + 1)),
                time.rounds.eq(time.rounds + self.timing.total_rounds),
                time.frames.eq(Mux(time.last, 0, time.frames + self.layout.frame_words)),
                time.parity.eq(~time.parity)]

    def _list(self, m, at):
        """Whether this clock's request is the last one of its entry; ``at.list`` is its place in
        the list, ``at.input_there`` whether the input is."""
        at.list = SimpleNamespace(index=Const(0), skip=Const(0), there=Const(0), begun=Const(0))
        at.input_there = self.input_ready
        if not self.parameters.lists:
            return Const(1)
        taken, last, index = Signal(), Signal(), Signal.like(self.list_count)
        ended, none = Signal(), Signal()
        done, begun = ~taken, Const(0)
        if listed_planes(self.parameters) > 1:     # the last pixel is in the list a clock later
            done, begun, at.input_there = Const(0), ~taken, Signal()
            m.d.sync += at.input_there.eq(self.input_ready)
        listed = at.now.listed
        at.list = SimpleNamespace(index=index, skip=listed & (done | none), there=listed,
                                  begun=begun)
        m.d.comb += last.eq(~listed | done | ended)
        m.d.sync += [none.eq(self.list_count == 0), ended.eq(self.list_count <= index + 1)]
        with m.If(self.requests.valid & self.requests.ready):
            m.d.sync += [index.eq(index + 1), ended.eq(self.list_count <= index + 2)]
            with m.If(last):
                m.d.sync += [index.eq(0), taken.eq(1), ended.eq(self.list_count <= 1)]
        with m.If(self.idle):
            m.d.sync += taken.eq(0)
        return last

    def _allowed(self, m, at):
        """Whether what the entry reads is there: for this step and the next one, a clock ahead."""
        parameters = self.parameters
        ready, now, then = Signal(), Signal(), Signal()
        ahead = Signal(signed(progress_bits(self.timing)))
        step, last_step = at.step, at.step == at.now.next_last_step
        m.d.comb += ahead.eq(self.progress - at.time.rounds - at.now.next_need)
        if parameters.order == "step":
            m.d.sync += [now.eq(ahead >= 1), then.eq(ahead >= 1)]
        else:
            stride, steps = at.now.next_stride, parameters.steps
            needed = Mux(last_step, steps, step + stride)
            following = Mux(last_step, stride, step + 2 * stride)
            if steps % parameters.columns:
                following = Mux(following > steps, steps, following)
            few = min(bits_of(steps + parameters.columns), len(ahead) - 1)     # for what is needed
            low, many = ahead[:few], ahead[few:-1].any()
            m.d.sync += [enough.eq(~ahead[-1] & (many | (low >= wanted)))
                         for enough, wanted in ((now, needed), (then, following))]
        m.d.sync += ready.eq(ahead >= 0)
        there = Mux(at.entry.early, ready, Mux(at.advanced, then, now))
        return at.input_there & there

    def _next_step(self, m, at, last_step):
        wraps = (at.column == self.parameters.columns - 1) | at.now.merged
        following = Mux(last_step, 0, at.step + at.now.stride)
        m.d.sync += [at.step.eq(following), at.advanced.eq(1),
                     at.column.eq(Mux(last_step | wraps, 0, at.column + 1))]
        for behind, source in zip(at.behind, at.now.maps, strict=True):
            moves = wraps | source.value        # values have no columns
            m.d.sync += behind.eq(Mux(last_step, 0, behind + Mux(moves, source.lines, 0)))

    def _source(self, at):
        """Origin and constants of the map that the entry reads."""
        names = ("base", "y", "x")
        sets = [{**{name: getattr(at.item, f"{name}{s}") for name in names}, **vars(source),
                 "behind": at.behind[s]} for s, source in enumerate(at.now.maps)]
        if len(sets) == 1:
            return SimpleNamespace(**sets[0])
        return SimpleNamespace(**{name: Mux(at.entry.source, sets[1][name], sets[0][name])
                                  for name in sets[0]})

    def _request(self, m, at):
        entry, out, source = at.entry, self.requests.payload, self._source(at)
        outside = Signal()
        y, x = source.y + entry.dy, source.x + entry.dx
        m.d.comb += outside.eq((y < 0) | (y >= source.height) | (x < 0) | (x >= source.width))
        place = source.base + entry.offset + source.behind
        place += Mux(source.framed, at.time.frames, 0) + Mux(at.time.parity ^ source.previous,
                                                             source.kept, 0)
        nothing = source.previous & (at.time.first & (at.step == 0))
        m.d.comb += [
            out.address.eq(Mux(at.list.there, at.list.index, place)),
            out.column.eq(at.column), out.row.eq(at.item.row + entry.row),
            out.format.eq(source.format), out.begun.eq(at.list.begun),
            out.listed.eq(at.list.there), out.value.eq(source.value),
            out.merged.eq(at.now.merged), out.paired.eq(at.now.paired),
            out.pad.eq(outside), out.ends.eq(at.ends),
            out.skip.eq(at.item.silent | nothing | at.list.skip
                        | (outside & ~source.padded)),
        ]

    def _job(self, m, at, last_step):
        parameters, item, time = self.parameters, at.item, at.time
        job, opens = self.jobs.payload, Signal()
        closes, ors = at.entry.final | at.now.ors, at.now.ors
        passed = self._passed(m, at, last_step)
        with m.If(self.jobs.valid):
            m.d.sync += opens.eq(Mux(ors, opens & ~last_step, closes))
        with m.If(at.entering):
            m.d.sync += opens.eq(1)
        kept = Mux(time.parity, at.now.kept, 0)
        m.d.comb += [
            job.layer.eq(item.layer),
            job.slot.eq(item.slot + Mux(at.now.each, passed, 0)),
            job.membrane.eq(item.membrane + (passed if parameters.order == "step" else 0)),
            job.line.eq(item.line + self._line_behind(m, at) + kept), job.column.eq(at.column),
            job.silent.eq(item.silent), job.opens.eq(opens), job.closes.eq(closes),
            job.start.eq(time.first & (at.step == 0)), job.step.eq(at.step),
            job.words.eq(item.words),
            job.settled.eq((time.last | parameters.exits) & last_step),
            job.opening.eq(item.opening), job.final.eq(item.final),
        ]
        if parameters.exits:
            m.d.comb += job.ending.eq(time.last)
        if parameters.streaming:
            m.d.comb += job.halves.eq((time.number == 0) & ~time.first)

    def _passed(self, m, at, last_step):
        """Slots of the passes before this one, each of which is a neuron of its own."""
        layout = self.layout
        if not self.parameters.ors:
            return Const(0)
        passed = Signal(range(max(layout.membrane_slots, layout.neuron_slots)))
        with m.If(self.jobs.valid & at.now.ors & last_step):
            m.d.sync += passed.eq(passed + at.now.used)
        with m.If(at.entering):
            m.d.sync += passed.eq(0)
        return passed

    def _line_behind(self, m, at):
        """Lines of the steps before this one in the layer's own region."""
        parameters = self.parameters
        if parameters.order == "step" or parameters.steps <= parameters.columns:
            return Const(0)
        behind, last_step = Signal(address_bits(self.layout)), at.step == at.now.last_step
        moves = self.jobs.valid & (at.entry.final | at.now.ors)
        with m.If(moves):
            wraps = (at.column == parameters.columns - 1) | at.now.paired
            m.d.sync += behind.eq(Mux(last_step, 0, behind + Mux(wraps, at.now.own_lines, 0)))
        return behind


def _layer_constants(timing, index):
    layout, parameters = timing.layout, timing.layout.parameters
    layer = parameters.layers[index]
    need = timing.needs[index] % (1 << progress_bits(timing))
    own = layout.line_words[index] if layer.fires and not parameters.is_last(index) else 0
    paired, stride = parameters.paired(index), timing.stride[index]
    return ({"last_step": (timing.window_steps[index] - 1) * stride, "stride": stride,
             "need": need, "fires": layer.fires, "ors": layer.pooling == "or",
             "merged": parameters.merged(index) or paired, "paired": paired,
             "listed": layer.maps[0].kind == "list", "own_lines": own,
             "each": layer.neuron_parameters, "used": layout.used_slots[index],
             "kept": own if parameters.kept(index) else 0},
            [_map_constants(layout, source) for source in layer.maps])


def _map_constants(layout, source):
    parameters, words = layout.parameters, layout.line_words[source.layer]
    by_step, of_input = parameters.order == "step", source.layer < 0
    steady = by_step or (of_input and parameters.coding == "direct")
    kept = by_step and not of_input and parameters.kept(source.layer)
    return {"height": source.height, "width": source.width, "value": source.kind == "values",
            "padded": source.pad != 0, "lines": 0 if steady else words,
            "previous": source.previous, "format": parameters.formats.index(source.format),
            "kept": words if kept else 0,
            "framed": by_step and of_input and parameters.frames > 1}
