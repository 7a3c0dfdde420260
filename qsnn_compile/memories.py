"""The core's memories, and how yosys maps them on iCE40: block RAM, or logic where that is cheaper.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from operator import or_

from qsnn_hw.arch import WORD, Field, Image, Machine

from .targets import SPRAM_WORDS

EBR_SHAPES = ((256, 16), (512, 8), (1024, 4), (2048, 2))
EBR_COST = 64                   # of yosys' memory_libmap, against 1 a RAM bit, 1/16 a ROM bit
# The clock of the pipeline in which a neuron unit reads a field: fields of one clock share a ROM.
READ_TOGETHER = (("flip", "gain_shift", "decay", "initial"), ("bias", "leak_shift"),
                 ("threshold", "reset", "reset_value"), ("step_shift", "bits"))
READOUT_TOGETHER = (("flip", "gain"), ("bias",))


@dataclass(frozen=True)
class Memory:
    """One memory of the core, ``depth`` words of ``width`` bits. ``rom``: never written."""

    name: str
    width: int
    depth: int
    rom: bool = False

    @property
    def bits(self) -> int:
        return self.width * self.depth

    @property
    def in_logic(self) -> bool:
        """Whether yosys makes it of flip-flops or tables."""
        return self.bits / (16 if self.rom else 1) <= EBR_COST * self._blocks

    @property
    def ebr(self) -> int:
        """Block RAMs it takes."""
        return 0 if self.in_logic else self._blocks

    @property
    def _blocks(self) -> int:
        """The fewest of all shapes. A deep memory's parts stand side by side in a row."""
        return min(-(-self.width * -(-self.depth // depth) // width)
                   for depth, width in EBR_SHAPES)


def index_bits(machine: Machine) -> int:
    """Bits of an input's number in an event."""
    return max(5, *((layer.fan_in - 1).bit_length() for layer in machine.layers))


def memories(machine: Machine, image: Image | None = None) -> list[Memory]:
    """Every memory of *machine* but the weights'. With *image*, columns of parameters that are
    the same at every address don't count: synthesis drops them."""
    index = index_bits(machine)
    value = machine.input_bits if machine.coding == "direct" else 0
    queue = 1 << (machine.fifo_depth - 1).bit_length() if machine.fifo_depth > 1 else 2
    steps = (max(machine.steps, 2) - 1).bit_length()
    found = [
        Memory("buffer0", index + value, machine.list_depth(0)),
        Memory("buffer1", index, machine.list_depth(1)),
        Memory("queue", WORD, queue),
        Memory("counts", index + 1, 2 << steps),
        Memory("step_counts", index + 1, machine.steps),
        Memory("membranes", machine.membrane_bits * machine.units, machine.slots),
        *_parameters(machine, image),
    ]
    if machine.counted:
        width = machine.steps.bit_length() * machine.units
        found.append(Memory("fired", width, machine.neuron_slots))
    if machine.readout == "count":
        found.append(Memory("spike_counts", machine.score_bits - 1, machine.slots))
    return [memory for memory in found if memory.bits]


def _parameters(machine: Machine, image: Image | None) -> Iterator[Memory]:
    for number, names in enumerate(READ_TOGETHER):
        fields = _stored(machine.neuron_fields, names)
        width = sum(field.width for field in fields) * machine.units
        if image is not None:
            width = sum(_varying(column, field.width)
                        for field in fields for column in image.neuron[field.name])
        yield Memory(f"parameters{number}", width, machine.neuron_slots, rom=True)
    for number, names in enumerate(READOUT_TOGETHER):
        fields = _stored(machine.readout_fields, names)
        width = sum(field.width for field in fields)
        if image is not None:
            width = sum(_varying(image.readout[field.name], field.width) for field in fields)
        yield Memory(f"readout{number}", width, machine.readout_slots, rom=True)


def _stored(fields: tuple[Field, ...], names: tuple[str, ...]) -> list[Field]:
    return [field for field in fields if field.name in names and field.constant is None]


def _varying(numbers: tuple[int, ...], width: int) -> int:
    """How many of the *width* bits of *numbers* are not the same in all."""
    differences = reduce(or_, (number ^ numbers[0] for number in numbers))
    return (differences & ((1 << width) - 1)).bit_count()


def spram(machine: Machine) -> int:
    """Single-port RAMs of the weights: one for each 16 lanes and 16,384 rows."""
    if machine.weight_memory != "spram":
        return 0
    return machine.row_beats * -(-machine.rows // SPRAM_WORDS)
