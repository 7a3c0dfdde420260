"""Augmentation of training batches: shifts and flips of integers, a draw a sample, no loops.

What moves in from outside is 0. Nothing is interpolated, so pixels stay pixels and spikes spikes.
"""

import math
import re
from dataclasses import dataclass

import torch
from torch import Tensor

from qsnn_models.errors import ModelsError

WORD = re.compile(r"(shift|time|band)([1-9]\d?)?|flip")
KNOWN = "shift, shiftK, flip, time, timeK, band, bandK"


@dataclass(frozen=True)
class Move:
    """One word of the notation: ``kind`` and its reach (None: the kind's own)."""

    kind: str
    reach: int | None


def parse(text: str) -> tuple[Move, ...]:
    """The moves of *text*, words joined by ``+``; ``""`` is none.

    Images (the last two axes, or a flat square): ``shiftK`` up to K pixels in both directions
    (``shift`` is ``shift1``), ``flip`` left-right, half of them. Frames ``[N, T, C]``: ``timeK``
    up to K steps (``time``: a tenth of T), ``bandK`` up to K channels (``band``: a twentieth of C).
    """
    moves = []
    for word in text.split("+") if text else ():
        found = WORD.fullmatch(word)
        if found is None:
            raise ModelsError(f"augment must be words of {KNOWN}, joined by +, not {text!r}")
        moves.append(Move(found[1] or word, int(found[2]) if found[2] else None))
    return tuple(moves)


def apply(moves: tuple[Move, ...], x: Tensor, frames: bool) -> Tensor:
    """A batch *x* ``[B, ...]``, each sample moved by chance; *frames* where axis 1 is time.

    The draws come from torch's global generator. Raises ModelsError where *x* has no such axes.
    """
    for move in moves:
        if move.kind in ("time", "band"):
            x = _in_frames(move, x, frames)
        else:
            x = _in_images(move, x, frames)
    return x


def _in_frames(move: Move, x: Tensor, frames: bool) -> Tensor:
    if not frames or x.ndim < 3:
        raise ModelsError(f"augment {move.kind!r} must have frames [N, T, C], not inputs of "
                          f"{tuple(x.shape[1:])}; use shift or flip")
    axis, part = (1, 10) if move.kind == "time" else (2, 20)
    return _shifted(x, axis, move.reach or max(1, x.shape[axis] // part))


def _in_images(move: Move, x: Tensor, frames: bool) -> Tensor:
    images = x.view(*x.shape[:-1], _side(x), -1) if x.ndim == (3 if frames else 2) else x
    if move.kind == "shift":
        for axis in (-2, -1):
            images = _shifted(images, images.ndim + axis, move.reach or 1)
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


def _shifted(x: Tensor, axis: int, reach: int) -> Tensor:
    """*x* moved along *axis*, each sample by its own -reach .. reach; zeros come in."""
    size = x.shape[axis]
    source = torch.arange(size, device=x.device) - (_draw(2 * reach + 1, x) - reach)[:, None]
    shape = [len(x), *(size if a == axis else 1 for a in range(1, x.ndim))]
    index = source.clamp(0, size - 1).view(shape).expand(x.shape)
    inside = ((source >= 0) & (source < size)).view(shape)
    return x.gather(axis, index) * inside
