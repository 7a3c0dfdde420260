"""Stages as the machine's layers: the maps they read, and the window that each place looks through.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from qsnn_compile.ir import Graph
from qsnn_hw.machine.layers import WORD, Kind, Layer, Map, Word

from .channels import Channels, Part
from .lowering import has_values
from .stage import ONE, Stage, Synapses


@dataclass(frozen=True)
class Shape:
    """What windows depend on; ``stepwise``: the machine must run step by step."""

    banks: int
    lanes: int
    stepwise: bool = False


def layers(graph: Graph, mapped: list[Channels], shape: Shape) -> tuple[Layer, ...]:
    """The layers of the machine, with their windows."""
    made: list[Layer] = []
    for index, channels in enumerate(mapped):
        made.append(_layer(graph, mapped, index, channels, shape, made))
    return tuple(made)


def input_map(graph: Graph, mapped: list[Channels], shape: Shape) -> Map:
    """The map of the network's input, as its readers see it."""
    stage, part = next((channels.stage, part) for channels in mapped for part in channels.parts
                       if part.synapses.spikes.origin == graph.input.name)
    return replace(_map(graph, mapped, part, stage, shape), origin=(0, 0), stride=(1, 1), planes=1,
                   shift=0, sum_shift=0)


def _layer(graph: Graph, mapped: list[Channels], index: int, channels: Channels, shape: Shape,
           before: list[Layer]) -> Layer:
    stage = channels.stage
    maps = tuple(_map(graph, mapped, part, stage, shape) for part in channels.parts)
    passes = list(stage.spread) if stage.pooling in ("max", "or") else [None]
    words: list[Word] = []
    for place in passes:
        words += _ended([word for number, part in enumerate(channels.parts)
                         for word in _words(channels, number, part, maps, place)])
    words[-1] = replace(words[-1], final=True)
    words = [replace(word, early=_early(maps[word.source], word, index, before, shape))
             for word in words]
    count, height, width = stage.shape
    pooling = "none" if stage.pooling == "sum" else stage.pooling
    groups = -(-count // shape.lanes)
    if not channels.fires:
        banks = shape.banks                 # they share its inputs
    elif index == len(mapped) - 1:
        banks = 1                           # the readout looks at the first bank
    else:
        banks = _group_banks(groups, height * width, width, shape.banks)
    return Layer(stage.name, count, maps, _split(words, maps[0], channels, shape),
                 sum(part.rows for part in channels.parts), height, width, channels.fires, pooling,
                 len(passes), channels.doubled, banks, channels.each)


def _group_banks(groups: int, places: int, width: int, banks: int) -> int:
    """Banks that share a place: the split with the fewest rounds."""
    if places == 1:
        return banks
    splits = [n for n in (1, 2, 4, 8, 16, 32) if n <= banks and banks // n <= width]
    return min(splits, key=lambda n: (-(-places * n // banks) * -(-groups // n), n))


def _ended(words: list[Word]) -> list[Word]:
    words[-1] = replace(words[-1], ends=True)
    return words


def _split(words: list[Word], source: Map, channels: Channels,
           shape: Shape) -> tuple[tuple[Word, ...], ...]:
    """The window of each bank: a readout's inputs are dealt out."""
    if channels.fires or shape.banks == 1:
        return (tuple(words),) * shape.banks
    outside = source.height - source.origin[0]
    nothing = replace(words[0], source=0, dy=outside, ends=False, final=False)
    dealt = []
    for bank in range(shape.banks):
        own = words[bank::shape.banks] or [nothing]
        own = [replace(word, ends=False, final=False) for word in own]
        own[-1] = replace(own[-1], ends=True, final=True)
        dealt.append(tuple(own))
    return tuple(dealt)


def _map(graph: Graph, mapped: list[Channels], part: Part, stage: Stage, shape: Shape) -> Map:
    synapses, spikes = part.synapses, part.synapses.spikes
    pace, (count, height, width) = spikes.pace, spikes.shape
    is_input = spikes.origin == graph.input.name
    kind: Kind = "values" if is_input and has_values(graph) else "spikes"
    if kind == "values" and _is_list(graph, mapped, synapses, stage, shape):
        return Map("list", -1, 1, 1, count * height * width, 1, planes=part.planes,
                   shift=part.shift, sum_shift=part.sum_shift)
    layer = -1 if is_input else next(
        i for i, channels in enumerate(mapped) if channels.stage.name == spikes.origin)
    inside = (height, width)                # windows that overlap lie inside the map
    if all(max(at) < step for at, step in zip(zip(*spikes.spread, strict=True), pace,
                                              strict=True)):
        inside = (spikes.size[0] * pace[0], spikes.size[1] * pace[1])
    words = -(-count // WORD) if kind == "spikes" else count
    stride = tuple(a * b * c for a, b, c in zip(stage.pace, synapses.stride, pace, strict=True))
    origin = tuple(-a * b for a, b in zip(synapses.before, pace, strict=True))
    return Map(kind, layer, inside[0], inside[1], words, width, spikes.previous, synapses.pad,
               (origin[0], origin[1]), (stride[0], stride[1]), part.planes, part.shift,
               part.sum_shift)


def _is_list(graph: Graph, mapped: list[Channels], part: Synapses, stage: Stage,
             shape: Shape) -> bool:
    """Whether the input is kept as a list: *part* takes each pixel once, and nothing else reads it.

    Banks read the list in step, which they lose where layers take turns in every time step.
    """
    readers = [other for channels in mapped for other in channels.parts
               if other.synapses.spikes.origin == graph.input.name]
    alone = len(readers) == 1 and len(mapped[0].parts) == 1 and readers[0] is mapped[0].parts[0]
    whole = (part.weight.shape[2:] == part.spikes.shape[1:] and part.before == (0, 0)
             and stage.current.shape[1:] == (1, 1) and not part.spikes.is_pooled
             and not stage.current.is_pooled and stage.spread == ONE)
    return (graph.input.coding == "direct" and alone and whole
            and not (shape.stepwise and shape.banks > 1))


def _words(channels: Channels, number: int, part: Part, maps: tuple[Map, ...],
           place: tuple[int, int] | None) -> Iterator[Word]:
    """The words of one part: tap by tap, 16 channels or one value each."""
    synapses, source_map = part.synapses, maps[number]
    first = sum(other.rows for other in channels.parts[:number])
    if source_map.kind == "list":
        yield Word(number, 0, 0, 0, first)
        return
    inputs, step = part.stored.shape[1], WORD if source_map.kind == "spikes" else 1
    spread = channels.stage.spread if place is None else (place,)
    for (py, px), (ky, kx), (sy, sx) in _taps(part, spread):
        dy = (py * synapses.stride[0] + ky) * synapses.spikes.pace[0] + sy
        dx = (px * synapses.stride[1] + kx) * synapses.spikes.pace[1] + sx
        for index in range(source_map.words):
            row = first + part.row(ky, kx, min(index * step, inputs))
            yield Word(number, dy, dx, index, row)


def _taps(part: Part, spread: tuple[tuple[int, int], ...]
          ) -> Iterator[tuple[tuple[int, int], tuple[int, int], tuple[int, int]]]:
    for place in spread:
        for tap in np.ndindex(*part.stored.shape[2:]):
            for inner in part.synapses.spikes.spread:
                yield place, (tap[0], tap[1]), inner


def _early(source_map: Map, word: Word, index: int, before: list[Layer], shape: Shape) -> bool:
    """Whether the layer before has written *word* when its last round begins.

    In a round each bank writes one group of channels. So where the layer before has a single
    place, every word is early but those of the last round; where it has several places, none is.
    """
    if source_map.layer < max(index - 1, 0) or source_map.previous:
        return True
    source = before[source_map.layer]
    if source.places > 1 or source_map.origin != (0, 0):
        return False
    groups = -(-source.channels // shape.lanes)
    turns = -(-groups // source.group_banks)
    return word.index * WORD // shape.lanes // source.group_banks < turns - 1
