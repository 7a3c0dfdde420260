"""What a bench of the core is to do, and what must come of it: the same for every simulator."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qsnn_compile.ir import Graph, quantize_input
from qsnn_compile.lower.lowering import Stage, lower
from qsnn_compile.lower.program import Program
from qsnn_sim.cycle import cycle
from qsnn_sim.golden import answers as stream
from qsnn_sim.golden import golden

from . import probe
from .compare import ABSENT, Ints, Trace

ARRAYS = ("classes", "scores", "firsts", "settled", "ends")
STREAMED = 2                # samples whose frames make one stream: its sums are halved on the way


@dataclass(frozen=True)
class Traffic:
    """How the streams are treated, at random but the same for the same seed.

    ``idle``: the chance of a clock without valid before a beat. ``stall``: that of a clock without
    ready for a result. ``resets``: samples that a reset cuts short at any clock, to be sent again.
    """

    idle: float = 0.0
    stall: float = 0.0
    resets: int = 0
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Plan:
    """Samples for a program's core, and the golden model's word for them.

    ``x`` [N, ...] as the network takes it, ``spikes`` [N, T, passes, C, H, W] of each layer that
    fires (`pass_spikes`), ``classes`` [N] and the ``scores`` [N] that won. ``prefix`` is that of
    the core's ports. Of a stream a step is a sample, T = 1; ``firsts`` [N] says which are first
    steps. With an exit margin ``settled`` [N] says which results are, and ``ends`` [N] the step
    that each window ends with.
    """

    program: Program
    x: NDArray[np.uint8]
    spikes: tuple[NDArray[np.uint8], ...]
    classes: Ints
    scores: Ints
    firsts: Ints
    settled: Ints
    ends: Ints
    traffic: Traffic = Traffic()
    prefix: str = ""

    def save(self, folder: Path) -> None:
        """Write program and plan into *folder*, for a bench in another process."""
        folder.mkdir(parents=True, exist_ok=True)
        self.program.save(folder)
        arrays: dict[str, Any] = {f"spikes{i}": train for i, train in enumerate(self.spikes)}
        arrays |= {name: getattr(self, name) for name in ARRAYS}
        np.savez(folder / "plan.npz", x=self.x, **arrays)
        (folder / "plan.json").write_text(
            json.dumps({"traffic": asdict(self.traffic), "prefix": self.prefix}))

    @staticmethod
    def load(folder: Path) -> "Plan":
        """The plan saved in *folder*."""
        given = json.loads((folder / "plan.json").read_text())
        with np.load(folder / "plan.npz") as data:
            layers = sum(name.startswith("spikes") for name in data)
            spikes = tuple(data[f"spikes{i}"] for i in range(layers))
            return Plan(Program.load(folder), data["x"], spikes,
                        traffic=Traffic(**given["traffic"]), prefix=given["prefix"],
                        **{name: data[name] for name in ARRAYS})

    @property
    def sent(self) -> tuple[NDArray[np.uint8], ...]:
        """The spikes that each layer sends: of several passes any; as `cycle.run` takes them."""
        trains = tuple(train.max(axis=2) for train in self.spikes)
        if not self.program.machine.parameters.streaming:
            return trains
        first = self.firsts.astype(bool)
        return tuple(np.concatenate([_before(train, first), train], axis=1) for train in trains)

    def timing(self, arrivals: Ints | None = None) -> cycle.Timing:
        """The cycle model's word for the samples, their beats accepted at *arrivals* [N, beats]."""
        machine = self.program.machine
        return cycle.run(machine, self.x, self.sent, arrivals=arrivals,
                         exits=self.ends if machine.parameters.exits else None)

    def traces(self, arrivals: Ints) -> list[Trace]:
        """What the models say of samples whose beats were accepted at *arrivals* [N, beats]."""
        machine, timing = self.program.machine, self.timing(arrivals)
        shown = [(view.clocks(machine, timing, bank), view.spikes(len(self.x), self.spikes))
                 for bank, view in enumerate(probe.views(machine))]
        if machine.parameters.exits:
            shown = [_until(timing.result, *both) for both in shown]
        return [Trace(tuple(clocks[n] for clocks, _ in shown),
                      tuple(spikes[n] for _, spikes in shown),
                      self._answer(n), int(timing.result[n]))
                for n in range(len(self.x))]

    def _answer(self, n: int) -> tuple[int, ...]:
        leads = self.program.machine.parameters.exit_margin is not None
        return (int(self.classes[n]), int(self.scores[n]), *[int(self.settled[n])] * leads)


