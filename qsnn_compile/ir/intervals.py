"""Ranges of integers, a pair of arrays each, and the operators on them.

The arrays have as many axes as the value whose range they give, each of its size or 1: ``(C, 1,
1)`` is one range a channel. ``magnitudes`` has shown that int64 holds all of it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from .ops import Conv2d, Dense, Ints, MaxPool, SumPool
from .shapes import Shape


def width(lo: int, hi: int) -> int:
    """How many bits of two's complement hold every integer of lo..hi."""
    return 1 + max((~lo if lo < 0 else lo).bit_length(), (~hi if hi < 0 else hi).bit_length())


@dataclass(frozen=True, eq=False)
class Interval:
    """Every element of a value lies in lo..hi, both reached or not."""

    lo: Ints
    hi: Ints

    @property
    def lowest(self) -> int:
        """The lowest bound of all channels."""
        return int(self.lo.min())

    @property
    def highest(self) -> int:
        """The highest bound of all channels."""
        return int(self.hi.max())

    @property
    def width(self) -> int:
        """Bits of two's complement that hold every channel."""
        return width(self.lowest, self.highest)

    def __add__(self, other: "Interval") -> "Interval":
        return Interval(self.lo + other.lo, self.hi + other.hi)

    def __or__(self, other: "Interval") -> "Interval":
        """The smallest interval around both."""
        return Interval(np.minimum(self.lo, other.lo), np.maximum(self.hi, other.hi))

    def same(self, other: "Interval") -> bool:
        return np.array_equal(self.lo, other.lo) and np.array_equal(self.hi, other.hi)

    def scaled(self, gain: Ints) -> "Interval":
        """``gain · x``, the gain of either sign."""
        ends = self.lo * gain, self.hi * gain
        return Interval(np.minimum(*ends), np.maximum(*ends))

    def plus(self, offset: Ints | int) -> "Interval":
        return Interval(self.lo + offset, self.hi + offset)

    def clipped(self, bits: int) -> "Interval":
        """Saturated to *bits* bits of two's complement."""
        high = (1 << bits - 1) - 1
        return Interval(np.clip(self.lo, -high - 1, high), np.clip(self.hi, -high - 1, high))

    def flat(self, shape: Shape) -> "Interval":
        """One range an element of a value of *shape*, row-major."""
        return Interval(np.broadcast_to(self.lo, shape).reshape(-1),
                        np.broadcast_to(self.hi, shape).reshape(-1))


@dataclass(frozen=True, eq=False)
class Linear:
    """What a Dense or Conv2d sums, per output channel.

    ``current`` is I; ``partial`` any partial sum of I's terms, in any order; ``total`` is Σ x of
    the inputs of one output, padding included.
    """

    current: Interval
    partial: Interval
    total: Interval


def constant(value: int, shape: Shape) -> Interval:
    """The interval of one number, for a value of *shape*."""
    array = np.full((1,) * len(shape), value, dtype=np.int64)
    return Interval(array, array)


def linear(op: Dense | Conv2d, x: Interval, shape: Shape) -> Linear:
    """The ranges of a Dense or Conv2d of *x*, whose value has *shape*. Reached, all of them: the
    terms of a sum are independent."""
    low, high = (_taps(op, np.broadcast_to(bound, shape)) for bound in (x.lo, x.hi))
    groups, depth, _ = low.shape
    weight = op.weight.reshape(groups, -1, depth)
    plus, minus = np.maximum(weight, 0), np.minimum(weight, 0)
    up, down = _product(plus, high), _product(minus, high)
    current = up + _product(minus, low)
    floor = _product(plus, low) + down
    least, most = (np.repeat(taps.sum(axis=1), weight.shape[1], axis=0) for taps in (low, high))
    axes = (-1,) + (1,) * (op.weight.ndim - 2)
    return Linear(_channels(floor, current, axes), _channels(down, up, axes),
                  _channels(least, most, axes))


def max_pool(op: MaxPool, x: Interval, shape: Shape) -> Interval:
    """On one range a channel a pool changes nothing, be it of maxima or minima."""
    if _uniform(x):
        return x
    lo, hi = (_pooled(op, np.broadcast_to(bound, shape)) for bound in (x.lo, x.hi))
    return Interval(lo, hi)


def sum_pool(op: SumPool, x: Interval, shape: Shape) -> Interval:
    if _uniform(x):
        return Interval(x.lo * op.kernel[0] * op.kernel[1], x.hi * op.kernel[0] * op.kernel[1])
    lo, hi = (_windows(op, np.broadcast_to(bound, shape)).sum(axis=(3, 4))
              for bound in (x.lo, x.hi))
    return Interval(lo, hi)


def _uniform(x: Interval) -> bool:
    return x.lo.shape[1:] == x.hi.shape[1:] == (1, 1)


def _pooled(op: MaxPool, x: Ints) -> Ints:
    windows = _windows(op, x)
    low, high = windows.min(axis=(3, 4)), windows.max(axis=(3, 4))
    return np.asarray(np.where(op.flipped == 1, low, high))


def _windows(op: MaxPool | SumPool, x: Ints) -> Ints:
    view = sliding_window_view(x, op.kernel, axis=(1, 2))
    return np.asarray(view[:, ::op.stride[0], ::op.stride[1]])


def _taps(op: Dense | Conv2d, x: Ints) -> Ints:
    """*x* as ``[groups, terms of a sum, positions]``."""
    if isinstance(op, Dense):
        return x.reshape(1, -1, 1)
    top, left, bottom, right = op.padding
    padded = np.pad(x, ((0, 0), (top, bottom), (left, right)), constant_values=op.pad_value)
    view = np.asarray(sliding_window_view(padded, op.weight.shape[2:], axis=(1, 2)))
    view = view[:, ::op.stride[0], ::op.stride[1]]
    height, wide = view.shape[1:3]
    return view.transpose(0, 3, 4, 1, 2).reshape(op.groups, -1, height * wide)


def _product(weight: Ints, taps: Ints) -> Ints:
    """``weight @ taps`` exactly; in floats where they are exact, which is faster."""
    limit = int(abs(weight).sum(axis=2).max()) * int(abs(taps).max())
    if limit >= 1 << 53:
        return np.asarray(weight @ taps)
    exact: Ints = (weight.astype(np.float64) @ taps.astype(np.float64)).astype(np.int64)
    return exact


def _channels(lo: Ints, hi: Ints, axes: Shape) -> Interval:
    """``[groups, channels, positions]`` to one range a channel."""
    positions = lo.shape[-1]
    return Interval(lo.reshape(-1, positions).min(axis=1).reshape(axes),
                    hi.reshape(-1, positions).max(axis=1).reshape(axes))
