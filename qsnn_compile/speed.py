"""Roughly how long a machine takes, to choose one: the clocks of a sample, without simulating one.
"""

import math

from qsnn_hw.arch import WORD, Machine, Map

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
    merged = machine.stride(index)
    passes = layer.passes if layer.pooling != "none" else 1
    reading = max(sum(_word_clocks(layer.maps[word.source], merged) for word in window)
                  for window in layer.windows) / passes
    rotation = machine.rotation(index) * (machine.replays(index) if layer.fires else 1)
    repeats = machine.window_steps(index) * machine.times
    transfers = 1 if layer.fires or machine.order == "step" else repeats
    clocks = machine.rounds(index) * passes * repeats * max(reading + 1, rotation / transfers)
    # the layer behind waits for the last group's first rotation, or for all of them
    awaited = index + 1 < len(machine.layers) and machine.merged(index + 1)
    return clocks + (rotation if awaited else machine.rotation(index))


def _word_clocks(found: Map, merged: int) -> float:
    """Clocks of a word: an event for each plane of each spike, one where there is none."""
    if found.kind == "list":
        return found.words * PIXELS * found.planes
    if found.kind == "values":
        return 1 + PIXELS * (found.planes - 1)
    spikes = WORD * min(1.0, ACTIVITY * math.pow(merged, REPETITION))
    return max(1.0, spikes * found.planes)
