"""One neuron in integers. Every channel counts in its own unit: what 1 of its current adds to its
membrane, divided by 2^f."""

from dataclasses import dataclass, replace

import numpy as np

from qsnn_compile import ir
from qsnn_compile.reals.calibrate import Range
from qsnn_compile.reals.normal_form import Neuron, Reals, SynapticCurrent
from qsnn_compile.reals.units import Current, QuantiseError, Shape, along, same, snapped

from .place import Place
from .report import Rounding, rounding
from .trial import Trial

NEVER = 1 << 48                 # beyond every v
MARGIN = 1.25                   # of a range seen in data
FINER = 2                       # v is at least so many bits finer than what is stored
MAX_GAIN_SHIFT = 8
GRID_FINER = 8                  # the same for a quantised state, whose steps are coarse


@dataclass(frozen=True, eq=False)
class Fixed:
    """A quantised neuron, the real size of 1 of v, and what was rounded. ``wanted`` is not None
    where the current must come in another unit for this to hold: with the sign turned, say."""

    op: ir.Neuron
    unit: Reals
    roundings: tuple[Rounding, ...]
    notes: tuple[str, ...]
    wanted: Reals | None = None
    place: Place | None = None


@dataclass(frozen=True)
class Widths:
    """Bits of the stored membrane, and of a decay's fraction."""

    membrane: int
    decay: int


@dataclass(frozen=True, eq=False)
class _Frame:
    """The neuron's parameters along its shape: all of one rank, channel first."""

    decay: Reals
    unit: Reals                  # of v with f = 0
    bias: Reals
    threshold: Reals
    reset_value: Reals
    initial: Reals
    clamp: Reals | None


def quantise_neuron(name: str, op: Neuron, current: Current, shape: Shape, seen: Range | None,
                    widths: Widths, trial: Trial | None = None) -> Fixed:
    """*op* in integers, its membrane's levels where *trial* finds them best. Raises QuantiseError
    where fixed point can't express it."""
    _check(name, op)
    synapse, current, lost, roundings = _synapse(op.synapse, current, shape, widths)
    gain = along(op.gain, shape)
    frame = _frame(op, gain, current, shape)
    place = None if op.grid is not None else _place(op, frame, seen, shape, widths, trial)
    frame = frame if place is None else replace(frame, bias=frame.bias + place.shift)
    fitted = _shifts(name, op, frame, place, widths)
    wanted = _wanted(gain, current, fitted)
    if wanted is not None and op.synapse is not None:
        wanted = wanted / along(op.synapse.gain, shape)
    m, q = _decay(frame.decay, widths.decay)
    fixed, more, notes = _numbers(name, op, frame, fitted, m, q, lost)
    decay = rounding("decay", frame.decay, m, 0.5 ** q)
    return Fixed(replace(fixed, synapse=synapse), fitted.unit, (*roundings, decay, *more), notes,
                 wanted, place)


def _check(name: str, op: Neuron) -> None:
    if op.raised is not None:
        raise QuantiseError(f"node {name!r}: threshold must be the same at every step, not raised "
                            "behind a spike (snnTorch's reset_delay=False); train or export the "
                            "network with reset_delay=True")
    if op.silenced:
        raise QuantiseError(f"node {name!r}: current must be taken in the step after a spike too, "
                            "not lost with a late reset (snnTorch's 'zero' of Synaptic, RLeaky and "
                            "RSynaptic); train the network with 'subtract' or reset_delay=False")
    if op.max_spikes > 1 and op.reset == "hard":
        raise QuantiseError(f"node {name!r}: reset must be soft or none where a neuron sends "
                            f"several spikes a step, not {op.reset!r}; use a soft reset")
    if op.max_spikes > 1 and not (op.threshold > 0).all():
        raise QuantiseError(f"node {name!r}: threshold must be positive where a neuron sends "
                            f"several spikes a step, not {float(op.threshold.min())!r}; raise it")
    if (op.decay < 0).any():
        raise QuantiseError(f"node {name!r}: decay must not be negative, not "
                            f"{float(op.decay.min())!r}; use one in 0 … 1")
    if op.delayed and op.reset != "none" and (op.decay == 0).any() and (op.reset_value != 0).any():
        raise QuantiseError(f"node {name!r}: decay must not be 0 with a delayed reset, not 0.0: "
                            "what it subtracts would be lost; reset at once")
    if op.delayed and op.max_spikes > 1:
        raise QuantiseError(f"node {name!r}: max_spikes must be 1 with a delayed reset, not "
                            f"{op.max_spikes!r}; reset at once")


