"""The core's memories, and how yosys maps them: block RAM, distributed RAM, or logic where that is
cheaper.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, reduce
from operator import or_
from typing import Literal

from qsnn_hw.machine.arch import Image, Machine, Small, ram_style
from qsnn_hw.machine.fields import SCORE_CLOCK, Field
from qsnn_hw.machine.layers import WORD
from qsnn_hw.machine.tables import item_columns, stored_bits, window_columns

from .targets import FAMILIES, SPRAM_WORDS, Family

ROM_COST = 1 / 16               # of a bit in logic, to yosys' memory_libmap; a RAM's bit costs 1
MUX_COST = 1 / 2                # of a bit of distributed RAM, where one more part lies below it
WHOLE = 36                      # bits of the widest row of 18 kbit
ICE40 = FAMILIES[0]


@dataclass(frozen=True)
class Memory:
    """One memory of the core, ``depth`` words of ``width`` bits, on a chip of ``family``. ``rom``:
    never written; ``small`` as `Machine.small_memories`; ``declared`` bits a word has in the
    Verilog, where synthesis drops some that never change."""

    name: str
    width: int
    depth: int
    rom: bool = False
    small: Small = "auto"
    declared: int = 0
    family: Family = ICE40

    @property
    def bits(self) -> int:
        return self.width * self.depth

    @property
    def place(self) -> Literal["block", "distributed", "logic"]:
        """What yosys makes it of: what it is told, or what costs least."""
        declared = max(self.declared, self.width) * self.depth
        style = ram_style(declared, rom=self.rom, small=self.small)
        if style:
            return style
        block = self._blocks * self.family.block_cost
        shape = self.family.distributed
        if shape is not None and not self.rom:
            deep = -(-self.depth // shape[0])
            cost = (deep * -(-self.width // shape[1]) * self.family.distributed_cost
                    + MUX_COST * self.width * (deep - 1))
            return "distributed" if cost < block else "block"
        return "logic" if self.bits * (ROM_COST if self.rom else 1) <= block else "block"

    @property
    def ebr(self) -> int:
        """Block RAMs it takes."""
        return self._blocks if self.place == "block" else 0

    @property
    def _blocks(self) -> int:
        """The fewest of all shapes. A deep memory's parts stand side by side in a row, but not in
        the rows of WHOLE bits, which are written as one."""
        return min(-(-self.width * -(-self.depth // depth) // width)
                   for depth, width in self.family.block_rams
                   if self.rom or width < WHOLE or self.depth <= depth)


def memories(machine: Machine, image: Image | None = None,
             family: Family = ICE40) -> list[Memory]:
    """Every memory of *machine* but the weights' single-port RAM. With *image*, columns of
    parameters that are the same at every address don't count: synthesis drops them."""
    found = [*_data(machine, image), *_programs(_shape(machine))]
    return [replace(memory, family=family) for memory in found if memory.bits]


def least_blocks(machine: Machine, family: Family) -> int:
    """Block RAMs that *machine* takes at least, whatever its parameters: of input, spikes, state
    and weights alone, for the programs of a large machine take long to write."""
    small: Small = "logic" if machine.small_memories == "block" else machine.small_memories
    bare = replace(machine, neuron_fields=(), readout_fields=(), small_memories=small)
    return sum(replace(memory, family=family).ebr for memory in _data(bare, None) if memory.bits)


def _data(machine: Machine, image: Image | None) -> Iterator[Memory]:
    """All memories but the walkers' programs."""
    yield from _inputs(machine)
    yield from _results(machine, image)
    for bank in range(machine.banks):
        yield from _bank(machine, image, bank)


def _inputs(machine: Machine) -> Iterator[Memory]:
    """The list or the values of the input; the spike memory's copies."""
    words = machine.value_words
    if machine.lists:
        yield _table("list", max((words - 1).bit_length(), 1) + machine.input_bits, words)
    for bank in range(machine.banks):
        if words and not machine.lists:
            yield _table(f"values{bank}", machine.input_bits, words)
        if machine.lines:
            for column in range(machine.columns):
                yield _table(f"copy{bank}_{column}", WORD, machine.lines, machine.small_memories)


