"""The mapping search: of the machines that a network can be, the one that a goal asks for."""

from dataclasses import dataclass
from math import ceil, inf
from typing import Literal

from qsnn_compile.chips import energy
from qsnn_compile.chips.resources import Resources, predict
from qsnn_compile.chips.targets import Device, Target, TargetError
from qsnn_compile.ir import Graph
from qsnn_compile.lower.mapping import WINDOW, Mode
from qsnn_compile.system.errors import DoesNotFit
from qsnn_hw.machine.arch import Image, Machine

from .candidates import Candidate, candidates
from .fit import excess, refusal

Goal = Literal["latency", "area", "energy"]
GOALS: tuple[Goal, ...] = ("latency", "area", "energy")


@dataclass(frozen=True)
class Aim:
    """What to look for: the least time, logic cells or energy of a typical sample; within limits,
    if they are given: ``lanes`` in all, ``max_lc`` logic cells, ``latency_us`` µs (of a stream: of
    a step). ``mode``: when it answers."""

    goal: Goal = "latency"
    lanes: int | None = None
    max_lc: int | None = None
    latency_us: float | None = None
    mode: Mode = WINDOW

    def check(self, device: Device) -> None:
        """Raise TargetError for what *device* hasn't or nothing can be."""
        self.mode.check()
        if self.goal not in GOALS:
            raise TargetError(f"goal must be one of {', '.join(GOALS)}, not {self.goal!r}")
        if self.lanes is not None and self.lanes not in device.lanes:
            raise TargetError(f"lanes must be one of {', '.join(map(str, sorted(device.lanes)))}, "
                              f"not {self.lanes!r}; leave --lanes out for as many as fit")
        if self.max_lc is not None and self.max_lc < 1:
            raise TargetError(f"--max-lc must be 1 logic cell or more, not {self.max_lc!r}; "
                              f"{device.name} has {device.lc:,}")
        if self.latency_us is not None and not 0 < self.latency_us < inf:
            raise TargetError("--latency-us must be a positive number of microseconds, not "
                              f"{self.latency_us!r}; leave it out for no limit")
        if self.goal == "energy" and device.name not in energy.DEVICES:
            raise TargetError(f"goal 'energy' needs a model of the device, and {device.name} has "
                              "none (docs/energy.md); use --goal area or latency")

    def lanes_tried(self, device: Device) -> tuple[int, ...]:
        """Lanes in all on *device*, the widest first."""
        return device.lanes if self.lanes is None else (self.lanes,)

    def cost(self, target: Target, one: Candidate, needed: Resources | None = None) -> float:
        """What the goal wants little of: of what is *needed*, or at least."""
        if self.goal == "latency":
            return one.clocks
        lc = (needed or one.least).lc
        if self.goal == "area":
            return lc
        return nanojoules(target, one.machine, one.clocks, lc) or 0.0

    def missed(self, target: Target, clocks: float, lc: int) -> float:
        """How many times the worse of both limits is exceeded; 0 where none is."""
        ratios = (lc / self.max_lc if self.max_lc else 0.0,
                  clocks / target.board.clock_mhz / self.latency_us if self.latency_us else 0.0)
        return max(ratios) if max(ratios) > 1 else 0.0


FASTEST = Aim()


def choose(graph: Graph, target: Target, aim: Aim = FASTEST) -> tuple[Machine, Image]:
    """The machine that *aim* asks for among those that fit *target*, and its image.

    Raises TargetError for an aim that there isn't, DoesNotFit where no machine fits or none is
    within the limits.
    """
    aim.check(target.device)
    tried = candidates(graph, target.device, aim.lanes_tried(target.device), aim.mode)
    best, least = None, inf
    for bound, one in _bounded(tried, target, aim):
        if bound >= least:
            break                       # an image adds to what a machine needs, and to no clocks
        if not _allowed(one, one.least, target, aim):
            continue
        machine, image = one.complete()
        needed = predict(machine, image, target.device)
        cost = aim.cost(target, one, needed)
        if cost < least and _allowed(one, needed, target, aim):
            best, least = (machine, image), cost
    if best is None:
        raise DoesNotFit(_refused(graph, tried, target, aim))
    return best