def _synapse(op: SynapticCurrent | None, current: Current, shape: Shape, widths: Widths
             ) -> tuple[ir.Synapse | None, Current, Reals, tuple[Rounding, ...]]:
    """The synapse, the current that leaves it, and what its floors lose on average."""
    if op is None:
        return None, current, np.zeros(()), ()
    alpha = along(op.decay, shape)
    m, q = _decay(alpha, widths.decay)
    made = ir.Synapse(ir.ints(m), q, 32)
    lost = np.where((alpha > 0) & (alpha < 1), (0.5 - 0.5 ** (q + 1)) / (1 - alpha + 1e-12), 0.0)
    leaving = Current(current.unit * along(op.gain, shape), current.offset)
    return made, leaving, np.minimum(lost, 64), (rounding("synapse decay", alpha, m, 0.5 ** q),)


def _frame(op: Neuron, gain: Reals, current: Current, shape: Shape) -> _Frame:
    decay = along(op.decay, shape)
    value = along(op.reset_value, shape)
    if op.delayed:
        value = value / np.where(decay == 0, 1.0, decay)
    clamp = None if op.clamp is None else along(op.clamp, shape)
    offset = gain * current.offset + along(op.offset, shape)
    return _Frame(decay, np.abs(gain * current.unit), offset,
                  along(op.threshold, shape), value, along(op.initial, shape), clamp)


@dataclass(frozen=True, eq=False)
class _Fitted:
    """Units after the shifts are chosen: f, k, 1 of v, U, and where the stored 0 lies."""

    gain_shift: int
    step_shift: Reals
    unit: Reals
    bits: int
    centre: Reals
    low: Reals | None            # the lowest level of a state grid, where U bits go below it
    notes: tuple[str, ...] = ()


def _step(frame: _Frame, op: Neuron, seen: Range | None, shape: Shape, widths: Widths) -> Reals:
    """The real size of a membrane step: so that the range fits the bits."""
    need = [np.abs(frame.initial)]
    if seen is not None:
        need += [MARGIN * np.abs(along(bound, shape)) for bound in (seen.low, seen.high)]
    if op.reset != "none":
        need.append(np.where(np.isfinite(frame.threshold), np.abs(frame.threshold), 0.0))
    if op.reset == "hard":
        need.append(np.abs(frame.reset_value))
    reach = need[0]
    for more in need[1:]:
        reach = np.maximum(reach, more)
    reach = np.where(reach > 0, reach, max(float(reach.max()), 1e-12))
    return np.asarray(reach / ((1 << widths.membrane - 1) - 1 or 1))


def _place(op: Neuron, frame: _Frame, seen: Range | None, shape: Shape, widths: Widths,
           trial: Trial | None) -> Place:
    """The levels that hold the range about 0; those that *trial* finds better."""
    step = _step(frame, op, seen, shape, widths)
    step = np.broadcast_to(step, np.broadcast_shapes(step.shape, _each(shape)))
    if trial is None or seen is None or op.max_spikes > 1:      # ⌊v / θ⌋ counts from 0
        return Place(step, np.zeros(step.shape), np.zeros(step.shape))
    own = np.where(frame.unit > 0, frame.unit, step / (1 << FINER))
    step = own * 2.0 ** np.maximum(np.ceil(np.log2(step / own) - 1e-9), -MAX_GAIN_SHIFT)
    first = Place(step, np.zeros(step.shape), np.zeros(step.shape))
    return trial.best(op, first, along(seen.low, shape), along(seen.high, shape), widths.membrane)


