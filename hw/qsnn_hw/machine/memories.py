"""The inventory of a machine's memories: every one that its core has, in one table.

The core builds its memories from it, the resource model counts them, and a test makes unknown what
nobody wrote and what is read in the clock of its write. A block RAM promises nothing of a read that
meets a write; logic that returns the word before is 70 cells a memory on iCE40. So no word is used
that was read so, and each entry says why.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from .arch import Image, Machine
from .fields import SCORE_CLOCK, Field
from .layers import WORD
from .layout import Layout
from .parameters import Small
from .tables import item_columns, stored_bits, window_columns

BLOCK_ROM_BITS = 1024       # a read-only memory from here on is block RAM, not 100 logic cells
SPARED_ROM_BITS = 4096      # where block RAM is short, one up to here is logic
SPARED_RAM_BITS = 256       # and so is a written one up to here
BLOCK_RAM_BITS = 32         # where there is enough, a written one from here on is block RAM

Columns = Mapping[str, Sequence[int]]


@dataclass(frozen=True, kw_only=True)
class Memory:
    """One memory of the core, ``depth`` words of ``width`` bits.

    ``name``: the blocks that it is in and its own. ``no_collision``: why no word is used that was
    read in the clock of its write. ``read_only``: never written; its ``columns`` are what its words
    consist of, by name, empty where their numbers are not known yet; one that never changes takes
    no bits. ``single_port``: RAM that no bitstream initialises. ``small``: see `ram_style`.
    """

    name: str
    width: int
    depth: int
    no_collision: str
    read_only: bool = False
    columns: Columns = field(default_factory=dict)
    single_port: bool = False
    small: Small = "auto"

    @property
    def own_name(self) -> str:
        """Its name in its block."""
        return self.name.rpartition(".")[2]

    @property
    def style(self) -> Literal["block", "logic", ""]:
        """What synthesis is told of it."""
        return ram_style(self.width * self.depth, rom=self.read_only, small=self.small)


def ram_style(bits: int, *, rom: bool, small: Small) -> Literal["block", "logic", ""]:
    """What synthesis is told of a memory of *bits* bits; nothing where its own choice is good."""
    if small == "logic" and bits <= (SPARED_ROM_BITS if rom else SPARED_RAM_BITS):
        return "logic"
    block = bits >= BLOCK_ROM_BITS if rom else small == "block" and bits >= BLOCK_RAM_BITS
    return "block" if block else ""


def inventory(machine: Machine, image: Image | None = None) -> dict[str, Memory]:
    """Every memory of *machine*'s core by its name. Without an *image* the numbers of the
    parameters are not known."""
    listed = (*written(machine), *parameters(machine, image), *programs(machine.layout))
    return {memory.name: memory for memory in listed}


def within(memories: Mapping[str, Memory], block: str) -> dict[str, Memory]:
    """The *memories* of *block* and of the blocks in it, by what follows the block's name."""
    return {name.removeprefix(f"{block}."): memory for name, memory in memories.items()
            if name.startswith(f"{block}.")}


def written(machine: Machine) -> Iterator[Memory]:
    """The memories of the input, the spikes, the weights, the neurons' state and the totals."""
    layout, readout = machine.layout, machine.parameters.readout
    yield from inputs(layout)
    yield from spikes(layout)
    for bank in range(machine.parameters.banks):
        yield from weights(layout, bank)
        yield from _states(machine, bank)
    if readout == "count":
        yield _totals(machine.arithmetic.score_bits - 1, layout.neuron_slots)
    elif machine.parameters.order == "step":
        yield _totals(machine.total_bits, layout.readout_slots)


def inputs(layout: Layout) -> Iterator[Memory]:
    """The list of pixels, or the values, a copy for each bank."""
    words, bits = layout.value_words, layout.parameters.input_bits
    why = "a walker reads the input behind its last beat, and the next comes behind the answer"
    if layout.parameters.lists:
        yield _ram("inputs.list", _address_bits(words) + bits, words, why)
    elif words:
        for bank in range(layout.parameters.banks):
            yield _ram(f"inputs.values{bank}", bits, words, why)


def spikes(layout: Layout) -> Iterator[Memory]:
    """A copy of the spike memory for each bank, in it one memory for each column of a line."""
    chosen = layout.parameters
    if layout.lines:
        for bank in range(chosen.banks):
            for column in range(chosen.columns):
                yield _ram(f"spikes.copy{bank}_{column}", WORD, layout.lines,
                           "a walker waits until the round that it needs is counted as written",
                           chosen.small_memories)


