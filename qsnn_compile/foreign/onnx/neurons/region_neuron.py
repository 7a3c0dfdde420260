"""From the pieces of a region to the neuron it is: potential, threshold, reset, clamp, synapse.

The piece in which nothing happens gives decay, gain and offset; the comparison that, turned round,
gives a spike is the threshold; what is then missing from the new state is the reset.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NoReturn

import numpy as np

from qsnn_compile.reals.normal_form import Neuron, Reals, StateGrid, SynapticCurrent, reals

from .region_affine import Piece
from .region_forms import (
    Affine,
    Array,
    FloorVar,
    GridVar,
    NotAffine,
    Var,
    Variable,
    crossing,
    ratio,
    relative,
)
from .region_grid import between

ZERO = np.zeros(())
ONE = np.ones(())


@dataclass(frozen=True, eq=False)
class Sink:
    """What leaves a neuron: its spikes times ``factor``, or (``factor`` None) its potential."""

    factor: Array | None


@dataclass(frozen=True, eq=False)
class Found:
    """A neuron with amplitude 1, what each current is weighted with before it is summed, and what
    leaves it; ``unit`` is the state file's synaptic current in units of the neuron's. ``below``:
    the membrane is never over the threshold between steps, and was read for that case only."""

    neuron: Neuron
    weights: dict[Variable, Array]
    sinks: tuple[Sink, ...]
    unit: Array
    below: bool = False


class Reader:
    """Reads one neuron from *pieces*, whose values are the new membrane, the new synaptic current
    (where *i* is given) and the sinks; *v* and *i* are the old ones. *origin* names it."""

    def __init__(self, pieces: Sequence[Piece], v: Var, i: Var | None, origin: str) -> None:
        self.pieces = list(pieces)
        self.v = v
        self.i = i
        self.origin = origin
        self.first = 1 if i is None else 2

    def fail(self, message: str) -> NoReturn:
        raise NotAffine(f"{self.origin}: {message}")

    # -- pieces ----------------------------------------------------------------------------------

    def read(self) -> Found:
        """The neuron. Raises NotAffine where the pieces are no neuron's."""
        spiking = self._spiking_sinks()
        below = self._stays_below(spiking)
        if below:
            self.pieces = [p for p in self.pieces if not self._was_above(p)]
        self.active = [p for p in self.pieces if self._fires(p, spiking)]
        quiet = [p for p in self.pieces if not self._fires(p, spiking)]
        if not quiet:
            self.fail("must be able not to spike; check the threshold")
        self.base = max(quiet, key=lambda p: (not self._was_above(p), self._weight(p),
                                              -len(p.decisions)))
        self.potential, self.grid = self._core(self.base.values[0])
        weights, neuron_gain, synapse, unit = self._inputs()
        late = self._late_pieces()
        threshold, strict, most = self._threshold(spiking)
        reset, value = self._reset(late)
        neuron = Neuron(
            threshold=reals(threshold), decay=reals(self.potential.terms.get(self.v, ZERO)),
            gain=reals(neuron_gain), offset=reals(self.potential.const), strict=strict,
            reset=reset, reset_value=reals(value), delayed=bool(late), max_spikes=most,
            clamp=self._clamp(late), synapse=synapse,
            grid=None if self.grid is None else StateGrid(reals(self.grid)),
            raised=self._raised(quiet, threshold))
        return Found(neuron, weights, self._sinks(spiking), unit, below)

    def _stays_below(self, spiking: Sequence[int]) -> bool:
        """Whether each spike sets the membrane to a value at once, though a step may begin with
        a test of it: that it was over the threshold can't be."""
        fired = [p for p in self.pieces if self._fires(p, spiking) and not self._was_above(p)]
        return bool(fired) and any(self._was_above(p) for p in self.pieces) and \
            not any(self._core(p.values[0])[0].terms for p in fired)

    def _raised(self, quiet: Sequence[Piece], threshold: Array) -> Reals | None:
        """By how much the threshold is higher where the old state was over it."""
        if self.grid is not None or not np.isfinite(threshold).all():
            return None
        for piece in quiet:
            if self._was_above(piece) and self._core(piece.values[0])[0].close(self.potential):
                thresholds = [c[0] for d in piece.decisions
                         if (c := crossing(d, self.potential)) is not None]
                higher = [c for c in thresholds if not np.allclose(c, threshold)]
                if higher and len(higher) == len(thresholds):
                    return reals(higher[0] - threshold)
        return None

    def _spiking_sinks(self) -> list[int]:
        """The sinks that have only constant values, or whole multiples of a count."""
        places = range(self.first, len(self.pieces[0].values))
        return [k for k in places if not any(isinstance(v, Var | GridVar)
                                             for p in self.pieces for v in p.values[k].terms)]

    def _fires(self, piece: Piece, spiking: Sequence[int]) -> bool:
        return any(np.any(piece.values[k].const) or piece.values[k].terms for k in spiking)

    def _weight(self, piece: Piece) -> int:
        return len(self._core(piece.values[0])[0].terms)

    def _core(self, value: Affine) -> tuple[Affine, Array | None]:
        """*value* before its quantiser, and the quantiser's levels."""
        if len(value.terms) == 1 and not np.any(value.const):
            (variable, factor), = value.terms.items()
            if isinstance(variable, GridVar) and (factor == 1).all():
                return variable.of, variable.levels
        return value, None

    # -- what comes in ---------------------------------------------------------------------------

    def _inputs(self) -> tuple[dict[Variable, Array], Array, SynapticCurrent | None, Array]:
        """The currents' weights, the gain of their sum, and the synaptic state between them."""
        own = {self.v, self.i}
        currents = {x: f for x, f in self.potential.terms.items() if x not in own}
        if any(isinstance(x, FloorVar | GridVar) for x in currents):
            self.fail("the potential must follow from the old state and the input alone, not from "
                      "a rounded number")
        if self.i is None:
            weights, gain = relative(currents)
            return weights, gain, None, ONE
        return self._synapse(self.i, currents)

    def _synapse(self, i: Var, currents: dict[Variable, Array]
                 ) -> tuple[dict[Variable, Array], Array, SynapticCurrent | None, Array]:
        now = self.base.values[1]
        if not all(now.close(p.values[1]) for p in self.pieces) or \
                np.any(np.abs(now.const) > 1e-9):
            self.fail("the synaptic current must be decay · itself + gain · input, without a "
                      "threshold or offset")
        feeds = {x: f for x, f in now.terms.items() if x != i}
        decay = now.terms.get(i, ZERO)
        coupling = self.potential.terms.get(i, ZERO)
        if self.v in feeds or not feeds:
            self.fail("the synaptic current must depend on itself and the input alone")
        weights, unit = relative(feeds)
        if not currents:
            return weights, coupling * unit, SynapticCurrent(reals(decay), delayed=True), unit
        shares, gain = relative(currents)
        same = set(shares) == set(weights) and all(
            np.allclose(shares[x], weights[x], rtol=1e-5) for x in shares)
        if not same or not np.allclose(coupling * unit, decay * gain, rtol=1e-5, atol=1e-9):
            self.fail("the membrane must integrate the synaptic current of this step or of the "
                      "step before, not another mixture of it and the input")
        return weights, gain, SynapticCurrent(reals(decay)), unit

    # -- what happens at a spike -----------------------------------------------------------------

    def _late_pieces(self) -> list[Piece]:
        """Pieces in which the old state alone was over a threshold: the reset is delayed."""
        usual = [self._core(p.values[0])[0] for p in self.pieces if not self._was_above(p)]
        return [p for p in self.pieces if self._was_above(p) and
                not any(self._core(p.values[0])[0].close(value) for value in usual)]

    def _was_above(self, piece: Piece) -> bool:
        """Whether a decision says that the old state, by itself, was large."""
        return any(set(d.form.terms) == {self.v} and
                   np.all((d.form.terms[self.v] > 0) == d.truth) for d in piece.decisions)

    def _threshold(self, spiking: Sequence[int]) -> tuple[Array, bool, float]:
        """The threshold, whether it must be exceeded, and the greatest number of spikes."""
        if not self.active:
            return self._silent_threshold()
        floors = [x for p in self.active for k in spiking for x in p.values[k].terms]
        if floors:
            return self._counted(floors, spiking)
        shown = self.base.values[0] if self.grid is not None else self.potential
        crossings = [c for d in self.base.decisions if (c := crossing(d, shown)) is not None]
        if not crossings:
            self.fail("a spike must come from comparing the new potential with a threshold, not "
                      "from another number; check the neuron's equation")
        threshold, strict = min(crossings, key=lambda c: float(np.min(c[0])))
        if self.grid is not None:
            return between(self.grid, threshold, strict), True, 1
        return threshold, strict, 1

    def _silent_threshold(self) -> tuple[Array, bool, float]:
        """Of a neuron whose spikes nobody reads: from its delayed reset, or none."""
        late = [d for p in self.pieces if self._was_above(p) for d in p.decisions
                if set(d.form.terms) == {self.v}]
        if late:
            factor = late[0].form.terms[self.v]
            strict = late[0].strict == bool(np.all(factor > 0))
            return -late[0].form.const / factor, strict, 1
        if len(self.pieces) > 1:
            self.fail("a neuron that resets must return its spikes, not its membrane alone; "
                      "return them beside the membrane")
        return np.full((), np.inf), True, 1

    def _counted(self, floors: Sequence[Variable], spiking: Sequence[int]
                 ) -> tuple[Array, bool, float]:
        """The threshold of a neuron that fires floor(v / θ) times."""
        counts = [x for x in dict.fromkeys(floors) if isinstance(x, FloorVar)]
        fitting = [(x, r) for x in counts if (r := ratio(x.of, self.potential)) is not None]
        count, fitted = fitting[0] if fitting else (counts[0], None)
        if fitted is None or np.any(np.abs(fitted[1]) > 1e-6) or (fitted[0] <= 0).any():
            self.fail("several spikes in a step must be floor(v / threshold), not another number")
        per = next(p.values[k].terms[count] for p in self.active for k in spiking
                   if count in p.values[k].terms)
        caps = [np.max(p.values[k].const / per) for p in self.active for k in spiking
                if not p.values[k].terms and np.any(p.values[k].const)]
        return 1 / fitted[0], False, float(max(caps)) if caps else float("inf")

    def _reset(self, late: Sequence[Piece]) -> tuple[Literal["hard", "soft", "none"], Array]:
        fired = [self._core(p.values[0])[0] for p in self.active]
        if late:
            early = [f for p, f in zip(self.active, fired, strict=True) if p not in late]
            if not all(f.close(self.potential) or not f.terms for f in early):
                self.fail("the reset must be delayed or not, not both")
            return self._late_reset(late)
        if not fired:
            return "none", ZERO
        after = max(fired, key=lambda f: len(f.terms))
        if not after.terms:
            return "hard", after.const
        missing = self.potential.plus(after, -1.0)
        counted = [x for x in missing.terms if isinstance(x, FloorVar)]
        if len(counted) == len(missing.terms) == 1 and not np.any(np.abs(missing.const) > 1e-9):
            return "soft", missing.terms[counted[0]]
        if any(np.max(np.abs(f)) > 1e-6 for f in missing.terms.values()):
            self.fail("a spike must set the membrane to a value, subtract one or leave it, not "
                      "do something else")
        return ("soft", missing.const) if np.any(missing.const) else ("none", ZERO)

    def _late_reset(self, late: Sequence[Piece]) -> tuple[Literal["hard", "soft"], Array]:
        after = max((self._core(p.values[0])[0] for p in late), key=lambda f: len(f.terms))
        missing = self.potential.plus(after, -1.0)
        rest = {x: f for x, f in missing.terms.items() if np.max(np.abs(f)) > 1e-6}
        if not rest:
            return "soft", missing.const
        if not after.terms:
            self.fail("a delayed reset must leave the step's input, not discard it with the "
                      "membrane; use a reset by subtraction")
        if set(rest) == {self.v} and self.v not in after.terms:
            return "hard", after.const - self.potential.const
        counted = [x for x in rest if isinstance(x, FloorVar)]
        if len(counted) == len(rest) == 1:
            return "soft", rest[counted[0]]
        self.fail("a spike must set the membrane to a value, subtract one or leave it, not do "
                  "something else")

    def _clamp(self, late: Sequence[Piece]) -> Array | None:
        """The least membrane, from the pieces in which it is a constant without a spike."""
        values = [self._core(p.values[0])[0] for p in self.pieces
                  if p not in self.active and p not in late]
        floors = [value.const for value in values if not value.terms]
        if not floors or not self.potential.terms:
            return None
        return reals(np.min(np.stack(np.broadcast_arrays(*floors)), axis=0))

    # -- what leaves -----------------------------------------------------------------------------

    def _sinks(self, spiking: Sequence[int]) -> tuple[Sink, ...]:
        return tuple(Sink(self._factor(k) if k in spiking else None)
                     for k in range(self.first, len(self.base.values)))

    def _factor(self, place: int) -> Array:
        values = [p.values[place] for p in self.active if self._fires(p, [place])]
        if not values or any(np.any(p.values[place].const) for p in self.pieces
                             if p not in self.active):
            self.fail("what leaves the neuron must be its spike")
        counted = [f for value in values for f in value.terms.values()]
        if counted:
            return counted[0]
        if not all(np.allclose(value.const, values[0].const) for value in values):
            self.fail("a spike must have one size, not several")
        return values[0].const
