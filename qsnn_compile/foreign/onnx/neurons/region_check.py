"""A neuron as read, held against the region itself: random points and the border cases."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qsnn_compile.foreign.onnx.trace.evaluate import evaluate
from qsnn_compile.foreign.onnx.trace.trace import Trace
from qsnn_compile.reals.float_neuron import Advance, State, advance, near
from qsnn_compile.reals.normal_form import Neuron, reals

from .region_forms import NotAffine, Var
from .region_neuron import Found

Array = NDArray[Any]
POINTS = 400


def confirm(trace: Trace, reading: Found, before: tuple[int, int | None],
            after: tuple[int, int | None], sinks: Sequence[int], origin: str,
            derived: Mapping[int, int]) -> None:
    """Raise NotAffine unless *reading* gives what the blocks *after* and *sinks* give; a *derived*
    block has the value of another one."""
    size = trace.blocks[before[0]].size
    points = _points(reading, size)
    total = sum((w * points[x.block] for x, w in reading.weights.items() if isinstance(x, Var)),
                start=np.zeros((1, size)))
    unit = np.where(reading.unit == 0, 1.0, reading.unit)
    current = np.broadcast_to(points["i"], points["u"].shape)
    given: dict[int, Array] = {x.block: points[x.block] for x in reading.weights
                               if isinstance(x, Var)}
    given[before[0]] = points["u"]
    if before[1] is not None:
        given[before[1]] = current * unit
    for block, same in derived.items():
        given[block] = evaluate(trace, [same], given)[same]
    ours = advance(_broadcast(reading.neuron), State(points["u"], current), total)
    wanted = [after[0], *([] if after[1] is None else [after[1]]), *sinks]
    theirs = evaluate(trace, wanted, given)
    tied = near(reading.neuron, ours.v) | _near_late(reading.neuron, points["u"])
    if reading.below:
        tied |= points["u"] > reading.neuron.threshold
    tied[:, :] &= ~points["exact"]
    _compare(reading, ours, theirs, after, sinks, unit, tied, origin)


def _points(reading: Found, size: int) -> dict[Any, Array]:
    """Old states and currents, many samples of each: around the thresholds, and on them."""
    rng, neuron = np.random.default_rng(1), reading.neuron
    scale = _scale(neuron)
    u = rng.normal(0, 1, (POINTS, size)) * scale * rng.choice([0.3, 1, 4], (POINTS, 1))
    if neuron.grid is not None:
        u = rng.choice(neuron.grid.levels, (POINTS, size))
    u[:40] = 0
    gain = np.where(neuron.gain == 0, 1.0, neuron.gain)
    points: dict[Any, Array] = {"u": u, "i": rng.normal(0, 1, (POINTS, size))}
    if neuron.synapse is None:
        points["i"] = np.zeros((POINTS, size))
    points["i"][:40] = 0
    for number, x in enumerate(reading.weights):
        spread = rng.choice([0.3, 1, 4], (POINTS, 1))
        value = rng.normal(0, 1, (POINTS, size)) * scale / np.abs(gain) * spread
        value[:20] = _edges(neuron, gain, size) if number == 0 else 0
        if isinstance(x, Var):
            points[x.block] = value
    points["exact"] = _exact(neuron, points, reading, size)
    return points


def _scale(neuron: Neuron) -> Array:
    finite = np.where(np.isfinite(neuron.threshold), np.abs(neuron.threshold), 1.0)
    return np.asarray(np.maximum(finite, 1e-3))


def _edges(neuron: Neuron, gain: Array, size: int) -> Array:
    """Currents that bring a resting membrane onto the threshold, and just beside it."""
    target = np.where(np.isfinite(neuron.threshold), neuron.threshold, 1.0) - neuron.offset
    shares = np.array([1, 1 - 1e-6, 1 + 1e-6, 0, -1, 2, 3, -3, 1.5, 0.5] * 2).reshape(-1, 1)
    return np.asarray(np.broadcast_to(target / gain, (size,)) * shares)


def _exact(neuron: Neuron, points: Mapping[Any, Array], reading: Found, size: int) -> Array:
    """Where the potential is exactly the threshold: gain · (θ/gain) must come out as θ."""
    exact = np.zeros((POINTS, size), np.bool_)
    if len(reading.weights) != 1 or neuron.synapse is not None or neuron.grid is not None:
        return exact
    current = next(points[x.block] for x in reading.weights if isinstance(x, Var))
    v = neuron.gain * current[:1] + neuron.offset
    simple = np.isclose(np.log2(np.abs(neuron.gain)) % 1, 0) if np.all(neuron.gain) else False
    exact[:1] = (v == neuron.threshold) & simple & (neuron.offset == 0)
    return exact


def _near_late(neuron: Neuron, u: Array) -> Array:
    if neuron.grid is not None or (not neuron.delayed and neuron.raised is None):
        return np.zeros(u.shape, np.bool_)
    return near(neuron, u)


def _broadcast(neuron: Neuron) -> Neuron:
    return replace(neuron, initial=reals(0))


def _compare(reading: Found, ours: Advance, theirs: Mapping[int, Array],
             after: tuple[int, int | None], sinks: Sequence[int], unit: Array, tied: Array,
             origin: str) -> None:
    """Equal spikes outside ties, and equal states where the spikes are."""
    pairs = [(after[0], ours.state.u)]
    if after[1] is not None:
        pairs.append((after[1], ours.state.i * unit))
    for block, sink in zip(sinks, reading.sinks, strict=True):
        if sink.factor is not None:
            pairs.append((block, ours.count * sink.factor))
    for block, mine in pairs:
        wrong = ~np.isclose(theirs[block].astype(np.float64), mine, rtol=1e-6, atol=1e-7) & ~tied
        if wrong.any():
            sample, place = np.argwhere(wrong)[0].tolist()
            raise NotAffine(
                f"{origin}: the neuron must be the equation that was read from it, but gives "
                f"{float(theirs[block][sample, place])!r} where that gives "
                f"{float(mine[sample, place])!r}; please report this file")
