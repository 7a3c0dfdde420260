"""Which machine fits a target: the fastest that does, and what would help where none does."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace

from qsnn_hw.arch import Image, Machine

from .changes import changes
from .errors import DoesNotFit
from .fields import Pad
from .ir import Graph
from .mapping import Prepared, machine_of, most_columns, possible, prepare, with_image
from .passes import PASSES, run_passes
from .resource import Resources, predict
from .speed import typical_clocks
from .targets import LANES, Device, TargetError

FULL = 0.9                      # of the logic cells: above it one seed in three finds no placement
NAMES = {"lc": "logic cells", "ebr": "block RAMs", "spram": "SPRAMs", "dsp": "multipliers"}
UNITS = (1, 2, 4)               # neuron units of a bank
LEAST_LANES = 16                # of a bank: a word of spikes
TURNS = 16                      # clocks in which all units of all banks send a word each


@dataclass(frozen=True, eq=False)
class Candidate:
    """A machine before its image is made, and the clocks that it takes, roughly."""

    prepared: Prepared
    machine: Machine
    pads: tuple[Pad, Pad]
    clocks: float


def choose(graph: Graph, device: Device, lanes: int | None) -> tuple[Machine, Image]:
    """The fastest machine that fits *device*, of *lanes* lanes in all if they are given.

    Raises TargetError for a number of lanes that there isn't, DoesNotFit where none fits.
    """
    if lanes is not None and lanes not in LANES:
        raise TargetError(f"lanes must be one of {', '.join(map(str, sorted(LANES)))}, "
                          f"not {lanes!r}; leave --lanes out for as many as fit")
    prepared = prepare(graph)
    tried = candidates(prepared, (lanes,) if lanes else LANES)
    for one in sorted(tried, key=lambda one: one.clocks):
        if excess(_least(one.machine), device):
            continue
        machine, image = with_image(prepared, one.machine, one.pads)
        if not excess(predict(machine, image), device):
            return machine, image
    raise DoesNotFit(_refusal(graph, nearest(tried, device), device))


def candidates(prepared: Prepared, lanes: tuple[int, ...]) -> list[Candidate]:
    """The machines with *lanes* lanes in all: banks, units and columns that go with them."""
    return [_candidate(prepared, banks, total // banks, units, columns)
            for total in lanes for banks in _powers(total // LEAST_LANES)
            for units in UNITS if banks * units <= TURNS
            if possible(prepared, banks, total // banks // units)
            for columns in _powers(most_columns(prepared))]


def _powers(most: int) -> Iterator[int]:
    """1, 2, 4, … up to *most*."""
    return (1 << n for n in range(most.bit_length()))


def _candidate(prepared: Prepared, banks: int, lanes: int, units: int, columns: int) -> Candidate:
    machine, pads = machine_of(prepared, banks, lanes, units, columns)
    return Candidate(prepared, machine, pads, typical_clocks(machine))


def available(device: Device) -> dict[str, int]:
    """What a design may use of each resource."""
    return {"lc": int(device.lc * FULL), "ebr": device.ebr, "spram": device.spram,
            "dsp": device.dsp}


def excess(needed: Resources, device: Device) -> dict[str, tuple[int, int]]:
    """Each resource of which *device* has too little: (needed, what a design may use)."""
    return {key: (count, available(device)[key]) for key, count in asdict(needed).items()
            if count > available(device)[key]}


def _least(machine: Machine) -> Resources:
    """What *machine* takes whatever its image: without the parameters' block RAM."""
    bare = replace(machine, neuron_fields=tuple(
        replace(field, width=0, constant=field.base) for field in machine.neuron_fields))
    needed = predict(machine)
    return replace(needed, lc=min(needed.lc, predict(bare).lc), ebr=predict(bare).ebr)


def nearest(tried: list[Candidate], device: Device) -> Candidate:
    """The machine that needs the least too much; of several, the fastest."""
    return min(tried, key=lambda one: (_overload(predict(one.machine), device), one.clocks))


def _overload(needed: Resources, device: Device) -> float:
    return max((count / limit for count, limit in excess(needed, device).values()), default=0.0)


def _refusal(graph: Graph, one: Candidate, device: Device) -> str:
    wants = "; ".join(f"{needed:,} {NAMES[key]}, where {limit:,} of {getattr(device, key):,} may "
                      "be used" if limit < getattr(device, key) else
                      f"{needed:,} {NAMES[key]}, where there are {limit:,}"
                      for key, (needed, limit) in excess(predict(one.machine), device).items())
    lanes = one.machine.banks * one.machine.lanes
    lines = [f"network {graph.name!r} must fit {device.name}, and with {lanes} lanes it "
             f"needs {wants}.", "What would help:"]
    lines += [f"- {change}" for change in _advice(graph, one, device)] or ["- a larger target"]
    return "\n".join(lines)


def _advice(graph: Graph, one: Candidate, device: Device) -> Iterator[str]:
    """Changes that bring an exceeded resource down, with what they cost and whether they do."""
    lanes = one.machine.banks * one.machine.lanes
    for fewer in LANES:
        if fewer < lanes:
            smaller = nearest(candidates(one.prepared, (fewer,)), device)
            yield from _judged(f"--lanes {fewer}", one, smaller, device,
                               f"{lanes // fewer} times the clocks of the accumulation")
    for change in changes(graph):
        prepared = prepare(run_passes(change.graph, PASSES))
        smaller = nearest(candidates(prepared, (lanes,)), device)
        yield from _judged(change.text, one, smaller, device, change.cost)


def _judged(text: str, one: Candidate, smaller: Candidate, device: Device,
            cost: str) -> Iterator[str]:
    before, after = predict(one.machine), predict(smaller.machine)
    gains = [f"{getattr(after, key):,} {NAMES[key]}" for key in excess(before, device)
             if getattr(after, key) < getattr(before, key)]
    if gains:
        verdict = "fits" if not excess(after, device) else "not enough alone"
        yield f"{text}: {', '.join(gains)} ({verdict}); costs {cost}"
