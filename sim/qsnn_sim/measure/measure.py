"""A build measured on samples: golden model for the answers, cycle model for the clocks."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qsnn_compile.chips import energy
from qsnn_compile.ir import Graph
from qsnn_compile.lower.lowering import lower
from qsnn_compile.search.explore import Timed
from qsnn_hw.machine.arch import Machine
from qsnn_sim.cycle import cycle
from qsnn_sim.golden import answers as stream
from qsnn_sim.golden import golden
from qsnn_sim.golden.answers import Answers
from qsnn_sim.rtl.plan import layer_spikes

from .data import Build, Samples
from .work import Work, fan_in, roof, work

BATCH = 250                 # samples between two moves of the progress bar


@dataclass(frozen=True, eq=False)
class Clock:
    """Samples to be timed on any machine of their network, in any process: ``spikes`` as
    `cycle.run` takes them."""

    x: NDArray[np.uint8]
    spikes: tuple[NDArray[np.uint8], ...]
    work: Work

    @staticmethod
    def of(graph: Graph, x: NDArray[np.uint8]) -> "Clock":
        """The samples *x* of *graph*, run through the golden model."""
        result = golden.run(graph, x, record="spikes")
        return Clock(x, layer_spikes(graph, result), work(graph, x, result))

    def __call__(self, machine: Machine) -> Timed:
        """Their mean clocks on *machine*, and the mean of their roof."""
        clocks = cycle.run(machine, self.x, self.spikes).latency
        least = roof(machine, self.work)
        return Timed(float(clocks.mean()),
                     float(np.maximum(least.lanes, least.units).sum(axis=1).mean()))


@dataclass(frozen=True, eq=False)
class Measured:
    """What N samples did: ``classes`` and ``latency`` [N], ``scores`` [N, classes], the others
    [N, layers] (see `cycle.Timing`, `work.Work` and `work.Roof`). ``spikes`` and ``membranes``
    [N, T, ...] by neuron, where asked for.

    ``answers`` are those after each step, and ``ends`` [N, T] the clocks until each, where a
    machine runs step by step. With an exit margin ``latency`` ends with the settled step; the
    clocks of layers and lanes are of the whole window, ``window`` [N]. In a stream ``latency``,
    ``window`` and all [N, layers] are of N · T steps.
    """

    classes: NDArray[np.int64]
    scores: NDArray[np.int64]
    latency: NDArray[np.int64]
    layer_clocks: NDArray[np.int64]
    sops: NDArray[np.int64]
    lane_clocks: NDArray[np.int64]
    events: NDArray[np.int64]
    lane_roof: NDArray[np.float64]
    unit_roof: NDArray[np.float64]
    answers: Answers
    ends: NDArray[np.int64]
    window: NDArray[np.int64]
    spikes: dict[str, NDArray[Any]]
    membranes: dict[str, NDArray[Any]]


def measure(build: Build, samples: Samples, *, record: bool = False,
            progress: Callable[[int], None] = lambda done: None) -> Measured:
    """Run all samples; *progress* is told how many are done. Input beats come one a clock."""
    parts = []
    for start in range(0, len(samples.x), BATCH):
        parts.append(_batch(build, samples.x[start:start + BATCH], record))
        progress(min(start + BATCH, len(samples.x)))
    return _joined(parts)


def _batch(build: Build, x: NDArray[np.uint8], record: bool) -> Measured:
    machine = build.program.machine
    if machine.parameters.streaming:
        return _stream(build, x, record)
    result = golden.run(build.graph, x, record="all" if record else "spikes")
    timing = cycle.run(machine, x, layer_spikes(build.graph, result))
    said, n = stream.answers(build.graph, result.reads), np.arange(len(x))
    margin = machine.parameters.exit_margin
    last = (np.full(len(x), build.graph.steps - 1) if margin is None else said.exits(margin))
    ends = timing.latency[:, None] + timing.answers - timing.result[:, None]
    asked = work(build.graph, x, result)
    bounds = roof(machine, asked)
    shown = last if machine.parameters.exits else -1
    return Measured(said.classes[n, last], result.scores, ends[n, shown],
                    timing.layer_clocks, asked.sops, timing.lane_clocks, asked.events, bounds.lanes,
                    bounds.units, said, ends, timing.latency, result.spikes if record else {},
                    result.membranes)


def _stream(build: Build, x: NDArray[np.uint8], record: bool) -> Measured:
    """Each sample a stream of its T steps, from a restart on."""
    machine, frames = build.program.machine, stream.frames(build.graph, x)
    graph = stream.by_frames(build.graph, frames.shape[1])
    result = golden.run(graph, frames, record="all" if record else "spikes")
    spikes = [stream.shifted(train) for train in layer_spikes(graph, result)]
    timing = cycle.run(machine, frames.reshape(-1, *frames.shape[2:]), spikes)
    said = stream.answers(build.graph, result.reads, stream=True)
    asked = _each_step(work(graph, frames, result), graph.steps)
    bounds = roof(machine, asked)
    ends = timing.latency.reshape(said.classes.shape).cumsum(axis=1)
    return Measured(said.classes[:, -1], result.scores, timing.latency, timing.layer_clocks,
                    asked.sops, timing.lane_clocks, asked.events, bounds.lanes, bounds.units, said,
                    ends, timing.latency, result.spikes if record else {}, result.membranes)


def _each_step(asked: Work, steps: int) -> Work:
    """The work of each sample, dealt out evenly to its *steps*."""
    def dealt(values: NDArray[Any]) -> NDArray[Any]:
        return np.repeat(values / steps, steps, axis=0)

    return Work(dealt(asked.events), dealt(asked.sops), dealt(asked.bits), dealt(asked.direct),
                asked.updates // steps)


def _joined(parts: list[Measured]) -> Measured:
    def join(name: str) -> Any:
        values = [getattr(part, name) for part in parts]
        if isinstance(values[0], Answers):
            return Answers(*(np.concatenate([getattr(value, part) for value in values])
                             for part in Answers.__dataclass_fields__))
        if isinstance(values[0], dict):
            return {key: np.concatenate([value[key] for value in values]) for key in values[0]}
        return np.concatenate(values)

    return Measured(**{name: join(name) for name in Measured.__dataclass_fields__})


def summary(build: Build, samples: Samples, measured: Measured) -> dict[str, Any]:
    """The report of ``qsnn sim``; docs/simulation.md describes its keys."""
    machine, clock_mhz = build.program.machine, build.program.clock_mhz
    parameters = machine.parameters
    worst, transfer = cycle.worst_case(machine), machine.layout.input_beats - 1
    clocks = _spread(measured.latency, worst)
    with_input = _spread(measured.latency + transfer, worst + transfer)
    right = None if samples.y is None else int(np.count_nonzero(measured.classes == samples.y))
    return {
        "name": build.graph.name, "digest": machine.digest, "clock_mhz": clock_mhz,
        "clock_placed": build.report["resources"] is not None,
        "banks": parameters.banks, "lanes": parameters.lanes, "units": parameters.units,
        "samples": len(samples.x), "steps": parameters.steps, "streaming": parameters.streaming,
        "exit_margin": parameters.exit_margin,
        "accuracy": None if right is None else right / len(samples.x),
        "by_class": by_class(build.graph.readout.names, samples.y, measured.classes),
        "clocks": clocks,
        "clocks_with_input": with_input,
        "latency_us": _microseconds(clocks, clock_mhz),
        "latency_us_with_input": _microseconds(with_input, clock_mhz),
        "sops": float(measured.sops.sum(axis=1).mean()),
        "utilisation": _utilisation(measured.lane_clocks.sum(), machine, measured.window.sum()),
        "roof_clocks": float(_roof(measured).sum(axis=1).mean()),
        **_energies(build, measured, transfer),
        "layers": list(_layers(build, measured)),
    }


def by_class(names: tuple[str, ...], y: NDArray[np.int64] | None,
             answers: NDArray[np.int64]) -> list[dict[str, Any]]:
    """Of each class that *names* has: its name, how many answers say it, and, where *y* is known,
    its samples and the share of them that are right (None where there are none)."""
    rows: list[dict[str, Any]] = []
    for number, name in enumerate(names):
        row: dict[str, Any] = {"class": number, "name": name,
                               "answers": int(np.count_nonzero(answers == number))}
        if y is not None:
            own = answers[y == number]
            row |= {"samples": len(own),
                    "accuracy": float((own == number).mean()) if len(own) else None}
        rows.append(row)
    return rows


def _roof(measured: Measured) -> NDArray[np.float64]:
    return np.maximum(measured.lane_roof, measured.unit_roof)


def _spread(values: NDArray[np.int64], worst: int) -> dict[str, float | int]:
    return {
        "min": int(values.min()), "median": float(np.median(values)),
        "p99": int(np.percentile(values, 99, method="higher")), "max": int(values.max()),
        "mean": float(values.mean()), "worst_case": worst}


def _microseconds(clocks: dict[str, float | int], clock_mhz: float) -> dict[str, float]:
    return {name: count / clock_mhz for name, count in clocks.items()}


def _utilisation(lane_clocks: Any, machine: Machine, clocks: Any) -> float:
    """The share of lanes × clocks in which a lane of any bank adds for a channel. Operations that
    overlap the input's arrival are in neither figure."""
    return float(lane_clocks / (machine.parameters.banks * machine.parameters.lanes * clocks))


