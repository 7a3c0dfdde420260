"""What the core's probe shows: which neuron sits in each slot of each rotation, bank by bank."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qsnn_hw.machine import schedule
from qsnn_hw.machine.arch import Machine
from qsnn_hw.machine.layers import Layer
from qsnn_hw.machine.schedule import Item
from qsnn_sim.cycle.cycle import Timing

Ints = NDArray[np.int64]
SPARE = -1                  # a lane without a channel


@dataclass(frozen=True, eq=False)
class View:
    """The slots of a bank that its probe shows in a sample, in order; arrays run over slots.

    ``layer`` and ``step``; ``rotation``: which of the bank's rotations of that layer (as in
    `cycle.Timing`); ``slot`` in it. ``neuron`` [slots, units] is an index into the layer's [passes,
    C, H, W], or SPARE.
    """

    layer: Ints
    step: Ints
    rotation: Ints
    slot: Ints
    neuron: Ints

    def clocks(self, machine: Machine, timing: Timing, bank: int) -> Ints:
        """The clocks in which the probe is valid, [N, slots]."""
        rotated = np.empty((len(timing.result), len(self.slot)), dtype=np.int64)
        for index in np.unique(self.layer):
            mine = self.layer == index
            rotated[:, mine] = timing.rotations[index][:, bank, self.rotation[mine]]
        return rotated + self.slot + slot_to_probe(machine)

    def spikes(self, samples: int, trains: Sequence[NDArray[Any]]) -> NDArray[np.int8]:
        """What it shows of *trains*, [N, T, passes, C, H, W] of each layer that fires: [N, slots,
        units], 0 in spare lanes. N is *samples*, also where no layer fires."""
        fired = np.zeros((samples, *self.neuron.shape), dtype=np.int8)
        for index in np.unique(self.layer):
            mine, flat = self.layer == index, trains[index].reshape(*trains[index].shape[:2], -1)
            shown = flat[:, self.step[mine, None], self.neuron[mine]]
            fired[:, mine] = np.where(self.neuron[mine] == SPARE, 0, shown)
        return fired


def slot_to_probe(machine: Machine) -> int:
    """Clocks from a neuron's slot to its spike at the probe, one before it is in its word."""
    return machine.timing.spike_clock


@cache
def views(machine: Machine) -> tuple[View, ...]:
    """What the probe shows of each bank."""
    return tuple(_view(machine, bank) for bank in range(machine.parameters.banks))


def _view(machine: Machine, bank: int) -> View:
    parts = [_slots(machine, *turn) for turn in _shown(machine, bank)]
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)] if parts else [
        *[np.zeros(0, np.int64)] * 4, np.zeros((0, machine.parameters.units), np.int64)]
    return View(*columns)


def _slots(machine: Machine, item: Item, number: int, part: int, step: int) -> tuple[Ints, ...]:
    slot = np.arange(machine.layout.used_slots[item.layer])
    return (*(np.full_like(slot, value) for value in (item.layer, step, number)), slot,
            _neurons(machine, item, part))


def _neurons(machine: Machine, item: Item, part: int) -> Ints:
    """[slots, units]: the neuron of pass *part* on each lane; the last layer has unit 0 alone."""
    layer, used = machine.parameters.layers[item.layer], machine.layout.used_slots[item.layer]
    units = 1 if machine.parameters.is_last(item.layer) else machine.parameters.units
    channel = np.full((used, machine.parameters.units), layer.channels)
    lanes = np.arange(used * units).reshape(used, units)
    channel[:, :units] = item.group * machine.layout.group_size[item.layer] + lanes
    neuron = (part * layer.channels + channel) * layer.places + item.place
    numbers: Ints = np.where(channel < layer.channels, neuron, SPARE)
    return numbers


def _shown(machine: Machine, bank: int) -> Iterator[tuple[Item, int, int, int]]:
    """The rotations at the probe, in order: item, number among the bank's of the layer, pass and
    step. Those of silent items and of passes that only find a maximum are counted, not shown."""
    numbers = [0] * len(machine.parameters.layers)
    for time in range(machine.parameters.times):
        for item in schedule.items(machine.layout, bank):
            if not machine.parameters.layers[item.layer].fires:
                continue
            for part, step, closes in _rotations(machine, item.layer, time):
                if closes and not item.silent:
                    yield item, numbers[item.layer], part, step
                numbers[item.layer] += 1


def _rotations(machine: Machine, index: int, time: int) -> Iterator[tuple[int, int, bool]]:
    """Pass, step and whether neurons fire, of the rotations of an item of a layer that fires."""
    layer = machine.parameters.layers[index]
    ors = layer.pooling == "or"
    stride = machine.timing.stride[index]
    steps = [time] if machine.parameters.order == "step" else range(
        0, machine.timing.window_steps[index] * stride, stride)
    order = ([(part, step) for part in range(layer.passes) for step in steps] if ors
             else [(part, step) for step in steps for part in range(layer.passes)])
    for part, step in order:
        closes = ors or part == layer.passes - 1
        shown = 0 if layer.pooling == "max" else part
        for replay in range(machine.timing.replays[index] if closes else 1):
            yield shown, step + replay, closes


def name(layer: Layer, neuron: int) -> str:
    """A neuron of `View.neuron` in words: its channel, and its place where there are several."""
    if neuron == SPARE:
        return "a spare lane"
    channel, place = divmod(neuron, layer.places)
    part, channel = divmod(channel, layer.channels)
    if layer.places == 1 and layer.pooling != "or":
        return f"neuron {channel}"
    entry = f", pass {part}" if layer.pooling == "or" else ""
    return f"channel {channel}, place {divmod(place, layer.width)}{entry}"
