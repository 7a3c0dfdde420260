"""Whether a machine fits a device, and what would help where none does."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from math import inf

from qsnn_compile.chips.resources import Resources
from qsnn_compile.chips.targets import Device
from qsnn_compile.ir import Graph
from qsnn_compile.passes import pipeline, run_passes

from .candidates import Candidate, candidates
from .remedies import changes

FULL = 0.9                      # of the logic cells: above it one seed in three finds no placement
ARRAYS = {"list": "input list", "values": "input values", "copy": "spikes", "totals": "totals",
          "readout": "readout parameters", "windows": "windows", "items": "items",
          "parameters": "neuron parameters", "membranes": "membranes", "pool": "pooling",
          "sent": "sent spikes", "synapses": "synaptic currents", "ram": "weights"}
NAMES = {"lc": "logic cells", "ebr": "block RAMs", "spram": "SPRAMs", "dsp": "multipliers"}


def available(device: Device) -> dict[str, int]:
    """What a design may use of each resource."""
    return {"lc": int(device.lc * FULL), "ebr": device.ebr, "spram": device.spram,
            "dsp": device.dsp}


def excess(needed: Resources, device: Device) -> dict[str, tuple[int, int]]:
    """Each resource of which *device* has too little: (needed, what a design may use)."""
    return {key: (count, available(device)[key]) for key, count in asdict(needed).items()
            if count > available(device)[key]}


def nearest(tried: list[Candidate], device: Device) -> Candidate:
    """The machine that needs the least too much; of several, the fastest."""
    best, least = tried[0], (inf, inf)
    for one in sorted(tried, key=lambda one: _overload(one.floor, device)):
        if _overload(one.floor, device) > least[0]:
            break
        rated = _overload(one.needed, device), one.clocks
        if rated < least:
            best, least = one, rated
    return best


def _overload(needed: Resources, device: Device) -> float:
    return max((count / limit for count, limit in excess(needed, device).values()), default=0.0)


def refusal(graph: Graph, tried: list[Candidate], device: Device) -> str:
    """Why none of the machines *tried* fits *device*, and what would help."""
    one = nearest(tried, device)
    wants = "; ".join(_want(one, key, *pair) for key, pair in excess(one.needed, device).items())
    lanes = one.machine.parameters.banks * one.machine.parameters.lanes
    lines = [f"network {graph.name!r} must fit {device.name}, and with {lanes} lanes it "
             f"needs {wants}.", "What would help:"]
    lines += [f"- {change}" for change in _advice(graph, one, device)] or ["- a larger target"]
    return "\n".join(lines)


def _want(one: Candidate, key: str, needed: int, limit: int) -> str:
    """How much there is too much of a resource, and the arrays that take most of it."""
    there = getattr(one.device, key)
    room = "there are" if limit == there else f"the {limit:,} of {there:,} that may be used"
    arrays = ", ".join(f"{name} {count:,}" for name, count in _arrays(one, key).most_common(3))
    return (f"{needed:,} {NAMES[key]}, {needed - limit:,} more than {room}"
            + (f" ({arrays})" if arrays else ""))


def _arrays(one: Candidate, key: str) -> Counter[str]:
    """Memories of each array of the machine, by the array's name."""
    counts: Counter[str] = Counter()
    if key == "spram":
        counts["weights"] = one.needed.spram
    if key == "ebr":
        for memory in one.memories:
            counts[ARRAYS[memory.kind]] += memory.ebr
    return +counts


def _advice(graph: Graph, one: Candidate, device: Device) -> Iterator[str]:
    """Changes that bring an exceeded resource down, with what they cost and whether they do."""
    lanes, mode = one.machine.parameters.banks * one.machine.parameters.lanes, one.prepared.mode
    for fewer in device.lanes:
        if fewer < lanes:
            smaller = nearest(candidates(graph, device, (fewer,), mode), device)
            yield from _judged(f"--lanes {fewer}", one, smaller, device,
                               f"{lanes // fewer} times the clocks of the accumulation")
    for change in changes(graph):
        changed = run_passes(change.graph, pipeline(mode.stream))
        smaller = nearest(candidates(changed, device, (lanes,), mode), device)
        yield from _judged(change.text, one, smaller, device, change.cost)


def _judged(text: str, one: Candidate, smaller: Candidate, device: Device,
            cost: str) -> Iterator[str]:
    before, after = one.needed, smaller.needed
    gains = [f"{getattr(after, key):,} {NAMES[key]}" for key in excess(before, device)
             if getattr(after, key) < getattr(before, key)]
    if gains:
        verdict = "fits" if not excess(after, device) else "not enough alone"
        yield f"{text}: {', '.join(gains)} ({verdict}); costs {cost}"
