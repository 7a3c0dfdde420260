"""The cycle model: exact clocks of the machine from event counts, without its hardware.

The core is a few rows of queues side by side, so its clocks are sums and maxima (a max-plus system)
of event counts and arrival clocks; the rules below are those of `qsnn_hw.walker`, `reader`,
`neurons` and `spikes`. They are monotone in every count: the all-active sample is the proven worst
case.

A clock is the number of a cycle; all arrays run over samples. For each bank, in program order:

1. A word is requested in clock f: one a clock, a word when the one before has left the memories'
   output, two clocks after the last request of an item; when the input is there and the rounds that
   it needs are visible; and the last word of a pass a clock after the transfer before.
2. It leaves the memories' output in clock l: f + 1 without spikes (unless it ends a pass), else when
   the word register is free; its n spikes are events in max(n, 1) clocks from l + 1 on, behind the
   transfer before. The next word may move in with the last one.
3. A pass's transfer comes in the clock after its last event, when the shadow is free: rotation ×
   replays clocks after the transfer before. Slot j of rotation r is 4 clocks later, + r · rotation
   + j; where banks share a readout, 5 clocks behind the last of them.
4. A word of spikes is written 6 clocks behind its last slot (7 with pooled currents); with several
   banks in the first clock after that is the bank's turn. Its round is visible to the walkers a
   clock later; with several banks two clocks behind the last of them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qsnn_hw import schedule
from qsnn_hw.arch import ISSUE_TO_LANES, WORD, Machine, Map, Word
from qsnn_hw.schedule import Item

Ints = NDArray[np.int64]
TRANSFER_TO_SLOT = ISSUE_TO_LANES + 1
SLOT_TO_WORD = 6
LONG_AGO = -(1 << 40)


@dataclass(frozen=True, eq=False)
class Timing:
    """The clocks of N samples.

    ``result`` [N]: the first clock with result valid; ``latency`` [N]: from the last input beat's
    clock to it. ``rotations``: for each layer the clock of slot 0 of each of its rotations,
    [N, banks, rotations], silent ones included. ``layer_clocks`` [N, layers]: from the end of the
    layer before (of the input) to its last transfer. ``events`` [N, layers]: events in all lanes
    of all banks, ``lane_clocks`` the same times the channels they meet.
    """

    result: Ints
    latency: Ints
    rotations: tuple[Ints, ...]
    layer_clocks: Ints
    lane_clocks: Ints


def run(machine: Machine, x: Any, spikes: Sequence[Any], *, arrivals: Any = None) -> Timing:
    """The clocks of the samples *x*, quantised (``[N, *shape]`` or ``[N, T, *shape]``).

    *spikes* holds the golden model's spikes that each layer sends, ``[N, T, C, H, W]`` or
    ``[N, T, C]``. *arrivals* ``[N, input_beats]`` are the clocks in which the beats were accepted,
    by default a beat a clock from clock 0.
    """
    x = np.asarray(x)
    if arrivals is None:
        arrivals = np.broadcast_to(np.arange(machine.input_beats), (len(x), machine.input_beats))
    return _Run(machine, Activity(machine, x, spikes), np.asarray(arrivals, np.int64)).timing()


class Activity:
    """How many events each word of each map has: spikes in a word, 1 for a value that is not 0."""

    def __init__(self, machine: Machine, x: Any, spikes: Sequence[Any]) -> None:
        self.machine = machine
        self.maps = {index: places(np.asarray(train)) for index, train in enumerate(spikes)}
        direct = machine.coding == "direct"
        frames = np.asarray(x)[:, None] if direct else np.asarray(x)
        self.maps[-1] = places(frames)
        self.samples = len(x)
        self.listed = np.count_nonzero(frames.reshape(len(x), -1), axis=1) if direct else None
        self._counts: dict[tuple[int, str, bool], Ints] = {}

    def word(self, found: Map, layer: int, step: int, y: int, x: int, index: int) -> Ints:
        """Events of word *index* at place (y, x), in the step's frame; of all columns where the
        layer takes them merged."""
        merged = found.kind == "spikes" and self.machine.merged(layer)
        counts = self._of(found, merged)
        if found.layer < 0 and self.machine.coding == "direct":
            step = 0
        return counts[:, step, y, x, index]

    def _of(self, found: Map, merged: bool) -> Ints:
        key = (found.layer, found.kind, merged)
        if key not in self._counts:
            train = self.maps[found.layer]
            if found.kind == "spikes":
                train = _merged(train, self.machine.columns) if merged else train
                self._counts[key] = _words(train)
            else:
                self._counts[key] = (train != 0).astype(np.int64)
        return self._counts[key]


def places(train: NDArray[Any]) -> NDArray[Any]:
    """``[N, T, C, H, W]`` -> ``[N, T, H, W, C]``; any other shape is one place's channels."""
    if train.ndim == 5:
        return train.transpose(0, 1, 3, 4, 2)
    return train.reshape(*train.shape[:2], 1, 1, -1)


