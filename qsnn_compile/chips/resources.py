"""What a machine takes of a chip, known before synthesis. docs/resource-model.md has the numbers.

Memories and multipliers are counted; logic cells are a sum of features (bits that the structure
certainly has) with fitted weights.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from qsnn_hw.machine.arch import Image, Machine
from qsnn_hw.machine.fields import Field
from qsnn_hw.machine.layers import WORD

from .memories import Memory, memories, spram
from .resource_coefficients import WEIGHTS
from .targets import DEVICES, Device, Family, family_of

TABLE_BITS = 10                 # a read-only memory's bits in a cell, multiplexers counted
WRITTEN_CELLS = 1.9             # of a written memory's bit in a flip-flop, multiplexers counted
DISTRIBUTED_BITS = 7            # a distributed RAM's
LEAST_OPERAND = 2               # bits of an operand that yosys multiplies in logic
PRODUCT_CELLS = 1.1             # of a pair of bits multiplied in logic
UP5K = DEVICES[0]


@dataclass(frozen=True)
class Resources:
    """Logic cells, block RAMs, single-port RAMs, multipliers."""

    lc: int
    ebr: int
    spram: int
    dsp: int


def predict(machine: Machine, image: Image | None = None, device: Device = UP5K) -> Resources:
    """What *machine* will take of *device*, board link included; more exactly with its *image*."""
    return predict_with(machine, memories(machine, image, family_of(device)), device)


def predict_with(machine: Machine, listed: Sequence[Memory], device: Device) -> Resources:
    """`predict` for a machine whose memories on *device* are *listed*."""
    family = family_of(device)
    cells = sum(WEIGHTS[name] * value for name, value in features(machine, listed).items())
    cells = (cells + written_cells(listed)) * family.cell_scale
    blocks = sum(memory.ebr for memory in listed)
    if device.dsp:
        dsp = sum(_multipliers(a, b, family) for a, b in _products(machine))
    else:
        dsp, cells = 0, cells + PRODUCT_CELLS * sum(a * b for a, b in _products(machine))
    return Resources(round(cells), blocks, spram(machine), dsp)


def features(machine: Machine, listed: Sequence[Memory]) -> dict[str, float]:
    """What logic cells depend on, by name; each has a weight in `resource_coefficients`. *listed*
    are the memories of *machine*.

    ========= ==================================================================
    lanes     accumulator, its enable and its shadow, a lane
    rings     multiplexers where a shadow goes round fewer lanes
    units     registers, adders and multiplexers of the neuron units
    walkers   addresses, origins and jobs, a bank
    readers   words, columns, rows and amounts, a bank
    loads     the loaders' counters and the rows' multiplexers
    readout   scores, their comparison, the sum over the banks
    layers    each adds constants to the tables of every bank
    tables    read-only memories that yosys makes of logic, distributed RAM
    one       the rest, the board's link
    ========= ==================================================================
    """
    parameters, arithmetic, layout = machine.parameters, machine.arithmetic, machine.layout
    banks, rows = parameters.banks, layout.rows.bit_length()
    return {
        "lanes": banks * parameters.lanes * (2 * arithmetic.acc_bits + 1),
        "rings": banks * parameters.units * arithmetic.acc_bits * (len(machine.timing.rings) - 1),
        "units": banks * parameters.units * _unit_bits(machine),
        "walkers": banks * _walker_bits(machine),
        "readers": banks * _reader_bits(machine),
        "loads": banks * (2 * rows + layout.row_beats),
        "readout": _readout_bits(machine),
        "layers": banks * len(parameters.layers),
        "tables": sum(map(_table_cells, listed)),
        "one": 1,
    }


def written_cells(listed: Sequence[Memory]) -> float:
    """Cells of written memories in flip-flops: no feature, for hardly a fitted shape has any."""
    return WRITTEN_CELLS * sum(memory.bits for memory in listed
                               if memory.place == "logic" and not memory.rom)


def _unit_bits(machine: Machine) -> float:
    """Bits of a neuron unit: the pipeline's registers, with a multiplexer a bit and stored bit of
    each shift."""
    parameters, arithmetic = machine.parameters, machine.arithmetic
    if not any(layer.fires for layer in parameters.layers):
        return arithmetic.current_bits
    fields = {field.name: field for field in arithmetic.neuron_fields}
    wide, clocks = arithmetic.potential_bits, machine.timing.unit_clocks
    mixed = len({layer.doubled for layer in parameters.layers}) > 1
    turns, soft = clocks["pool"] - clocks["turn"], clocks["scale"] - clocks["reduce"]
    current = arithmetic.current_bits * (1 + turns + mixed + 2 * parameters.pools)
    current += arithmetic.acc_bits * (parameters.batch_bits > 0)
    stages = wide * (3 + 2 * soft) + arithmetic.membrane_bits * 2 * arithmetic.clamps
    shifts = (wide * (fields["gain_shift"].width + fields["leak_shift"].width)
              + arithmetic.scaled_bits * (2 + fields["step_shift"].width))
    leak = arithmetic.membrane_bits * (2 + fields["decay"].width)
    current += arithmetic.synapse_bits * (4 + fields["synapse_decay"].width)
    return current + stages + shifts + leak + fields["threshold"].width / 2


def _constant(field: Field) -> int:
    return field.constant or 0


def _walker_bits(machine: Machine) -> int:
    """Adders and registers of addresses, places, rounds; the job as it moves on."""
    address = max(machine.layout.lines, machine.layout.value_words, 2).bit_length()
    maps = max(len(layer.maps) for layer in machine.parameters.layers)
    sides = max(max(source.height, source.width) for layer in machine.parameters.layers
                for source in layer.maps).bit_length()
    words = max(sum(len(layer.windows[0]) for layer in machine.parameters.layers), 2).bit_length()
    rounds = machine.timing.total_rounds.bit_length()
    job = (machine.layout.lines.bit_length() + machine.layout.membrane_slots.bit_length()
           + max(machine.layout.neuron_slots, machine.layout.readout_slots).bit_length())
    places = 4 * sides if sides > 1 else 0
    return (address * (3 + 2 * maps) + places * maps + 3 * words + 4 * rounds + 3 * job
            + 2 * machine.parameters.steps.bit_length())


def _reader_bits(machine: Machine) -> int:
    """Two words on their way, with the columns that are counted, and what follows an event."""
    parameters, layout = machine.parameters, machine.layout
    amount = layout.value_bits + parameters.planes + len(parameters.formats)
    columns = WORD * (parameters.columns + (parameters.columns > 1))
    several = any(machine.timing.stride[i] > 1 for i in range(len(parameters.layers)))
    held = parameters.columns if parameters.batch_bits else (parameters.columns - 1).bit_length()
    counted = WORD * held * several
    return (6 * WORD + columns + 2 * counted + 6 * layout.rows.bit_length() + 5 * amount
            + 3 * machine.arithmetic.sum_bits)


def _readout_bits(machine: Machine) -> int:
    parameters, arithmetic = machine.parameters, machine.arithmetic
    scores = 4 if parameters.exit_margin is None else 8        # the next best, the lead, the result
    if parameters.readout == "count":
        return scores * arithmetic.score_bits
    return scores * arithmetic.score_bits + (1 + parameters.banks) * arithmetic.current_bits


def _table_cells(memory: Memory) -> float:
    if memory.place == "logic":
        return memory.bits / TABLE_BITS if memory.rom else 0
    return memory.bits / DISTRIBUTED_BITS if memory.place == "distributed" else 0


def _products(machine: Machine) -> list[tuple[int, int]]:
    """Bits of the operands of each product that is not one with a constant; a synaptic current is
    wide enough for a multiplier by one, if it is no shift."""
    parameters, arithmetic = machine.parameters, machine.arithmetic
    stored = (*arithmetic.neuron_fields, *arithmetic.readout_fields)
    products, fields = [], {field.name: field for field in stored}
    gain = fields.get("gain")
    synaptic = _constant(fields["synapse_decay"])
    width = fields["synapse_decay"].width or (synaptic & synaptic - 1 and synaptic.bit_length())
    for bits, other in ((arithmetic.membrane_bits, fields["decay"].width),
                        (arithmetic.synapse_bits, width)):
        if other:
            products += [(bits, other)] * parameters.units * parameters.banks
    if gain is not None and gain.constant is None:
        products.append((machine.total_bits, gain.width))
    return products


def _multipliers(a: int, b: int, family: Family) -> int:
    """Multipliers of an a × b product, cut into parts with a sign each."""
    return sum(1 for x in _parts(a, family.multiplier) for y in _parts(b, family.multiplier)
               if x + y >= family.least_product and min(x, y) > LEAST_OPERAND)


def _parts(width: int, most: int) -> Iterable[int]:
    while width > most:
        yield most
        width -= most - 1
    yield width
