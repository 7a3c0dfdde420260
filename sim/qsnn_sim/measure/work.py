"""What samples ask of a network, whatever runs it: events, synaptic operations, neuron updates."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qsnn_compile.ir import Graph
from qsnn_compile.lower.lowering import lower
from qsnn_compile.lower.stage import Stage, Synapses
from qsnn_hw.machine.arch import Machine
from qsnn_sim.golden.golden import Result
from qsnn_sim.rtl.plan import layer_spikes

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Work:
    """What N samples ask of each layer, [N, layers].

    ``events``: inputs that are not 0, a direct input's once. ``sops``: synaptic operations, one an
    event and neuron that reads it. ``bits``: the same times the bits of the weights; ``direct``:
    those of a direct input alone. ``updates`` [layers]: neuron updates, the same for all samples.
    """

    events: Ints
    sops: Ints
    bits: Ints
    direct: Ints
    updates: Ints


def work(graph: Graph, x: NDArray[np.uint8], result: Result) -> Work:
    """The work of the samples *x*, of which the golden model says *result* (with its spikes)."""
    direct, stages = graph.input.coding == "direct", lower(graph)
    firing = [stage.name for stage in stages if stage.neuron is not None]
    trains = dict(zip(firing, layer_spikes(graph, result), strict=True))
    trains[graph.input.name] = x[:, None] if direct else x
    columns = [[sum(column) for column in zip(*(
        _part(stage, part, trains[part.spikes.origin],
              direct and part.spikes.origin == graph.input.name)
        for part in stage.current.parts), strict=True)] for stage in stages]
    events, sops, bits, once = (np.stack(column, axis=1) for column in zip(*columns, strict=True))
    updates = np.array([graph.steps * _neurons(stage) for stage in stages])
    return Work(events, sops, bits, once, updates)


def _part(stage: Stage, part: Synapses, train: NDArray[Any],
          direct: bool) -> tuple[Ints, Ints, Ints, Ints]:
    """Events, operations, bits, and bits of a *direct* input, of one set of synapses, [N] each."""
    spikes = part.spikes
    maps = train.reshape(*train.shape[:2], -1, *spikes.shape[1:])
    maps = maps[:, :-1] if spikes.previous else maps
    active = np.count_nonzero(maps, axis=(1, 2))
    down, across = (_reach(stage, part, axis) for axis in (0, 1))
    fan_out = len(part.weight) // part.groups
    sops = np.einsum("nyx,y,x->n", active, down, across) * fan_out
    bits = sops * part.bits
    return active.sum(axis=(1, 2)), sops, bits, bits * direct


def _reach(stage: Stage, part: Synapses, axis: int) -> Ints:
    """How many windows of neurons each row (or column) of the map lies in."""
    spikes, reads = part.spikes, np.zeros(part.spikes.shape[1 + axis], dtype=np.int64)
    offsets = sorted({at[axis] for at in spikes.spread})
    for place in _places(stage, axis):
        for tap in range(part.weight.shape[2 + axis]):
            at = place * part.stride[axis] + tap - part.before[axis]
            if 0 <= at < spikes.size[axis]:
                reads[[at * spikes.pace[axis] + offset for offset in offsets]] += 1
    return reads


def _places(stage: Stage, axis: int) -> Iterable[int]:
    """The rows (or columns) of the current's map that somebody looks at."""
    return sorted({place * stage.pace[axis] + at[axis]
                   for place in range(stage.shape[1 + axis]) for at in stage.spread})


def _neurons(stage: Stage) -> int:
    if stage.neuron is None:
        return 0
    channels, height, width = stage.shape
    if stage.pooling != "or":
        return channels * height * width
    return channels * len(list(_places(stage, 0))) * len(list(_places(stage, 1)))


def fan_in(stage: Stage) -> int:
    """Synapses of a neuron."""
    return sum(part.weight[0].size // part.groups for part in stage.current.parts)


@dataclass(frozen=True, eq=False)
class Roof:
    """The clocks that a machine needs at least after the last input beat, [N, layers]: for its
    ``lanes`` to add, and for its ``units`` to update the neurons, at the same time."""

    lanes: NDArray[np.float64]
    units: NDArray[np.float64]


def roof(machine: Machine, work: Work) -> Roof:
    """The roof of *machine*: operations · W / all lanes, neuron updates / all units. Step by step a
    direct input's are done at every step. What the lanes add as pixels of a list arrive is not
    among the operations."""
    parameters = machine.parameters
    bits = (work.bits + (parameters.times - 1) * work.direct).astype(np.float64)
    if parameters.lists:
        first = parameters.layers[0]
        channels = min(first.channels, first.group_banks * machine.layout.group_size[0])
        bits[:, 0] -= work.events[:, 0] * channels
    updates = np.broadcast_to(work.updates / (parameters.banks * parameters.units), bits.shape)
    return Roof(bits / (parameters.banks * parameters.lanes), updates)