def _results(machine: Machine, image: Image | None) -> Iterator[Memory]:
    if machine.readout == "count":
        yield _table("totals", machine.score_bits - 1, machine.neuron_slots)
    elif machine.order == "step":
        yield _table("totals", machine.total_bits, machine.readout_slots)
    for clock in sorted(set(SCORE_CLOCK.values())):
        fields = _read(machine.readout_fields, SCORE_CLOCK, clock)
        columns = [[image.readout[field.name]] if image is not None else None for field in fields]
        yield _parameters(f"readout{clock}", fields, columns, machine.readout_slots)


def _shape(machine: Machine) -> Machine:
    """What the walkers' programs depend on, of *machine*."""
    return replace(machine, neuron_fields=(), readout_fields=(), weight_memory="spram",
                   small_memories="block", digest="")


@lru_cache(maxsize=64)                      # machines are rated with and without their image
def _programs(machine: Machine) -> tuple[Memory, ...]:
    """What the walkers of all banks read."""
    found = []
    for bank in range(machine.banks):
        if bank == 0 or any(layer.windows[bank] != layer.windows[bank - 1]
                            for layer in machine.layers):
            windows = _rom("windows", window_columns(machine, bank).values())
        found += [replace(windows, name=f"windows{bank}"),
                  _rom(f"items{bank}", item_columns(machine, bank).values())]
    return tuple(found)


def _bank(machine: Machine, image: Image | None, bank: int) -> Iterator[Memory]:
    clocks = machine.field_clocks
    for clock in sorted(set(clocks.values())):
        fields = _read(machine.neuron_fields, clocks, clock)
        columns = [image.neuron[field.name][bank] if image is not None else None
                   for field in fields]
        yield replace(_parameters(f"parameters{bank}_{clock}", fields, columns,
                                  machine.neuron_slots, machine.units),
                      small=machine.small_memories)
    if machine.neuron_slots:
        yield _table(f"membranes{bank}", machine.membrane_bits * machine.units,
                     machine.membrane_slots, machine.small_memories)
    if machine.synapses:
        yield _table(f"synapses{bank}", machine.synapse_bits * machine.units,
                     machine.membrane_slots, machine.small_memories)
    if machine.pools:
        yield _table(f"pool{bank}", machine.current_bits * machine.units, machine.slots)
    if any(layer.pooling == "or" for layer in machine.layers):
        steps = machine.steps if machine.order == "layer" else 2
        words = max(machine.lanes // WORD, 2)
        yield _table(f"sent{bank}", WORD, words << max((steps - 1).bit_length(), 1))
    if machine.weight_memory == "ebr":
        for column in range(machine.row_beats):
            yield _table(f"weights{bank}_{column}", WORD, machine.rows)


def _table(name: str, width: int, depth: int, small: Small = "auto") -> Memory:
    return Memory(name, width, max(depth, 2), small=small)


def _rom(name: str, columns: Iterable[Sequence[int]]) -> Memory:
    """A read-only memory of *columns*; the bits that never change vanish."""
    listed = [list(column) for column in columns]
    width = sum(_varying(column, bits) for column in listed if (bits := stored_bits(column)))
    return Memory(name, width, len(listed[0]), rom=True, declared=sum(map(stored_bits, listed)))


def _parameters(name: str, fields: list[Field], columns: Sequence[Sequence[Sequence[int]] | None],
                depth: int, units: int = 1) -> Memory:
    """The memory of *fields*, for each its column a unit, if they are known."""
    width = sum(sum(_varying(numbers, field.width) for numbers in own) if own is not None
                else field.width * units for field, own in zip(fields, columns, strict=True))
    declared = sum(sum(stored_bits(list(numbers)) for numbers in own)
                   for own in columns if own is not None)
    return Memory(name, width, depth, rom=True, declared=declared)


def _read(fields: tuple[Field, ...], clocks: dict[str, int], clock: int) -> list[Field]:
    """The stored ones that are needed in a clock: they share a memory."""
    return [field for field in fields if field.constant is None and clocks[field.name] == clock]


def _varying(numbers: Sequence[int], width: int) -> int:
    """How many of the *width* bits of *numbers* are not the same in all."""
    differences = reduce(or_, (number ^ numbers[0] for number in numbers))
    return (differences & ((1 << width) - 1)).bit_count()


def spram(machine: Machine) -> int:
    """Single-port RAMs of the weights: one for each bank, 16 lanes and 16,384 rows."""
    if machine.weight_memory != "spram":
        return 0
    return machine.banks * machine.row_beats * -(-machine.rows // SPRAM_WORDS)
