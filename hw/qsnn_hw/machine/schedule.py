"""What the walkers' two memories hold: the items of each bank, and the windows they look through.

Plain data, no HDL: the core stores it, the cycle model walks it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

from .arch import Machine
from .layers import WORD, Map, Word


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
def windows(machine: Machine, bank: int) -> tuple[Word, ...]:
    """The windows of all layers, one behind the other, as *bank* reads them."""
    return tuple(word for layer in machine.layers for word in layer.windows[bank])


def window_start(machine: Machine, bank: int, index: int) -> int:
    """The entry of `windows` with which layer *index* begins."""
    return sum(len(layer.windows[bank]) for layer in machine.layers[:index])


@cache
def items(machine: Machine, bank: int) -> tuple[Item, ...]:
    """The items of *bank* in order. All banks have as many, some of them silent."""
    return tuple(item for index in range(len(machine.layers))
                 for item in _layer_items(machine, bank, index))


def _layer_items(machine: Machine, bank: int, index: int) -> Iterator[Item]:
    layer = machine.layers[index]
    side, start = machine.place_banks(index), window_start(machine, bank, index)
    first_place, first_group = divmod(bank, layer.group_banks)
    if not layer.fires:
        first_group = 0                 # the banks share the inputs, not the classes
    repeats = layer.passes if layer.pooling == "or" else 1
    used, number, groups = machine.used_slots(index), 0, machine.groups(index)
    row, slot_base = machine.row(index), machine.slot_base(index) if layer.fires else 0
    membrane_base, by_step = machine.membrane_base(index), machine.order == "step"
    line, words = _lines(machine, index)
    origins = [_origins(machine, found, layer.width) for found in layer.maps]
    for place in range(first_place, first_place + -(-layer.places // side) * side, side):
        for turn in range(machine.group_rounds(index)):
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


def _lines(machine: Machine, index: int) -> tuple[Callable[[int, int], int], Callable[[int], int]]:
    """Where the first spike word of a place's group goes, and how many words a group has (where the
    layer is stored: else anywhere, and all)."""
    blocks, per_group = machine.layers[index].blocks, machine.lanes // WORD
    if not machine.stored(index):
        return lambda place, group: 0, lambda group: per_group
    first, last = machine.line(index), machine.lines - 1
    return (lambda place, group: min(first + place * blocks + group * per_group, last),
            lambda group: min(max(blocks - group * per_group, 1), per_group))


def _origins(machine: Machine, found: Map, width: int) -> Callable[[int], tuple[int, int, int]]:
    """The origin of a place's window in the map *found*: its address, y and x."""
    base = machine.line(found.layer) if found.kind == "spikes" else 0
    (down, across), (top, left) = found.stride, found.origin

    def origin(place: int) -> tuple[int, int, int]:
        y, x = place // width * down + top, place % width * across + left
        return base + (y * found.pitch + x) * found.words, y, x

    return origin


def offsets(machine: Machine, bank: int) -> list[int]:
    """How far behind its item's origin each entry of `windows` lies."""
    found = []
    for layer in machine.layers:
        for word in layer.windows[bank]:
            source = layer.maps[word.source]
            found.append((word.dy * source.pitch + word.dx) * source.words + word.index)
    return found


def needs(machine: Machine, index: int) -> int:
    """Rounds that every bank must have behind it before layer *index* reads early words. Others at
    step t (the first: 0) take t + 1 more; a layer that reads the input has early words only."""
    done = sum(rounds_of(machine, i) for i in range(index))
    return done - _steps(machine) if index else 0


def rounds_of(machine: Machine, index: int) -> int:
    """Rounds that layer *index* counts, in a window or in a step."""
    layer = machine.layers[index]
    if not layer.fires:
        return 0
    return machine.rounds(index) * (layer.passes if layer.pooling == "or" else 1) * _steps(machine)


def total_rounds(machine: Machine) -> int:
    """Rounds of all layers, in a window or in a step."""
    return sum(rounds_of(machine, i) for i in range(len(machine.layers)))


def _steps(machine: Machine) -> int:
    return machine.steps if machine.order == "layer" else 1
