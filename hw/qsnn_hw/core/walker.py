"""The walker of a bank: which word is read next, and which weight rows its spikes will meet."""

from types import SimpleNamespace

from amaranth.hdl import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .jobs import address_bits, bits_of, job_layout, listed_planes, progress_bits, request_layout
from .memory import Rom

__all__ = ["Walker"]


class Walker(wiring.Component):
    """Walks items, steps and windows: a request a clock while ``advance``.

    Two read-only *memories* say what to do: ``items`` and ``windows`` of the inventory. A clock: 1.
    the entry at hand and its item's origin make the request; 2. with ``advance`` the next entry is
    read: of the window, or behind its last one the window's start, for the next step. Behind an
    item's last step one clock passes in which the next item is read.

    An entry waits until what it reads is written: ``progress`` counts the rounds that every bank
    has behind it. The last one of a pass hands over the ``job`` of its transfer, and waits until
    it can (``job_free``). A list's entry stands for the whole list, ``list_count`` requests; in a
    sample's first pass the lanes have taken plane 0 as the pixels came: it stands for nothing if
    there is no other. In a stream a step is a sample, the first one that begins ``fresh``.
    """

    def __init__(self, timing, memories):
        self.timing, self.layout, self.memories = timing, timing.layout, memories
        self.parameters = timing.layout.parameters
        super().__init__({
            "begin": In(1), "fresh": In(1), "input_ready": In(1), "idle": Out(1),
            "progress": In(progress_bits(self.timing)),
            "list_count": In(range(self.layout.value_words + 1)),
            "advance": In(1), "request": Out(request_layout(self.layout)), "valid": Out(1),
            "job": Out(job_layout(self.layout)), "job_valid": Out(1), "job_free": In(1),
        })

    def elaborate(self, platform):
        m = Module()
        windows, items = self._memories(m)
        entry, item = windows.word, items.word
        self.entry, self.item = entry, item
        self.now = now = self._constants(m)
        self.most = len(now.maps)
        following, home = (Signal.like(windows.address, name=name) for name in (
            "following", "home"))
        next_item, at_last = Signal.like(items.address), Signal()
        self.step, self.column = (Signal(range(max(n, 2))) for n in (
            self.parameters.steps, self.parameters.columns))
        self.behind = [Signal(address_bits(self.layout), name=f"behind{i}")
                       for i in range(self.most)]
        self._follow_time(m)
        running, moving, leaves, self.entering = Signal(), Signal(), Signal(), Signal()
        self.advanced = Signal()
        list_last = self._list(m)
        last_step = self.step == now.last_step
        transfers = now.fires | (last_step if self.parameters.order == "layer" else 1)
        self.ends = Signal()
        m.d.comb += [
            self.ends.eq(entry.ends & transfers & list_last),
            self.valid.eq(running & self._allowed(m) & (~self.ends | self.job_free)),
            moving.eq(self.valid & self.advance & list_last),
            leaves.eq(moving & entry.ends & last_step & entry.final),
            windows.address.eq(following), windows.enable.eq(self.entering | moving),
            items.address.eq(next_item), items.enable.eq(self.idle | leaves),
            self.job_valid.eq(self.valid & self.advance & self.ends),
        ]
        last_item = self.memories["items"].depth - 1
        m.d.sync += self.advanced.eq(0)
        with m.If(windows.enable):
            m.d.sync += following.eq(windows.address + 1)
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.idle.eq(1)
                with m.If(self.begin):
                    m.next = "ENTER"
            with m.State("ENTER"):
                m.d.comb += [self.entering.eq(1), windows.address.eq(item.start)]
                m.d.sync += [home.eq(item.start), self.step.eq(0), self.column.eq(0),
                             at_last.eq(next_item == last_item),
                             next_item.eq(Mux(next_item == last_item, 0, next_item + 1))]
                m.d.sync += [behind.eq(0) for behind in self.behind]
                m.next = "RUN"
            with m.State("RUN"):
                m.d.comb += running.eq(1)
                with m.If(moving & entry.ends & (entry.final | now.ors)):
                    self._next_step(m, last_step)
                    with m.If(last_step):
                        m.d.sync += home.eq(following)
                with m.If(entry.ends & (entry.final | now.ors) & ~last_step):
                    m.d.comb += windows.address.eq(home)
                with m.If(leaves):
                    m.next = "ENTER"
                    with m.If(at_last & self.last_time):
                        m.next = "IDLE"
        with m.If(leaves & at_last):
            self._next_time(m)
        self._request(m)
        self._job(m, last_step)
        if platform == "formal":
            self._claim(m)
        return m

    def _claim(self, m):
        """What is asked for is there: a line or a value, a weight row; a job's line too."""
        out = self.request
        words = Mux(out.value | out.listed, self.layout.value_words, self.layout.lines)
        m.d.comb += [Assert(~self.valid | out.skip | out.pad | (out.address < words)),
                     Assert(~self.valid | out.skip | (out.row < self.layout.rows)),
                     Assert(~self.job_valid | (self.job.line < self.layout.lines)),
                     Assert(~self.job_valid | (self.job.layer < len(self.parameters.layers)))]

    def _memories(self, m):
        m.submodules.windows = windows = Rom(self.memories["windows"])
        m.submodules.items = items = Rom(self.memories["items"])
        return windows, items

    def _constants(self, m):
        """What all items of a layer share, registered: settled when its first entry is there."""
        tables = [_layer_constants(self.timing, i) for i in range(len(self.parameters.layers))]
        now = SimpleNamespace(maps=[])
        for name in tables[0][0]:
            chosen, held = self._chosen(m, name, [table[0][name] for table in tables])
            setattr(now, name, held)
            setattr(now, f"next_{name}", chosen)
        for source in range(max(len(table[1]) for table in tables)):
            now.maps.append(SimpleNamespace(**{
                name: self._chosen(m, f"{name}{source}",
                                   [table[1][min(source, len(table[1]) - 1)][name]
                                    for table in tables])[1]
                for name in tables[0][1][0]}))
        return now

    def _chosen(self, m, name, values):
        """The value of the item's layer: at once, and a clock later."""
        if len(set(values)) == 1:
            return Const(values[0]), Const(values[0])
        chosen, held = (Signal(bits_of(max(values)), name=f"{prefix}{name}")
                        for prefix in ("next_", ""))
        with m.Switch(self.item.layer):
            for index, value in enumerate(values):
                with m.Case(index):
                    m.d.comb += chosen.eq(value)
        m.d.sync += held.eq(chosen)
        return chosen, held

    def _follow_time(self, m):
        """In a core that runs step by step: which step, and what lies behind it."""
        parameters = self.parameters
        self.first_time = self.last_time = Const(1)
        self.rounds = self.frames = self.parity = Const(0)
        if parameters.order == "step":
            self.time = Signal(range(max(parameters.steps, 2)))
            self.first_time, self.last_time = self.time == 0, self.time == parameters.steps - 1
            self.rounds = Signal(progress_bits(self.timing))
            self.frames, self.parity = Signal(address_bits(self.layout)), Signal()
            with m.If(self.idle):
                m.d.sync += self.rounds.eq(0)
                if not parameters.streaming:
                    m.d.sync += self.parity.eq(0)
            if parameters.streaming:
                self._follow_stream(m)

    def _follow_stream(self, m):
        """A step at a time; ``time`` goes round, for the totals are halved after each round."""
        self.first_time, self.last_time = Signal(), Const(1)
        with m.If(self.idle & self.begin):
            m.d.sync += self.first_time.eq(self.fresh)
            with m.If(self.fresh):
                m.d.sync += self.time.eq(0)

    def _next_time(self, m):
        if self.parameters.order == "step":
            m.d.sync += [
                self.time.eq(Mux(self.time == self.parameters.steps - 1, 0, self.time + 1)),
                self.rounds.eq(self.rounds + self.timing.total_rounds),
                self.frames.eq(Mux(self.last_time, 0, self.frames + self.layout.frame_words)),
                self.parity.eq(~self.parity)]

    def _list(self, m):
        """Whether this clock's request is the last one of its entry."""
        self.list_index = self.list_skip = self.listed = self.begun = Const(0)
        self.input_there = self.input_ready
        if not self.parameters.lists:
            return Const(1)
        taken, last, index = Signal(), Signal(), Signal.like(self.list_count)
        ended, none = Signal(), Signal()
        self.listed, self.list_index = self.now.listed, index
        done = ~taken
        if listed_planes(self.parameters) > 1:     # the last pixel is in the list a clock later
            done, self.begun, self.input_there = Const(0), ~taken, Signal()
            m.d.sync += self.input_there.eq(self.input_ready)
        self.list_skip = self.listed & (done | none)
        m.d.comb += last.eq(~self.listed | done | ended)
        m.d.sync += [none.eq(self.list_count == 0), ended.eq(self.list_count <= index + 1)]
        with m.If(self.valid & self.advance):
            m.d.sync += [index.eq(index + 1), ended.eq(self.list_count <= index + 2)]
            with m.If(last):
                m.d.sync += [index.eq(0), taken.eq(1), ended.eq(self.list_count <= 1)]
        with m.If(self.idle):
            m.d.sync += taken.eq(0)
        return last

    def _allowed(self, m):
        """Whether what the entry reads is there: for this step and the next one, a clock ahead."""
        parameters = self.parameters
        ready, now, then = Signal(), Signal(), Signal()
        ahead = Signal(signed(progress_bits(self.timing)))
        step, last_step = self.step, self.step == self.now.next_last_step
        m.d.comb += ahead.eq(self.progress - self.rounds - self.now.next_need)
        if parameters.order == "step":
            m.d.sync += [now.eq(ahead >= 1), then.eq(ahead >= 1)]
        else:
            stride, steps = self.now.next_stride, parameters.steps
            needed = Mux(last_step, steps, step + stride)
            following = Mux(last_step, stride, step + 2 * stride)
            if steps % parameters.columns:
                following = Mux(following > steps, steps, following)
            few = min(bits_of(steps + parameters.columns), len(ahead) - 1)     # for what is needed
            low, many = ahead[:few], ahead[few:-1].any()
            m.d.sync += [enough.eq(~ahead[-1] & (many | (low >= wanted)))
                         for enough, wanted in ((now, needed), (then, following))]
        m.d.sync += ready.eq(ahead >= 0)
        there = Mux(self.entry.early, ready, Mux(self.advanced, then, now))
        return self.input_there & there

    def _next_step(self, m, last_step):
        wraps = (self.column == self.parameters.columns - 1) | self.now.merged
        following = Mux(last_step, 0, self.step + self.now.stride)
        m.d.sync += [self.step.eq(following), self.advanced.eq(1),
                     self.column.eq(Mux(last_step | wraps, 0, self.column + 1))]
        for behind, source in zip(self.behind, self.now.maps, strict=True):
            moves = wraps | source.value        # values have no columns
            m.d.sync += behind.eq(Mux(last_step, 0, behind + Mux(moves, source.lines, 0)))

    def _source(self):
        """Origin and constants of the map that the entry reads."""
        names = ("base", "y", "x")
        sets = [{**{name: getattr(self.item, f"{name}{s}") for name in names},
                 **vars(self.now.maps[s]), "behind": self.behind[s]} for s in range(self.most)]
        if self.most == 1:
            return SimpleNamespace(**sets[0])
        return SimpleNamespace(**{name: Mux(self.entry.source, sets[1][name], sets[0][name])
                                  for name in sets[0]})

    def _request(self, m):
        entry, out, source = self.entry, self.request, self._source()
        outside = Signal()
        y, x = source.y + entry.dy, source.x + entry.dx
        m.d.comb += outside.eq((y < 0) | (y >= source.height) | (x < 0) | (x >= source.width))
        place = source.base + entry.offset + source.behind
        place += Mux(source.framed, self.frames, 0) + Mux(self.parity ^ source.previous,
                                                         source.kept, 0)
        nothing = source.previous & (self.first_time & (self.step == 0))
        m.d.comb += [
            out.address.eq(Mux(self.listed, self.list_index, place)),
            out.column.eq(self.column), out.row.eq(self.item.row + entry.row),
            out.format.eq(source.format), out.begun.eq(self.begun),
            out.listed.eq(self.listed), out.value.eq(source.value),
            out.merged.eq(self.now.merged), out.paired.eq(self.now.paired),
            out.pad.eq(outside), out.ends.eq(self.ends),
            out.skip.eq(self.item.silent | nothing | self.list_skip
                        | (outside & ~source.padded)),
        ]

    def _job(self, m, last_step):
        parameters = self.parameters
        item, job, opens = self.item, self.job, Signal()
        closes, ors = self.entry.final | self.now.ors, self.now.ors
        passed = self._passed(m, last_step)
        with m.If(self.job_valid):
            m.d.sync += opens.eq(Mux(ors, opens & ~last_step, closes))
        with m.If(self.entering):
            m.d.sync += opens.eq(1)
        kept = Mux(self.parity, self.now.kept, 0)
        m.d.comb += [
            job.layer.eq(item.layer),
            job.slot.eq(item.slot + Mux(self.now.each, passed, 0)),
            job.membrane.eq(item.membrane + (passed if parameters.order == "step" else 0)),
            job.line.eq(item.line + self._line_behind(m) + kept), job.column.eq(self.column),
            job.silent.eq(item.silent), job.opens.eq(opens), job.closes.eq(closes),
            job.start.eq(self.first_time & (self.step == 0)), job.step.eq(self.step),
            job.words.eq(item.words),
            job.settled.eq((self.last_time | parameters.exits) & last_step),
            job.opening.eq(item.opening), job.final.eq(item.final),
        ]
        if parameters.exits:
            m.d.comb += job.ending.eq(self.last_time)
        if parameters.streaming:
            m.d.comb += job.halves.eq((self.time == 0) & ~self.first_time)

    def _passed(self, m, last_step):
        """Slots of the passes before this one, each of which is a neuron of its own."""
        layout = self.layout
        if not self.parameters.ors:
            return Const(0)
        passed = Signal(range(max(layout.membrane_slots, layout.neuron_slots)))
        with m.If(self.job_valid & self.now.ors & last_step):
            m.d.sync += passed.eq(passed + self.now.used)
        with m.If(self.entering):
            m.d.sync += passed.eq(0)
        return passed

    def _line_behind(self, m):
        """Lines of the steps before this one in the layer's own region."""
        parameters = self.parameters
        if parameters.order == "step" or parameters.steps <= parameters.columns:
            return Const(0)
        behind, last_step = Signal(address_bits(self.layout)), self.step == self.now.last_step
        moves = self.job_valid & (self.entry.final | self.now.ors)
        with m.If(moves):
            wraps = (self.column == parameters.columns - 1) | self.now.paired
            m.d.sync += behind.eq(Mux(last_step, 0, behind + Mux(wraps, self.now.own_lines, 0)))
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