def _merged(train: NDArray[Any], columns: int) -> NDArray[Any]:
    """The steps of a line joined: a spike in any."""
    lines = -(-train.shape[1] // columns)
    padded = np.zeros((len(train), lines * columns, *train.shape[2:]), dtype=bool)
    padded[:, :train.shape[1]] = train != 0
    joined: NDArray[Any] = padded.reshape(len(train), lines, columns, *train.shape[2:]).any(axis=2)
    return joined


def _words(train: NDArray[Any]) -> Ints:
    """``[..., C]`` -> spikes in each word of 16, ``[..., words]``."""
    count = -(-train.shape[-1] // WORD)
    padded = np.zeros((*train.shape[:-1], count * WORD), dtype=bool)
    padded[..., :train.shape[-1]] = train != 0
    sums: Ints = padded.reshape(*train.shape[:-1], count, WORD).sum(axis=-1, dtype=np.int64)
    return sums


@dataclass(eq=False)
class _Bank:
    """Where a bank stands: the clocks from which its next request, take, event, transfer may be."""

    number: int
    request: Ints
    left: Ints                  # the word before has left the memories' output
    spent: Ints                 # the word register can take another one
    free: Ints                  # events and the next job may follow the transfer before
    shadow: Ints                # the next transfer
    written: list[Ints] = field(default_factory=list)       # rounds, in order
    taken: bool = False


class _Run:
    def __init__(self, machine: Machine, activity: Activity, arrivals: Ints) -> None:
        self.machine, self.activity, self.arrivals = machine, activity, arrivals
        self.begin, self.ready = arrivals[:, 0], arrivals[:, -1] + 1
        ago = np.full_like(self.begin, LONG_AGO)
        self.banks = [_Bank(b, self.begin + 2, ago, ago, ago, ago) for b in range(machine.banks)]
        self.visible: list[Ints] = []       # the clock from which a walker sees so many rounds
        layers = range(len(machine.layers))
        self.rotations: list[list[list[Ints]]] = [[[] for _ in self.banks] for _ in layers]
        self.ends = [arrivals[:, -1] for _ in layers]
        self.lane_clocks = np.zeros((len(self.begin), len(machine.layers)), dtype=np.int64)

    def timing(self) -> Timing:
        machine = self.machine
        for time in range(machine.steps if machine.order == "step" else 1):
            for index in range(len(machine.layers)):
                self._layer(index, time)
        result = self._result()
        ends = np.stack([self.arrivals[:, -1], *self.ends], axis=1)
        rotations = tuple(np.stack([np.stack(bank, axis=1) for bank in layer], axis=1)
                          for layer in self.rotations)
        return Timing(result, result - self.arrivals[:, -1], rotations, np.diff(ends, axis=1),
                      self.lane_clocks)

    def _layer(self, index: int, time: int) -> None:
        machine = self.machine
        transfers = []
        for bank in self.banks:
            items = [item for item in schedule.items(machine, bank.number) if item.layer == index]
            for number, item in enumerate(items):
                transfers += [self._item(bank, item, time)]
                bank.request = bank.request + 1         # the next item is read
                del number
        if machine.joins and index == len(machine.layers) - 1:
            self._join(index, transfers)
        self._count_rounds()

    def _item(self, bank: _Bank, item: Item, time: int) -> Ints:
        """One item's passes; the clock of its last transfer."""
        machine, layer = self.machine, self.machine.layers[item.layer]
        window, transfer = layer.windows[bank.number], bank.free
        passes, ors = _passes(window), layer.pooling == "or"
        steps = machine.window_steps(item.layer)
        order = ([(step, part) for part in passes for step in range(steps)] if ors
                 else [(step, part) for step in range(steps) for part in passes])
        for step, part in order:
            spent = self._pass(bank, item, part, step, time)
            if layer.fires or machine.order == "step" or step == steps - 1:
                transfer = self._transfer(bank, item, spent, ors or part[-1].final)
        return transfer

    def _pass(self, bank: _Bank, item: Item, part: Sequence[Word], step: int, time: int) -> Ints:
        machine = self.machine
        last = machine.order == "step" or machine.layers[item.layer].fires \
            or step == machine.window_steps(item.layer) - 1
        spent = bank.spent
        for word in part:
            ends = word.ends and last
            gate = np.maximum(self.ready, self._visible(item.layer, word, step, time))
            count, pixels = self._events(bank, item, word, step, time)
            spent = (self._list if pixels else self._word)(bank, gate, count, ends)
            channels = 0 if item.silent else _channels(machine, item)
            self.lane_clocks[:, item.layer] += count * channels
        return spent

    def _word(self, bank: _Bank, gate: Ints, count: Ints, ends: bool) -> Ints:
        """A word's request and its events; the clock of the last one."""
        asked = np.maximum(np.maximum(bank.request, gate), bank.left)
        if ends:
            asked = np.maximum(asked, bank.free)
        left = np.maximum(asked + 1, bank.spent)
        spent = np.maximum(left + 1, bank.free) + np.maximum(count, 1) - 1
        dropped = (count == 0) & (not ends)
        bank.request = asked + 1
        bank.left = np.where(dropped, asked + 1, left)
        bank.spent = np.where(dropped, bank.spent, spent)
        return bank.spent

    def _list(self, bank: _Bank, gate: Ints, count: Ints, ends: bool) -> Ints:
        """The pixels of a list, a request each; the first of no pixels is a word without events."""
        asked = np.maximum(np.maximum(bank.request, gate), bank.left)
        several = count > 1
        first = np.maximum(np.maximum(asked + 1, bank.spent) + 1, bank.free)
        last = np.where(several, np.maximum(asked + count - 1, first + count - 3), asked)
        if ends:
            last = np.maximum(last, bank.free)
        before = np.where(several, first + count - 2, bank.spent)
        left = np.maximum(last + 1, before)
        spent = np.maximum(left + 1, bank.free)
        dropped = (count == 0) & (not ends)
        bank.request = last + 1
        bank.left = np.where(dropped, last + 1, left)
        bank.spent = np.where(dropped, bank.spent, spent)
        return bank.spent

    def _transfer(self, bank: _Bank, item: Item, spent: Ints, closes: bool) -> Ints:
        machine, index = self.machine, item.layer
        rotation, replays = machine.rotation(index), machine.replays(index) if closes else 1
        transfer = np.maximum(spent + 1, bank.shadow)
        bank.free, bank.shadow = transfer + 1, transfer + rotation * replays
        self.ends[index] = np.maximum(self.ends[index], transfer)
        if machine.joins and machine.is_last(index):
            return transfer
        first = transfer + TRANSFER_TO_SLOT
        for replay in range(replays):
            self._rotate(bank, index, first + replay * rotation, closes)
        return transfer

    def _rotate(self, bank: _Bank, index: int, slot: Ints, closes: bool) -> None:
        machine = self.machine
        self.rotations[index][bank.number].append(slot)
        if not (closes and machine.layers[index].fires):
            return
        sent = slot + machine.used_slots(index) - 1 + SLOT_TO_WORD + machine.pools
        if machine.banks > 1:
            turn = sent + 1 - (self.begin + 1 + bank.number)
            sent = sent + 1 + (-turn) % machine.banks
        bank.written.append(sent)

    def _join(self, index: int, transfers: list[Ints]) -> None:
        joined = np.max(transfers, axis=0) + TRANSFER_TO_SLOT
        for bank in self.banks:
            bank.shadow = np.maximum(
                bank.shadow, joined + self.machine.rotation(index) - ISSUE_TO_LANES)
            self.rotations[index][bank.number].append(joined + 1)

    def _count_rounds(self) -> None:
        """Which clock each round that all banks have written is visible in."""
        several = self.machine.banks > 1
        for round_ in range(len(self.visible), min(len(bank.written) for bank in self.banks)):
            done = np.max([bank.written[round_] for bank in self.banks], axis=0) + 1 + several
            if self.visible and several:
                done = np.maximum(done, self.visible[-1] + 1)
            self.visible.append(done)

    def _visible(self, index: int, word: Word, step: int, time: int) -> Ints:
        machine = self.machine
        need = schedule.needs(machine, index) + time * schedule.total_rounds(machine)
        if not word.early:
            waits = machine.steps if machine.merged(index) else step + 1
            need += 1 if machine.order == "step" else waits
        return self.visible[need - 1] if need > 0 else self.begin

    def _events(self, bank: _Bank, item: Item, word: Word, step: int,
                time: int) -> tuple[Ints, bool]:
        """Events of a word, and whether they are a list's, requested one by one."""
        machine, layer = self.machine, self.machine.layers[item.layer]
        found, nothing = layer.maps[word.source], np.zeros_like(self.begin)
        step = time if machine.order == "step" else step
        if found.kind == "list":
            first, bank.taken = not bank.taken, True
            assert self.activity.listed is not None
            return (nothing, False) if first else (self.activity.listed, True)
        _, oy, ox = item.origins[word.source]
        y, x = oy + word.dy, ox + word.dx
        if item.silent or (found.previous and step == 0):
            return nothing, False
        if not (0 <= y < found.height and 0 <= x < found.width):
            return nothing + (found.pad != 0), False
        return self.activity.word(found, item.layer, step - found.previous, y, x, word.index), False

    def _result(self) -> Ints:
        machine = self.machine
        last = len(machine.layers) - 1
        rotations = self.rotations[last][0]
        slot = rotations[-1] + (machine.classes - 1) % machine.slots
        if machine.readout == "count":
            return slot + SLOT_TO_WORD + machine.pools + 1
        return slot + 5 + (machine.banks > 1) + (machine.order == "step")


def _passes(window: Sequence[Word]) -> list[list[Word]]:
    passes: list[list[Word]] = [[]]
    for word in window:
        passes[-1].append(word)
        if word.ends:
            passes.append([])
    return passes[:-1]


def _channels(machine: Machine, item: Item) -> int:
    size = machine.group_size(item.layer)
    return min(size, machine.layers[item.layer].channels - item.group * size)


def worst_case(machine: Machine) -> int:
    """The latency of a sample whose inputs and neurons are all active at every step."""
    found = machine.input_map
    channels = max(1, found.words * (WORD if found.kind == "spikes" else 1))
    frames: tuple[int, ...] = () if machine.coding == "direct" else (machine.steps,)
    x = np.ones((1, *frames, channels, found.height, found.width), dtype=np.uint8)
    spikes = [np.ones((1, machine.steps, layer.channels, layer.height, layer.width), np.uint8)
              for layer in machine.layers if layer.fires]
    return int(run(machine, x, spikes).latency[0])


def all_items(machine: Machine) -> Iterator[Item]:
    """The items of all banks."""
    for bank in range(machine.banks):
        yield from schedule.items(machine, bank)
