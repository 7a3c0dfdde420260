"""A stage as the machine stores it: weights in offset binary, complemented where that is narrower,
and each channel's parameters and proven ranges.

The datapath, for a lane whose stored weight is ``b`` (a number of W bits)::

    acc = Σ b · x              X = Σ x
    y   = 2·acc - X (all W = 1)    acc - Σ X·2^(W-1) (else, 1-bit weights as 2·b)
    y   = ~y where flip
    i   = clip(floor(i · m / 2^q) + y + flip)       in a machine with synapses; takes y's place
    v   = ((u·m) << leak_shift >> decay_shift) + (y << f) + bias

``~y`` is -y - 1; the missing 1 is in the stored bias, with synapses it is added before the clip.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from qsnn_compile.ir import Bounds, Graph, Ints, Neuron, NeuronBounds
from qsnn_hw.machine.fields import RESETS

from .stage import Stage, Synapses


@dataclass(frozen=True, eq=False)
class Part:
    """One set of synapses: ``stored`` [C, C_in, kh, kw] in 0..2^``planes`` - 1, which count
    2^``shift``, while Σx counts 2^(planes - 1 + ``sum_shift``); ``total``: the most that one
    synapse's input adds up to in a pass."""

    synapses: Synapses
    stored: Ints
    planes: int
    shift: int
    sum_shift: int
    total: int

    @property
    def scale(self) -> int:
        """Σx counts 2^scale."""
        return self.planes - 1 + self.sum_shift

    @property
    def rows(self) -> int:
        """Weight rows of a group."""
        return self.planes * int(self.stored[0].size)

    def row(self, ky: int, kx: int, channel: int) -> int:
        """The first weight row of one synapse, from the part's first one on."""
        _, channels, _, width = self.stored.shape
        return ((ky * int(width) + kx) * int(channels) + channel) * self.planes

    def row_bits(self) -> Ints:
        """``[rows, C]``: the bit of each channel in each row, a row a synapse and plane."""
        synapses = self.stored.transpose(2, 3, 1, 0).reshape(-1, 1, len(self.stored))
        planes = np.arange(self.planes)[:, None]
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
        return _accumulated(self.parts)

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


def _accumulated(parts: Sequence[Part]) -> int:
    sums = [part.total * (part.stored.reshape(len(part.stored), -1).sum(axis=1) << part.shift)
            for part in parts]
    return int(np.sum(sums, axis=0).max())


@dataclass(frozen=True, eq=False)
class Shared:
    """What all layers share: the shifts after the products u·m and i·m, the largest q; the width of
    a synaptic current, 0 where no layer has one; whether some layer clamps; the proven ranges."""

    shift: int
    synapse_shift: int
    synapse_bits: int
    clamps: bool
    proved: Bounds


def shared(graph: Graph, proved: Bounds) -> Shared:
    """Of the layers of *graph*. One without a synapse passes its current on as if it had one."""
    neurons = {node.name: node.op for node in graph.nodes if isinstance(node.op, Neuron)}
    synapses = [op.synapse for op in neurons.values() if op.synapse is not None]
    wide = max((_synapse_bits(op, proved.neurons[name]) for name, op in neurons.items()), default=0)
    return Shared(max((op.decay_shift for op in neurons.values()), default=0),
                  max((synapse.decay_shift for synapse in synapses), default=0),
                  wide if synapses else 0,
                  any(op.clamp is not None for op in neurons.values()), proved)


def _synapse_bits(op: Neuron, proved: NeuronBounds) -> int:
    """Bits of i: its own where it is clipped, else those that it needs."""
    needed = proved.summed.width
    return needed if op.synapse is None else min(op.synapse.bits, needed)


def channels(graph: Graph, stage: Stage, common: Shared, stepwise: bool) -> Channels:
    """*stage* with its weights and parameters as they are stored."""
    doubled = all(part.bits == 1 for part in stage.current.parts)
    made, flip = _stored(graph, stage, doubled, stepwise)
    if stage.neuron is None:
        return Channels(stage, made, flip, doubled, _readout_parameters(graph, flip), False)
    parameters, each = _neuron_parameters(stage, stage.neuron, flip, common)
    return Channels(stage, made, flip, doubled, parameters, each)


