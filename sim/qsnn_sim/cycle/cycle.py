"""The cycle model: exact clocks of the machine from event counts, without its hardware.

The core is a few rows of queues side by side, so its clocks are sums and maxima (a max-plus system)
of event counts and arrival clocks; the rules below are those of `qsnn_hw.core.walker`, `reader`,
`neurons` and `spikes`. They are monotone in every count. Of the beats' clocks only the first and
the last matter; with several banks the first decides whose turn it is to write. `worst_case` is the
all-active sample at each of these turns, and so proven.

A clock is the number of a cycle; all arrays run over samples. For each bank, in program order:

1. A word is requested in clock f: one a clock, a word when the one before has left the memories'
   output, two clocks after the last request of an item; when the input is there (a clock later
   where pixels of a list meet several planes) and a clock after the rounds that it needs are
   visible; and the last word of a pass a clock after the transfer before.
2. It leaves the memories' output in clock l, f + 1 or when the word before waits no more. Without
   spikes it is dropped then (unless it ends a pass), else it waits and moves on in l + 1 or with
   the last event of the word before; its n spikes meet W planes each, events in the max(n · W, 1)
   clocks behind that, and behind the transfer before. The first pass through a list has a plane
   less: of one plane it is a word without spikes.
3. A pass's transfer comes in the clock after its last event, when the shadow is free: rotation ×
   replays clocks after the transfer before. Slot j of rotation r is 4 clocks later, + r · rotation
   + j; where banks share a readout, 5 clocks behind the last of them.
4. A word of spikes is written `Timing.spike_clock` + 1 clocks behind its last slot; with several
   banks in the first clock after that is the bank's turn. Its round is visible to the walkers a
   clock later; with several banks two clocks behind the last of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qsnn_hw.machine import schedule
from qsnn_hw.machine.arch import Machine
from qsnn_hw.machine.layers import WORD, Word
from qsnn_hw.machine.schedule import Item
from qsnn_hw.machine.timing import ISSUE_TO_LANES

from .activity import Activity, Window

Ints = NDArray[np.int64]
TRANSFER_TO_SLOT = ISSUE_TO_LANES + 1
LONG_AGO = -(1 << 40)


@dataclass(frozen=True, eq=False)
class Timing:
    """The clocks of N samples.

    ``result`` [N]: the first clock with result valid; ``latency`` [N]: from the last input beat's
    clock to it. ``answers`` [N, steps]: of a machine that runs step by step, when a result of each
    step would be there. ``rotations``: for each layer the clock of slot 0 of each of its rotations,
    [N, banks, rotations], silent ones included. ``layer_clocks`` [N, layers]: from the end of the
    layer before (of the input) to its last transfer. ``lane_clocks`` [N, layers]: events in all
    banks, times the channels that they meet; without those of pixels as they arrive.
    """

    result: Ints
    latency: Ints
    answers: Ints
    rotations: tuple[Ints, ...]
    layer_clocks: Ints
    lane_clocks: Ints


def run(machine: Machine, x: Any, spikes: Sequence[Any], *, arrivals: Any = None,
        exits: Any = None) -> Timing:
    """The clocks of the samples *x*, quantised (``[N, *shape]`` or ``[N, T, *shape]``).

    *spikes* holds the golden model's spikes that each layer sends, ``[N, T, C, H, W]`` or
    ``[N, T, C]``; a stream's samples are steps, with the spikes of the step before and of their own
    (T = 2). *arrivals* ``[N, input_beats]`` are the clocks in which the beats were accepted, by
    default a beat a clock from clock 0. *exits* [N]: the step that each window ends with, by
    default the last one.
    """
    layout = machine.layout
    x = np.asarray(x)
    if arrivals is None:
        arrivals = np.broadcast_to(np.arange(layout.input_beats), (len(x), layout.input_beats))
    core = _Run(machine, Activity(machine, x, spikes), np.asarray(arrivals, np.int64))
    return core.timing(None if exits is None else np.asarray(exits, np.int64))


class _Banks:
    """Where each bank stands, [banks, N]: the clocks from which its next request, move, event and
    transfer may be."""

    def __init__(self, banks: int, begin: Ints) -> None:
        shape = (banks, len(begin))
        self.request = np.broadcast_to(begin + 2, shape).copy()
        self.left = np.full(shape, LONG_AGO)    # the word before has left the memories' output
        self.moved = np.full(shape, LONG_AGO)   # the word before waits no more
        self.spent = np.full(shape, LONG_AGO)   # the last event of the word before
        self.free = np.full(shape, LONG_AGO)    # events may follow the transfer before
        self.shadow = np.full(shape, LONG_AGO)  # the next transfer

    def word(self, rows: slice, gate: Ints, count: Ints, ends: bool) -> None:
        """A word's request and its *count* events."""
        self._put(rows, self._next(rows, gate, count, ends), (count > 0) | ends)

    def pixels(self, rows: slice, gate: Ints, count: Ints, events: Ints, ends: bool) -> None:
        """The pixels of a list, a request of *events* events each, [banks, 1]: of none where a bank
        has nothing to do. The first of no pixels is a word without events.

        From the fifth on each is as many clocks behind the one before (a request at least one), but
        for the one that ends a pass.
        """
        for number in range(4):
            there = number < count - 1
            self._put(rows, self._next(rows, gate, events, False), there & (events > 0), there)
        more = np.maximum(count - 5, 0)
        for clocks in (self.request, self.left):
            clocks[rows] += np.maximum(events, 1) * more
        for clocks in (self.moved, self.spent):
            clocks[rows] += events * more
        self.word(rows, gate, events * np.minimum(count, 1), ends)

    def _next(self, rows: slice, gate: Ints, count: Ints, ends: bool) -> tuple[Ints, ...]:
        free = self.free[rows]
        asked = np.maximum(np.maximum(self.request[rows], self.left[rows]), gate)
        if ends:
            asked = np.maximum(asked, free)
        left = np.maximum(asked + 1, self.moved[rows])
        moved = np.maximum(left + 1, self.spent[rows])
        return asked + 1, left, moved, np.maximum(moved + 1, free) + np.maximum(count - 1, 0)

    def _put(self, rows: slice, clocks: tuple[Ints, ...], kept: Any, there: Any = True) -> None:
        """On to the next word: one that is not *kept* goes no further than the memories' output,
        and where it is not *there* nothing happens."""
        request, left, moved, spent = clocks
        self.request[rows] = np.where(there, request, self.request[rows])
        self.left[rows] = np.where(there, left, self.left[rows])
        self.moved[rows] = np.where(kept, moved, self.moved[rows])
        self.spent[rows] = np.where(kept, spent, self.spent[rows])


