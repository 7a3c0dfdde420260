"""The weights of a layer as integers, one scale a channel."""

from dataclasses import dataclass, field, replace

import numpy as np

from qsnn_compile import ir
from qsnn_compile.ir import Ints, ints
from qsnn_compile.reals.normal_form import Convolution, Grid, Linear, Reals
from qsnn_compile.reals.units import Activation, QuantiseError, Shape, flat, per_channel

WIDEST = 16
FEW = 4                         # bits, or less: the largest weight does not say the scale
_SHRINKS = np.linspace(1.0, 0.05, 39)


@dataclass(frozen=True, eq=False)
class Weights:
    """``W · scale of x ≈ unit[c] · codes``; ``exact`` where the file's own grid was kept;
    ``correction`` is what the bias gains, in real numbers."""

    codes: Ints
    bits: int
    unit: Reals
    error: float
    exact: bool
    correction: Reals = field(default_factory=lambda: np.zeros(()))


def quantise_weights(name: str, op: Linear | Convolution, x: Activation, shape: Shape, bits: int,
                     unit: Reals | None) -> Weights:
    """The weights of *op*, which reads *x* of *shape*, in *bits* bits (more where *unit*, the
    unit that the layers behind it ask for, needs them; infinite where a channel's weights change
    no spike, and become 0). Raises QuantiseError."""
    weight = effective(name, op, x, shape)
    own = None if op.grid is None else _grid_unit(op.grid, op, x)
    idle = np.zeros(len(weight), np.bool_) if unit is None else np.isinf(unit)
    if own is not None and unit is not None:
        own = _turned(own, unit)
    exact = own is not None
    if own is None:
        own = _chosen(weight, bits)
        own = own if unit is None else np.where(idle, own, unit)
    axes = (-1,) + (1,) * (weight.ndim - 1)
    rows = own.reshape(axes)
    codes = np.where(idle.reshape(axes), 0.0, np.rint(weight / rows))
    if unit is None and not exact:
        codes = _limited(codes, weight, bits)
    width = _width(codes, op.grid.bits if exact and op.grid else bits)
    if width > WIDEST:
        raise QuantiseError(
            f"node {name!r}: weights must fit {WIDEST} bits in the unit they share with the "
            f"layers they are added to, not {width!r}; bring their magnitudes closer together")
    peak = float(np.abs(weight).max())
    error = float(np.where(idle.reshape(axes), 0.0, np.abs(codes * rows - weight)).max())
    return Weights(ints(codes), width, own, error / peak if peak else 0.0, exact)


def finer(made: Weights, spare: int) -> Weights:
    """The same weights with *spare* fraction bits: a synapse's floors then lose less."""
    if spare == 0:
        return made
    return replace(made, codes=ints(made.codes << spare), bits=made.bits + spare,
                   unit=made.unit / (1 << spare))


def constant_bias(name: str, op: ir.Dense | ir.Conv2d, source: str, bias: Reals, bits: int
                  ) -> list[ir.Node]:
    """*op* of *source* plus *bias*, as the node *name*: the bias is the weights of neurons that
    always spike. For a synapse or a Delay, which pass on no offset."""
    bits = max(bits, 2)
    top = (1 << bits - 1) - 1
    lines = max(1, int(np.ceil(np.abs(bias).max() / top)))
    marks = np.trunc(bias[:, None] * np.arange(lines + 1) / lines)
    shares, silence = ints(np.diff(marks, axis=1)), np.zeros((lines, *op.weight.shape[1:]))
    if isinstance(op, ir.Dense):
        zero: ir.Op = ir.Dense(ints(silence), 2)
        added: ir.Op = ir.Dense(shares, bits)
    else:
        zero = ir.Conv2d(ints(np.repeat(silence, op.groups, axis=1)), 2, op.stride, op.padding, 1,
                         op.pad_value)
        added = ir.Conv2d(ints(shares[:, :, None, None]), bits)
    always = ir.Neuron(2, ints(0), reset="hard")
    return [ir.Node(f"{name}/weights", op, (source,)),
            ir.Node(f"{name}/silence", zero, (source,)),
            ir.Node(f"{name}/always", always, (f"{name}/silence",)),
            ir.Node(f"{name}/bias", added, (f"{name}/always",)),
            ir.Node(name, ir.Add(), (f"{name}/weights", f"{name}/bias"))]