def _stored(graph: Graph, stage: Stage, doubled: bool,
            stepwise: bool) -> tuple[tuple[Part, ...], Ints]:
    """The parts, and which channels are complemented: those of more than half +1, where that spares
    the accumulators a bit."""
    parts = stage.current.parts
    ones = np.sum([(part.weight > 0).reshape(len(part.weight), -1).sum(axis=1) for part in parts],
                  axis=0)
    flips = [np.zeros(len(ones), dtype=np.int64)]
    if doubled:
        flips.append((2 * ones > sum(part.weight[0].size for part in parts)).astype(np.int64))
    made = [(tuple(_part(graph, stage, part, flip, doubled, stepwise) for part in parts), flip)
            for flip in flips]
    return min(made, key=lambda one: _accumulated(one[0]).bit_length())


def _part(graph: Graph, stage: Stage, part: Synapses, flip: Ints, doubled: bool,
          stepwise: bool) -> Part:
    is_input = part.spikes.origin == graph.input.name
    top = (1 << graph.input.bits) - 1 if is_input else 1
    total = top * len(part.spikes.spread) * (len(stage.spread) if stage.pooling == "sum" else 1)
    if stage.neuron is None and not stepwise:
        total *= graph.steps
    if part.bits > 1:
        return _several_bits(part, total)
    ones = (part.weight > 0).astype(np.int64) ^ flip[:, None, None, None]
    return Part(part, ones, 1, 0 if doubled else 1, 0, total)


def _several_bits(part: Synapses, total: int) -> Part:
    """Offset binary in a power of two of planes; the lowest ones that are all 0 are left out."""
    ones = int(np.bitwise_or.reduce(part.weight, axis=None))
    idle = (ones & -ones).bit_length() - 1 if ones else part.bits - 1
    planes = 1 << (part.bits - idle - 1).bit_length()
    shift = max(part.bits - planes, 0)
    stored = (part.weight >> shift) + (1 << planes - 1)
    return Part(part, stored, planes, shift, shift, total)


def _neuron_parameters(stage: Stage, op: Neuron, flip: Ints, common: Shared
                       ) -> tuple[dict[str, Ints], bool]:
    flipped = stage.current.flipped
    wide = flip[:, None, None]
    given = {
        "minimum": 0 if flipped is None else _as3(flipped),
        "flip": wide,
        "gain_shift": op.gain_shift,
        "bias": _as3(op.bias) + (0 if common.synapse_bits else wide << op.gain_shift),
        **_synapse_parameters(op, common, common.proved.neurons[stage.name]),
        "decay": _as3(op.decay),
        "leak_shift": _as3(op.step_shift) - op.decay_shift + common.shift,
        "initial": _as3(op.initial),
        "threshold": _as3(op.threshold),
        "lowest": _lowest(op, common),
        "reset": RESETS.index(op.reset),
        "reduction": _as3(op.reset_value) if op.reset == "soft" else 0,
        "reset_to": _reset_to(op) if op.reset == "hard" else 0,
        "step_shift": _as3(op.step_shift),
        "bits": op.bits,
    }
    arrays = {name: np.asarray(value, dtype=np.int64) for name, value in given.items()}
    arrays = {name: _of_channel(array) for name, array in arrays.items()}
    each = any(array.ndim == 3 and array.shape[1:] != (1, 1) for array in arrays.values())
    shape = neuron_shape(stage) if each else (len(flip), 1, 1)
    return {name: np.broadcast_to(array, shape) for name, array in arrays.items()}, each


def _synapse_parameters(op: Neuron, common: Shared, proved: NeuronBounds) -> dict[str, Ints | int]:
    """m, scaled to the common shift, and the width; one that clips nothing is as wide as any."""
    if op.synapse is None:
        return {"synapse_decay": 0, "synapse_bits": common.synapse_bits}
    own, clips = op.synapse, proved.summed.width > op.synapse.bits
    return {"synapse_decay": _as3(own.decay) << common.synapse_shift - own.decay_shift,
            "synapse_bits": own.bits if clips else common.synapse_bits}


def _stored_membrane(op: Neuron, v: Ints) -> Ints:
    """The membrane that is stored of a potential *v*, rounded and clipped."""
    half, limit = 1 << op.step_shift >> 1, 1 << op.bits - 1
    return _as3(np.asarray(np.clip(v + half >> op.step_shift, -limit, limit - 1)))


def _reset_to(op: Neuron) -> Ints:
    """The stored membrane after a hard reset."""
    lowest = op.reset_value if op.clamp is None else np.maximum(op.reset_value, op.clamp)
    return _stored_membrane(op, lowest)


def _lowest(op: Neuron, common: Shared) -> Ints | int:
    """The least membrane that is stored, in a machine that clamps."""
    if op.clamp is not None:
        return _stored_membrane(op, op.clamp)
    return -(1 << op.bits - 1) if common.clamps else 0


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
