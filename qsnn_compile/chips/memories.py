"""How yosys maps the core's memories: block RAM, distributed RAM, or logic where that is cheaper.

`qsnn_hw.machine.memories` says which there are.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, reduce
from operator import or_
from typing import Literal

from qsnn_hw.machine import memories as core
from qsnn_hw.machine.arch import Image, Machine
from qsnn_hw.machine.layout import Layout
from qsnn_hw.machine.parameters import Small
from qsnn_hw.machine.tables import stored_bits

from .targets import FAMILIES, SPRAM_WORDS, Family

ROM_COST = 1 / 16               # of a bit in logic, to yosys' memory_libmap; a RAM's bit costs 1
MUX_COST = 1 / 2                # of a bit of distributed RAM, where one more part lies below it
WHOLE = 36                      # bits of the widest row of 18 kbit
ICE40 = FAMILIES[0]


@dataclass(frozen=True)
class Memory:
    """One memory of the core, ``depth`` words of ``width`` bits, on a chip of ``family``. ``rom``:
    never written; ``small`` as `Parameters.small_memories`; ``declared`` bits a word has in the
    Verilog, where synthesis drops some that never change."""

    name: str
    width: int
    depth: int
    rom: bool = False
    small: Small = "auto"
    declared: int = 0
    family: Family = ICE40

    @property
    def kind(self) -> str:
        """Its own name, without the blocks that it is in and without numbers."""
        return self.name.rpartition(".")[2].rstrip("_0123456789")

    @property
    def bits(self) -> int:
        return self.width * self.depth

    @property
    def place(self) -> Literal["block", "distributed", "logic"]:
        """What yosys makes it of: what it is told, or what costs least."""
        declared = max(self.declared, self.width) * self.depth
        style = core.ram_style(declared, rom=self.rom, small=self.small)
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
    """Every memory of *machine* but single-port RAM. With *image*, bits of parameters that are the
    same at every address don't count: synthesis drops them."""
    listed = [*_counted(core.written(machine)), *_counted(core.parameters(machine, image)),
              *_programs(_shape(machine))]
    return [replace(memory, family=family) for memory in listed if memory.bits]


def least_blocks(machine: Machine, family: Family) -> int:
    """Block RAMs that *machine* takes at least, whatever its parameters: of input, spikes, state
    and weights alone, for the programs of a large machine take long to write."""
    small: Small = machine.parameters.small_memories
    bare = machine.with_parameters(small_memories="logic" if small == "block" else small)
    return sum(replace(memory, family=family).ebr for memory in _counted(core.written(bare)))


def _shape(machine: Machine) -> Layout:
    """What the walkers' programs depend on, of *machine*."""
    return machine.with_parameters(weight_memory="spram", small_memories="block").layout


@lru_cache(maxsize=64)                      # machines are rated with and without their image
def _programs(layout: Layout) -> tuple[Memory, ...]:
    """What the walkers of all banks read."""
    return tuple(_counted(core.programs(layout)))


def _counted(entries: Iterable[core.Memory]) -> Iterator[Memory]:
    """The entries of the inventory but single-port RAM, each as wide as synthesis leaves it."""
    columns, width = None, 0
    for entry in entries:
        if entry.single_port:
            continue
        if not entry.columns:
            width = entry.width
        elif entry.columns is not columns:          # the same ones come several times
            width = sum(map(_varying, entry.columns.values()))
        columns = entry.columns
        yield Memory(entry.name, width, entry.depth, rom=entry.read_only, small=entry.small,
                     declared=entry.width)


def _varying(numbers: Sequence[int]) -> int:
    """How many of the stored bits of *numbers* are not the same in all."""
    differences = reduce(or_, (number ^ numbers[0] for number in numbers))
    return (differences & ((1 << stored_bits(numbers)) - 1)).bit_count()


def spram(machine: Machine) -> int:
    """Single-port RAMs of the weights, each of SPRAM_WORDS words."""
    return sum(-(-entry.depth // SPRAM_WORDS)
               for bank in range(machine.parameters.banks)
               for entry in core.weights(machine.layout, bank) if entry.single_port)
