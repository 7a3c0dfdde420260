"""Two engines side by side: how much of what they did differs, and where they first part."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qsnn_hw.machine.arch import Machine

from .probe import SPARE, View, name, views

Ints = NDArray[np.int64]
ABSENT = -1                 # a spike or a clock that an engine never reported


@dataclass(frozen=True, eq=False)
class Trace:
    """What one engine did with one sample.

    ``clocks``: of each bank, when its probe showed each slot of `probe.views`, [slots]; more, if it
    showed more. ``spikes``: what it showed, [slots, units]. ``answer``: class and score, with an
    exit margin whether it is settled; None if it never came. ``clock``: the first one with the
    result valid.
    """

    clocks: tuple[Ints, ...]
    spikes: tuple[NDArray[np.int8], ...]
    answer: tuple[int, ...] | None
    clock: int


@dataclass(frozen=True)
class Divergence:
    """Where a sample's traces first differ. ``place`` names layer, neuron and step, or the result;
    ``clock`` is the one that the cycle model gives it."""

    sample: int
    clock: int
    place: str
    expected: str
    found: str

    def __str__(self) -> str:
        return (f"sample {self.sample}, {self.place}, clock {self.clock}: "
                f"{self.expected}, {self.found}")


@dataclass(frozen=True)
class Comparison:
    """How the traces of some samples differ: spikes of all layers and steps that differ, samples
    with another answer, samples with a slot or the result in another clock."""

    samples: int
    spike_mismatches: int
    result_mismatches: int
    clock_mismatches: int
    first: Divergence | None

    @property
    def equal(self) -> bool:
        """Nothing differs."""
        return not (self.spike_mismatches or self.result_mismatches or self.clock_mismatches)


def compare(machine: Machine, expected: Sequence[Trace], actual: Sequence[Trace],
            engine: str = "RTL") -> Comparison:
    """The models' traces of some samples against those of *engine*."""
    pairs = [_Pair(machine, number, *traces, engine)
             for number, traces in enumerate(zip(expected, actual, strict=True))]
    partings = (pair.first() for pair in pairs)
    return Comparison(
        len(pairs), sum(pair.wrong_spikes() for pair in pairs),
        sum(pair.expected.answer != pair.found.answer for pair in pairs),
        sum(pair.clocks_differ() for pair in pairs),
        next((parting for parting in partings if parting is not None), None))


@dataclass(frozen=True, eq=False)
class _Pair:
    machine: Machine
    sample: int
    expected: Trace
    found: Trace
    engine: str

    def first(self) -> Divergence | None:
        """The difference with the lowest clock; of several in it a spike's, then an answer's."""
        parts = [*self._spikes(), *self._answers(), *self._clocks(), *self._result_clocks()]
        return min(parts, key=lambda part: part.clock, default=None)

    def wrong_spikes(self) -> int:
        return sum(len(self._wrong(bank)) for bank in range(self.machine.parameters.banks))

    def clocks_differ(self) -> bool:
        pairs = zip(self.expected.clocks, self.found.clocks, strict=True)
        return (self.expected.clock != self.found.clock
                or any(not np.array_equal(one, other) for one, other in pairs))

    def _wrong(self, bank: int) -> NDArray[np.int64]:
        """Slot and unit of each neuron of a bank whose spike differs, [n, 2]."""
        one, neuron = self.expected.spikes[bank], self._view(bank).neuron
        return np.argwhere((one != self.found.spikes[bank][:len(one)]) & (neuron != SPARE))

    def _view(self, bank: int) -> View:
        return views(self.machine)[bank]

    def _spikes(self) -> Iterator[Divergence]:
        """The first wrong spike of each bank."""
        for bank in range(self.machine.parameters.banks):
            clocks, wrong = self.expected.clocks[bank], self._wrong(bank)
            if len(wrong):
                slot, unit = wrong[clocks[wrong[:, 0]].argmin()]
                yield self._divergence(
                    int(clocks[slot]), self._place(bank, slot, unit), "golden",
                    int(self.expected.spikes[bank][slot, unit]),
                    int(self.found.spikes[bank][slot, unit]))

    def _clocks(self) -> Iterator[Divergence]:
        """The first slot of each bank that came in another clock; one that none was to follow."""
        for bank, (one, other) in enumerate(
                zip(self.expected.clocks, self.found.clocks, strict=True)):
            late = np.flatnonzero(one != other[:len(one)])
            if len(late):
                slot = late[one[late].argmin()]
                yield self._divergence(int(one[slot]), self._place(bank, slot, 0) + " updated",
                                       "cycle model", int(one[slot]), int(other[slot]))
            elif len(other) > len(one):
                yield self._divergence(int(other[len(one)]), f"bank {bank} behind its last neuron",
                                       "cycle model", None, int(other[len(one)]))

    def _place(self, bank: int, slot: Any, unit: Any) -> str:
        view = self._view(bank)
        layer = self.machine.parameters.layers[view.layer[slot]]
        return (f"layer {layer.name}, {name(layer, int(view.neuron[slot, unit]))}, "
                f"step {view.step[slot]}")

    def _answers(self) -> Iterator[Divergence]:
        one, other = self.expected, self.found
        if one.answer != other.answer:
            yield self._divergence(one.clock, "class and score", "golden", one.answer, other.answer)

    def _result_clocks(self) -> Iterator[Divergence]:
        one, other = self.expected.clock, self.found.clock
        if one != other:
            yield self._divergence(one, "result valid", "cycle model", one, other)

    def _divergence(self, clock: int, place: str, model: str, expected: object,
                    actual: object) -> Divergence:
        words = ["nothing" if value in (ABSENT, None) else value for value in (expected, actual)]
        return Divergence(self.sample, clock, place, f"{model} {words[0]}",
                          f"{self.engine} {words[1]}")