def _each(shape: Shape) -> Shape:
    """A number a channel."""
    return tuple(size if axis == 0 else 1 for axis, size in enumerate(shape))


def _shifts(name: str, op: Neuron, frame: _Frame, place: Place | None, widths: Widths) -> _Fitted:
    if place is None:
        return _on_grid(name, op, frame)
    step = place.step
    own = np.where(frame.unit > 0, frame.unit, step / (1 << FINER))
    f = 0
    if not (_whole(op, frame, own) and (step <= own * (1 + 1e-9)).all()):
        f = int(np.clip(np.ceil(np.log2((own * (1 << FINER) / step).max())), 0, MAX_GAIN_SHIFT))
    unit = own / (1 << f)
    k = np.maximum(0, np.ceil(np.log2(step / unit) - 1e-9))
    top = min(32, 58 - widths.membrane - widths.decay)
    return _Fitted(f, np.minimum(k, top), unit * 2.0 ** np.maximum(0, k - top), widths.membrane,
                   place.centre, None)


def _whole(op: Neuron, frame: _Frame, unit: Reals) -> bool:
    """Whether everything is a whole number of units, and no decay loses anything."""
    numbers = [frame.bias, frame.reset_value, frame.initial,
               np.where(np.isfinite(frame.threshold), frame.threshold, 0.0)]
    numbers += [] if frame.clamp is None else [frame.clamp]
    whole = all((snapped(x / unit) == np.rint(x / unit)).all() for x in numbers)
    return whole and bool(np.isin(frame.decay, (0.0, 1.0)).all())


def _on_grid(name: str, op: Neuron, frame: _Frame) -> _Fitted:
    """A quantised state: its levels are the stored integers."""
    assert op.grid is not None
    levels = np.asarray(op.grid.levels)
    gaps = np.diff(levels)
    if len(levels) < 2 or np.ptp(gaps) > 1e-4 * gaps.max():
        raise QuantiseError(f"node {name!r}: levels of its quantised state must be evenly spaced, "
                            f"not {gaps.min():g} to {gaps.max():g} apart; use a uniform quantiser")
    step = float((levels[-1] - levels[0]) / (len(levels) - 1))
    bits = max(1, (len(levels) - 1).bit_length())
    own = np.where(frame.unit > 0, frame.unit, step)
    e = np.floor(np.log2(step / own) + 1e-9)
    f = int(np.clip(GRID_FINER - e.min(), 0, 16))
    k = np.clip(e + f, 0, 24)
    half = 1 << bits - 1
    centre = np.full(own.shape, levels[0] + step * (len(levels) - half))
    low = None if len(levels) == 2 * half else np.full(own.shape, levels[0])
    return _Fitted(f, k, step / 2.0 ** k, bits, centre, low,
                   (f"state on the file's own {len(levels)} levels",))


def _wanted(gain: Reals, current: Current, fitted: _Fitted) -> Reals | None:
    """The unit the current should have, None where it has it; infinite on a channel whose input
    can't change its spikes."""
    made = fitted.unit * (1 << fitted.gain_shift)
    with np.errstate(divide="ignore", invalid="ignore"):
        wanted = made / gain
    idle = np.abs(gain * current.unit) * 2.0 ** 17 < made
    wanted = np.where(idle, np.inf, wanted)
    if same(wanted, current.unit):
        return None
    return np.broadcast_to(wanted, np.broadcast_shapes(wanted.shape, current.unit.shape))


