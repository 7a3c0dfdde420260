"""Where a membrane's few levels lie, by what they do to the spikes of the calibration data."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qsnn_compile.reals.float_neuron import State, advance, start
from qsnn_compile.reals.normal_form import Neuron, Reals, reals

Array = NDArray[Any]
NEGLIGIBLE = 1e-3               # of a squared spike a sample: not worth another place
HALVINGS = 4                    # steps tried: the one for the whole range, and its halves
PLACES = 5                      # between both ends of the range, for each step
REFINED = (0.5, 0.25, 0.125)    # of a step, about the best so far
NUMBERS = 1 << 20               # membranes at a time
MOST, LEAST = 256, 16           # samples


@dataclass(frozen=True, eq=False)
class Place:
    """The stored levels ``centre + step · n``, and ``shift``, what the neuron's offset gains, in
    real numbers: all three of one shape, a number a channel and axes of 1."""

    step: Reals
    centre: Reals
    shift: Reals

    def stored(self, v: Array, bits: int) -> Array:
        """*v* [N, *shape] as *bits* bits hold it."""
        step, centre = self.step.astype(v.dtype), self.centre.astype(v.dtype)
        half = 1 << bits - 1
        n = np.clip(np.floor((v - centre) / step + v.dtype.type(0.5)), -half, half - 1)
        return np.asarray(centre + step * n)


@dataclass(frozen=True, eq=False)
class Trial:
    """What places are judged by: the neuron's input [N, T or 1, *shape] in floats and as far as
    the network is rounded, over so many steps."""

    before: Array
    after: Array
    steps: int

    def best(self, op: Neuron, first: Place, low: Reals, high: Reals, bits: int) -> Place:
        """The place for *bits* bits, channel by channel; *first* is what holds the whole range,
        *low* to *high*, and stays where nothing better is found."""
        op = immediate(op)
        samples = int(np.clip(NUMBERS // self.after[0, 0].size, LEAST, MOST))
        wanted = _answer(spikes(op, self.before[:samples], self.steps), op)
        x = self.after[:samples]

        def errors(places: list[Place | None]) -> Reals:
            return np.stack([_error(_answer(spikes(op, x, self.steps, place, bits), op), wanted)
                             for place in places])

        unrounded, whole = errors([None, first])
        tried = _wide(first, low, high, bits)
        best, least = _least([first, *tried], np.stack([whole, *errors([*tried])]))
        for share in REFINED:
            tried = _beside(best, share)
            best, least = _least([best, *tried], np.stack([least, *errors([*tried])]))
        return _either(whole - unrounded > NEGLIGIBLE, best, first)


def immediate(op: Neuron) -> Neuron:
    """*op* with its reset in the step of the spike, as integers have it."""
    decay = np.where(op.decay == 0, 1.0, op.decay)
    return replace(op, delayed=False, reset_value=reals(op.reset_value / decay)) if op.delayed \
        else op


def spikes(op: Neuron, x: Array, steps: int, place: Place | None = None, bits: int = 0
           ) -> Iterator[Array]:
    """Step by step what *op* sends on *x* [N, T or 1, *shape], [N, *shape], its membrane rounded to
    *place*; the potential, of a neuron that never fires."""
    if place is not None:
        op = replace(op, offset=reals(op.offset + place.shift))
    silent = _silent(op)
    state = start(op, x[:, 0])
    for step in range(steps):
        if place is not None:
            state = State(place.stored(state.u, bits), state.i)
        now = advance(op, state, x[:, min(step, x.shape[1] - 1)])
        state = now.state
        yield now.v if silent else now.count


def _silent(op: Neuron) -> bool:
    return bool(np.isposinf(op.threshold).all())


def _answer(sent: Iterator[Array], op: Neuron) -> Array:
    """The number of spikes, or the last potential."""
    every = list(sent)
    return every[-1] if _silent(op) else np.asarray(sum(every[1:], every[0]))


def _error(answer: Array, wanted: Array) -> Reals:
    """The mean squared error of each channel."""
    away = np.moveaxis(answer - wanted, 1, 0)
    return np.asarray((away.reshape(len(away), -1) ** 2).mean(axis=1, dtype=np.float64))


def _wide(first: Place, low: Reals, high: Reals, bits: int) -> list[Place]:
    """Places all over the range, in ever finer steps: what lies beyond is clipped."""
    half = 1 << bits - 1
    made = []
    for halving in range(HALVINGS):
        step = first.step * 0.5 ** halving
        lowest, highest = low + half * step, high - (half - 1) * step
        for share in np.linspace(0, 1, PLACES):
            centre = lowest + (highest - lowest) * share
            made += [Place(step, centre, first.shift),
                     Place(step, np.rint(centre / step) * step, first.shift)]
    return made


def _beside(place: Place, share: float) -> list[Place]:
    by = share * place.step
    return [replace(place, centre=place.centre + across * by, shift=place.shift + up * by / 2)
            for across in (-1, 0, 1) for up in (-1, 0, 1) if across or up]


def _least(places: list[Place], errors: Reals) -> tuple[Place, Reals]:
    """The best of *places*, channel by channel, the first of equals; and its error."""
    won, channels = errors.argmin(axis=0), np.arange(errors.shape[1])

    def of(part: str) -> Reals:
        every = np.stack([getattr(place, part) for place in places])
        rows = every.reshape(len(every), len(channels))
        return np.asarray(rows[won, channels].reshape(every.shape[1:]))

    return Place(of("step"), of("centre"), of("shift")), errors[won, channels]


def _either(which: NDArray[np.bool_], first: Place, second: Place) -> Place:
    rows = which.reshape(first.step.shape)
    return Place(np.where(rows, first.step, second.step),
                 np.where(rows, first.centre, second.centre),
                 np.where(rows, first.shift, second.shift))
