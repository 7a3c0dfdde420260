"""What a network may be given: unsigned integers, in the shape that it takes, with its labels.

The integers on the chip read integers. Floats (``x / 255``) train as well in torch and then mean
nothing to the frozen network, so they are refused wherever they could come in.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from qsnn_compile.ir import IrError
from qsnn_models.errors import ModelsError
from qsnn_models.layers.integers import integral

from .config import NetworkConfig


def samples(network: NetworkConfig, x: Any, y: Any) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """*x* ``[N, ...]`` and *y* ``[N]`` for *network*, arrays or CPU tensors of any number type, as
    integers. Raises ModelsError where a value is none in range or a shape is another."""
    x, y = _numbers("x", x), _numbers("y", y)
    if network.input_takes == "reals":
        x = codes(network, x)
    shaped(network, x.shape)
    values = torch.from_numpy(np.require(x.astype(_wide(x), copy=False), None, ["C", "W"]))
    integral("x", values, top_of(network), f"input_bits is {network.input_bits}")
    if y.shape != x.shape[:1]:
        raise ModelsError(f"y must be one label for each of {len(x)} inputs, {x.shape[:1]}, not "
                          f"{y.shape}; of one-hot rows take y.argmax(1)")
    _labels(network, y)
    return x.astype(np.uint8, copy=False), y.astype(np.int64)


def codes(network: NetworkConfig, x: NDArray[Any]) -> NDArray[np.uint8]:
    """Real *x* ``[N, ...]`` as the codes ``[N, *shape]`` (frames: ``[N, T, *shape]``) that
    *network* makes of them; bytes are codes. Raises ModelsError on another shape, and where a
    number is none."""
    shaped(network, x.shape)
    front = x.shape[:2 if network.coding == "spikes" else 1]
    try:
        return network.entry.quantise(x.reshape(*front, *network.structure.shape), network.steps)
    except IrError as error:
        raise ModelsError(str(error)) from None


def _numbers(name: str, values: Any) -> NDArray[Any]:
    try:
        array = _host(values) if isinstance(values, Tensor) else np.asarray(values)
    except ValueError:
        raise ModelsError(f"{name} must be an array of integers, not rows of several "
                          "lengths; pad or cut them to one") from None
    if array.dtype.kind not in "buif" or not array.size:
        what = f"of type {array.dtype}" if array.size else f"empty, of shape {array.shape}"
        raise ModelsError(f"{name} must be an array of integers, not {what}")
    return array


def _host(values: Tensor) -> NDArray[Any]:
    """*values* in a type that numpy has: bfloat16 is none."""
    values = values.detach().cpu()
    wide = values.is_floating_point() and values.dtype != torch.float16
    return (values.double() if wide else values).numpy()


def _wide(x: NDArray[Any]) -> Any:
    """A type of torch's that holds *x*'s values."""
    return {"f": np.float64, "b": np.uint8}.get(x.dtype.kind, x.dtype if x.itemsize == 1
                                                else np.int64)


def _labels(network: NetworkConfig, y: NDArray[Any]) -> None:
    wrong = y[~(np.isfinite(y) & (y >= 0) & (y == np.floor(y)))]
    if wrong.size:
        raise ModelsError(f"y must be integers from 0, the numbers of classes, not "
                          f"{wrong[0].item()!r}; number the classes from 0")
    classes = network.structure.classes
    if int(y.max()) >= classes:
        raise ModelsError(f"layers must end in {int(y.max()) + 1} or more, the classes of the "
                          f"data, not {classes!r}")


def top_of(network: NetworkConfig) -> int:
    """The largest input that *network* takes."""
    return (1 << network.input_bits) - 1


def shaped(network: NetworkConfig, shape: tuple[int, ...]) -> None:
    """Refuse inputs of *shape* ``[N, ...]`` that are not *network*'s: ``[N, *shape]`` or, with
    frames, ``[N, T, *shape]``. A sample may be flat; axes of one value may be left out."""
    wanted, frames = network.structure.shape, network.coding == "spikes"
    sample = shape[2:] if frames else shape[1:]
    fits = len(shape) > 1 and np.prod(sample, dtype=int) == np.prod(wanted, dtype=int) and (
        1 in (len(wanted), len(sample)) or _squeezed(sample) == _squeezed(wanted))
    if not fits or (frames and shape[1] != network.steps):
        front = f"N, {network.steps}, " if frames else "N, "
        raise ModelsError(f"x must be [{front}{', '.join(map(str, wanted))}], the inputs of "
                          f"{network.layers!r}{' at each step' * frames}, not {list(shape)}; "
                          "move its axes, or name other layers")


def _squeezed(shape: tuple[int, ...]) -> list[int]:
    return [size for size in shape if size != 1]
