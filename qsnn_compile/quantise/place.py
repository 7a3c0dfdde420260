"""Where the few levels of a stored membrane lie, and what a neuron sends that has only those."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qsnn_compile.reals.float_neuron import State, advance, start
from qsnn_compile.reals.normal_form import Neuron, Reals, reals

Array = NDArray[Any]
HALVINGS = 4                    # steps tried: the one for the whole range, and its halves
PLACES = 5                      # between both ends of the range, for each step


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

    def over(self, low: Reals, high: Reals, bits: int) -> "list[Place]":
        """Places all over the range *low* to *high*, in ever finer steps: what lies beyond *bits*
        bits of them is clipped. 0 is a level of every other place."""
        half, made = 1 << bits - 1, []
        for halving in range(HALVINGS):
            step = self.step * 0.5 ** halving
            lowest, highest = low + half * step, high - (half - 1) * step
            for share in np.linspace(0, 1, PLACES):
                centre = lowest + (highest - lowest) * share
                made += [replace(self, step=step, centre=centre),
                         replace(self, step=step, centre=np.rint(centre / step) * step)]
        return made

    def beside(self, share: float) -> "list[Place]":
        """Places and shifts about this one, a *share* of a step away."""
        by = share * self.step
        return [replace(self, centre=self.centre + across * by, shift=self.shift + up * by / 2)
                for across in (-1, 0, 1) for up in (-1, 0, 1) if across or up]


def choose(which: NDArray[np.integer[Any]], places: list[Place]) -> Place:
    """Of each channel the place with the number *which* [C]."""
    channels = np.arange(len(which))

    def of(part: str) -> Reals:
        every = np.stack([getattr(place, part) for place in places])
        rows = every.reshape(len(every), len(channels))
        return np.asarray(rows[which, channels].reshape(every.shape[1:]))

    return Place(of("step"), of("centre"), of("shift"))


def immediate(op: Neuron) -> Neuron:
    """*op* with its reset in the step of the spike, as integers have it."""
    if not op.delayed:
        return op
    decay = np.where(op.decay == 0, 1.0, op.decay)
    return replace(op, delayed=False, reset_value=reals(op.reset_value / decay))


def silent(op: Neuron) -> bool:
    """Whether *op* never fires: what counts is its membrane."""
    return bool(np.isposinf(op.threshold).all())


def sent(op: Neuron, x: Array, steps: int, place: Place | None = None, bits: int = 0
         ) -> Iterator[Array]:
    """Step by step what *op*, without a delayed reset, sends on *x* [N, T or 1, *shape], its
    membrane rounded to *place*: [N, *shape]. The potential, of a neuron that never fires."""
    if place is not None:
        op = replace(op, offset=reals(op.offset + place.shift))
    state, potential = start(op, x[:, 0]), silent(op)
    for step in range(steps):
        if place is not None:
            state = State(place.stored(state.u, bits), state.i)
        now = advance(op, state, x[:, min(step, x.shape[1] - 1)])
        state = now.state
        yield now.v if potential else now.count