def _decay(decay: Reals, q: int) -> tuple[Reals, int]:
    """m and q: the smallest q that is exact, else the one given."""
    exact = next((n for n in range(q) if np.allclose(decay * 2.0 ** n, np.rint(decay * 2.0 ** n),
                                                     rtol=0, atol=1e-7 * 2 ** n)), q)
    return np.rint(decay * 2.0 ** exact), exact


def _numbers(name: str, op: Neuron, frame: _Frame, fitted: _Fitted, m: Reals, q: int, lost: Reals
             ) -> tuple[ir.Neuron, tuple[Rounding, ...], tuple[str, ...]]:
    unit, k, c = fitted.unit, fitted.step_shift, fitted.centre
    floor = np.where(m == 0, 0.0, 0.5 - np.minimum(0.5, 0.5 ** (q - k + 1)))
    bias = snapped((frame.bias + (frame.decay - 1) * c) / unit)
    stored = np.rint(bias + floor + lost * (1 << fitted.gain_shift))
    threshold = _threshold(op, snapped((frame.threshold - c) / unit))
    shift = c if op.reset == "hard" else np.zeros(())
    value = np.rint((frame.reset_value - shift) / unit)
    fixed = ir.Neuron(
        bits=fitted.bits, threshold=threshold, bias=ir.ints(stored), step_shift=ir.ints(k),
        decay=ir.ints(m), decay_shift=q, gain_shift=fitted.gain_shift, reset=op.reset,
        reset_value=ir.ints(value), initial=_initial(frame, fitted),
        clamp=_clamp(frame, fitted), max_spikes=int(min(op.max_spikes, 255)))
    made = [rounding("threshold", frame.threshold - c, np.where(
        np.isfinite(frame.threshold), threshold - (1 if op.strict else 0), np.nan), unit),
        rounding("bias", frame.bias + (frame.decay - 1) * c, stored, unit)]
    if op.reset != "none":
        made.append(rounding("reset", frame.reset_value - shift, value, unit))
    return fixed, tuple(made), (*fitted.notes, *_warnings(op, frame, fitted))


def _threshold(op: Neuron, value: Reals) -> ir.Ints:
    """The smallest v that fires."""
    fires = np.floor(value) + 1 if op.strict and op.max_spikes == 1 else np.ceil(value)
    if op.max_spikes > 1:
        fires = np.maximum(1, np.rint(value))
    return ir.ints(np.clip(np.nan_to_num(fires, posinf=NEVER, neginf=-NEVER), -NEVER, NEVER))


def _initial(frame: _Frame, fitted: _Fitted) -> ir.Ints:
    half = 1 << fitted.bits - 1
    stored = np.rint((frame.initial - fitted.centre) / (fitted.unit * 2.0 ** fitted.step_shift))
    return ir.ints(np.clip(stored, -half, half - 1))


def _clamp(frame: _Frame, fitted: _Fitted) -> ir.Ints | None:
    bounds = [bound - fitted.centre for bound in (frame.clamp, fitted.low) if bound is not None]
    if not bounds:
        return None
    lowest = bounds[0] if len(bounds) == 1 else np.maximum(*bounds)
    return ir.ints(np.rint(lowest / fitted.unit))


def _warnings(op: Neuron, frame: _Frame, fitted: _Fitted) -> list[str]:
    warnings = []
    if op.max_spikes > 255:
        warnings.append("at most 255 spikes a step are sent")
    step = fitted.unit * 2.0 ** fitted.step_shift
    away = np.abs((frame.initial - fitted.centre) / step
                  - np.rint((frame.initial - fitted.centre) / step)).max()
    if op.grid is not None and away > 1e-3:
        warnings.append(f"the initial membrane lies {away:.2g} of a level beside its nearest level")
    below = frame.clamp is not None and (op.threshold - frame.reset_value < frame.clamp).any()
    if op.delayed and op.reset == "soft" and below:
        warnings.append("the clamp holds after a reset too, not only before it")
    return warnings
