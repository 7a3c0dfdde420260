"""Roughly how long a machine takes, to choose one: the clocks of a sample, without simulating one.
"""

from qsnn_hw.arch import WORD, Machine, Map

ACTIVITY = 1 / 8                # spikes and pixels other than 0, a guess that is the same for all
REPETITION = 0.4                # n steps together have n^REPETITION times a step's: neurons repeat


def typical_clocks(machine: Machine) -> float:
    """Clocks of a sample of which ACTIVITY of all spikes are 1, its input there at once."""
    return sum(_layer_clocks(machine, index) for index in range(len(machine.layers)))


def _layer_clocks(machine: Machine, index: int) -> float:
    """Items one behind the other; a pass takes its events or the rotations of the one before."""
    layer = machine.layers[index]
    merged = machine.stride(index)
    passes = layer.passes if layer.pooling != "none" else 1
    reading = max(sum(_word_clocks(layer.maps[word.source], merged) for word in window)
                  for window in layer.windows) / passes
    rotation = machine.rotation(index) * (machine.replays(index) if layer.fires else 1)
    repeats = machine.window_steps(index) * (machine.steps if machine.order == "step" else 1)
    transfers = 1 if layer.fires or machine.order == "step" else repeats
    return machine.rounds(index) * passes * repeats * max(reading + 1, rotation / transfers)


def _word_clocks(found: Map, merged: int) -> float:
    """Clocks of a word: an event each, one where there is none."""
    if found.kind == "list":
        return found.words * ACTIVITY
    if found.kind == "values":
        return 1.0
    growth: float = pow(float(merged), REPETITION)
    return max(1.0, WORD * min(1.0, ACTIVITY * growth))
