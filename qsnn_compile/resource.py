"""What a machine takes of a chip, known before synthesis. docs/resource-model.md has the numbers.

Memories and multipliers are counted; logic cells are a sum of features (bits that the structure
certainly has) with fitted weights.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from qsnn_hw import schedule
from qsnn_hw.arch import WORD, Field, Image, Machine

from .memories import memories, spram
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
    rings     multiplexers where a shadow goes round fewer lanes
    units     registers, adders and multiplexers of the neuron units
    walkers   addresses, origins and jobs, a bank
    readers   words, columns, rows and amounts, a bank
    loads     the loaders' counters and the rows' multiplexers
    readout   scores, their comparison, the sum over the banks
    layers    each adds constants to the tables of every bank
    tables    memories that yosys makes of logic
    one       the rest, the board's link
    ========= ==================================================================
    """
    logic = [memory for memory in memories(machine, image) if memory.in_logic]
    banks, rows = machine.banks, machine.rows.bit_length()
    return {
        "lanes": banks * machine.lanes * (2 * machine.acc_bits + 1),
        "rings": banks * machine.units * machine.acc_bits * (len(machine.rings) - 1),
        "units": banks * machine.units * _unit_bits(machine),
        "walkers": banks * _walker_bits(machine),
        "readers": banks * _reader_bits(machine),
        "loads": banks * (2 * rows + machine.row_beats),
        "readout": _readout_bits(machine),
        "layers": banks * len(machine.layers),
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
    mixed = len({layer.doubled for layer in machine.layers}) > 1
    narrow = wide + 1 - (_constant(fields["step_shift"]) or fields["step_shift"].base)
    current = machine.current_bits * (2 + mixed + 2 * machine.pools)
    stages = wide * (4 + (1 in kinds) + (fields["reset_value"].constant is None))
    shifts = (wide * (fields["gain_shift"].width + fields["leak_shift"].width)
              + narrow * (1 + fields["step_shift"].width))
    leak = machine.membrane_bits * (2 + fields["decay"].width)
    return current + stages + shifts + leak + fields["threshold"].width / 2


def _constant(field: Field) -> int:
    return field.constant or 0


def _walker_bits(machine: Machine) -> int:
    """Adders and registers of addresses, places, rounds; the job as it moves on."""
    address = max(machine.lines, machine.value_words, 2).bit_length()
    maps = max(len(layer.maps) for layer in machine.layers)
    sides = max(max(found.height, found.width) for layer in machine.layers
                for found in layer.maps).bit_length()
    words = max(sum(len(layer.windows[0]) for layer in machine.layers), 2).bit_length()
    rounds = schedule.total_rounds(machine).bit_length()
    job = (machine.lines.bit_length() + machine.membrane_slots.bit_length()
           + max(machine.neuron_slots, machine.readout_slots).bit_length())
    places = 4 * sides if sides > 1 else 0
    return (address * (3 + 2 * maps) + places * maps + 3 * words + 4 * rounds + 3 * job
            + 2 * machine.steps.bit_length())


def _reader_bits(machine: Machine) -> int:
    """The word register and what follows an event."""
    amount = machine.value_bits + machine.planes + machine.scales
    columns = WORD * (machine.columns + (machine.columns > 1))
    merged = columns if any(map(machine.merged, range(len(machine.layers)))) else 0
    return (4 * WORD + columns + 2 * merged + 5 * machine.rows.bit_length() + 5 * amount
            + 3 * machine.sum_bits)


def _readout_bits(machine: Machine) -> int:
    scores = 4 if machine.exit_margin is None else 8        # the next best, the lead, the result
    if machine.readout == "count":
        return scores * machine.score_bits
    return scores * machine.score_bits + (1 + machine.banks) * machine.current_bits


def _dsp(machine: Machine) -> int:
    products = []
    fields = {field.name: field for field in (*machine.neuron_fields, *machine.readout_fields)}
    decay, gain = fields["decay"], fields.get("gain")
    if decay.constant is None:
        products += [(machine.membrane_bits, decay.width)] * machine.units * machine.banks
    if gain is not None and gain.constant is None:
        products.append((machine.total_bits, gain.width))
    return sum(_multipliers(a, b) for a, b in products)


def _multipliers(a: int, b: int) -> int:
    """Multipliers of an a × b product, cut into parts of 15 bits and a sign."""
    return sum(1 for x in _parts(a) for y in _parts(b) if x + y >= DSP_PRODUCT)


def _parts(width: int) -> Iterable[int]:
    while width > DSP_WIDTH:
        yield DSP_WIDTH
        width -= DSP_WIDTH - 1
    yield width
