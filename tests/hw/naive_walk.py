"""What a bank does in a sample, as nested loops: every word it reads, every pass it hands over."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from qsnn_hw.machine import schedule
from qsnn_hw.machine.arch import Machine
from qsnn_hw.machine.layers import Layer, Map, Word


@dataclass(frozen=True)
class Pass:
    """A pass that ends with a transfer: which, and its job by field name (None: not to be told)."""

    item: int
    number: int                 # the pass, of a pooling window
    step: int
    job: dict[str, int | None]
    rounds: int                 # that it counts


@dataclass(frozen=True)
class Read:
    """A request by field name (None: any), what it must find written, the pass that it ends.

    ``spikes``: (layer, place, index, steps) of a word of spikes.
    """

    request: dict[str, int | None]
    ended: Pass | None
    spikes: tuple[int, int, int, tuple[int, ...]] | None = None


@dataclass
class Walk:
    """One bank's loops through a machine."""

    machine: Machine
    bank: int
    listed: int = 0             # entries of the list
    taken: bool = field(default=False, init=False)

    def reads(self) -> Iterator[Read]:
        """All words, in order."""
        machine = self.machine
        for time in range(machine.parameters.steps if machine.parameters.order == "step" else 1):
            number = [0] * len(machine.parameters.layers)
            for index, item in enumerate(schedule.items(machine.layout, self.bank)):
                yield from self._item(index, item, number[item.layer], time)
                number[item.layer] += 1

    def _item(self, index, item, number, time):
        machine, layer = self.machine, self.machine.parameters.layers[item.layer]
        passes, steps = parts(layer.windows[self.bank]), machine.timing.window_steps[item.layer]
        ors = layer.pooling == "or"
        order = ([(n, s) for n in range(len(passes)) for s in range(steps)] if ors
                 else [(n, s) for s in range(steps) for n in range(len(passes))])
        for part, step in order:
            sums = layer.fires or machine.parameters.order == "step" or step == steps - 1
            when = (time, step, step == steps - 1)
            ended = Pass(index, part, time + step * machine.timing.stride[item.layer],
                         self._job(item, number, part, when),
                         self._rounds(item, ors or part == len(passes) - 1)) if sums else None
            for word in passes[part]:
                yield from self._word(item, word, when, ended if word.ends else None)

    def _rounds(self, item, closes):
        machine, layer = self.machine, self.machine.parameters.layers[item.layer]
        return machine.timing.replays[item.layer] if layer.fires and closes else 0

    def _word(self, item, word, when, ended):
        machine = self.machine
        layer = machine.parameters.layers[item.layer]
        source, (time, step, _) = layer.maps[word.source], when
        y, x = coordinates(layer, source, item.place, word)
        outside = not (0 <= y < source.height and 0 <= x < source.width)
        before = source.previous and time == step == 0
        skip = item.silent or before or (outside and not source.pad)
        turn = item.group // layer.group_banks if layer.fires else item.group
        request = {"row": machine.layout.row[item.layer] + turn * layer.rows + word.row,
                   "format": machine.parameters.formats.index(source.format),
                   "skip": int(skip), "pad": int(outside), "listed": int(source.kind == "list"),
                   "value": int(source.kind == "values"), "ends": int(ended is not None),
                   "merged": int(machine.timing.stride[item.layer] > 1),
                   "paired": int(machine.parameters.paired(item.layer))}
        if source.kind == "list":
            yield from self._entries(request, source.planes, ended)
            return
        place = y * source.pitch + x
        spikes = None
        if not (skip or outside):
            steps, address = self._address(item.layer, source, place, word.index, time, step)
            request |= address
            if source.kind == "spikes":
                spikes = (source.layer, place, word.index, steps)
        yield Read(hidden(request), ended, spikes)

    def _entries(self, request, planes, ended):
        """All of the list, or nothing where the lanes took all planes as the pixels came."""
        count = self.listed if self.taken or planes > 1 else 0
        if planes > 1:
            request |= {"begun": int(not self.taken)}
        self.taken = True
        for entry in range(max(count, 1)):
            last = entry == max(count, 1) - 1
            yield Read(hidden(request | {
                "address": entry, "skip": int(request["skip"] or count == 0), "pad": 0,
                "ends": int(last and request["ends"])}), ended if last else None)

    def _address(self, index, source, place, word, time, step):
        """Steps that are read, and where they lie."""
        machine, words = self.machine, machine_words(self.machine, source)
        parameters = machine.parameters
        at = place * source.words + word
        if source.kind == "values":
            frame = 0 if parameters.coding == "direct" else max(step, time)
            return (), {"address": frame * words + at}
        if parameters.order == "step":
            now = time - source.previous
            return (now,), {"address": self.line_of(source.layer, now) + at, "column": 0}
        if machine.timing.stride[index] > 1:
            first = step * parameters.columns
            steps = tuple(range(first, min(first + parameters.columns, parameters.steps)))
            return steps, {"address": self.line_of(source.layer, first) + at}
        return (step,), {"address": self.line_of(source.layer, step) + at,
                         "column": step % parameters.columns}

    def line_of(self, layer, step):
        """The first line of a step of a layer's spikes (of the input's for -1)."""
        machine, words = self.machine, self.machine.layout.line_words[layer]
        block = step // machine.parameters.columns
        if machine.parameters.order == "step" and layer >= 0:
            block = step % 2 if machine.parameters.kept(layer) else 0
        return machine.layout.line[layer] + block * words

    def _job(self, item, number, part, when):
        machine, (time, step, last) = self.machine, when
        parameters, layout = machine.parameters, machine.layout
        layer, used = parameters.layers[item.layer], layout.used_slots[item.layer]
        first = step * (machine.timing.stride[item.layer] if layer.fires else 1)
        ors = layer.pooling == "or"
        own = number * (layer.passes if ors else 1) + (part if ors else 0)
        turn = item.group // layer.group_banks if layer.fires else item.group
        shared = turn * used
        base = layout.slot_base[item.layer] if layer.fires else 0
        stored = parameters.stored(item.layer) and not item.silent
        words = -(-min(layer.channels - item.group * parameters.lanes, parameters.lanes) // 16)
        line = (self.line_of(item.layer, time + first) + item.place * layer.blocks
                + item.group * layout.row_beats)
        return {
            "layer": item.layer, "slot": base + (own * used if layer.neuron_parameters else shared),
            "membrane": (layout.membrane_base[item.layer] + own * used if layer.fires else None)
            if parameters.order == "step" else 0,
            "line": line if stored else None,
            "column": first % parameters.columns if stored else None,
            "words": words - 1 if stored else None, "silent": int(item.silent),
            "start": int(time == step == 0) if layer.fires or parameters.order == "step" else None,
            "opens": int(part == 0), "closes": int(ors or part == len(
                parts(layer.windows[self.bank])) - 1),
            "step": step if ors and parameters.order == "layer" else None,
            "settled": int(last and (parameters.order == "layer" or time == parameters.steps - 1)),
            "opening": int(item.group == 0),
            "final": int(item.group == layout.groups[item.layer] - 1)}


def written(machine: Machine) -> dict[tuple[int, int, int, int], int]:
    """The rounds after which each word (layer, place, index, step) is in the spike memory."""
    jobs = {}
    for bank in range(machine.parameters.banks):
        items, rounds = schedule.items(machine.layout, bank), 0
        for done in (read.ended for read in Walk(machine, bank).reads() if read.ended):
            item = items[done.item]
            words = range(done.job["words"] + 1) if done.job["words"] is not None else ()
            for replay in range(done.rounds):
                rounds += 1
                for word in words:
                    index = item.group * machine.layout.row_beats + word
                    jobs[item.layer, item.place, index, done.step + replay] = rounds
    return jobs


def parts(window: tuple[Word, ...]) -> list[list[Word]]:
    """A window's passes."""
    pieces: list[list[Word]] = [[]]
    for word in window:
        pieces[-1].append(word)
        if word.ends:
            pieces.append([])
    return pieces[:-1]


def coordinates(layer: Layer, source: Map, place: int, word: Word) -> tuple[int, int]:
    """Where a word of an output place lies in its map; places that aren't there look elsewhere."""
    y, x = divmod(min(place, layer.places - 1), layer.width)
    return (y * source.stride[0] + source.origin[0] + word.dy,
            x * source.stride[1] + source.origin[1] + word.dx)


def machine_words(machine: Machine, source: Map) -> int:
    """Words of a step of a map."""
    return machine.layout.line_words[source.layer]


def hidden(request):
    """What isn't there is read anywhere."""
    if request["skip"]:
        unseen = ("address", "row", "format", "begun", "pad", "value", "listed",
                  "merged", "paired")
        return request | dict.fromkeys(unseen)
    return request
