"""The machines of a network side by side, and those that no other one beats.

The work goes to any `concurrent.futures.Executor`: processes of this machine, or a Dask cluster's
``Client.get_executor()``.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor, as_completed
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from qsnn_compile.builds.folder import write_sources
from qsnn_compile.builds.tools import Implementation, implement
from qsnn_compile.chips.resources import Resources, predict
from qsnn_compile.chips.targets import Target
from qsnn_compile.ir import Graph
from qsnn_compile.lower.program import Program
from qsnn_compile.system import processes
from qsnn_compile.system.errors import DoesNotFit
from qsnn_hw.machine.arch import Machine

from .candidates import Candidate, candidates
from .choose import GOALS, Aim, Goal, nanojoules
from .clock_estimate import ACTIVITY
from .fit import excess, refusal

SCHEMA = 1
SHARE = 8                       # candidates of a task: what they have in common is sent once
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Timed:
    """The mean clocks of samples on a machine, and their roof: Σ max(operations / lanes, neuron
    updates / units) over the layers."""

    clocks: float
    roof: float


Clock = Callable[[Machine], Timed]      # of samples that travel with it to other processes
Progress = Callable[[int, int], None]   # told how many of how many are done


@dataclass(frozen=True)
class Rating:
    """What a machine takes: of the chip, with its image where it fits, and of a sample, where that
    was asked."""

    needed: Resources
    fits: bool
    timed: Timed | None = None


@dataclass(frozen=True, eq=False)
class Point:
    """A machine that fits. ``clocks``: the samples' mean, or a typical sample's. ``nanojoules`` is
    None where the chip has no energy model, ``placed`` where it wasn't placed or found no place."""

    candidate: Candidate
    needed: Resources
    clocks: float
    us: float
    nanojoules: float | None
    roof: float | None = None
    placed: Implementation | None = None


# -- what other processes do ----------------------------------------------------------------------

def rate(tried: Sequence[Candidate], target: Target, clock: Clock | None) -> list[Rating]:
    """The ratings of some candidates."""
    return [_rate(one, target, clock) for one in tried]


def _rate(one: Candidate, target: Target, clock: Clock | None) -> Rating:
    if excess(one.least, target.device):
        return Rating(one.needed, False)
    machine, image = one.complete()
    needed = predict(machine, image, target.device)
    if excess(needed, target.device):
        return Rating(needed, False)
    return Rating(needed, True, clock(machine) if clock else None)


def place(one: Candidate, target: Target) -> Implementation | None:
    """What the FPGA tools make of a candidate; None where no seed finds a placement."""
    machine, image = one.complete()
    graph, mhz = one.prepared.graph, target.board.clock_mhz
    program = Program(machine, image, graph.input, target.name, target.board.name, mhz,
                      graph.readout.names)
    with TemporaryDirectory(prefix="qsnn-explore-") as name:
        write_sources(Path(name), graph, program)
        try:
            return implement(Path(name), target.device, mhz, lambda stage: nullcontext())
        except DoesNotFit:
            return None


# -- what sends them there ------------------------------------------------------------------------

def explore(graph: Graph, target: Target, executor: Executor, *, lanes: int | None = None,
            clock: Clock | None = None, progress: Progress = lambda done, of: None) -> list[Point]:
    """The machines of *graph*, legalised, that fit *target*, the fastest first; of samples by
    *clock*, else of a typical one. *progress* is told how many of how many are done.

    Raises TargetError for *lanes* that there aren't, DoesNotFit where none fits.
    """
    aim = Aim(lanes=lanes)
    aim.check(target.device)
    tried = candidates(graph, target.device, aim.lanes_tried(target.device))
    shares = [tried[at:at + SHARE] for at in range(0, len(tried), SHARE)]
    rated = [rating for share in _spread(
        executor, rate, [(share, target, clock) for share in shares],
        lambda done: progress(min(done * SHARE, len(tried)), len(tried))) for rating in share]
    points = [_point(one, rating, target) for one, rating in zip(tried, rated, strict=True)
              if rating.fits]
    if not points:
        raise DoesNotFit(refusal(graph, tried, target.device))
    return sorted(points, key=lambda point: (point.clocks, point.needed.lc))


