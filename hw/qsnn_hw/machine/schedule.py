"""What the walkers' two memories hold: the items of each bank, and the windows they look through.

Plain data, no HDL: the core stores it, the cycle model walks it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

from .layers import WORD, Map, Word
from .layout import Layout
from .parameters import Parameters


@dataclass(frozen=True)
class Item:
    """One group of channels at one place of a layer, as a bank works on it.

    ``start``: the first entry of its window. ``origins``: for each map the line, y and x of window
    entry (0, 0). ``row``: its first weight row; ``slot``: its first parameter address, ``membrane``
    its first membrane address; ``line``: where its first spike word goes, ``words`` the number of
    them less one. ``silent``: there is
    nothing there, the bank only keeps step. ``place`` and ``group`` say which it is.
    """

    layer: int
    place: int
    group: int
    silent: bool
    start: int
    origins: tuple[tuple[int, int, int], ...]
    row: int
    slot: int
    membrane: int
    line: int
    words: int


@cache
def windows(parameters: Parameters, bank: int) -> tuple[Word, ...]:
    """The windows of all layers, one behind the other, as *bank* reads them."""
    return tuple(word for layer in parameters.layers for word in layer.windows[bank])


def window_start(parameters: Parameters, bank: int, index: int) -> int:
    """The entry of `windows` with which layer *index* begins."""
    return sum(len(layer.windows[bank]) for layer in parameters.layers[:index])


@cache
def items(layout: Layout, bank: int) -> tuple[Item, ...]:
    """The items of *bank* in order. All banks have as many, some of them silent."""
    return tuple(item for index in range(len(layout.parameters.layers))
                 for item in _layer_items(layout, bank, index))


def _layer_items(layout: Layout, bank: int, index: int) -> Iterator[Item]:
    layer = layout.parameters.layers[index]
    side, start = layout.place_banks[index], window_start(layout.parameters, bank, index)
    first_place, first_group = divmod(bank, layer.group_banks)
    if not layer.fires:
        first_group = 0                 # the banks share the inputs, not the classes
    repeats = layer.passes if layer.pooling == "or" else 1
    used, number, groups = layout.used_slots[index], 0, layout.groups[index]
    row, slot_base = layout.row[index], layout.slot_base[index] if layer.fires else 0
    membrane_base, by_step = layout.membrane_base[index], layout.parameters.order == "step"
    line, words = _lines(layout, index)
    origins = [_origins(layout, source, layer.width) for source in layer.maps]
    for place in range(first_place, first_place + -(-layer.places // side) * side, side):
        for turn in range(layout.group_rounds[index]):
            group = first_group + turn * (layer.group_banks if layer.fires else 1)
            silent = place >= layer.places or group >= groups
            parameters = number * repeats if layer.neuron_parameters else turn
            yield Item(
                index, place, group, silent, start,
                tuple(origin(min(place, layer.places - 1)) for origin in origins),
                row + turn * layer.rows, slot_base + parameters * used,
                membrane_base + (number * repeats * used if by_step else 0),
                line(min(place, layer.places - 1), group), words(group) - 1)
            number += 1


def _lines(layout: Layout, index: int) -> tuple[Callable[[int, int], int], Callable[[int], int]]:
    """Where the first spike word of a place's group goes, and how many words a group has (where the
    layer is stored: else anywhere, and all)."""
    blocks, per_group = layout.parameters.layers[index].blocks, layout.parameters.lanes // WORD
    if not layout.parameters.stored(index):
        return lambda place, group: 0, lambda group: per_group
    first, last = layout.line[index], layout.lines - 1
    return (lambda place, group: min(first + place * blocks + group * per_group, last),
            lambda group: min(max(blocks - group * per_group, 1), per_group))


def _origins(layout: Layout, source: Map, width: int) -> Callable[[int], tuple[int, int, int]]:
    """The origin of a place's window in the map *source*: its address, y and x."""
    base = layout.line[source.layer] if source.kind == "spikes" else 0
    (down, across), (top, left) = source.stride, source.origin

    def origin(place: int) -> tuple[int, int, int]:
        y, x = place // width * down + top, place % width * across + left
        return base + (y * source.pitch + x) * source.words, y, x

    return origin


def offsets(parameters: Parameters, bank: int) -> list[int]:
    """How far behind its item's origin each entry of `windows` lies."""
    behind = []
    for layer in parameters.layers:
        for word in layer.windows[bank]:
            source = layer.maps[word.source]
            behind.append((word.dy * source.pitch + word.dx) * source.words + word.index)
    return behind