class _Run:
    def __init__(self, machine: Machine, activity: Activity, arrivals: Ints) -> None:
        parameters = machine.parameters
        self.machine, self.activity, self.arrivals = machine, activity, arrivals
        self.begin, self.ready = arrivals[:, 0], arrivals[:, -1] + 1
        if parameters.lists and parameters.layers[0].maps[0].planes > 1:
            self.ready = self.ready + 1
        self.banks = _Banks(parameters.banks, self.begin)
        self.taken = False                  # the list has been through its first pass
        self.written: list[Ints] = []       # rounds, in order, [banks, N]
        self.visible: list[Ints] = []       # the clock from which a walker sees so many rounds
        layers = range(len(parameters.layers))
        self.items = [_items(machine, index) for index in layers]
        self.windows = [[[Window(activity, index, part) for part in _passes(window)]
                         for window in _windows(machine, index)] for index in layers]
        self.rotations: list[list[Ints]] = [[] for _ in layers]
        self.ends = [arrivals[:, -1] for _ in layers]
        self.lane_clocks = np.zeros((len(self.begin), len(parameters.layers)), dtype=np.int64)

    def timing(self, exits: Ints | None) -> Timing:
        machine, answers = self.machine, []
        for time in range(machine.parameters.times):
            for index in range(len(machine.parameters.layers)):
                self._layer(index, time)
            answers.append(self._result())
        clocks = np.stack(answers, axis=1)
        result = clocks[:, -1] if exits is None else clocks[np.arange(len(clocks)), exits]
        ends = np.stack([self.arrivals[:, -1], *self.ends], axis=1)
        rotations = tuple(np.stack(layer, axis=-1).swapaxes(0, 1) for layer in self.rotations)
        return Timing(result, result - self.arrivals[:, -1], clocks, rotations,
                      np.diff(ends, axis=1), self.lane_clocks)

    def _layer(self, index: int, time: int) -> None:
        """The banks side by side where they look through the same window, else one by one."""
        machine, windows = self.machine, self.windows[index]
        for items in self.items[index]:
            transfers = []
            for number, window in enumerate(windows):
                rows = slice(None) if len(windows) == 1 else slice(number, number + 1)
                transfers.append(self._item(rows, items[rows], window, time))
                self.banks.request[rows] += 1           # the next item is read
            if machine.parameters.joins and machine.parameters.is_last(index):
                self._join(index, np.concatenate(transfers))
        self._count_rounds()

    def _item(self, rows: slice, items: Sequence[Item], window: Sequence[Window],
              time: int) -> Ints:
        """One item's passes in each bank; the clocks of their last transfers."""
        machine, index = self.machine, items[0].layer
        layer, transfer = machine.parameters.layers[index], self.banks.free[rows]
        ors, steps = layer.pooling == "or", machine.timing.window_steps[index]
        order = ([(step, part) for part in window for step in range(steps)] if ors
                 else [(step, part) for step in range(steps) for part in window])
        for step, part in order:
            ends = layer.fires or machine.parameters.order == "step" or step == steps - 1
            self._pass(rows, items, part, (step, time), ends)
            if ends:
                transfer = self._transfer(rows, index, ors or part.words[-1].final)
        return transfer

    def _pass(self, rows: slice, items: Sequence[Item], part: Window, when: tuple[int, int],
              ends: bool) -> None:
        machine, index = self.machine, items[0].layer
        gates = {early: np.maximum(self.ready, self._visible(index, early, *when))
                 for early in {word.early for word in part.words}}
        channels = np.array([0 if item.silent else _channels(machine, item) for item in items])
        if part.maps[0].kind == "list":
            self._list(rows, gates, channels, part, ends)
            return
        step = when[1] if machine.parameters.order == "step" else when[0]
        counts = part.counts(items, step + machine.parameters.streaming)
        self.lane_clocks[:, index] += channels @ counts.sum(axis=0)
        for word, count in zip(part.words, counts, strict=True):
            self.banks.word(rows, gates[word.early], count, word.ends and ends)

    def _list(self, rows: slice, gates: dict[bool, Ints], channels: Ints, part: Window,
              ends: bool) -> None:
        """A pass over the list; of a sample's first one a plane is done: the lanes took the pixels.
        """
        (word,), planes = part.words, part.maps[0].planes - (not self.taken)
        self.taken = True
        if planes == 0:
            self.banks.word(rows, gates[word.early], np.zeros_like(self.begin), ends)
            return
        events = planes * (channels > 0)[:, None]
        self.banks.pixels(rows, gates[word.early], self.activity.listed, events, ends)
        self.lane_clocks[:, 0] += planes * self.activity.listed * channels.sum()

    def _transfer(self, rows: slice, index: int, closes: bool) -> Ints:
        machine, banks = self.machine, self.banks
        parameters, timing = machine.parameters, machine.timing
        rotation, replays = timing.rotation[index], timing.replays[index] if closes else 1
        transfer: Ints = np.maximum(banks.spent[rows] + 1, banks.shadow[rows])
        banks.free[rows], banks.shadow[rows] = transfer + 1, transfer + rotation * replays
        self.ends[index] = np.maximum(self.ends[index], transfer.max(axis=0))
        if not (parameters.joins and parameters.is_last(index)):
            for replay in range(replays):
                self._rotate(index, transfer + TRANSFER_TO_SLOT + replay * rotation, closes)
        return transfer

    def _rotate(self, index: int, slot: Ints, closes: bool) -> None:
        machine = self.machine
        self.rotations[index].append(slot)
        if not (closes and machine.parameters.layers[index].fires):
            return
        sent = slot + machine.layout.used_slots[index] - 1 + machine.timing.spike_clock + 1
        if machine.parameters.banks > 1:
            turn = sent - self.begin - np.arange(machine.parameters.banks)[:, None]
            sent = sent + 1 + (-turn) % machine.parameters.banks
        self.written.append(sent)

    def _join(self, index: int, transfers: Ints) -> None:
        banks, joined = self.banks, transfers.max(axis=0) + TRANSFER_TO_SLOT
        banks.shadow = np.maximum(
            banks.shadow, joined + self.machine.timing.rotation[index] - ISSUE_TO_LANES)
        self.rotations[index].append(np.broadcast_to(joined + 1, banks.shadow.shape))

    def _count_rounds(self) -> None:
        """Which clock each round that all banks have written is visible in."""
        several = self.machine.parameters.banks > 1
        for sent in self.written[len(self.visible):]:
            done = sent.max(axis=0) + 1 + several
            if self.visible and several:
                done = np.maximum(done, self.visible[-1] + 1)
            self.visible.append(done)

    def _visible(self, index: int, early: bool, step: int, time: int) -> Ints:
        machine = self.machine
        need = machine.timing.needs[index] + time * machine.timing.total_rounds
        if not early:
            waits = min((step + 1) * machine.timing.stride[index], machine.parameters.steps)
            need += 1 if machine.parameters.order == "step" else waits
        return self.visible[need - 1] + 1 if need > 0 else self.begin

    def _result(self) -> Ints:
        machine, parameters = self.machine, self.machine.parameters
        last = len(parameters.layers) - 1
        behind = (parameters.classes - 1) % machine.layout.group_size[last]
        slot: Ints = self.rotations[last][-1][0] + behind + (parameters.exit_margin is not None)
        if parameters.readout == "count":
            return slot + machine.timing.spike_clock + 1 + 1
        return slot + 5 + (parameters.banks > 1) + (parameters.order == "step")