def plan(program: Program, graph: Graph, x: Any, traffic: Traffic = Traffic(),
         prefix: str = "") -> Plan:
    """Ask the golden model about the samples *x*. Raises IrError on data it doesn't take."""
    data, parameters = quantize_input(graph, x), program.machine.parameters
    if parameters.streaming:
        return _stream_plan(program, graph, data, traffic, prefix)
    result, margin = golden.run(graph, data, record="spikes"), parameters.exit_margin
    answers, samples = stream.answers(graph, result.reads), np.arange(len(data))
    ends = np.full(len(data), graph.steps - 1) if margin is None else answers.exits(margin)
    settled = answers.settled(margin or 0)[samples, ends].astype(np.int64)
    return Plan(program, data, pass_spikes(graph, result), answers.classes[samples, ends],
                answers.scores[samples, ends], np.ones_like(ends), settled, ends, traffic, prefix)


def _stream_plan(program: Program, graph: Graph, data: NDArray[np.uint8], traffic: Traffic,
                 prefix: str) -> Plan:
    """A step a sample. Streams go on from one sample's frames to the next one's, then restart."""
    frames = stream.frames(graph, data)
    whole = len(frames) - len(frames) % STREAMED
    parts = [_stream_steps(program, graph, part.reshape(len(part) // joined, -1, *part.shape[2:]))
             for part, joined in ((frames[:whole], STREAMED), (frames[whole:], 1)) if len(part)]
    x, spikes, *rest = (list(column) for column in zip(*parts, strict=True))
    joined = tuple(np.concatenate(trains) for trains in zip(*spikes, strict=True))
    arrays = {name: np.concatenate(part) for name, part in zip(ARRAYS, rest, strict=True)}
    return Plan(program, np.concatenate(x), joined, traffic=traffic, prefix=prefix, **arrays)


def _stream_steps(program: Program, graph: Graph, frames: NDArray[np.uint8]) -> tuple[Any, ...]:
    """What a plan says of streams of *frames* [N, steps, ...], step by step."""
    longer = stream.by_frames(graph, frames.shape[1])
    result = golden.run(longer, frames, record="spikes")
    answers = stream.answers(graph, result.reads, stream=True)
    settled = answers.settled(program.machine.parameters.exit_margin or 0).astype(np.int64)
    firsts = np.zeros_like(settled)
    firsts[:, 0] = 1
    trains = tuple(train.reshape(-1, 1, *train.shape[2:]) for train in pass_spikes(longer, result))
    return (frames.reshape(-1, *frames.shape[2:]), trains, answers.classes.ravel(),
            answers.scores.ravel(), firsts.ravel(), settled.ravel(), np.zeros_like(firsts).ravel())


def _before(train: NDArray[np.uint8], first: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The step before each step of a *train*, of none where it is a *first* one."""
    before = np.roll(train, 1, axis=0)
    before[first] = 0
    return before


def _until(result: Ints, clocks: Ints, spikes: NDArray[np.int8]) -> tuple[Ints, NDArray[np.int8]]:
    """What the probe shows until the clock of the *result*, which ends the window."""
    over = clocks > result[:, None]
    return (np.where(over, ABSENT, clocks),
            np.where(over[..., None], ABSENT, spikes).astype(np.int8))


def pass_spikes(graph: Graph, result: golden.Result) -> tuple[NDArray[np.uint8], ...]:
    """The golden model's spikes of each layer that fires, [N, T, passes, C, H, W]: with "or"
    pooling those of each neuron of a window, else of one."""
    return tuple(np.stack(list(_passes(stage, result)), axis=2)
                 for stage in lower(graph) if stage.neuron is not None)


def layer_spikes(graph: Graph, result: golden.Result) -> tuple[NDArray[np.uint8], ...]:
    """The spikes that each layer that fires sends, [N, T, C, H, W]: with "or" pooling those of the
    max pool behind its neurons."""
    return tuple(reduce(np.maximum, _passes(stage, result))
                 for stage in lower(graph) if stage.neuron is not None)


def _passes(stage: Stage, result: golden.Result) -> Iterator[NDArray[np.uint8]]:
    """The spikes of a stage's neurons, [N, T, C, H, W], a place of its pooling window each."""
    train, (_, height, width) = result.spikes[stage.name], stage.shape
    if stage.pooling != "or":
        yield train.reshape(*train.shape[:2], *stage.shape)
        return
    for y, x in stage.spread:
        yield train[..., y::stage.pace[0], x::stage.pace[1]][..., :height, :width]


def random_samples(graph: Graph, count: int, seed: int = 0) -> NDArray[np.uint8]:
    """Samples of the network's input type: one all 0, one all-active, others from sparse to
    dense."""
    rng = np.random.default_rng(seed)
    source = graph.input
    steps = () if source.coding == "direct" else (graph.steps,)
    shape = (count, *steps, *source.shape)
    top = (1 << source.bits) - 1
    density = rng.random((count, *[1] * (len(shape) - 1)))
    x = np.where(rng.random(shape) < density, rng.integers(1, top, shape, endpoint=True), 0)
    if count > 2:
        x[0], x[1] = 0, top
    return x.astype(np.uint8)
