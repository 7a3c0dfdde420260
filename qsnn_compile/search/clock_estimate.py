"""Roughly how long a machine takes, to choose one: the clocks of a sample, without simulating one.
"""

import math
from collections import Counter

from qsnn_hw.machine.arch import Machine
from qsnn_hw.machine.layers import WORD, Layer, Map

ACTIVITY = 1 / 8                # of spikes, a guess that is the same for all
PIXELS = 1 / 4                  # other than 0: digits have 1 in 5, garments 1 in 2
REPETITION = 0.4                # n steps together have n^REPETITION times a step's: neurons repeat


def typical_clocks(machine: Machine) -> float:
    """Clocks of a sample (of a stream: of a step) of which ACTIVITY of all spikes are 1 and PIXELS
    of all pixels are not 0, its input there at once."""
    return sum(_layer_clocks(machine, index) for index in range(len(machine.layers)))


def _layer_clocks(machine: Machine, index: int) -> float:
    """Items one behind the other; a pass takes its events or the rotations of the one before."""
    layer = machine.layers[index]
    repeats = machine.window_steps(index) * machine.times
    transfers = 1 if layer.fires or machine.order == "step" else repeats
    clocks = machine.rounds(index) * _passes(layer) * repeats * max(
        _pass_clocks(machine, index), _rotations(machine, index) / transfers)
    return clocks + _wait(machine, index)


def _passes(layer: Layer) -> int:
    return layer.passes if layer.pooling != "none" else 1


def _rotations(machine: Machine, index: int) -> int:
    return machine.rotation(index) * (machine.replays(index) if machine.layers[index].fires else 1)


def _pass_clocks(machine: Machine, index: int) -> float:
    """Clocks of a pass' words, and of its transfer."""
    layer, merged = machine.layers[index], machine.stride(index)
    clocks = [_word_clocks(found, merged) for found in layer.maps]
    return 1 + max(sum(count * clocks[source] for source, count in
                       Counter(word.source for word in window).items())
                   for window in layer.windows) / _passes(layer)


def _wait(machine: Machine, index: int) -> float:
    """What the layer behind loses: it waits for the last group's first rotation, or for all of them
    where it takes the steps at once; where not, they go on beside its first pass (a readout's
    all but the last), but no transfer comes before they end."""
    if machine.is_last(index):
        return machine.rotation(index)
    behind, rotations = index + 1, _rotations(machine, index)
    if machine.merged(behind):
        return rotations
    beside = 1 if machine.layers[behind].fires else machine.window_steps(behind) - 1
    return max(machine.rotation(index), rotations - beside * _pass_clocks(machine, behind))


def _word_clocks(found: Map, merged: int) -> float:
    """Clocks of a word: an event for each plane of each spike, one where there is none."""
    if found.kind == "list":
        return found.words * PIXELS * found.planes
    if found.kind == "values":
        return 1 + PIXELS * (found.planes - 1)
    spikes = WORD * min(1.0, ACTIVITY * math.pow(merged, REPETITION))
    return max(1.0, spikes * found.planes)
