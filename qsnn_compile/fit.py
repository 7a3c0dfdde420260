"""Whether a machine fits a device, and what would help where none does."""

from collections.abc import Iterator
from dataclasses import asdict

from .changes import changes
from .ir import Graph
from .passes import run_passes
from .resource import Resources
from .space import Candidate, candidates
from .targets import LANES, Device

FULL = 0.9                      # of the logic cells: above it one seed in three finds no placement
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
    return min(tried, key=lambda one: (_overload(one.needed, device), one.clocks))


def _overload(needed: Resources, device: Device) -> float:
    return max((count / limit for count, limit in excess(needed, device).values()), default=0.0)


def refusal(graph: Graph, tried: list[Candidate], device: Device) -> str:
    """Why none of the machines *tried* fits *device*, and what would help."""
    one = nearest(tried, device)
    wants = "; ".join(f"{needed:,} {NAMES[key]}, where {limit:,} of {getattr(device, key):,} may "
                      "be used" if limit < getattr(device, key) else
                      f"{needed:,} {NAMES[key]}, where there are {limit:,}"
                      for key, (needed, limit) in excess(one.needed, device).items())
    lanes = one.machine.banks * one.machine.lanes
    lines = [f"network {graph.name!r} must fit {device.name}, and with {lanes} lanes it "
             f"needs {wants}.", "What would help:"]
    lines += [f"- {change}" for change in _advice(graph, one, device)] or ["- a larger target"]
    return "\n".join(lines)


def _advice(graph: Graph, one: Candidate, device: Device) -> Iterator[str]:
    """Changes that bring an exceeded resource down, with what they cost and whether they do."""
    lanes, mode = one.machine.banks * one.machine.lanes, one.prepared.mode
    for fewer in LANES:
        if fewer < lanes:
            smaller = nearest(candidates(graph, device, (fewer,), mode), device)
            yield from _judged(f"--lanes {fewer}", one, smaller, device,
                               f"{lanes // fewer} times the clocks of the accumulation")
    for change in changes(graph):
        changed = run_passes(change.graph, mode.passes)
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
