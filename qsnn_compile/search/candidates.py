"""The machines that a network can be on a device: what a search chooses from."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from qsnn_compile.chips.memories import Memory, least_blocks, memories, spram
from qsnn_compile.chips.resources import Resources, predict_with
from qsnn_compile.chips.targets import Device, family_of
from qsnn_compile.ir import Graph
from qsnn_compile.lower.mapping import (
    WINDOW,
    Mode,
    Prepared,
    batches,
    machine_of,
    most_columns,
    prepare,
    recurrent,
    with_image,
)
from qsnn_compile.lower.parameter_fields import Pad
from qsnn_hw.machine.arch import Image, Machine
from qsnn_hw.machine.layers import WORD
from qsnn_hw.machine.validity import MachineError, takes_turns

from .clock_estimate import typical_clocks

UNITS = (1, 2, 4)               # neuron units of a bank
LEAST_LANES = 16                # of a bank: a word of spikes


@dataclass(frozen=True, eq=False)
class Candidate:
    """A machine for a device before its image is made, and the clocks of a sample, roughly."""

    device: Device
    prepared: Prepared
    frame: Machine
    pads: tuple[Pad, Pad]
    clocks: float

    @property
    def machine(self) -> Machine:
        """The machine, its small memories in logic where it takes too much block RAM else."""
        return self._spared[0]

    def complete(self) -> tuple[Machine, Image]:
        """The machine with its digest, and what its memories hold."""
        return with_image(self.prepared, self.machine, self.pads)

    @property
    def needed(self) -> Resources:
        """What it takes as far as that can be said without the image."""
        return self._spared[1]

    @cached_property
    def floor(self) -> Resources:
        """What it takes at least, of memories that are quickly counted alone."""
        blocks = least_blocks(self.frame, family_of(self.device))
        return Resources(0, blocks, spram(self.frame), 0)

    @property
    def memories(self) -> list[Memory]:
        """Its memories, the parameters' as wide as they are without the image."""
        return self._spared[2]

    @cached_property
    def _spared(self) -> tuple[Machine, Resources, list[Memory]]:
        rated = self._rated(self.frame)
        if rated[1].ebr <= self.device.ebr:
            return rated
        return self._rated(self.frame.with_parameters(small_memories="logic"))

    def _rated(self, machine: Machine) -> tuple[Machine, Resources, list[Memory]]:
        listed = memories(machine, family=family_of(self.device))
        return machine, predict_with(machine, listed, self.device), listed

    @cached_property
    def least(self) -> Resources:
        """What it takes whatever its image: without the parameters' block RAM; its floor where that
        is more than there is."""
        if self.floor.ebr > self.device.ebr or self.floor.spram > self.device.spram:
            return self.floor
        arithmetic = self.machine.arithmetic
        machine = replace(self.machine, arithmetic=replace(arithmetic, neuron_fields=tuple(
            replace(field, width=0, constant=field.base) for field in arithmetic.neuron_fields)))
        bare = predict_with(machine, [memory for memory in self.memories
                                      if memory.kind != "parameters"], self.device)
        return replace(self.needed, lc=min(self.needed.lc, bare.lc), ebr=bare.ebr)


def candidates(graph: Graph, device: Device, lanes: Sequence[int],
               mode: Mode = WINDOW) -> list[Candidate]:
    """The machines of *graph*, legalised, with *lanes* lanes in all: the orders, banks, units,
    columns and steps a pass that go with them. Of several *lanes*, none of which a bank has more
    than it can use. Raises MachineError where no machine could work."""
    machines, refused = list[Candidate](), None
    for prepared, banks, each, units in _shapes(graph, lanes, mode):
        try:
            machines += _columned(prepared, device, banks, each, units)
        except MachineError as error:
            refused = error
    if refused is not None and not machines:
        raise refused
    return machines


def _shapes(graph: Graph, lanes: Sequence[int],
            mode: Mode) -> Iterator[tuple[Prepared, int, int, int]]:
    """An order, banks, and the lanes and units of each."""
    return ((prepared, banks, total // banks, units)
            for prepared in orders(graph, mode) for total in lanes
            for banks in _powers(total // LEAST_LANES)
            for units in UNITS if takes_turns(banks, units)
            if len(lanes) == 1 or total // banks <= _widest(prepared, units))


def _widest(prepared: Prepared, units: int) -> int:
    """Lanes of a bank beyond which none has a channel, in any layer."""
    most = max(one.count * (1 if one.fires else units) for one in prepared.mapped)
    return max(LEAST_LANES, 1 << (most - 1).bit_length())


def _columned(prepared: Prepared, device: Device, banks: int, lanes: int,
              units: int) -> Iterator[Candidate]:
    """With few columns or many, and one step a pass or, where some layer can, two."""
    for columns in _powers(most_columns(prepared)):
        yield _candidate(prepared, device, banks, lanes, units, columns, batch=False)
        if batches(prepared, columns):
            both = _candidate(prepared, device, banks, lanes, units, columns, batch=True)
            chosen = both.frame.parameters
            if any(map(chosen.paired, range(len(chosen.layers)))):
                yield both


def orders(graph: Graph, mode: Mode = WINDOW) -> list[Prepared]:
    """*graph* layer by layer and step by step, as far as both are possible and not the same."""
    if recurrent(graph) or graph.steps == 1 or mode.stepwise:
        return [prepare(graph, mode=mode)]
    return [prepare(graph, stepwise=False), prepare(graph, stepwise=True)]


def _powers(most: int) -> Iterator[int]:
    """1, 2, 4, … up to *most*."""
    return (1 << n for n in range(most.bit_length()))


def _candidate(prepared: Prepared, device: Device, banks: int, lanes: int, units: int,
               columns: int, batch: bool) -> Candidate:
    machine, pads = machine_of(prepared, banks, lanes, units, columns, batch)
    if family_of(device).distributed is not None:
        machine = machine.with_parameters(small_memories="auto")
    return Candidate(device, prepared, _with_memory(machine, device), pads,
                     typical_clocks(machine))


def _with_memory(machine: Machine, device: Device) -> Machine:
    """*machine* with its weights in single-port RAM if there is enough, else in block RAM if there
    is enough of that; where there is of neither, in what *device* has for weights."""
    column = Memory("weights", WORD, machine.layout.rows, family=family_of(device))
    blocks = column.ebr * machine.parameters.banks * machine.layout.row_beats
    if spram(machine) > device.spram and (not device.spram or blocks <= device.ebr):
        return machine.with_parameters(weight_memory="ebr")
    return machine
