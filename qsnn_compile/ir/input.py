"""The network's input: what its integers stand for, and how a user's array becomes them."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .errors import IrError

Coding = Literal["direct", "spikes"]
Takes = Literal["codes", "reals"]


@dataclass(frozen=True)
class Input:
    """The network's input: unsigned integers of ``bits`` bits, shape without the sample axis.

    ``direct``: the same values at every step (data ``[N, *shape]``). ``spikes``: a frame a step
    (data ``[N, T, *shape]``), 0/1 for ``bits`` = 1, else counts. A real input is
    ``scale · (x - zero_point)``.

    A network ``takes`` codes, or reals: raw numbers of a sensor, of which it makes the codes
    itself, ``clip(round(x / scale) + zero_point)``, ties to even, in float64 of x in float32. Only
    then scale and zero_point may be one a channel, the first axis of ``shape``.
    """

    shape: tuple[int, ...]
    bits: int = 1
    coding: Coding = "spikes"
    scale: float | tuple[float, ...] = 1.0
    zero_point: int | tuple[int, ...] = 0
    name: str = "x"
    takes: Takes = "codes"

    @property
    def top(self) -> int:
        """The largest code."""
        return (1 << self.bits) - 1

    def quantise(self, x: Any, steps: int) -> NDArray[np.uint8]:
        """*x* as the integers that a network of *steps* steps takes: ``[N, *shape]`` (direct) or
        ``[N, T, *shape]`` (spikes); a sample's axes of one value may be left out.

        An array of integers or booleans is taken as it is. An array of floats holds real values,
        ``x = scale · (q - zero_point)``, and is rounded to the nearest q, ties to even. Where the
        network takes reals, any array but one of uint8 holds real values, and what lies beyond the
        codes becomes the nearest of them. Raises IrError on another shape, on values that are not
        finite, and on others that need more than the input's bits.
        """
        array = _shaped(self, steps, np.asarray(x))
        if array.dtype.kind not in "iubf":
            raise IrError(f"x must hold integers, booleans or floats, not {array.dtype!s}")
        if self.takes == "reals" and array.dtype != np.uint8:
            return np.clip(_codes(self, array), 0, self.top).astype(np.uint8)
        if array.dtype.kind == "f":
            real, array = array, _codes(self, array)
            _check_real(self, real, array)
        _check_range(self, array)
        return array.astype(np.uint8)

    def beyond(self, x: Any, steps: int) -> float:
        """The share of real *x*, as `quantise` takes it, that no code stands for; 0 of codes."""
        array = _shaped(self, steps, np.asarray(x))
        if self.takes == "codes" or array.dtype == np.uint8 or not array.size:
            return 0.0
        codes = _codes(self, array)
        return float(((codes < 0) | (codes > self.top)).mean())

    def per_channel(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """``scale`` and ``zero_point`` as arrays that broadcast against ``[N, *shape]``."""
        form = (-1, *[1] * (len(self.shape) - 1))
        scale, zero = (np.asarray(given, np.float64) for given in (self.scale, self.zero_point))
        return (scale.reshape(form) if scale.ndim else scale,
                zero.reshape(form) if zero.ndim else zero)


def _shaped(source: Input, steps: int, x: NDArray[Any]) -> NDArray[Any]:
    front = 2 if source.coding == "spikes" else 1
    sizes, own = x.shape[front:], source.shape
    if sizes and [n for n in sizes if n != 1] == [n for n in own if n != 1]:
        x = x.reshape(*x.shape[:front], *own)
    _check_shape(source, steps, x.shape)
    return x


def _check_shape(source: Input, steps: int, shape: tuple[int, ...]) -> None:
    expected = source.shape
    if source.coding == "spikes":
        expected, form = (steps, *expected), "[N, T, ...]"
    else:
        form = "[N, ...]"
    if len(shape) == 0 or shape[1:] != expected:
        wanted = ", ".join(["N", *map(str, expected)])
        hint = _hint(source, steps, shape)
        raise IrError(f"x must be {form} = [{wanted}], not {list(shape)}{hint}")


def _hint(source: Input, steps: int, shape: tuple[int, ...]) -> str:
    """What probably happened to an array of the wrong *shape*, and the cure."""
    own = source.shape
    if source.coding == "spikes":
        if shape[2:] == own and shape[0] == steps:
            return ": it looks transposed ([T, N]); use x.swapaxes(0, 1)"
        if shape == (steps, *own):
            return ": it looks like one sample; use x[None]"
        if shape[2:] == own:
            return f": the network runs {steps} steps"
        if shape[1:] == own:
            return ": it has no step axis, and this network takes a frame of spikes a step"
        return ""
    if shape == own:
        return ": it looks like one sample; use x[None]"
    if len(shape) > 1 and np.prod(shape[1:]) == np.prod(own):
        return f": use x.reshape(-1, {', '.join(map(str, own))})"
    if len(shape) > 2 and shape[2:] == own:
        return ": it has a step axis, and this network takes the same values at every step"
    return ""


def _codes(source: Input, x: NDArray[Any]) -> NDArray[np.float64]:
    """Real values to (unchecked) codes. Still floats: infinities have no integer."""
    if not np.isfinite(x).all():
        raise IrError(f"x must be finite, not {float(x[~np.isfinite(x)][0])!r}")
    scale, zero = source.per_channel()
    with np.errstate(over="ignore"):        # what overflows is out of range in the end
        real = x.astype(np.float32) if source.takes == "reals" else x   # as the model file's x is
        codes: NDArray[np.float64] = np.rint(real.astype(np.float64) / scale)
    return codes + zero


def _check_real(source: Input, x: NDArray[Any], codes: NDArray[np.float64]) -> None:
    top = source.top
    wrong = (codes < 0) | (codes > top)
    if wrong.any():
        scale, zero = map(float, source.per_channel())
        low, high = scale * (0 - zero), scale * (top - zero)
        raise IrError(f"real x must be in [{low:g}, {high:g}] ({source.bits} bits of "
                      f"{scale:g}), not {float(x[wrong][0])!r}: pass integers for codes")


def _check_range(source: Input, x: NDArray[Any]) -> None:
    top = source.top
    if x.size and (x.min() < 0 or x.max() > top):
        wrong = x[(x < 0) | (x > top)][0]
        raise IrError(f"x must be in 0..{top} (unsigned, {source.bits} bits), "
                      f"not {int(wrong)!r}")