def nanojoules(target: Target, machine: Machine, clocks: float, lc: int) -> float | None:
    """The energy of a sample of *clocks* clocks after its input's; None where no model is."""
    constants = energy.DEVICES.get(target.device.name)
    if constants is None:
        return None
    clocks += machine.layout.input_beats - 1
    return energy.inference(constants, clocks, target.board.clock_mhz, lc).total


def _bounded(tried: list[Candidate], target: Target, aim: Aim) -> list[tuple[float, Candidate]]:
    """The candidates with what they cost at least, the cheapest first, of equals the fastest."""
    bounds = [(aim.cost(target, one), one) for one in tried]
    return sorted(bounds, key=lambda pair: (pair[0], pair[1].clocks))


def _allowed(one: Candidate, needed: Resources, target: Target, aim: Aim) -> bool:
    """Whether a machine that needs so much fits, within the limits."""
    return not excess(needed, target.device) and not aim.missed(target, one.clocks, needed.lc)


# -- where there is none --------------------------------------------------------------------------

def _refused(graph: Graph, tried: list[Candidate], target: Target, aim: Aim) -> str:
    fitting = [(one, needed) for one in tried if not excess(one.least, target.device)
               if not excess(needed := predict(*one.complete(), target.device), target.device)]
    if not fitting:
        return refusal(graph, tried, target.device)
    limits = [f"--{name} {limit:g}" for name, limit in (
        ("max-lc", aim.max_lc), ("latency-us", aim.latency_us)) if limit is not None]
    one, needed = min(fitting, key=lambda pair: aim.missed(target, pair[0].clocks, pair[1].lc))
    lines = [f"network {graph.name!r} must fit {target.device.name} within "
             f"{' and '.join(limits)}, and none of its machines does; the nearest, with "
             f"{machine_text(one.machine)}, {_misses(one, needed, target, aim)}.",
             "What would help:"]
    return "\n".join([*lines, *(f"- {line}" for line in _raised(fitting, target, aim))])


def machine_text(machine: Machine) -> str:
    """The choices that make *machine*."""
    parameters = machine.parameters
    banks = f" in {parameters.banks} banks" if parameters.banks > 1 else ""
    units = parameters.banks * parameters.units
    return (f"{parameters.banks * parameters.lanes} lanes{banks} and {units} neuron "
            f"{'unit' if units == 1 else 'units'}")


def _misses(one: Candidate, needed: Resources, target: Target, aim: Aim) -> str:
    parts, us = [], one.clocks / target.board.clock_mhz
    if aim.max_lc is not None and needed.lc > aim.max_lc:
        parts.append(f"needs {needed.lc:,} logic cells, {needed.lc - aim.max_lc:,} too many")
    if aim.latency_us is not None and us > aim.latency_us:
        parts.append(f"takes {us:,.1f} µs, {us - aim.latency_us:,.1f} µs too long")
    return ", and ".join(parts)


def _raised(fitting: list[tuple[Candidate, Resources]], target: Target, aim: Aim) -> list[str]:
    """The limits that could be kept, one at a time, and what the other one would have to be."""
    times = [(one.clocks / target.board.clock_mhz, needed.lc) for one, needed in fitting]
    cells = [lc for us, lc in times if aim.latency_us is None or us <= aim.latency_us]
    waits = [us for us, lc in times if aim.max_lc is None or lc <= aim.max_lc]
    lines = []
    if aim.max_lc is not None and cells:
        lines.append(f"--max-lc {min(cells)}")
    if aim.latency_us is not None and waits:
        lines.append(f"--latency-us {ceil(min(waits) * 10) / 10:g}")
    return lines or ["both limits raised"]
