"""A layer as the machine stores it: weights in offset binary, complemented where that is narrower,
and each channel's parameters and proven ranges.

The datapath, for a lane whose stored weight is ``b`` (a number of W bits)::

    acc = Σ b · x              X = Σ x
    y   = 2·acc - X (W = 1)    acc - X·2^(W-1) (W ≥ 2)
    y   = ~y where flip
    v   = ((u·m) << leak_shift >> decay_shift) + (y << f) + bias

``~y`` is -y - 1; the missing 1 is in the stored bias.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from qsnn_hw.arch import RESETS, Layer

from .ir import Dense, Graph, Ints, Neuron


@dataclass(frozen=True, eq=False)
class Channels:
    """One layer. ``stored`` [C, N] in 0..2^W - 1; ``total`` is the most that one input adds up to
    in one accumulation; ``parameters`` has an array [C] for each field of the machine."""

    layer: Layer
    stored: Ints
    flip: Ints
    total: int
    parameters: dict[str, Ints]

    @property
    def offset(self) -> int:
        """2^(W-1): what the stored weight of an absent neuron, 0, stands for, negated."""
        return 1 << self.layer.weight_bits - 1

    @property
    def accumulated(self) -> int:
        """The largest acc of any channel."""
        return self.total * int(self.stored.sum(axis=1).max())

    @property
    def summed(self) -> int:
        """The largest X · 2^(W-1)."""
        return self.total * self.layer.fan_in * self.offset

    def currents(self) -> tuple[Ints, Ints]:
        """Per channel, the least and the largest y after the flip."""
        scale = 2 if self.layer.weight_bits == 1 else 1
        weight = scale * self.stored - self.offset
        low = self.total * np.minimum(weight, 0).sum(axis=1)
        high = self.total * np.maximum(weight, 0).sum(axis=1)
        return np.where(self.flip, ~high, low), np.where(self.flip, ~low, high)


def channels(graph: Graph) -> list[Channels]:
    """The layers of a legalised *graph*, in order."""
    shift = max((node.op.decay_shift for node in graph.nodes if isinstance(node.op, Neuron)),
                default=0)
    return [_channels(graph, index, name, dense, neuron, shift)
            for index, (name, dense, neuron) in enumerate(_pairs(graph))]


def decay_shift(graph: Graph) -> int:
    """The shift after the product u·m, common to all layers: the largest q."""
    return max((node.op.decay_shift for node in graph.nodes if isinstance(node.op, Neuron)),
               default=0)


def _pairs(graph: Graph) -> Iterator[tuple[str, Dense, Neuron | None]]:
    """Each Dense with the neuron that reads it; the name is the neuron's where there is one."""
    pending: tuple[str, Dense] | None = None
    for node in graph.nodes:
        if isinstance(node.op, Dense):
            pending = (node.name, node.op)
        elif isinstance(node.op, Neuron) and pending is not None:
            yield node.name, pending[1], node.op
            pending = None
    if pending is not None:
        yield *pending, None


def _channels(graph: Graph, index: int, name: str, dense: Dense, neuron: Neuron | None,
              shift: int) -> Channels:
    count, fan_in = dense.weight.shape
    stored, flip = _stored(dense)
    x = (1 << graph.input.bits) - 1 if index == 0 else 1
    total = x if neuron is not None else x * graph.steps
    layer = Layer(name, fan_in, count, dense.bits, fires=neuron is not None)
    parameters = (_readout_parameters(graph, count, flip) if neuron is None
                  else _neuron_parameters(neuron, count, flip, shift))
    return Channels(layer, stored, flip, total, parameters)


def _stored(dense: Dense) -> tuple[Ints, Ints]:
    """Offset binary, and which channels are complemented: 1-bit ones with more +1 than -1."""
    if dense.bits > 1:
        return dense.weight + (1 << dense.bits - 1), np.zeros(len(dense.weight), dtype=np.int64)
    ones = (dense.weight > 0).astype(np.int64)
    flip = (2 * ones.sum(axis=1) > ones.shape[1]).astype(np.int64)
    return ones ^ flip[:, None], flip


def _neuron_parameters(op: Neuron, count: int, flip: Ints, shift: int) -> dict[str, Ints]:
    given = {
        "flip": flip,
        "gain_shift": op.gain_shift,
        "bias": op.bias + (flip << op.gain_shift),
        "decay": op.decay,
        "leak_shift": op.step_shift - op.decay_shift + shift,
        "initial": op.initial,
        "threshold": op.threshold,
        "reset": RESETS.index(op.reset),
        "reset_value": op.reset_value,
        "step_shift": op.step_shift,
        "bits": op.bits,
    }
    return {name: np.broadcast_to(np.asarray(value, dtype=np.int64), count)
            for name, value in given.items()}


def _readout_parameters(graph: Graph, count: int, flip: Ints) -> dict[str, Ints]:
    gain = np.broadcast_to(graph.readout.gain, count)
    return {"flip": flip, "gain": gain, "bias": graph.readout.bias + flip * gain}
