"""A membrane's place by what it does to the neuron's answers on the calibration data."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qsnn_compile.reals.normal_form import Neuron, Reals

from .place import Place, choose, immediate, sent, silent

Array = NDArray[Any]
NEGLIGIBLE = 1e-3               # of a squared spike a sample: not worth another place
REFINED = (0.5, 0.25, 0.125)    # of a step, about the best so far
FAR_OFF = 0.5                   # of a channel's rate: its threshold is moved
HALVED = 10                     # times, until the rate is right
NUMBERS = 1 << 20               # membranes at a time
MOST, LEAST = 256, 16           # samples


@dataclass(frozen=True, eq=False)
class Trial:
    """What places are judged by: the neuron's input [N, T or 1, *shape] in floats and as far as
    the network is rounded, over so many steps."""

    before: Array
    after: Array
    steps: int

    def best(self, op: Neuron, first: Place, low: Reals, high: Reals, bits: int) -> Place:
        """The place for *bits* bits, channel by channel, where membranes range from *low* to
        *high*. *first*, which holds all of that, stays where it does no harm. Where weights have
        taken a channel's rate far off, its threshold is moved to bring it back."""
        judge = _Judge(self, immediate(op), bits)
        place = judge.searched(first, low, high)
        return place if silent(op) else judge.equalised(place, high - low)


class _Judge:
    """The answers of a neuron: how many spikes, or the last potential."""

    def __init__(self, trial: Trial, op: Neuron, bits: int) -> None:
        samples = int(np.clip(NUMBERS // trial.after[0, 0].size, LEAST, MOST))
        self.op, self.bits, self.steps = op, bits, trial.steps
        self.x = trial.after[:samples]
        self.wanted = self._answer(trial.before[:samples], None)

    def searched(self, first: Place, low: Reals, high: Reals) -> Place:
        """The place of least error; *first* where the rounding of membranes does no harm."""
        harm = self._error(first) - self._error(None)
        if (harm <= NEGLIGIBLE).all():
            return first
        best = self._best([first, *first.over(low, high, self.bits)])
        for share in REFINED:
            best = self._best([best, *best.beside(share)])
        return choose((harm > NEGLIGIBLE).astype(np.intp), [first, best])

    def equalised(self, place: Place, reach: Reals) -> Place:
        """*place*, its shift moved by at most half the *reach* where a rate is far off."""
        goal = _mean(self.wanted)
        off = np.abs(self._rate(place) - goal) > FAR_OFF * goal
        if not off.any():
            return place
        low, high = place.shift - reach / 2, place.shift + reach / 2
        for _ in range(HALVED):
            middle = replace(place, shift=(low + high) / 2)
            above = (self._rate(middle) > goal).reshape(place.shift.shape)
            low = np.where(above, low, middle.shift)
            high = np.where(above, middle.shift, high)
        return choose(off.astype(np.intp), [place, replace(place, shift=(low + high) / 2)])

    def _best(self, places: list[Place]) -> Place:
        errors = np.stack([self._error(place) for place in places])
        return choose(errors.argmin(axis=0), places)

    def _error(self, place: Place | None) -> Reals:
        return _mean((self._answer(self.x, place) - self.wanted) ** 2)

    def _rate(self, place: Place) -> Reals:
        return _mean(self._answer(self.x, place))

    def _answer(self, x: Array, place: Place | None) -> Array:
        every = list(sent(self.op, x, self.steps, place, self.bits))
        return every[-1] if silent(self.op) else np.asarray(sum(every[1:], every[0]))


def _mean(values: Array) -> Reals:
    """The mean of each channel of [N, C, ...]."""
    rows = np.moveaxis(values, 1, 0)
    return np.asarray(rows.reshape(len(rows), -1).mean(axis=1, dtype=np.float64))
