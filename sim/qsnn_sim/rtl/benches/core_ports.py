"""Drivers and monitors of the core's ports.

Each is told twice a clock: ``drive`` at the falling edge, ``sample`` when all has settled behind
it.
"""

import random
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qsnn_hw.machine.arch import Machine
from qsnn_sim.rtl.compare import ABSENT, Ints
from qsnn_sim.rtl.probe import views

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
        self.index_bits = (max(machine.parameters.classes, 2) - 1).bit_length()
        self.score_bits, self.stall, self.rng = machine.arithmetic.score_bits, stall, rng
        self.leads = machine.parameters.exit_margin is not None
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

    def sample(self, clock: int) -> tuple[int, tuple[int, ...]] | None:
        """In the clock that takes a result: its first clock, its class and score, and with an exit
        margin whether it is settled."""
        if not self.valid.value:
            return None
        self.first = clock if self.first == ABSENT else self.first
        if not self.taking:
            return None
        first, self.first, word = self.first, ABSENT, int(self.payload.value)
        score = word >> self.index_bits & (1 << self.score_bits) - 1
        score -= (score >> self.score_bits - 1) << self.score_bits
        settled = [word >> self.index_bits + self.score_bits] * self.leads
        return first, (word & (1 << self.index_bits) - 1, score, *settled)


class ProbeMonitor:
    """The units' spikes in the clocks that a bank's probe is valid."""

    def __init__(self, port: Port, machine: Machine) -> None:
        self.valid, self.spikes = port("probe__valid"), port("probe__spikes")
        self.machine = machine
        self.seen: list[tuple[int, int, str]] = []

    def sample(self, clock: int) -> None:
        """Keep this clock's spikes; what banks without any show may be unknown."""
        valid = int(self.valid.value)
        if valid:
            self.seen.append((clock, valid, str(self.spikes.value)))

    def forget(self, clock: int) -> None:
        """Drop what came in *clock* and later."""
        self.seen = [entry for entry in self.seen if entry[0] < clock]

    def between(self, begin: int, end: int
                ) -> tuple[tuple[Ints, ...], tuple[NDArray[np.int8], ...]]:
        """Clocks and spikes, as in `Trace`, of a sample seen from *begin* until before *end*."""
        entries = [entry for entry in self.seen if begin <= entry[0] < end]
        banks = [self._bank(entries, bank) for bank in range(self.machine.parameters.banks)]
        return tuple(clocks for clocks, _ in banks), tuple(spikes for _, spikes in banks)

    def _bank(self, entries: list[tuple[int, int, str]],
              bank: int) -> tuple[Ints, NDArray[np.int8]]:
        mine = [(clock, text) for clock, valid, text in entries if valid >> bank & 1]
        missing = max(0, len(views(self.machine)[bank].slot) - len(mine))
        clocks = np.array([clock for clock, _ in mine], dtype=np.int64)
        return (np.pad(clocks, (0, missing), constant_values=ABSENT),
                np.pad(self._bits([text for _, text in mine], bank), ((0, missing), (0, 0)),
                       constant_values=ABSENT))

    def _bits(self, texts: list[str], bank: int) -> NDArray[np.int8]:
        """[slots, units] of a bank; ABSENT what is neither 0 nor 1."""
        units = self.machine.parameters.units
        letters = np.frombuffer("".join(texts).encode(), dtype=np.uint8)
        bits = letters.reshape(len(texts), units * self.machine.parameters.banks)[:, ::-1]
        own = bits[:, bank * units:(bank + 1) * units].astype(np.int8) - ord("0")
        return np.where((own == 0) | (own == 1), own, ABSENT).astype(np.int8)
