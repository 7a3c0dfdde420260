"""A data set's values as what a network takes."""

from collections.abc import Sequence

import numpy as np

from qsnn_models.errors import DataError

from .dataset import Bytes


def encode(values: Bytes, coding: str, bits: int, steps: int,
           shape: Sequence[int] | None = None) -> Bytes:
    """Images ``[N, P]`` or frames ``[N, T, ...]`` as a network's input, uint8.

    Images, ``direct``: the upper *bits* bits of each pixel, ``[N, *shape]``; ``spikes``: ``[N, T,
    *shape]``, a spike at step t where the pixel is above ``256 · (t + 1/2) / T``: as many as it is
    bright, no chance. Frames are handed on: there must be *steps* of them, of *bits* bits.
    *shape* is the network's input, ``(1, 28, 28)``; None leaves the values as they lie.
    """
    if values.ndim > 2:
        return _shaped(_checked(values, coding, bits, steps), shape, 2)
    if coding == "direct":
        return _shaped(np.right_shift(values, np.uint8(8 - bits)), shape, 1)
    levels = (256 * (np.arange(steps) + 0.5) / steps).astype(np.uint8)
    return _shaped((values[:, None, :] > levels[:, None]).astype(np.uint8), shape, 2)


def _checked(frames: Bytes, coding: str, bits: int, steps: int) -> Bytes:
    if coding != "spikes":
        raise DataError(f"coding must be 'spikes' for data of {frames.shape[1]} frames a sample, "
                        f"not {coding!r}")
    if frames.shape[1] != steps:
        raise DataError(f"steps must be {frames.shape[1]}, the frames a sample has, "
                        f"not {steps!r}; or load the data with other steps")
    if frames.size and int(frames.max()) >> bits:
        raise DataError(f"input bits must hold the frames' values up to {int(frames.max())}, "
                        f"not {bits!r}; or load the data with fewer bits")
    return frames


def _shaped(values: Bytes, shape: Sequence[int] | None, front: int) -> Bytes:
    if shape is None:
        return values
    have = values.shape[front:]
    if np.prod(shape) != np.prod(have):
        raise DataError(f"a network for this data must take {_text(have)} values, "
                        f"not {_text(shape)}")
    return values.reshape(*values.shape[:front], *shape)


def _text(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))
