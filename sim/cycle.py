"""The cycle model: exact clocks of the machine from event counts, without its hardware.

The core is a row of queues, so its clocks are sums and maxima (a max-plus system) of event counts
and arrival clocks; the rules below are those of `qsnn_hw.sequencer`, `neurons` and `events`. They
are monotone in every count: the all-active sample is the proven worst case.

A clock is the number of a cycle; all arrays run over samples. Rules:

1. The first pass over pixels ends 2 clocks after the last beat. Any other of n events is fetched in
   clock F (or when its list is complete), streams max(n, 1) clocks and ends with its transfer, if
   it has one, at least rotation × replays after the one before.
2. A transfer in clock i has slot j of rotation r in clock i + 5 + r · rotation + j.
3. The word that ends with slot j is in the queue 6 clocks later and can be taken 2 after that.
4. The encoder takes a word every max(spikes, 2) clocks, stores a block's count a clock behind its
   last spike, and the list is complete a clock after the count of its last group.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qsnn_hw.arch import ISSUE_TO_LANES, WORD, Machine

Ints = NDArray[np.int64]
TRANSFER_TO_SLOT = ISSUE_TO_LANES + 1
SLOT_TO_QUEUE = 6
QUEUE_TO_HEAD = 2
SLOT_TO_RESULT = {"potential": 5, "count": 7}


@dataclass(frozen=True, eq=False)
class Timing:
    """The clocks of N samples.

    ``result`` [N]: the first clock with result valid. ``latency`` [N]: from the last input beat's
    clock to it. ``rotations``: for each layer the clock of slot 0 of each rotation,
    [N, groups, rotations of a group]. ``layer_clocks`` [N, layers]: from the end of the layer
    before (of the input) to its last transfer. ``events``: for each layer the active inputs of
    each list, [N, lists]. ``sops`` [N, layers]: synaptic operations, one an event and neuron.
    ``lane_clocks`` [N, layers]: the clocks that lanes add for a neuron after the last input beat, W
    an operation; the first pass over pixels is done before it.
    """

    result: Ints
    latency: Ints
    rotations: tuple[Ints, ...]
    layer_clocks: Ints
    events: tuple[Ints, ...]
    sops: Ints
    lane_clocks: Ints


def run(machine: Machine, x: Any, spikes: Sequence[Any], *, arrivals: Any = None) -> Timing:
    """The clocks of the samples *x*, quantised ([N, fan_in] or [N, T, fan_in]).

    *spikes* holds the golden model's spikes of each layer that fires, [N, T, neurons]. *arrivals*
    [N, input_beats] are the clocks in which the beats were accepted, by default a beat a clock
    from clock 0.
    """
    x = np.asarray(x).reshape(len(x), -1, machine.layers[0].fan_in)
    trains = [x, *(np.asarray(s).reshape(len(x), machine.steps, -1) for s in spikes)]
    if arrivals is None:
        arrivals = np.broadcast_to(np.arange(machine.input_beats), (len(x), machine.input_beats))
    return _Run(machine, trains, np.asarray(arrivals, dtype=np.int64)).timing()


def worst_case(machine: Machine) -> int:
    """The latency of a sample whose inputs and neurons are all active at every step."""
    frames = 1 if machine.coding == "direct" else machine.steps
    x = np.ones((1, frames, machine.layers[0].fan_in), dtype=np.uint8)
    spikes = [np.ones((1, machine.steps, layer.neurons), dtype=np.uint8)
              for layer in machine.layers if layer.fires]
    return int(run(machine, x, spikes).latency[0])


def roof(machine: Machine, events: Sequence[Ints]) -> NDArray[np.float64]:
    """What the memory port and the neuron units allow at best after the last input beat: for each
    sample and layer ``max(lane clocks / P, neuron updates / NU)`` clocks, [N, layers]."""
    columns = []
    for index, (layer, active) in enumerate(zip(machine.layers, events, strict=True)):
        operations = _lane_clocks(machine, index, active) / machine.lanes
        updates = layer.neurons * machine.steps / machine.units if layer.fires else 0
        columns.append(np.maximum(operations, updates))
    return np.stack(columns, axis=1)


def _sops(machine: Machine, index: int, events: Ints) -> Ints:
    layer = machine.layers[index]
    repeats = machine.steps if machine.is_direct(index) and not layer.fires else 1
    sops: Ints = events.sum(axis=1) * layer.neurons * repeats
    return sops


def _lane_clocks(machine: Machine, index: int, events: Ints) -> Ints:
    layer = machine.layers[index]
    clocks: Ints = _sops(machine, index, events) * layer.weight_bits
    if machine.is_direct(index):
        first_group = machine.slots if machine.is_last(index) else machine.lanes
        clocks = clocks - events[:, 0] * min(layer.neurons, first_group)
    return clocks


class _Run:
    """The pass engine and the encoder, layer by layer. Clocks are int64 arrays over samples."""

    def __init__(self, machine: Machine, trains: list[Any], arrivals: Ints) -> None:
        self.machine, self.trains, self.arrivals = machine, trains, arrivals
        if machine.counted:             # the readout's list: the neurons that fired at all
            trains[-1] = trains[-1].any(axis=1, keepdims=True)
        self.events = [np.count_nonzero(train, axis=2) for train in trains[:len(machine.layers)]]
        restart = arrivals[:, 0 if machine.coding == "spikes" else -1]
        self.fetch = arrivals[:, -1] + 1                            # the pass engine's clock
        self.next_transfer = np.zeros_like(restart)                 # the shadow is free
        self.next_take = restart + 2                                # the encoder's clock

    def timing(self) -> Timing:
        machine, rotations, ends = self.machine, [], [self.arrivals[:, -1]]
        if machine.coding == "spikes":
            words = _words(self.trains[0], -(-machine.layers[0].fan_in // WORD))
            pushes = self.arrivals.reshape(len(words), machine.steps, -1)
            complete = self._encode(pushes[:, None], words[:, None])
        else:
            complete = np.zeros((len(self.fetch), 1), dtype=np.int64)
        for index in range(len(machine.layers)):
            rotations.append(self._layer(index, complete))
            ends.append(self.fetch - 1)
            if not machine.is_last(index):
                complete = self._encode(*self._pushes(index, rotations[-1]))
        result = self._result(rotations[-1])
        sops, lane_clocks = ([count(machine, i, events) for i, events in enumerate(self.events)]
                             for count in (_sops, _lane_clocks))
        ended = np.stack(ends, axis=1)
        return Timing(result, result - self.arrivals[:, -1], tuple(rotations),
                      ended[:, 1:] - ended[:, :-1],
                      tuple(self.events), np.stack(sops, axis=1), np.stack(lane_clocks, axis=1))

    def _layer(self, index: int, complete: Ints) -> Ints:
        """The layer's passes; the clock of slot 0 of each of its rotations."""
        machine = self.machine
        spacing = machine.rotation * machine.replays(index)
        issued = []
        for number, (step, transfers) in enumerate(_passes(machine, index)):
            which = step % machine.lists(index)
            fetched = np.maximum(self.fetch, complete[:, which])
            ended = fetched + np.maximum(self.events[index][:, which], 1) + 1
            if machine.is_direct(index) and number == 0:
                ended = self.arrivals[:, -1] + 2
            if transfers:
                ended = np.maximum(ended, self.next_transfer)
                self.next_transfer = ended + spacing
                issued.append(ended)
            self.fetch = ended + 1
        first = np.stack(issued, axis=1).reshape(len(self.fetch), machine.groups(index), -1, 1)
        replays = machine.rotation * np.arange(machine.replays(index))
        slots: Ints = (first + replays).reshape(*first.shape[:2], -1) + TRANSFER_TO_SLOT
        return slots

    def _pushes(self, index: int, rotations: Ints) -> tuple[Ints, Ints]:
        """When each word of a layer is queued, and its spikes: [N, groups, lists, words]."""
        machine = self.machine
        words = machine.lanes // WORD
        last_slot = (np.arange(words) + 1) * (WORD // machine.units) - 1
        counts = _words(self.trains[index + 1], machine.groups(index) * words)
        grouped = counts.reshape(*counts.shape[:2], -1, words).swapaxes(1, 2)
        rotations = rotations[:, :, -machine.lists(index + 1):]
        return rotations[..., None] + last_slot + SLOT_TO_QUEUE, grouped

    def _encode(self, pushes: Ints, spikes: Ints) -> Ints:
        """The clock from which each step's list is complete, [N, T]."""
        _, groups, steps, words = spikes.shape
        complete = np.zeros((len(spikes), steps), dtype=np.int64)
        for group in range(groups):
            for step in range(steps):
                for word in range(words):
                    queued = pushes[:, group, step, word] + QUEUE_TO_HEAD
                    taken = np.maximum(queued, self.next_take)
                    count = spikes[:, group, step, word]
                    self.next_take = taken + np.maximum(count, 2)
                stored = taken + np.maximum(count, 1) + 1
                self.next_take = np.maximum(self.next_take, stored + 1)
                complete[:, step] = stored + 1
        self.next_take = np.maximum(self.next_take, stored + 2)     # the next layer's set-up
        return complete

    def _result(self, rotations: Ints) -> Ints:
        machine = self.machine
        last_slot = (machine.classes - 1) % machine.slots
        result: Ints = rotations[:, -1, -1] + last_slot + SLOT_TO_RESULT[machine.readout]
        return result


def _passes(machine: Machine, index: int) -> Iterator[tuple[int, bool]]:
    """(step, whether a transfer ends it) of each pass: by group, step and weight plane."""
    layer = machine.layers[index]
    steps = machine.list_steps(index)
    for _ in range(machine.groups(index)):
        for step in range(steps):
            for plane in range(layer.weight_bits):
                last_plane = plane == layer.weight_bits - 1
                yield step, last_plane and (layer.fires or step == steps - 1)


def _words(train: Any, count: int) -> Ints:
    """Spikes in each of *count* words of WORD neurons: [N, T, count]."""
    samples, steps, neurons = train.shape
    padded = np.zeros((samples, steps, count * WORD), dtype=bool)
    padded[:, :, :neurons] = train != 0
    words: Ints = padded.reshape(samples, steps, count, WORD).sum(axis=3)
    return words
