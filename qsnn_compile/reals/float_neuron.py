"""One neuron's step in floating point: the equations of `normal.Neuron`, on arrays [N, *shape]."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .normal_form import Neuron, Reals, SynapticCurrent, reals

Array = NDArray[Any]
TIE_ULPS = 4


@dataclass(frozen=True, eq=False)
class State:
    """The membrane u and the synaptic current i of the step before (0 where there is none)."""

    u: Array
    i: Array


@dataclass(frozen=True, eq=False)
class Advance:
    """A step: the potential that met the threshold, the spikes' number, and the new state."""

    v: Array
    count: Array
    state: State


def start(op: Neuron, x: Array) -> State:
    """The state before the first step."""
    return State(np.broadcast_to(_as(op.initial, x), x.shape), np.zeros_like(x))


def advance(op: Neuron, state: State, x: Array) -> Advance:
    """One step on the input *x*, in x's type."""
    current, i = (x, state.i) if op.synapse is None else _synapse(op.synapse, state.i, x)
    v = _as(op.decay, x) * state.u + _as(op.gain, x) * current + _as(op.offset, x)
    if op.delayed:
        v = _late_reset(op, state.u, current, v)
    lift = _as(reals(0) if op.raised is None else op.raised, x)
    count = spikes(op, v if op.raised is None else v - lift * spikes(op, state.u))
    after = v if op.delayed else _reset(op, v, count)
    return Advance(v, count, State(_stored(op, after), i))


def spikes(op: Neuron, v: Array) -> Array:
    """How many spikes the potential *v* gives."""
    threshold = _as(op.threshold, v)
    if op.max_spikes > 1:
        count = np.minimum(np.floor(v / threshold), op.max_spikes)
        return np.asarray(np.maximum(count, 0).astype(v.dtype))
    return np.asarray((v > threshold if op.strict else v >= threshold).astype(v.dtype))


def near(op: Neuron, v: Array) -> NDArray[np.bool_]:
    """Where *v* lies so near the threshold that rounding may decide: 4 ulp."""
    threshold = _as(op.threshold, v)
    if op.max_spikes > 1:
        threshold = np.maximum(np.rint(v / threshold), 1) * threshold
    if not np.isfinite(threshold).all():
        return np.zeros(v.shape, np.bool_)
    unit = np.spacing(np.maximum(np.abs(v), np.abs(threshold)))
    return np.asarray(np.abs(v - threshold) <= TIE_ULPS * unit)


def _as(value: Reals, x: Array) -> Array:
    return value.astype(x.dtype)


def _synapse(op: SynapticCurrent, before: Array, x: Array) -> tuple[Array, Array]:
    """What the membrane integrates, and the new current."""
    now = _as(op.decay, x) * before + _as(op.gain, x) * x
    return (before if op.delayed else now), now


def _late_reset(op: Neuron, u: Array, current: Array, v: Array) -> Array:
    count = spikes(op, u)
    if op.reset == "soft":
        return np.asarray(v - _as(op.reset_value, v) * count)
    if op.reset == "none":
        return v
    own = 0.0 if op.silenced else _as(op.gain, v) * current + _as(op.offset, v)
    fresh = own + _as(op.reset_value, v)
    return np.where(count != 0, fresh, v)


def _reset(op: Neuron, v: Array, count: Array) -> Array:
    if op.reset == "soft":
        return np.asarray(v - _as(op.reset_value, v) * count)
    if op.reset == "hard":
        return np.where(count != 0, _as(op.reset_value, v), v)
    return v


def _stored(op: Neuron, v: Array) -> Array:
    if op.clamp is not None:
        v = np.maximum(v, _as(op.clamp, v))
    if op.grid is None:
        return v
    levels = _as(op.grid.levels, v)
    middle = (levels[1:] + levels[:-1]) / v.dtype.type(2)
    return np.asarray(levels[np.searchsorted(middle, v, side="left")])
