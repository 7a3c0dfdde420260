"""Two engines side by side: how much of what they did differs, and where they first part."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qsnn_hw.arch import Machine

Ints = NDArray[np.int64]
ABSENT = -1                 # a spike or a clock that an engine never reported


@dataclass(frozen=True, eq=False)
class Trace:
    """What one engine did with one sample.

    ``spikes``: of each layer that fires, [T, neurons]. ``rotations``: of each layer that fires the
    clock of slot 0 of each rotation, [groups, T]. ``answer``: class and score, None if it never
    came. ``clock``: the first one with the result valid.
    """

    spikes: tuple[Ints, ...]
    rotations: tuple[Ints, ...]
    answer: tuple[int, int] | None
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
    with another answer, samples with a rotation or the result in another clock."""

    samples: int
    spike_mismatches: int
    result_mismatches: int
    clock_mismatches: int
    first: Divergence | None

    @property
    def equal(self) -> bool:
        """Nothing differs."""
        return not (self.spike_mismatches or self.result_mismatches or self.clock_mismatches)


def compare(machine: Machine, expected: Sequence[Trace], found: Sequence[Trace],
            engine: str = "RTL") -> Comparison:
    """The models' traces of some samples against those of *engine*."""
    pairs = [_Pair(machine, number, *traces, engine)
             for number, traces in enumerate(zip(expected, found, strict=True))]
    partings = (pair.first() for pair in pairs)
    return Comparison(
        len(pairs), sum(pair.wrong_spikes() for pair in pairs),
        sum(pair.expected.answer != pair.found.answer for pair in pairs),
        sum(pair.clocks_differ() for pair in pairs),
        next((parting for parting in partings if parting is not None), None))


def slot_clock(machine: Machine, rotations: Ints, layer: int, neuron: int, step: int) -> int:
    """The clock of a neuron's slot at *step*, given its layer's *rotations* [groups, T]."""
    size, units = ((machine.slots, 1) if machine.is_last(layer)
                   else (machine.lanes, machine.units))
    return int(rotations[neuron // size, step]) + neuron % size // units


@dataclass(frozen=True, eq=False)
class _Pair:
    machine: Machine
    sample: int
    expected: Trace
    found: Trace
    engine: str

    def first(self) -> Divergence | None:
        """The difference with the lowest clock; of several in it a spike's, then an answer's."""
        parts = [*self._spikes(), *self._answers(), *self._rotations(), *self._result_clocks()]
        return min(parts, key=lambda part: part.clock, default=None)

    def wrong_spikes(self) -> int:
        pairs = zip(self.expected.spikes, self.found.spikes, strict=True)
        return sum(int(np.count_nonzero(one != other)) for one, other in pairs)

    def clocks_differ(self) -> bool:
        pairs = zip(self.expected.rotations, self.found.rotations, strict=True)
        return (self.expected.clock != self.found.clock
                or any(not np.array_equal(one, other) for one, other in pairs))

    def _spikes(self) -> Iterator[Divergence]:
        """The first wrong spike of each layer."""
        for layer, (one, other) in enumerate(
                zip(self.expected.spikes, self.found.spikes, strict=True)):
            rotations = self.expected.rotations[layer]
            places = [(slot_clock(self.machine, rotations, layer, int(n), int(t)), int(n), int(t))
                      for t, n in np.argwhere(one != other)]
            for clock, neuron, step in sorted(places)[:1]:
                yield self._divergence(
                    clock, f"layer {self.machine.layers[layer].name}, neuron {neuron}, step {step}",
                    "golden", int(one[step, neuron]), int(other[step, neuron]))

    def _rotations(self) -> Iterator[Divergence]:
        """The first rotation of each layer that came in another clock."""
        for layer, (one, other) in enumerate(
                zip(self.expected.rotations, self.found.rotations, strict=True)):
            places = [(int(one[g, t]), int(g), int(t)) for g, t in np.argwhere(one != other)]
            for clock, group, step in sorted(places)[:1]:
                name = self.machine.layers[layer].name
                yield self._divergence(clock, f"layer {name}, group {group}, step {step} updated",
                                       "cycle model", clock, int(other[group, step]))

    def _answers(self) -> Iterator[Divergence]:
        one, other = self.expected, self.found
        if one.answer != other.answer:
            yield self._divergence(one.clock, "class and score", "golden", one.answer, other.answer)

    def _result_clocks(self) -> Iterator[Divergence]:
        one, other = self.expected.clock, self.found.clock
        if one != other:
            yield self._divergence(one, "result valid", "cycle model", one, other)

    def _divergence(self, clock: int, place: str, model: str, expected: object,
                    found: object) -> Divergence:
        found = "nothing" if found in (ABSENT, None) else found
        return Divergence(self.sample, clock, place, f"{model} {expected}",
                          f"{self.engine} {found}")
