"""Drivers and monitors of the core's ports.

Each is told twice a clock: ``drive`` at the falling edge, ``sample`` when all has settled behind
it.
"""

import random
from collections.abc import Callable
from typing import Any

import numpy as np

from qsnn_hw.arch import Machine
from qsnn_sim.compare import ABSENT, Ints

SLOT_TO_PROBE = 5           # clocks from a neuron's slot to its spike at the probe

Port = Callable[[str], Any]


class StreamDriver:
    """Offers words on a ready/valid stream, with idle clocks before some of them."""

    def __init__(self, port: Port, name: str, idle: float, rng: random.Random) -> None:
        self.payload, self.valid, self.ready = (
            port(f"{name}__{part}") for part in ("payload", "valid", "ready"))
        self.idle, self.rng = idle, rng
        self.start([])

    def start(self, words: list[int]) -> None:
        """Send *words* from the next clock on, and nothing of what was to be sent before."""
        self.words, self.sent, self.offered, self.accepted = words, 0, False, False
        self.valid.value = 0

    def drive(self) -> None:
        """Offer the next word when the one before is accepted, or stay idle."""
        if self.offered and not self.accepted:
            return
        offer = self.sent < len(self.words) and not (self.idle and self.rng.random() < self.idle)
        if offer:
            self.payload.value = self.words[self.sent]
        if offer != self.offered:
            self.valid.value = int(offer)
        self.offered = offer

    def sample(self) -> bool:
        """Whether this clock accepts a word."""
        self.accepted = self.offered and bool(self.ready.value)
        self.sent += self.accepted
        return self.accepted


class ResultMonitor:
    """Takes results, not always at once."""

    def __init__(self, port: Port, machine: Machine, stall: float, rng: random.Random) -> None:
        self.payload, self.valid, self.ready = (
            port(f"result__{part}") for part in ("payload", "valid", "ready"))
        self.index_bits = (max(machine.classes, 2) - 1).bit_length()
        self.score_bits, self.stall, self.rng = machine.score_bits, stall, rng
        self.stop()

    def stop(self) -> None:
        """Take nothing until the next clock that is driven."""
        self.first, self.taking, self.ready.value = ABSENT, False, 0

    def drive(self) -> None:
        """Choose whether this clock may take a result."""
        taking = not self.stall or self.rng.random() >= self.stall
        if taking != self.taking:
            self.ready.value = int(taking)
        self.taking = taking

    def sample(self, clock: int) -> tuple[int, tuple[int, int]] | None:
        """In the clock that takes a result: its first clock, its class and score."""
        if not self.valid.value:
            return None
        self.first = clock if self.first == ABSENT else self.first
        if not self.taking:
            return None
        first, self.first, word = self.first, ABSENT, int(self.payload.value)
        score = word >> self.index_bits
        score -= (score >> self.score_bits - 1) << self.score_bits
        return first, (word & (1 << self.index_bits) - 1, score)


class ProbeMonitor:
    """The units' spikes in the clocks that the probe is valid."""

    def __init__(self, port: Port, machine: Machine) -> None:
        self.valid, self.spikes, self.last_layer = (
            port(f"probe__{part}") for part in ("valid", "spikes", "last_layer"))
        self.machine, self.silent_end = machine, not machine.layers[-1].fires
        self.seen: list[tuple[int, int]] = []

    def sample(self, clock: int) -> None:
        """Keep this clock's spikes; a readout without neurons has none."""
        if self.valid.value and not (self.silent_end and self.last_layer.value):
            self.seen.append((clock, int(self.spikes.value)))

    def forget(self, clock: int) -> None:
        """Drop what came in *clock* and later."""
        self.seen = [entry for entry in self.seen if entry[0] < clock]

    def between(self, begin: int, end: int) -> tuple[tuple[Ints, ...], tuple[Ints, ...]]:
        """Spikes and rotations, as in `Trace`, of a sample seen from *begin* until before *end*."""
        entries = [entry for entry in self.seen if begin <= entry[0] < end]
        seen = np.array(entries, dtype=np.int64).reshape(-1, 2)
        spikes, rotations = [], []
        for index, layer in enumerate(self.machine.layers):
            if layer.fires:
                size = self.machine.groups(index) * self.machine.steps * self.machine.slots
                part, seen = seen[:size], seen[size:]
                part = np.pad(part, ((0, size - len(part)), (0, 0)), constant_values=ABSENT)
                spikes.append(self._layer_spikes(index, part[:, 1]))
                rotations.append(self._layer_rotations(index, part[:, 0]))
        return tuple(spikes), tuple(rotations)

    def _layer_spikes(self, index: int, bits: Ints) -> Ints:
        machine = self.machine
        units = np.where(bits[:, None] == ABSENT, ABSENT, bits[:, None] >> np.arange(
            1 if machine.is_last(index) else machine.units) & 1)
        grouped = units.reshape(machine.groups(index), machine.steps, -1).swapaxes(0, 1)
        return grouped.reshape(machine.steps, -1)[:, :machine.layers[index].neurons]

    def _layer_rotations(self, index: int, clocks: Ints) -> Ints:
        """The clocks of the first slots; where a slot is late, what the last one says of it."""
        machine = self.machine
        grouped = clocks.reshape(machine.groups(index), machine.steps, machine.slots)
        even = grouped - np.arange(machine.slots)
        first: Ints = np.where((even == even[..., :1]).all(axis=2), even[..., 0], even[..., -1])
        return np.where(grouped.min(axis=2) == ABSENT, ABSENT, first - SLOT_TO_PROBE)