def _energies(build: Build, measured: Measured, transfer: int) -> dict[str, Any]:
    """Per inference, from the first input beat on, for the core works as beats arrive; at the
    samples' mean clocks: the model is linear in them."""
    constants = energy.DEVICES.get(build.report["device"])
    if constants is None:
        return {"energy_nj": None, "energy_model": None}
    placed = build.report["resources"]
    lc = (placed or build.report["predicted"])["lc"]
    clocks = float(measured.latency.mean()) + transfer
    return {
        "energy_nj": asdict(energy.inference(constants, clocks, build.program.clock_mhz, lc)),
        "energy_model": energy.describe(constants, lc, placed is not None)}


def _layers(build: Build, measured: Measured) -> Iterator[dict[str, Any]]:
    machine, stages = build.program.machine, lower(build.graph)
    for index, (layer, stage) in enumerate(zip(machine.parameters.layers, stages, strict=True)):
        clocks = measured.layer_clocks[:, index]
        means = {name: float(getattr(measured, name)[:, index].mean())
                 for name in ("events", "sops", "lane_roof", "unit_roof")}
        yield {
            "name": layer.name, "channels": layer.channels, "height": layer.height,
            "width": layer.width, "fan_in": fan_in(stage), **means,
            "clocks": float(clocks.mean()), "roof_clocks": float(_roof(measured)[:, index].mean()),
            "utilisation": _utilisation(measured.lane_clocks[:, index].sum(), machine,
                                        measured.window.sum())}
