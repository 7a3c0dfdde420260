"""What the walkers' two read-only memories hold, column by column: plain numbers, no HDL."""

from . import schedule
from .arch import Machine

WORD_FIELDS = ("source", "dy", "dx", "row", "ends", "final", "early")
ITEM_FIELDS = ("layer", "silent", "start", "row", "slot", "membrane", "line", "words")


def window_columns(machine: Machine, bank: int) -> dict[str, list[int]]:
    """The windows of *bank*, an entry a word; ``offset``: how far behind its item's origin."""
    words = schedule.windows(machine, bank)
    columns = {name: [int(getattr(word, name)) for word in words] for name in WORD_FIELDS}
    return columns | {"offset": schedule.offsets(machine, bank)}


def item_columns(machine: Machine, bank: int) -> dict[str, list[int]]:
    """The items of *bank*; ``base``, ``y`` and ``x`` of each map are an item's origins, ``opening``
    and ``final`` say that its group is the first and the last of the layer."""
    items = schedule.items(machine, bank)
    columns = {name: [int(getattr(item, name)) for item in items] for name in ITEM_FIELDS}
    columns["opening"] = [int(item.group == 0) for item in items]
    last = [machine.groups(index) - 1 for index in range(len(machine.layers))]
    columns["final"] = [int(item.group == last[item.layer]) for item in items]
    for source in range(max(len(item.origins) for item in items)):
        for part, name in enumerate(("base", "y", "x")):
            columns[f"{name}{source}"] = [
                item.origins[min(source, len(item.origins) - 1)][part] for item in items]
    return columns


def stored_bits(values: list[int]) -> int:
    """Bits that a column takes in its memory, 0 where it never changes."""
    low, high = min(values), max(values)
    if low == high:
        return 0
    if low < 0:
        return max(high.bit_length(), (~low).bit_length()) + 1
    return max(high.bit_length(), 1)
