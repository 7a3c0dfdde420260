"""What layers and networks may be shown: floats that are unsigned integers, and nothing else."""

import math

import torch
from torch import Tensor

from qsnn_models.errors import ModelsError

EXACT = 1 << 24         # up to here float32 holds every integer
NEAR = 1e-3             # of an integer: what a dropout's scale leaves of rounding


def integral(name: str, x: Tensor, top: int, why: str = "", dropped: bool = False) -> float:
    """Refuse *x*, called *name*, unless all of it is integers from 0 to *top*, as *why* says; the
    largest. With *dropped* also integers that a dropout scaled, by one factor above 1: then 0.
    """
    x = x.detach()
    if not x.numel() or x.dtype == torch.bool or (x.dtype == torch.uint8 and top >= 255):
        return 0.0
    low, high = torch.aminmax(x)
    apart = (x - x.round()).abs_().amax() if x.is_floating_point() else torch.zeros_like(low)
    low, high, apart = torch.stack((low, high, apart)).tolist()     # one wait for the device
    if low >= 0 and high <= top and (apart == 0 or (dropped and _scaled(x))):
        return 0.0 if apart else float(high)
    limit = f"{top} ({why})" if why else str(top)
    raise ModelsError(f"{name} must be integers from 0 to {limit}, not {_first(x, top)!r}; "
                      f"{_cure(low, high, apart)}")


def _scaled(x: Tensor) -> bool:
    """Whether *x* is integers, all multiplied by one factor of at least 1."""
    unit = float(x[x > 0].min())
    return any(bool(((scaled := x * (k / unit)) - scaled.round()).abs().amax() < NEAR)
               for k in range(1, int(min(unit, 255)) + 1))


def _first(x: Tensor, top: int) -> float | int:
    """The first value that is none of the integers from 0 to *top*."""
    wrong = ~((x >= 0) & (x <= top))
    if x.is_floating_point():
        wrong |= x != x.round()
    value = x[wrong][0].item()
    return int(value) if math.isfinite(value) and value == int(value) else value


def _cure(low: float, high: float, apart: float) -> str:
    if not math.isfinite(high - low):
        return "find where the numbers are lost, in the data or on their way here"
    if low < 0:
        return "give unsigned codes: take the lowest value off, scale, and round"
    if apart and high <= 1:
        return "give the integer codes: round(x * 255), where x was divided by 255"
    if apart:
        return "round to integer codes; pool spikes by SumPool, which counts them"
    return "scale to the range, or take more input_bits"

