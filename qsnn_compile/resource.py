"""What a machine takes of a chip, known before synthesis. docs/resource-model.md has the numbers.

Memories and multipliers are counted; logic cells are a sum of features (bits that the structure
certainly has) with fitted weights.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from qsnn_hw.arch import Field, Image, Machine

from .memories import index_bits, memories, spram
from .resource_fit import WEIGHTS

DSP_WIDTH = 16                  # a MAC16's operands, signed
DSP_PRODUCT = 11                # yosys makes narrower products of logic
TABLE_BITS = 10                 # a read-only memory's bits in a cell, multiplexers counted


@dataclass(frozen=True)
class Resources:
    """Logic cells, 4-kbit block RAMs, single-port RAMs, multipliers."""

    lc: int
    ebr: int
    spram: int
    dsp: int


def predict(machine: Machine, image: Image | None = None) -> Resources:
    """What *machine* will take, board link included; more exactly with its *image*."""
    cells = sum(WEIGHTS[name] * value for name, value in features(machine, image).items())
    return Resources(round(cells), sum(memory.ebr for memory in memories(machine, image)),
                     spram(machine), _dsp(machine))


def features(machine: Machine, image: Image | None = None) -> dict[str, float]:
    """What logic cells depend on, by name; each has a weight in `resource_fit`.

    ========= ==================================================================
    lanes     accumulator, its enable and its shadow, a lane
    units     registers, adders and multiplexers of the neuron units
    readout   scores, their comparison
    control   counters, addresses and sums of sequencer, lists and loader
    passes    layers: each adds constants to the sequencer's tables
    tables    memories that yosys makes of logic
    one       the rest, the board's link
    ========= ==================================================================
    """
    logic = [memory for memory in memories(machine, image) if memory.in_logic]
    return {
        "lanes": machine.lanes * (2 * machine.acc_bits + 1),
        "units": machine.units * _unit_bits(machine),
        "readout": _readout_bits(machine),
        "control": _control_bits(machine),
        "passes": len(machine.layers),
        "tables": sum(memory.bits / TABLE_BITS if memory.rom else memory.bits for memory in logic),
        "one": 1,
    }


def _unit_bits(machine: Machine) -> float:
    """Bits of a neuron unit: the pipeline's registers, with a multiplexer a bit and stored bit of
    each shift."""
    if not any(layer.fires for layer in machine.layers):
        return machine.current_bits
    fields = {field.name: field for field in machine.neuron_fields}
    wide = machine.potential_bits
    kinds = {_constant(fields["reset"])} if fields["reset"].constant is not None else {0, 1, 2}
    mixed = len({layer.weight_bits == 1 for layer in machine.layers}) > 1
    narrow = wide + 1 - (_constant(fields["step_shift"]) or fields["step_shift"].base)
    current = machine.current_bits * (2 + mixed)
    stages = wide * (4 + (1 in kinds) + (fields["reset_value"].constant is None))
    shifts = (wide * (fields["gain_shift"].width + fields["leak_shift"].width)
              + narrow * (1 + fields["step_shift"].width))
    leak = machine.membrane_bits * (2 + fields["decay"].width)
    return current + stages + shifts + leak + fields["threshold"].width / 2


def _constant(field: Field) -> int:
    return field.constant or 0


def _readout_bits(machine: Machine) -> int:
    if machine.readout == "count":
        return 4 * machine.score_bits
    return 4 * machine.score_bits + 2 * machine.current_bits


def _control_bits(machine: Machine) -> int:
    index, rows = index_bits(machine), machine.rows.bit_length()
    lists = max(machine.list_depth(0), machine.list_depth(1)).bit_length()
    slots = max(machine.neuron_slots, machine.readout_slots).bit_length()
    widest = max(layer.weight_bits for layer in machine.layers)
    counts = machine.units * machine.steps.bit_length() + machine.sum_bits if machine.counted else 0
    return (2 * counts + 8 * index + 6 * lists + 4 * rows + 6 * slots + 3 * machine.sum_bits
            + 6 * (machine.value_bits + widest) + 2 * machine.steps.bit_length())


def _dsp(machine: Machine) -> int:
    products = []
    fields = {field.name: field for field in (*machine.neuron_fields, *machine.readout_fields)}
    decay, gain = fields["decay"], fields.get("gain")
    if decay.constant is None:
        products += [(machine.membrane_bits, decay.width)] * machine.units
    if gain is not None and gain.constant is None:
        products.append((machine.current_bits, gain.width))
    return sum(_multipliers(a, b) for a, b in products)


def _multipliers(a: int, b: int) -> int:
    """Multipliers of an a × b product, cut into parts of 15 bits and a sign."""
    return sum(1 for x in _parts(a) for y in _parts(b) if x + y >= DSP_PRODUCT)


def _parts(width: int) -> Iterable[int]:
    while width > DSP_WIDTH:
        yield DSP_WIDTH
        width -= DSP_WIDTH - 1
    yield width