def _passes(window: Sequence[Word]) -> list[list[Word]]:
    passes: list[list[Word]] = [[]]
    for word in window:
        passes[-1].append(word)
        if word.ends:
            passes.append([])
    return passes[:-1]


def _windows(machine: Machine, index: int) -> tuple[tuple[Word, ...], ...]:
    """The window of all banks, or of each."""
    layer = machine.parameters.layers[index]
    return layer.windows[:1] if layer.fires else layer.windows


def _items(machine: Machine, index: int) -> list[tuple[Item, ...]]:
    """The items of a layer, in order, of all banks side by side."""
    banks = [[item for item in schedule.items(machine.layout, bank) if item.layer == index]
             for bank in range(machine.parameters.banks)]
    return list(zip(*banks, strict=True))


def _channels(machine: Machine, item: Item) -> int:
    size = machine.layout.group_size[item.layer]
    return min(size, machine.parameters.layers[item.layer].channels - item.group * size)


def worst_case(machine: Machine) -> int:
    """The latency that no sample (of a stream: no step) exceeds, whenever its beats come.

    It is that of a sample whose inputs and neurons are all active at every step, and whose window
    has no early end. Its beats come one a clock, but for the first: up to banks - 1 clocks earlier,
    which tries all turns at which the banks can write. A longer gap repeats one of them, and the
    core begins sooner.
    """
    source, banks = machine.parameters.input_map, machine.parameters.banks
    channels = max(1, source.words * (WORD if source.kind == "spikes" else 1))
    frames: tuple[int, ...] = () if machine.parameters.one_frame else (machine.parameters.steps,)
    x = np.ones((banks, *frames, channels, source.height, source.width), dtype=np.uint8)
    steps = 2 if machine.parameters.streaming else machine.parameters.steps
    spikes = [np.ones((banks, steps, layer.channels, layer.height, layer.width), np.uint8)
              for layer in machine.parameters.layers if layer.fires]
    arrivals = np.tile(np.arange(machine.layout.input_beats), (banks, 1))
    arrivals[:, 0] -= np.arange(banks)
    return int(run(machine, x, spikes, arrivals=arrivals).latency.max())