def front(points: Iterable[Point]) -> list[Point]:
    """Those of which no other has both fewer clocks and fewer logic cells, the fastest first."""
    unbeaten: list[Point] = []
    for point in sorted(points, key=lambda point: (point.clocks, point.needed.lc)):
        if not unbeaten or point.needed.lc < unbeaten[-1].needed.lc:
            unbeaten.append(point)
    return unbeaten


def placed(points: Sequence[Point], target: Target, executor: Executor, *,
           progress: Progress = lambda done, of: None) -> list[Point]:
    """*points*, placed and routed."""
    made = _spread(executor, place, [(point.candidate, target) for point in points],
                   lambda done: progress(done, len(points)))
    return [replace(point, placed=one) for point, one in zip(points, made, strict=True)]


def best(points: Sequence[Point]) -> dict[Goal, Point]:
    """For each goal the point of *points* that it asks for, where that can be said."""
    choices = {"latency": min(points, key=lambda point: point.clocks),
               "area": min(points, key=lambda point: point.needed.lc)}
    if all(point.nanojoules is not None for point in points):
        choices["energy"] = min(points, key=lambda point: point.nanojoules or 0.0)
    return {goal: choices[goal] for goal in GOALS if goal in choices}


def _spread(executor: Executor, function: Callable[..., Answer], tasks: Sequence[tuple[Any, ...]],
            progress: Callable[[int], None]) -> list[Answer]:
    """What *function* makes of each of the *tasks*; where one fails, the others are dropped."""
    futures = [executor.submit(_work, function, *task) for task in tasks]
    progress(0)
    try:
        for done, future in enumerate(as_completed(futures), 1):
            future.result()
            progress(done)
    finally:
        for future in futures:
            future.cancel()
    return [future.result() for future in futures]


def _work(function: Callable[..., Answer], *task: Any) -> Answer:
    """One task; none is begun by a process that is told to end."""
    processes.check()
    return function(*task)


def _point(one: Candidate, rating: Rating, target: Target) -> Point:
    timed = rating.timed
    clocks = timed.clocks if timed else one.clocks
    return Point(one, rating.needed, clocks, clocks / target.board.clock_mhz,
                 nanojoules(target, one.machine, clocks, rating.needed.lc),
                 timed.roof if timed else None)


# -- as data --------------------------------------------------------------------------------------

def summary(graph: Graph, target: Target, points: Sequence[Point], shown: Sequence[Point],
            samples: int | None) -> dict[str, Any]:
    """The report of ``qsnn explore``: *points* that fit, of which *shown* are the front."""
    goals = best(shown)
    return {
        "schema": SCHEMA, "name": graph.name, "target": target.name, "device": target.device.name,
        "board": target.board.name, "clock_mhz": target.board.clock_mhz,
        "samples": samples, "activity": ACTIVITY if samples is None else None,
        "best": {goal: shown.index(point) for goal, point in goals.items()},
        "front": [_entry(point) for point in shown],
        "points": [_entry(point) for point in points],
    }


def _entry(point: Point) -> dict[str, Any]:
    machine, made = point.candidate.machine, point.placed
    parameters = machine.parameters
    return {
        "lanes": parameters.banks * parameters.lanes, "banks": parameters.banks,
        "units": parameters.banks * parameters.units, "columns": parameters.columns,
        "batched": parameters.batch_bits > 0, "order": parameters.order,
        "weight_memory": parameters.weight_memory,
        "clocks": point.clocks, "roof_clocks": point.roof, "us": point.us,
        "predicted": asdict(point.needed), "energy_nj": point.nanojoules,
        "resources": made.resources if made else None,
        "fmax_mhz": round(made.fmax_mhz, 2) if made else None,
        "us_at_fmax": point.clocks / made.fmax_mhz if made else None,
    }
