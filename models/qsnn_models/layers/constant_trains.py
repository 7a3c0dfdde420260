"""Channels whose input can't change their spikes: constant trains."""

import torch

from .neurons import LIF, ChannelUnits, Current, channel_units

DEAD = 2.0 ** -10       # all of a channel's input together, in thresholds: it can't matter
FINEST = 2.0 ** -12     # thresholds: no membrane step that small is told apart


def constant_units(current: Current, neuron: LIF, reach: int) -> ChannelUnits:
    """Channel units in which no current of magnitude <= *reach* changes anything.

    Everything that is carried is made a multiple of h = 2^e > 2 · reach, and the bias lies half a
    h above one: I then never reaches the next multiple, neither for the threshold nor for the
    rounding of the membrane. In units of h the neuron is the trained one without input.
    """
    k = max(1, neuron.q)
    step = neuron.membrane.step(current.gain.double()).clamp(min=FINEST)
    grid = channel_units(Current(current.values, step / 2 ** k, current.bias), neuron,
                         torch.full_like(step, k))
    e = reach.bit_length() + 1
    scale = 2.0 ** e
    return ChannelUnits(grid.bias * scale + scale / 2, grid.threshold * scale, grid.reset * scale,
                        grid.shift + e, grid.decay, grid.initial)
