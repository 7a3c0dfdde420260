"""The machines that a network can be on a device: what a search chooses from."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from qsnn_hw.arch import WORD, Image, Machine

from .fields import Pad
from .ir import Graph
from .mapping import (
    WINDOW,
    Mode,
    Prepared,
    batches,
    machine_of,
    most_columns,
    possible,
    prepare,
    recurrent,
    with_image,
)
from .memories import Memory, spram
from .resource import Resources, predict
from .speed import typical_clocks
from .targets import Device, family_of

UNITS = (1, 2, 4)               # neuron units of a bank
LEAST_LANES = 16                # of a bank: a word of spikes
TURNS = 16                      # clocks in which all units of all banks send a word each


@dataclass(frozen=True, eq=False)
class Candidate:
    """A machine for *device* before its image is made, and the clocks that a sample takes, roughly.
    """

    device: Device
    prepared: Prepared
    machine: Machine
    pads: tuple[Pad, Pad]
    clocks: float

    def complete(self) -> tuple[Machine, Image]:
        """The machine with its digest, and what its memories hold."""
        return with_image(self.prepared, self.machine, self.pads)

    @cached_property
    def needed(self) -> Resources:
        """What it takes as far as that can be said without the image."""
        return predict(self.machine, device=self.device)

    @cached_property
    def least(self) -> Resources:
        """What it takes whatever its image: without the parameters' block RAM."""
        bare = predict(replace(self.machine, neuron_fields=tuple(
            replace(field, width=0, constant=field.base)
            for field in self.machine.neuron_fields)), device=self.device)
        return replace(self.needed, lc=min(self.needed.lc, bare.lc), ebr=bare.ebr)


def candidates(graph: Graph, device: Device, lanes: Iterable[int],
               mode: Mode = WINDOW) -> list[Candidate]:
    """The machines of *graph*, legalised, with *lanes* lanes in all: the orders, banks, units,
    columns and steps a pass that go with them."""
    return [_candidate(prepared, device, banks, total // banks, units, columns, batch)
            for prepared in orders(graph, mode) for total in lanes
            for banks in _powers(total // LEAST_LANES)
            for units in UNITS if banks * units <= TURNS
            if possible(prepared, banks, total // banks // units)
            for columns in _powers(most_columns(prepared))
            for batch in (False, True)[:1 + batches(prepared, columns)]]


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
    placed = _spared(_with_memory(machine, device), device)
    return Candidate(device, prepared, placed, pads, typical_clocks(machine))


def _spared(machine: Machine, device: Device) -> Machine:
    """*machine* with its small memories in logic where it takes too much block RAM else."""
    if predict(machine, device=device).ebr <= device.ebr:
        return machine
    return replace(machine, spare_blocks=True)


def _with_memory(machine: Machine, device: Device) -> Machine:
    """*machine* with its weights in single-port RAM if there is enough, else in block RAM if there
    is enough of that; where there is of neither, in what *device* has for weights."""
    column = Memory("weights", WORD, machine.rows, family=family_of(device))
    blocks = column.ebr * machine.banks * machine.row_beats
    if spram(machine) > device.spram and (not device.spram or blocks <= device.ebr):
        return replace(machine, weight_memory="ebr")
    return machine
