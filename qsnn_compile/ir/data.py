"""From a user's array to the network's input integers."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import IrError
from .graph import Graph


def quantize_input(graph: Graph, x: Any) -> NDArray[np.uint8]:
    """*x* as the integers *graph* takes: ``[N, *shape]`` (direct) or ``[N, T, *shape]`` (spikes).

    An array of integers or booleans is taken as it is. An array of floats holds real values,
    ``x = scale · (q - zero_point)``, and is rounded to the nearest q, ties to even. Raises IrError
    on another shape, and on values that need more than the input's bits.
    """
    array = np.asarray(x)
    _check_shape(graph, array.shape)
    if array.dtype.kind == "f":
        array = _quantize(graph, array)
    elif array.dtype.kind not in "iub":
        raise IrError(f"x must hold integers, booleans or floats, not {array.dtype!s}")
    _check_range(graph, array)
    return array.astype(np.uint8)


def _check_shape(graph: Graph, shape: tuple[int, ...]) -> None:
    expected = graph.input.shape
    if graph.input.coding == "spikes":
        expected, form = (graph.steps, *expected), "[N, T, ...]"
    else:
        form = "[N, ...]"
    if len(shape) == 0 or shape[1:] != expected:
        wanted = ", ".join(["N", *map(str, expected)])
        raise IrError(f"x must be {form} = [{wanted}], not {list(shape)}{_hint(graph, shape)}")


def _hint(graph: Graph, shape: tuple[int, ...]) -> str:
    """What probably happened to an array of the wrong *shape*, and the cure."""
    own, steps = graph.input.shape, graph.steps
    if graph.input.coding == "spikes":
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


def _quantize(graph: Graph, x: NDArray[Any]) -> NDArray[np.float64]:
    """Real values to (unchecked) codes. Still floats: infinities have no integer."""
    if not np.isfinite(x).all():
        raise IrError(f"x must be finite, not {float(x[~np.isfinite(x)][0])!r}")
    with np.errstate(over="ignore"):        # what overflows is out of range below
        codes: NDArray[np.float64] = np.rint(x.astype(np.float64) / graph.input.scale)
    codes += graph.input.zero_point
    _check_real(graph, x, codes)
    return codes


def _check_real(graph: Graph, x: NDArray[Any], codes: NDArray[np.float64]) -> None:
    top = 2**graph.input.bits - 1
    wrong = (codes < 0) | (codes > top)
    if wrong.any():
        scale, zero = graph.input.scale, graph.input.zero_point
        low, high = scale * -zero, scale * (top - zero)
        raise IrError(f"real x must be in [{low:g}, {high:g}] ({graph.input.bits} bits of "
                      f"{scale:g}), not {float(x[wrong][0])!r}: pass integers for codes")


def _check_range(graph: Graph, x: NDArray[Any]) -> None:
    top = 2**graph.input.bits - 1
    if x.size and (x.min() < 0 or x.max() > top):
        wrong = x[(x < 0) | (x > top)][0]
        raise IrError(f"x must be in 0..{top} (unsigned, {graph.input.bits} bits), "
                      f"not {int(wrong)!r}")