def weights(layout: Layout, bank: int) -> Iterator[Memory]:
    """The weights of *bank*, a memory for each 16 lanes."""
    for column in range(layout.row_beats):
        yield Memory(name=f"bank{bank}.memory.ram{column}", width=WORD, depth=max(layout.rows, 2),
                     no_collision="rows are read while no weight is loaded",
                     single_port=layout.parameters.weight_memory == "spram")


def _states(machine: Machine, bank: int) -> Iterator[Memory]:
    """What the neurons of *bank* keep, the units side by side."""
    layout, chosen, arithmetic = machine.layout, machine.parameters, machine.arithmetic
    where, units, small = f"bank{bank}.neurons", chosen.units, chosen.small_memories
    later = "a rotation is longer than the way from a slot's read to its write"
    if layout.neuron_slots:
        yield _ram(f"{where}.membranes", arithmetic.membrane_bits * units, layout.membrane_slots,
                   later, small)
    if arithmetic.synapses:
        yield _ram(f"{where}.synapses", arithmetic.synapse_bits * units, layout.membrane_slots,
                   later, small)
    if chosen.pools:
        yield _ram(f"{where}.pool", arithmetic.current_bits * units, layout.slots, later)
    if chosen.ors:
        yield _ram(f"{where}.sent", WORD, max(layout.row_beats, 2) << _replay_bits(layout),
                   "a word is written two clocks behind its read, and read again a rotation later")


def _replay_bits(layout: Layout) -> int:
    """Bits that tell apart the steps whose spikes are joined by OR."""
    chosen = layout.parameters
    return _address_bits(chosen.steps if chosen.order == "layer" else 2)


def _totals(width: int, slots: int) -> Memory:
    return _ram("readout.totals", width, slots,
                "a class's total is written two clocks behind its read, and read a rotation later")


def parameters(machine: Machine, image: Image | None = None) -> Iterator[Memory]:
    """The stored fields of neurons and classes, those together that are needed in one clock."""
    layout, arithmetic, chosen = machine.layout, machine.arithmetic, machine.parameters
    units = range(chosen.units)
    for bank in range(chosen.banks):
        for clock, fields in _by_clock(arithmetic.neuron_fields, machine.timing.field_clocks):
            columns = {} if image is None else {
                f"{stored.name}{unit}": image.neuron[stored.name][bank][unit]
                for stored in fields for unit in units}
            yield _stored(f"bank{bank}.neurons.parameters{clock}", fields, columns,
                          layout.neuron_slots, len(units), chosen.small_memories)
    for clock, fields in _by_clock(arithmetic.readout_fields, SCORE_CLOCK):
        columns = {} if image is None else {
            stored.name: image.readout[stored.name] for stored in fields}
        yield _stored(f"readout.readout{clock}", fields, columns, layout.readout_slots)


def _by_clock(fields: tuple[Field, ...],
              clocks: Mapping[str, int]) -> Iterator[tuple[int, list[Field]]]:
    """The stored ones of *fields* that are needed in each clock."""
    for clock in sorted(set(clocks.values())):
        stored = [one for one in fields if one.constant is None and clocks[one.name] == clock]
        if stored:
            yield clock, stored


def _stored(name: str, fields: list[Field], columns: Columns, depth: int, units: int = 1,
            small: Small = "auto") -> Memory:
    """The memory of *fields*, as wide as they can be where their *columns* are not known."""
    if columns:
        return read_only(name, columns, small)
    width = units * sum(stored.width for stored in fields)
    return Memory(name=name, width=width, depth=depth, no_collision=NEVER, read_only=True,
                  small=small)


def programs(layout: Layout) -> Iterator[Memory]:
    """What the walkers read: the windows of each bank, in the same columns where they are those of
    the bank before, and its items."""
    chosen = layout.parameters
    for bank in range(chosen.banks):
        if bank == 0 or any(layer.windows[bank] != layer.windows[bank - 1]
                            for layer in chosen.layers):
            windows = window_columns(chosen, bank)
        yield read_only(f"bank{bank}.walker.windows", windows)
    for bank in range(chosen.banks):
        yield read_only(f"bank{bank}.walker.items", item_columns(layout, bank))


NEVER = "it is never written"


def _ram(name: str, width: int, depth: int, no_collision: str, small: Small = "auto") -> Memory:
    return Memory(name=name, width=width, depth=max(depth, 2), no_collision=no_collision,
                  small=small)


def read_only(name: str, columns: Columns, small: Small = "auto") -> Memory:
    """The read-only memory of *columns*."""
    width = sum(stored_bits(numbers) for numbers in columns.values())
    depth = len(next(iter(columns.values())))
    return Memory(name=name, width=width, depth=depth, no_collision=NEVER, read_only=True,
                  columns=columns, small=small)


def _address_bits(words: int) -> int:
    return max((words - 1).bit_length(), 1)
