"""An estimate of a machine's clocks for a typical sample, made from its shapes alone.

The search compares hundreds of machines, so the estimate must be quick, and it must put machines
in the right order. It assumes a share of active pixels and spikes that is the same for all
networks. `qsnn sim` and `qsnn explore --data` count the clocks of real samples.
"""

import math
from collections import Counter

from qsnn_hw.machine.arch import Machine
from qsnn_hw.machine.layers import WORD, Layer, Map

ACTIVITY = 1 / 8                # the assumed share of neurons that spike in a step
PIXELS = 1 / 4                  # the assumed share of pixels that are not 0; digits: 1/5
REPETITION = 0.4                # n steps have n^REPETITION times as many active inputs as one step


def typical_clocks(machine: Machine) -> float:
    """The clocks of a sample, of a stream the clocks of a step. ACTIVITY of the neurons spike,
    PIXELS of the pixels are not 0, and the whole input is there at the beginning."""
    return sum(_layer_clocks(machine, index) for index in range(len(machine.parameters.layers)))


def _layer_clocks(machine: Machine, index: int) -> float:
    """The clocks of all items of a layer. A pass lasts as long as its events, or as the rotations
    of the pass before it, whichever is longer."""
    layer = machine.parameters.layers[index]
    repeats = machine.timing.window_steps[index] * machine.parameters.times
    transfers = 1 if layer.fires or machine.parameters.order == "step" else repeats
    clocks = machine.layout.rounds[index] * _passes(layer) * repeats * max(
        _pass_clocks(machine, index), _rotations(machine, index) / transfers)
    return clocks + _wait(machine, index)


def _passes(layer: Layer) -> int:
    return layer.passes if layer.pooling != "none" else 1


def _rotations(machine: Machine, index: int) -> int:
    replays = machine.timing.replays[index] if machine.parameters.layers[index].fires else 1
    return machine.timing.rotation[index] * replays


def _pass_clocks(machine: Machine, index: int) -> float:
    """Clocks of a pass' words, and of its transfer."""
    layer, merged = machine.parameters.layers[index], machine.timing.stride[index]
    clocks = [_word_clocks(memory_map, merged) for memory_map in layer.maps]
    return 1 + max(sum(count * clocks[source] for source, count in
                       Counter(word.source for word in window).items())
                   for window in layer.windows) / _passes(layer)


def _wait(machine: Machine, index: int) -> float:
    """The clocks that the next layer loses at its beginning.

    The next layer waits for the first rotation of the last group. If the next layer reads all
    steps at once, it waits for all rotations. Otherwise the other rotations run beside the next
    layer's first pass (beside all passes but the last of a readout), and only what is left of them
    delays its first transfer.
    """
    parameters, timing = machine.parameters, machine.timing
    if parameters.is_last(index):
        return timing.rotation[index]
    behind, rotations = index + 1, _rotations(machine, index)
    if parameters.merged(behind):
        return rotations
    beside = 1 if parameters.layers[behind].fires else timing.window_steps[behind] - 1
    return max(timing.rotation[index], rotations - beside * _pass_clocks(machine, behind))


def _word_clocks(memory_map: Map, merged: int) -> float:
    """Clocks of a word: an event for each plane of each spike, one where there is none."""
    if memory_map.kind == "list":
        return memory_map.words * PIXELS * memory_map.planes
    if memory_map.kind == "values":
        return 1 + PIXELS * (memory_map.planes - 1)
    spikes = WORD * min(1.0, ACTIVITY * math.pow(merged, REPETITION))
    return max(1.0, spikes * memory_map.planes)
