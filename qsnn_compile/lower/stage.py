"""What lowering makes of a graph: stages, of which each becomes a layer of the machine.

A stage is a set of synapses (from one or more maps of spikes), a pooling of their current or of
the spikes behind it, and a neuron, or none in a `potential` readout.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from qsnn_compile.ir import Conv2d, Ints, Neuron

Shape3 = tuple[int, int, int]
Pair = tuple[int, int]
Pooling = Literal["none", "sum", "max", "or"]
ONE: tuple[Pair, ...] = ((0, 0),)


@dataclass(frozen=True)
class Spikes:
    """A map of spikes, or the input, as a layer reads it: ``spread`` are the places (dy, dx) that
    are added up for one place of the map, ``pace`` how far apart those of neighbours lie."""

    origin: str
    shape: Shape3               # of the map that is stored
    size: Pair                  # of the map that is read
    spread: tuple[Pair, ...] = ONE
    pace: Pair = (1, 1)
    previous: bool = False

    @property
    def is_pooled(self) -> bool:
        """Whether a sum pool stands between."""
        return self.spread != ONE or self.pace != (1, 1)


@dataclass(frozen=True, eq=False)
class Synapses:
    """``weight`` [C, C_in, kh, kw] of ``bits`` bits over the map ``spikes``. Each of ``groups``
    groups of channels looks at its own inputs alone: the weights of others are 0."""

    spikes: Spikes
    weight: Ints
    bits: int
    stride: Pair = (1, 1)
    before: Pair = (0, 0)       # padding at the top and on the left
    pad: int = 0
    groups: int = 1


@dataclass(frozen=True, eq=False)
class Current:
    """A current of ``shape``: the sum of ``parts``. ``spread`` and ``pace`` as in `Spikes`, of a
    pool behind it; ``maximum``: the pool takes the largest, on ``flipped`` channels the least."""

    parts: tuple[Synapses, ...]
    shape: Shape3
    spread: tuple[Pair, ...] = ONE
    pace: Pair = (1, 1)
    maximum: bool = False
    flipped: Ints | None = None

    @property
    def is_pooled(self) -> bool:
        """Whether a pool stands behind the synapses."""
        return self.maximum or self.spread != ONE or self.pace != (1, 1)


@dataclass(frozen=True, eq=False)
class Stage:
    """A layer: its name is the neuron's where there is one. ``shape`` [C, H, W] is that of the
    spikes that it sends. Each of ``spread`` is a place of the current's map that belongs to a place
    of the stage, ``pace`` apart: ``pooling`` says what becomes of them."""

    name: str
    current: Current
    neuron: Neuron | None
    shape: Shape3
    pooling: Pooling = "none"
    spread: tuple[Pair, ...] = ONE
    pace: Pair = (1, 1)


def three(shape: tuple[int, ...]) -> Shape3:
    """A vector is a map of one place."""
    if len(shape) == 3:
        return shape[0], shape[1], shape[2]
    return int(np.prod(shape)), 1, 1


def ungrouped(op: Conv2d, inputs: int) -> tuple[Ints, int]:
    """Groups as a convolution over all inputs, 0 where a channel doesn't look; and its bits."""
    if op.groups == 1:
        return op.weight, op.bits
    channels, per_group = op.weight.shape[:2]
    weight = np.zeros((channels, inputs, *op.weight.shape[2:]), dtype=np.int64)
    for channel in range(channels):
        first = channel // (channels // op.groups) * per_group
        weight[channel, first:first + per_group] = op.weight[channel]
    return weight, max(op.bits, 2)
