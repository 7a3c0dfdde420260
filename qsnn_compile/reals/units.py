"""What an integer of the fixed-point network stands for: the two kinds of unit."""

from dataclasses import dataclass

import numpy as np

from qsnn_compile.system.errors import QsnnError

from .normal_form import Reals

Shape = tuple[int, ...]


class QuantiseError(QsnnError):
    """A network that fixed point can't express. The message names node, reason and cure."""


@dataclass(frozen=True, eq=False)
class Activation:
    """``real = scale · (x - zero)``; x is unsigned and at most ``top``.

    ``scale`` has the rank of the value's shape, each axis full or 1.
    """

    scale: Reals
    zero: int
    top: int


@dataclass(frozen=True, eq=False)
class Current:
    """``real = unit · I + offset``, both of the rank of the value's shape.

    A negative unit is a channel whose sign is flipped.
    """

    unit: Reals
    offset: Reals


Value = Activation | Current


def along(array: Reals, shape: Shape) -> Reals:
    """*array* at the rank of *shape*: a scalar gets axes of 1, ``[C]`` follows the channels."""
    array = np.asarray(array, dtype=np.float64)
    if array.ndim == len(shape):
        return array
    if array.ndim == 1 and array.size in (1, shape[0] if shape else 1):
        return array.reshape((-1,) + (1,) * (len(shape) - 1)) if shape else array.reshape(())
    if array.size == 1:
        return array.reshape((1,) * len(shape))
    full = np.broadcast_to(array, shape)
    return np.asarray(full, dtype=np.float64)


def flat(array: Reals, shape: Shape) -> Reals:
    """*array*, which broadcasts against *shape*, with one number an element."""
    return np.broadcast_to(along(array, shape), shape).reshape(-1)


def per_channel(where: str, array: Reals, shape: Shape) -> Reals:
    """*array* as ``[C]``. Raises QuantiseError where it differs inside a channel."""
    full = np.broadcast_to(along(array, shape), shape).reshape(shape[0], -1)
    first = full[:, :1]
    if not np.allclose(full, first, rtol=1e-9, atol=0):
        worst = int(np.ptp(full, axis=1).argmax())
        raise QuantiseError(
            f"node {where!r}: its unit must be one number a channel, not {full[worst].min():g} to "
            f"{full[worst].max():g} in channel {worst}; use the same parameters for all neurons "
            "that a channel of a convolution feeds")
    return np.asarray(first[:, 0])


def as_current(value: Value) -> Current:
    """An activation that a neuron integrates as it is."""
    if isinstance(value, Current):
        return value
    return Current(value.scale, -value.scale * value.zero)


def same(a: Reals, b: Reals) -> bool:
    """Whether two units are one, but for the rounding of floats."""
    return bool(np.isclose(a, b, rtol=1e-9, atol=0).all())


def snapped(value: Reals) -> Reals:
    """*value* with numbers within 10⁻⁶ of an integer (10⁻⁷ of the number) made that integer."""
    near = np.rint(value)
    with np.errstate(invalid="ignore"):             # infinite thresholds stay what they are
        close = np.abs(value - near) <= np.maximum(1e-6, 1e-7 * np.abs(value))
    return np.where(close, near, value)
