"""A stage as the machine stores it: weights in offset binary, complemented where that is narrower,
and each channel's parameters and proven ranges.

The datapath, for a lane whose stored weight is ``b`` (a number of W bits)::

    acc = Σ b · x              X = Σ x
    y   = 2·acc - X (all W = 1)    acc - Σ X·2^(W-1) (else, 1-bit weights as 2·b)
    y   = ~y where flip
    v   = ((u·m) << leak_shift >> decay_shift) + (y << f) + bias

``~y`` is -y - 1; the missing 1 is in the stored bias.
"""

from dataclasses import dataclass

import numpy as np

from qsnn_hw.arch import RESETS

from .ir import Graph, Ints, Neuron
from .stages import Stage, Synapses


@dataclass(frozen=True, eq=False)
class Part:
    """One set of synapses: ``stored`` [C, C_in, kh, kw] in 0..2^W - 1, which count 2^``shift``, and
    ``total``: the most that one synapse's input adds up to in a pass."""

    synapses: Synapses
    stored: Ints
    shift: int
    total: int

    @property
    def scale(self) -> int:
        """Σx counts 2^scale."""
        return self.synapses.bits - 1

    @property
    def rows(self) -> int:
        """Weight rows of a group."""
        return self.synapses.bits * int(self.stored[0].size)

    def row(self, ky: int, kx: int, channel: int) -> int:
        """The first weight row of one synapse, from the part's first one on."""
        _, channels, _, width = self.stored.shape
        return ((ky * int(width) + kx) * int(channels) + channel) * self.synapses.bits

    def row_bits(self) -> Ints:
        """``[rows, C]``: the bit of each channel in each row, a row a synapse and plane."""
        synapses = self.stored.transpose(2, 3, 1, 0).reshape(-1, 1, len(self.stored))
        planes = np.arange(self.synapses.bits)[:, None]
        return (synapses >> planes & 1).reshape(-1, len(self.stored))


@dataclass(frozen=True, eq=False)
class Channels:
    """One stage: its parts, which channels are complemented, ``doubled`` as in the machine's layer;
    ``parameters`` has an array for each field, [C] or [C, H, W] where ``each`` neuron has its own.
    """

    stage: Stage
    parts: tuple[Part, ...]
    flip: Ints
    doubled: bool
    parameters: dict[str, Ints]
    each: bool

    @property
    def fires(self) -> bool:
        return self.stage.neuron is not None

    @property
    def count(self) -> int:
        return self.stage.shape[0]

    @property
    def accumulated(self) -> int:
        """The largest acc of any channel."""
        sums = [part.total * (part.stored.reshape(self.count, -1).sum(axis=1) << part.shift)
                for part in self.parts]
        return int(np.sum(sums, axis=0).max())

    @property
    def summed(self) -> int:
        """The largest Σ X · 2^scale."""
        return sum(part.total * part.stored[0].size << part.scale for part in self.parts)

    def currents(self) -> tuple[Ints, Ints]:
        """Per channel, the least and the largest y after the flip."""
        low = high = np.zeros(self.count, dtype=np.int64)
        for part in self.parts:
            weight = (part.stored << part.shift + self.doubled) - (1 << part.scale)
            weight = part.total * weight.reshape(self.count, -1)
            low = low + np.minimum(weight, 0).sum(axis=1)
            high = high + np.maximum(weight, 0).sum(axis=1)
        return np.where(self.flip, ~high, low), np.where(self.flip, ~low, high)


def decay_shift(graph: Graph) -> int:
    """The shift after the product u·m, common to all layers: the largest q."""
    return max((node.op.decay_shift for node in graph.nodes if isinstance(node.op, Neuron)),
               default=0)


def channels(graph: Graph, stage: Stage, shift: int, stepwise: bool) -> Channels:
    """*stage* with its weights and parameters as they are stored."""
    parts = stage.current.parts
    doubled = all(part.bits == 1 for part in parts)
    ones = np.sum([(part.weight > 0).reshape(len(part.weight), -1).sum(axis=1) for part in parts],
                  axis=0)
    size = sum(part.weight[0].size for part in parts)
    flip = (2 * ones > size).astype(np.int64) if doubled else np.zeros(len(ones), dtype=np.int64)
    made = tuple(_part(graph, stage, part, flip, doubled, stepwise) for part in parts)
    if stage.neuron is None:
        return Channels(stage, made, flip, doubled, _readout_parameters(graph, flip), False)
    parameters, each = _neuron_parameters(stage, stage.neuron, flip, shift)
    return Channels(stage, made, flip, doubled, parameters, each)


def _part(graph: Graph, stage: Stage, part: Synapses, flip: Ints, doubled: bool,
          stepwise: bool) -> Part:
    is_input = part.spikes.origin == graph.input.name
    top = (1 << graph.input.bits) - 1 if is_input else 1
    total = top * len(part.spikes.spread) * (len(stage.spread) if stage.pooling == "sum" else 1)
    if stage.neuron is None and not stepwise:
        total *= graph.steps
    if part.bits > 1:
        return Part(part, part.weight + (1 << part.bits - 1), 0, total)
    ones = (part.weight > 0).astype(np.int64) ^ flip[:, None, None, None]
    return Part(part, ones, 0 if doubled else 1, total)


def _neuron_parameters(stage: Stage, op: Neuron, flip: Ints, shift: int
                       ) -> tuple[dict[str, Ints], bool]:
    flipped = stage.current.flipped
    wide = flip[:, None, None]
    given = {
        "minimum": 0 if flipped is None else _as3(flipped),
        "flip": wide,
        "gain_shift": op.gain_shift,
        "bias": _as3(op.bias) + (wide << op.gain_shift),
        "decay": _as3(op.decay),
        "leak_shift": _as3(op.step_shift) - op.decay_shift + shift,
        "initial": _as3(op.initial),
        "threshold": _as3(op.threshold),
        "reset": RESETS.index(op.reset),
        "reset_value": _as3(op.reset_value),
        "step_shift": _as3(op.step_shift),
        "bits": op.bits,
    }
    arrays = {name: np.asarray(value, dtype=np.int64) for name, value in given.items()}
    arrays = {name: _of_channel(array) for name, array in arrays.items()}
    each = any(array.ndim == 3 and array.shape[1:] != (1, 1) for array in arrays.values())
    shape = neuron_shape(stage) if each else (len(flip), 1, 1)
    return {name: np.broadcast_to(array, shape) for name, array in arrays.items()}, each


def _of_channel(array: np.ndarray) -> np.ndarray:
    """*array*, [C, 1, 1] where it is the same at all places."""
    if array.ndim == 3 and (array == array[:, :1, :1]).all():
        return array[:, :1, :1]
    return array


def neuron_shape(stage: Stage) -> tuple[int, int, int]:
    """The map of neurons: of the passes' places where their spikes are pooled."""
    return stage.current.shape if stage.pooling == "or" else stage.shape


def _as3(value: Ints) -> Ints:
    """A parameter that broadcasts against [C, H, W]."""
    return value[:, None, None] if value.ndim == 1 else value


def _readout_parameters(graph: Graph, flip: Ints) -> dict[str, Ints]:
    gain = np.broadcast_to(graph.readout.gain, flip.shape)
    return {"flip": flip, "gain": gain, "bias": graph.readout.bias + flip * gain}
