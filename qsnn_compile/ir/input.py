"""The network's input: what its integers stand for, and how a user's array becomes them."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .errors import IrError

Coding = Literal["direct", "spikes"]


@dataclass(frozen=True)
class Input:
    """The network's input: unsigned integers of ``bits`` bits, shape without the sample axis.

    ``direct``: the same values at every step (data ``[N, *shape]``). ``spikes``: a frame a step
    (data ``[N, T, *shape]``), 0/1 for ``bits`` = 1, else counts. A real input is
    ``scale · (x - zero_point)``.
    """

    shape: tuple[int, ...]
    bits: int = 1
    coding: Coding = "spikes"
    scale: float = 1.0
    zero_point: int = 0
    name: str = "x"

    def quantise(self, x: Any, steps: int) -> NDArray[np.uint8]:
        """*x* as the integers that a network of *steps* steps takes: ``[N, *shape]`` (direct) or
        ``[N, T, *shape]`` (spikes).

        An array of integers or booleans is taken as it is. An array of floats holds real values,
        ``x = scale · (q - zero_point)``, and is rounded to the nearest q, ties to even. Raises
        IrError on another shape, and on values that need more than the input's bits.
        """
        array = np.asarray(x)
        _check_shape(self, steps, array.shape)
        if array.dtype.kind == "f":
            array = _quantise(self, array)
        elif array.dtype.kind not in "iub":
            raise IrError(f"x must hold integers, booleans or floats, not {array.dtype!s}")
        _check_range(self, array)
        return array.astype(np.uint8)


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


def _quantise(source: Input, x: NDArray[Any]) -> NDArray[np.float64]:
    """Real values to (unchecked) codes. Still floats: infinities have no integer."""
    if not np.isfinite(x).all():
        raise IrError(f"x must be finite, not {float(x[~np.isfinite(x)][0])!r}")
    with np.errstate(over="ignore"):        # what overflows is out of range below
        codes: NDArray[np.float64] = np.rint(x.astype(np.float64) / source.scale)
    codes += source.zero_point
    _check_real(source, x, codes)
    return codes


def _check_real(source: Input, x: NDArray[Any], codes: NDArray[np.float64]) -> None:
    top = 2**source.bits - 1
    wrong = (codes < 0) | (codes > top)
    if wrong.any():
        scale, zero = source.scale, source.zero_point
        low, high = scale * -zero, scale * (top - zero)
        raise IrError(f"real x must be in [{low:g}, {high:g}] ({source.bits} bits of "
                      f"{scale:g}), not {float(x[wrong][0])!r}: pass integers for codes")


def _check_range(source: Input, x: NDArray[Any]) -> None:
    top = 2**source.bits - 1
    if x.size and (x.min() < 0 or x.max() > top):
        wrong = x[(x < 0) | (x > top)][0]
        raise IrError(f"x must be in 0..{top} (unsigned, {source.bits} bits), "
                      f"not {int(wrong)!r}")
