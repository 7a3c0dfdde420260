"""What a network's input and membranes range over: from the user's data, else from random data."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qsnn_compile.system.arrays import ArrayError, NotNpz, Npz, read_npz
from qsnn_compile.system.errors import QsnnError

from .float_model import DataError, Machine, arranged
from .normal_form import Network, Neuron, Reals
from .shapes import shapes

Array = NDArray[Any]
SAMPLES = 64
NUMBERS = 1 << 27               # in all values of all samples and steps
DEFAULT_STEPS = 16
FEW = 4                         # whole numbers to here are counts of spikes, not pixels


@dataclass(frozen=True)
class InputCodes:
    """``x = scale · (code - zero)``, codes of ``bits`` bits; ``source`` says why, ``warning`` what
    may be wrong with it."""

    bits: int
    scale: float
    zero: int
    source: str
    warning: str = ""


@dataclass(frozen=True, eq=False)
class Range:
    """The lowest and highest membrane of each channel, after reset, in real numbers."""

    low: Reals
    high: Reals


def read_data(file: str | Path, name: str = "x") -> Array:
    """Array *name* of an .npz file. Raises DataError."""
    try:
        with _opened(file, name) as data:
            if name not in data.names:
                raise DataError(f"{file}: must hold the array {name!r}, not {data.names!r};"
                                f" store it with np.savez(file, {name}={name})")
            array = data[name]
    except ArrayError as error:
        raise DataError(f"{file}: array {name!r} must be readable numbers, not damaged or of "
                        f"objects: {error!s:.80}; store it again with np.savez") from None
    if array.dtype.kind not in "biuf":
        raise DataError(f"{file}: {name} must hold integers, booleans or floats, not "
                        f"{array.dtype}; convert it with {name}.astype(np.float32)")
    if array.ndim == 0 or array.size == 0:
        raise DataError(f"{file}: {name} must have samples, [N, ...], not the shape "
                        f"{array.shape!r}; store at least one")
    if not np.isfinite(array).all():
        raise DataError(f"{name} must be finite, not NaN or infinite; mend the data")
    return array


def read_labels(file: str | Path, samples: int) -> NDArray[np.int64] | None:
    """The right classes ``y`` [N] of an .npz file, None where it has none. Raises DataError."""
    if "y" not in names_in(file):
        return None
    y = read_data(file, "y")
    if y.shape != (samples,) or y.dtype.kind not in "iu" or y.min() < 0:
        raise DataError(f"{file}: y must be whole numbers [N] = [{samples}], the classes from 0 "
                        f"on, not {y.dtype!s} {list(y.shape)!r}")
    return y.astype(np.int64)


def names_in(file: str | Path) -> list[str]:
    """The arrays of an .npz file. Raises DataError."""
    with _opened(file, "x") as data:
        return data.names


@contextmanager
def _opened(file: str | Path, name: str) -> Iterator[Npz]:
    """The .npz file, open. Raises DataError."""
    with ExitStack() as stack:
        try:
            data = stack.enter_context(read_npz(file))
        except OSError as error:
            raise DataError(f"data must be a readable .npz file, not {str(file)!r}: "
                            f"{error.strerror}; choose another") from None
        except NotNpz:
            raise DataError(f"data must be an .npz file with the array {name!r}, not "
                            f"{str(file)!r}; store it with np.savez(file, {name}={name})") from None
        yield data


def input_codes(x: Array | None, bits: int) -> InputCodes:
    """The codes of the input *x*: as they are where they are small integers, else *bits* bits
    over the range that they have (without data: 0 … 1)."""
    top = (1 << bits) - 1
    if x is None or x.size == 0:
        return InputCodes(bits, 1 / top, 0, "no data: assumed 0 … 1")
    if not np.isfinite(x).all():
        raise QsnnError("x must be finite, not NaN or infinite; mend the data")
    low, high = float(x.min()), float(x.max())
    warning = _beyond_one(low, high) if bool((x == np.rint(x)).all()) else None
    if low >= 0 and high < 256 and warning is not None:
        width = max(1, int(high).bit_length())
        return InputCodes(width, 1.0, 0, f"whole numbers 0 … {int(high)}, taken as they are",
                          warning)
    return replace(_spread(low, high, bits), warning=warning or "")


def _spread(low: float, high: float, bits: int) -> InputCodes:
    """Codes of *bits* bits over real numbers from *low* to *high*."""
    top = (1 << bits) - 1
    if low >= 0:
        high = 1.0 if 0.5 < high <= 1 else high
        return InputCodes(bits, high / top, 0, f"0 … {high:g} in {bits} bits")
    high = max(high, 0.0)
    # The zero point is a whole code, so the step is the least with which both ends still have one.
    zero = min(max(1, round(-low / (high - low) * top)), top - (top > 1 and high > 0))
    scale = max(-low / zero, high / max(1, top - zero))
    return InputCodes(bits, scale, zero,
                      f"{low:g} … {high:g} in {bits} bits, zero point {zero}")


def _beyond_one(low: float, high: float) -> str:
    """What to say of whole numbers *low* … *high* that a network of real numbers is shown."""
    most = int(max(-low, high))
    if most <= FEW:
        return ""
    top = 255 if 127 < most < 256 and low >= 0 else most
    cure = (f"say --input-scale {1 / top:.6g}, or --input-scale 1 if it was trained on them"
            if low >= 0 and most < 256 else f"store x / {top} if it was")
    return (f"x holds whole numbers {min(0, int(low))} … {int(high)}, taken as they are: a network "
            f"that was trained on x / {top} sees them {top} times too large; {cure}")


def told_codes(scale: float, zero: int, bits: int | None, x: Array | None) -> InputCodes:
    """The codes that the command line says: ``x = scale · (code - zero)``, in *bits* bits, else as
    many as the codes of *x* have. Raises DataError."""
    if not 0 < scale < np.inf:
        raise DataError(f"input scale must be a positive number, not {scale!r}; say what 1 of the "
                        "input's codes is worth")
    width = 8 if bits is None else bits
    coded = x is not None and holds_codes(x)
    if bits is None and coded and x is not None:
        width = min(8, max(1, int(x.max()).bit_length()))
    top = (1 << min(max(width, 1), 8)) - 1
    if not 0 <= zero <= top:
        raise DataError(f"input zero point must be a code, 0 … {top}, not {zero!r}; say which code "
                        "stands for 0")
    floats = "; x holds codes, though as floats" if coded and x is not None and \
        x.dtype.kind == "f" else ""
    return InputCodes(width, scale, zero, f"x = {scale:g} · (code - {zero}), as told{floats}")


def holds_codes(x: Array) -> bool:
    """Whether *x* are codes: integers, or floats that are whole numbers and more than 0 and 1."""
    return x.dtype.kind in "iub" or bool(
        x.min() >= 0 and x.max() > 1 and (x == np.rint(x)).all())


def real_numbers(x: Array, codes: InputCodes | None) -> Array:
    """*x* in real numbers: whole numbers are *codes*, where those were told. Raises DataError."""
    if codes is None:
        return x
    top = (1 << codes.bits) - 1
    coded = holds_codes(x)
    made = codes.scale * (x.astype(np.float64) - codes.zero) if coded else x
    low, high = 0.0 - codes.scale * codes.zero, codes.scale * (top - codes.zero)
    away = x[(made < low - codes.scale / 2) | (made > high + codes.scale / 2)]
    if away.size:
        within = f"codes 0 … {top}" if coded else f"real numbers {low:g} … {high:g}"
        raise DataError(f"x must be {within} with this --input-scale, not {away[0].item()!r}; "
                        "whole numbers are codes, others are real numbers")
    return np.asarray(made, dtype=np.float32)


def random_data(network: Network, codes: InputCodes, steps: int) -> Array:
    """Inputs all over the codes' range: sparse, dense, dark and bright ones. Reproducible."""
    work = steps * sum(prod(shape) for shape in shapes(network).values())
    if work > NUMBERS:
        raise DataError(f"network {network.name!r}: all values of all steps must be at most "
                        f"{NUMBERS} numbers, not {work!r}; use fewer steps or a smaller network")
    samples = min(SAMPLES, NUMBERS // max(1, work))
    rng = np.random.default_rng(0)
    rest = (1,) * (len(network.input_shape) + 1)
    shape = (samples, steps if network.coding == "frames" else 1, *network.input_shape)
    shown = rng.random(shape) < rng.random((samples, *rest))
    low, high = -codes.zero * codes.scale, codes.scale * ((1 << codes.bits) - 1 - codes.zero)
    drawn = low + (high - low) * rng.random(shape)
    if codes.bits == 1:
        drawn = np.full(shape, high)
    x = np.where(shown, drawn, 0.0).astype(np.float32)
    return x if network.coding == "frames" else x[:, 0]


def frames_of(network: Network, x: Array, steps: int) -> Array:
    """*x* as [N, T, *shape], as many steps as it has where they are frames."""
    if network.coding == "frames" and steps not in x.shape[:2]:
        network, steps = replace(network, steps=None), x.shape[1] if x.ndim > 1 else steps
    return arranged(network, np.asarray(x), steps).astype(np.float32)


def observe(network: Network, x: Array, steps: int) -> Mapping[str, Range]:
    """The range of each neuron's membrane on *x*, as the immediate form of its reset stores it."""
    frames = frames_of(network, x, steps)
    machine, ranges = Machine(network, len(frames), np.float32), dict[str, Range]()
    for step in range(frames.shape[1]):
        with np.errstate(all="ignore"):             # what isn't finite is refused by name
            machine.step(frames[:, step])
        for node in network.nodes:
            if isinstance(node.op, Neuron):
                stored = _stored(node.op, machine.potentials[node.name],
                                 machine.values[node.name])
                ranges[node.name] = _wider(ranges.get(node.name), stored)
    for name, seen in ranges.items():
        if not (np.isfinite(seen.low).all() and np.isfinite(seen.high).all()):
            raise DataError(f"node {name!r}: its membrane must stay finite, not grow without end "
                            "on these inputs; check the decays and weights, or the data")
    return ranges


def _stored(op: Neuron, v: Array, spikes: Array) -> Array:
    """The membrane after its reset, a delayed one taken at once."""
    count = spikes / op.amplitude if op.amplitude else spikes
    decay = np.where(op.decay == 0, 1.0, op.decay) if op.delayed else 1.0
    if op.reset == "soft":
        return np.asarray(v - count * op.reset_value / decay)
    if op.reset == "hard":
        return np.where(count != 0, op.reset_value / decay, v)
    return v


def _wider(known: Range | None, stored: Array) -> Range:
    rows = np.moveaxis(stored, 1, 0).reshape(stored.shape[1], -1)
    low, high = rows.min(axis=1), rows.max(axis=1)
    if known is None:
        return Range(low, high)
    return Range(np.minimum(known.low, low), np.maximum(known.high, high))
