"""Convolution and pooling of numpy arrays, [samples, C, H, W]."""

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Array = NDArray[Any]


def windows(x: Array, kernel: tuple[int, ...], stride: tuple[int, int]) -> Array:
    """All windows of *x*: [samples, C, H', W', kh, kw]."""
    view = sliding_window_view(x, (kernel[0], kernel[1]), axis=(2, 3))
    return np.asarray(view[:, :, ::stride[0], ::stride[1]])


def convolve(x: Array, weight: Array, bias: Array, stride: tuple[int, int],
             padding: tuple[int, int, int, int], groups: int) -> Array:
    """2-D convolution with ONNX's conventions; padding is (top, left, bottom, right)."""
    top, left, bottom, right = padding
    x = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    view = windows(x, weight.shape[2:], stride)
    samples, _, height, width = view.shape[:4]
    parts = np.split(view, groups, axis=1)
    kernels = np.split(weight.astype(x.dtype), groups, axis=0)
    result = [_group(part, kernel) for part, kernel in zip(parts, kernels, strict=True)]
    total = np.concatenate(result, axis=-1).reshape(samples, height, width, -1)
    shift = np.broadcast_to(bias.astype(x.dtype), (weight.shape[0],))
    return np.asarray(np.moveaxis(total + shift, -1, 1))


def patches(x: Array, kernel: tuple[int, ...], stride: tuple[int, int],
            padding: tuple[int, int, int, int]) -> Array:
    """What each output of a convolution sees of *x*: [samples · H' · W', C · kh · kw]."""
    top, left, bottom, right = padding
    return _rows(windows(np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right))), kernel,
                         stride))


def _rows(view: Array) -> Array:
    samples, channels, height, width, kh, kw = view.shape
    return view.transpose(0, 2, 3, 1, 4, 5).reshape(samples * height * width, channels * kh * kw)


def _group(view: Array, kernel: Array) -> Array:
    samples, _, height, width = view.shape[:4]
    return np.asarray(_rows(view) @ kernel.reshape(kernel.shape[0], -1).T).reshape(
        samples, height, width, -1)


def pooled(x: Array, kind: str, kernel: tuple[int, int], stride: tuple[int, int]) -> Array:
    """Maximum, sum or average over windows."""
    view = windows(x, kernel, stride)
    if kind == "max":
        return np.asarray(view.max(axis=(-2, -1)))
    total = view.sum(axis=(-2, -1), dtype=x.dtype)
    if kind == "sum":
        return np.asarray(total)
    return np.asarray(total / x.dtype.type(kernel[0] * kernel[1]))
