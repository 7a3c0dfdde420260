"""Augmentation of training batches: moves of integers, a draw a sample, no loops.

What moves in from outside is 0; where a network takes reals it is the value at the edge, as code 0
is then the least of them. Nothing is interpolated, so pixels stay pixels and spikes spikes.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from qsnn_compile.ir import Input
from qsnn_models.errors import ModelsError

WORD = re.compile(r"(shift|crop|cutout|mixup|time|band|gain)([1-9]\d?)?|flip")
KNOWN = "shiftK, cropK, flip, cutoutK, mixupK, timeK, bandK, gainK (K may be left out)"
REACH = {"shift": 1, "crop": 4, "cutout": 8, "mixup": 2, "gain": 10}    # where K is left out


@dataclass(frozen=True, eq=False)
class Ground:
    """What codes there are: ``zero``, the code of 0 (or the nearest there is), as broadcasts
    against a sample, the largest, and whether they are ``real`` numbers'."""

    zero: Tensor
    top: int
    real: bool

    @staticmethod
    def of(entry: Input, device: torch.device) -> "Ground":
        """Those of a network's input."""
        zero = torch.tensor(np.clip(entry.per_channel()[1], 0, entry.top), dtype=torch.float32)
        return Ground(zero.to(device), entry.top, entry.takes == "reals")


@dataclass(frozen=True, eq=False)
class Wanted:
    """The right classes of a batch, ``[B]``; of mixed samples those of the *other* too, and the
    *share* of the first."""

    y: Tensor
    other: Tensor | None = None
    share: float = 1.0


BYTES = Ground(torch.zeros(()), 255, False)


@dataclass(frozen=True)
class Move:
    """One word of the notation: ``kind`` and its reach (None: the kind's own)."""

    kind: str
    reach: int | None


def parse(text: str) -> tuple[Move, ...]:
    """The moves of *text*, words joined by ``+``; ``""`` is none.

    Images (the last two axes, or a flat square): ``shiftK`` and ``cropK`` up to K pixels in both
    directions (``shift`` is ``shift1``, ``crop``, the padded crop of CIFAR recipes, ``crop4``),
    ``flip`` left-right, half of them, ``cutoutK`` a square of K pixels (8) becomes 0. Frames ``[N,
    T, C]``: ``timeK`` up to K steps (``time``: a tenth of T), ``bandK`` up to K channels (``band``:
    a twentieth of C). Any: ``gainK`` by up to K % (10) larger or smaller, from 0; ``mixupK`` see
    `mixed`.
    """
    return tuple(move for move in _parsed(text) if move.kind != "mixup")


def mixing(text: str) -> float:
    """α of *text*'s ``mixupK``: K / 10; 0 where there is none."""
    return next((_reach(move) / 10 for move in _parsed(text) if move.kind == "mixup"), 0.0)


def _parsed(text: str) -> Iterator[Move]:
    for word in text.split("+") if text else ():
        match = WORD.fullmatch(word)
        if match is None:
            raise ModelsError(f"augment must be words of {KNOWN}, joined by +, not {text!r}")
        yield Move(match[1] or word, int(match[2]) if match[2] else None)


def apply(moves: tuple[Move, ...], x: Tensor, frames: bool, ground: Ground = BYTES) -> Tensor:
    """A batch *x* ``[B, ...]`` of codes on *ground*, each sample moved by chance; *frames* where
    axis 1 is time.

    The draws come from torch's global generator. Raises ModelsError where *x* has no such axes.
    """
    for move in moves:
        if move.kind == "gain":
            x = _gained(_reach(move), x, ground)
        elif move.kind in ("time", "band"):
            x = _in_frames(move, x, frames, ground.real)
        else:
            x = _in_images(move, x, frames, ground)
    return x


