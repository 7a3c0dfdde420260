"""What the walkers' two read-only memories hold, column by column: plain numbers, no HDL."""

from collections.abc import Sequence

from . import schedule
from .layout import Layout
from .parameters import Parameters

WORD_FIELDS = ("source", "dy", "dx", "row", "ends", "final", "early")
ITEM_FIELDS = ("layer", "silent", "start", "row", "slot", "membrane", "line", "words")


def window_columns(parameters: Parameters, bank: int) -> dict[str, list[int]]:
    """The windows of *bank*, an entry a word; ``offset``: how far behind its item's origin."""
    words = schedule.windows(parameters, bank)
    columns = {name: [int(getattr(word, name)) for word in words] for name in WORD_FIELDS}
    return columns | {"offset": schedule.offsets(parameters, bank)}


def item_columns(layout: Layout, bank: int) -> dict[str, list[int]]:
    """The items of *bank*; ``base``, ``y`` and ``x`` of each map are an item's origins, ``opening``
    and ``final`` say that its group is the first and the last of the layer."""
    items = schedule.items(layout, bank)
    columns = {name: [int(getattr(item, name)) for item in items] for name in ITEM_FIELDS}
    columns["opening"] = [int(item.group == 0) for item in items]
    last = [layout.groups[index] - 1 for index in range(len(layout.parameters.layers))]
    columns["final"] = [int(item.group == last[item.layer]) for item in items]
    for source in range(max(len(item.origins) for item in items)):
        for part, name in enumerate(("base", "y", "x")):
            columns[f"{name}{source}"] = [
                item.origins[min(source, len(item.origins) - 1)][part] for item in items]
    return columns


def stored_bits(values: Sequence[int]) -> int:
    """Bits that a column takes in its memory, 0 where it never changes."""
    low, high = min(values), max(values)
    if low == high:
        return 0
    if low < 0:
        return max(high.bit_length(), (~low).bit_length()) + 1
    return max(high.bit_length(), 1)