def effective(name: str, op: Linear | Convolution, x: Activation, shape: Shape) -> Reals:
    """The weights per integer of the input: the input's scale multiplied in."""
    if isinstance(op, Linear):
        return np.asarray(op.weight * flat(x.scale, shape))
    scale = per_channel(name, x.scale, shape)
    depth = op.weight.shape[1]
    rows = np.arange(len(op.weight)) // (len(op.weight) // op.groups)
    mine = scale[rows[:, None] * depth + np.arange(depth)]
    return np.asarray(op.weight * mine[:, :, None, None])


def _grid_unit(grid: Grid, op: Linear | Convolution, x: Activation) -> Reals | None:
    """The unit of the file's own grid, None where the weights are not on it after all."""
    channels = len(op.weight)
    scale = np.broadcast_to(grid.scale, (1,) * op.weight.ndim) if grid.scale.size == 1 else (
        grid.scale.reshape(grid.scale.shape + (1,) * (op.weight.ndim - grid.scale.ndim)))
    uniform = scale.size in (1, channels) and np.ptp(x.scale) <= 1e-12 * abs(x.scale).max()
    if not uniform or grid.bits > WIDEST or not (scale != 0).all():
        return None
    codes = op.weight / scale
    if np.abs(codes - np.rint(codes)).max() > 1e-3:
        return None
    return np.broadcast_to(scale.reshape(-1) * x.scale.flat[0], (channels,)).copy()


def _turned(own: Reals, unit: Reals) -> Reals | None:
    """The grid's unit with the signs of *unit*, None if *unit* is another one."""
    same = np.isclose(np.abs(unit), np.abs(own), rtol=1e-6, atol=0) | np.isinf(unit)
    return np.where(np.isinf(unit), own, np.sign(unit) * np.abs(own)) if same.all() else None


def _chosen(weight: Reals, bits: int) -> Reals:
    """A scale for each channel: the largest weight, for few bits the least squared error."""
    rows = weight.reshape(len(weight), -1)
    if bits == 1:
        scale = np.abs(rows).mean(axis=1)
    else:
        top = (1 << bits - 1) - 1
        scale = np.abs(rows).max(axis=1) / top
        if bits <= FEW:
            scale = scale * _best_shrink(rows, scale, top)
    spare = float(scale.max()) or 1.0
    return np.where(scale > 0, scale, spare)


def _best_shrink(rows: Reals, scale: Reals, top: int) -> Reals:
    errors = []
    for shrink in _SHRINKS:
        step = np.where(scale > 0, scale, 1.0)[:, None] * shrink
        back = np.clip(np.rint(rows / step), -top, top) * step
        errors.append(((back - rows) ** 2).sum(axis=1))
    return np.asarray(_SHRINKS[np.argmin(errors, axis=0)])


def _limited(codes: Reals, weight: Reals, bits: int) -> Reals:
    if bits == 1:
        return np.where(weight >= 0, 1.0, -1.0)
    top = (1 << bits - 1) - 1
    return np.clip(codes, -top, top)


def _width(codes: Reals, bits: int) -> int:
    """*bits*, or as many more as *codes* need."""
    if bits == 1 and (np.abs(codes) == 1).all():
        return 1
    low, high = float(codes.min()), float(codes.max())
    need = next((n for n in range(2, 64) if -2.0 ** (n - 1) <= low and high < 2.0 ** (n - 1)), 64)
    return max(bits, need)