def mixed(alpha: float, x: Tensor, y: Tensor) -> tuple[Tensor, Wanted]:
    """Mixup: *x* as ``λ · x + (1 - λ) · x'``, rounded, x' the batch in another order, λ drawn once
    from Beta(α, α); and the labels of both."""
    share = float(torch.distributions.Beta(alpha, alpha).sample())
    order = torch.randperm(len(x)).to(x.device)
    return torch.round(share * x + (1 - share) * x[order]), Wanted(y, y[order], share)


def _reach(move: Move) -> int:
    return move.reach or REACH[move.kind]


def _gained(percent: int, x: Tensor, ground: Ground) -> Tensor:
    """Each sample as far from the code of 0 as a draw says, in codes."""
    gain = 1 + percent / 100 * (2 * torch.rand(len(x)).to(x.device) - 1)
    gain = gain.view(-1, *[1] * (x.ndim - 1))
    moved = torch.round((x.float() - ground.zero) * gain + ground.zero)
    return moved.clamp(0, ground.top).to(x.dtype)


def _in_frames(move: Move, x: Tensor, frames: bool, edge: bool) -> Tensor:
    if not frames or x.ndim < 3:
        raise ModelsError(f"augment {move.kind!r} must have frames [N, T, C], not inputs of "
                          f"{tuple(x.shape[1:])}; use shift or flip")
    axis, part = (1, 10) if move.kind == "time" else (2, 20)
    return _shifted(x, axis, move.reach or max(1, x.shape[axis] // part), edge)


def _in_images(move: Move, x: Tensor, frames: bool, ground: Ground) -> Tensor:
    images = x.view(*x.shape[:-1], _side(x), -1) if x.ndim == (3 if frames else 2) else x
    if move.kind in ("shift", "crop"):
        for axis in (-2, -1):
            images = _shifted(images, images.ndim + axis, _reach(move), ground.real)
    elif move.kind == "cutout":
        images = _cut(images, _reach(move), ground)
    else:
        flipped = _draw(2, x).bool().view(-1, *[1] * (images.ndim - 1))
        images = torch.where(flipped, images.flip(-1), images)
    return images.reshape(x.shape)


def _side(x: Tensor) -> int:
    side = math.isqrt(x.shape[-1])
    if side * side != x.shape[-1]:
        raise ModelsError("augment must have images [.., H, W] or flat squares for shift and flip, "
                          f"not inputs of {tuple(x.shape[1:])}")
    return side


def _draw(count: int, x: Tensor) -> Tensor:
    """A number of 0 to *count* - 1 for each sample."""
    return torch.randint(count, (len(x),)).to(x.device)


def _cut(images: Tensor, side: int, ground: Ground) -> Tensor:
    """*images* ``[.., H, W]``, in each a square of *side* pixels, its centre anywhere, the code of
    0."""
    inside = torch.ones(len(images), *images.shape[-2:], dtype=torch.bool, device=images.device)
    for axis in (-2, -1):
        size = images.shape[axis]
        first = _draw(size, images) - side // 2
        place = torch.arange(size, device=images.device) - first[:, None]
        line = (place >= 0) & (place < side)
        inside &= line[:, :, None] if axis == -2 else line[:, None, :]
    inside = inside.view(len(images), *[1] * (images.ndim - 3), *images.shape[-2:])
    return torch.where(inside, ground.zero.to(images.dtype), images)


def _shifted(x: Tensor, axis: int, reach: int, edge: bool = False) -> Tensor:
    """*x* moved along *axis*, each sample by its own -reach .. reach; zeros come in, or what is at
    the *edge*."""
    size = x.shape[axis]
    source = torch.arange(size, device=x.device) - (_draw(2 * reach + 1, x) - reach)[:, None]
    shape = [len(x), *(size if a == axis else 1 for a in range(1, x.ndim))]
    index = source.clamp(0, size - 1).view(shape).expand(x.shape)
    if edge:
        return x.gather(axis, index)
    inside = ((source >= 0) & (source < size)).view(shape)
    return x.gather(axis, index) * inside
