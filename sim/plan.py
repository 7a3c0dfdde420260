"""What a bench of the core is to do, and what must come of it: the same for every simulator."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qsnn_compile.ir import Graph, quantize_input
from qsnn_compile.program import Program
from qsnn_hw.arch import WORD, Image, Machine

from . import cycle, golden
from .compare import Ints, Trace


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

    ``x`` [N, ...] as the network takes it, ``spikes`` [N, T, neurons] of each layer that fires,
    ``classes`` [N] and the ``scores`` [N] that won. ``prefix`` is that of the core's ports.
    """

    program: Program
    x: NDArray[np.uint8]
    spikes: tuple[NDArray[np.uint8], ...]
    classes: Ints
    scores: Ints
    traffic: Traffic = Traffic()
    prefix: str = ""

    def save(self, folder: Path) -> None:
        """Write program and plan into *folder*, for a bench in another process."""
        folder.mkdir(parents=True, exist_ok=True)
        self.program.save(folder)
        arrays: dict[str, Any] = {f"spikes{i}": train for i, train in enumerate(self.spikes)}
        np.savez(folder / "plan.npz", x=self.x, classes=self.classes, scores=self.scores, **arrays)
        (folder / "plan.json").write_text(
            json.dumps({"traffic": asdict(self.traffic), "prefix": self.prefix}))

    @staticmethod
    def load(folder: Path) -> "Plan":
        """The plan saved in *folder*."""
        given = json.loads((folder / "plan.json").read_text())
        with np.load(folder / "plan.npz") as data:
            layers = sum(name.startswith("spikes") for name in data)
            spikes = tuple(data[f"spikes{i}"] for i in range(layers))
            return Plan(Program.load(folder), data["x"], spikes, data["classes"], data["scores"],
                        Traffic(**given["traffic"]), given["prefix"])

    def traces(self, arrivals: Ints) -> list[Trace]:
        """What the models say of samples whose beats were accepted at *arrivals* [N, beats]."""
        machine = self.program.machine
        timing = cycle.run(machine, self.x, self.spikes, arrivals=arrivals)
        return [Trace(tuple(train[n].astype(np.int64) for train in self.spikes),
                      tuple(clocks[n] for clocks in timing.rotations[:len(self.spikes)]),
                      (int(self.classes[n]), int(self.scores[n])), int(timing.result[n]))
                for n in range(len(self.x))]


def plan(program: Program, graph: Graph, x: Any, traffic: Traffic = Traffic(),
         prefix: str = "") -> Plan:
    """Ask the golden model about the samples *x*. Raises IrError on data it doesn't take."""
    data = quantize_input(graph, x)
    result = golden.run(graph, data, record="spikes")
    best = np.take_along_axis(result.scores, result.classes[:, None], axis=1)[:, 0]
    return Plan(program, data, layer_spikes(program.machine, result), result.classes, best,
                traffic, prefix)


def layer_spikes(machine: Machine, result: golden.Result) -> tuple[NDArray[np.uint8], ...]:
    """The golden model's spikes of each layer that fires, [N, T, neurons]."""
    return tuple(result.spikes[layer.name] for layer in machine.layers if layer.fires)


def input_beats(machine: Machine, x: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Samples as the beats of the core's input stream, [N, machine.input_beats]."""
    frames = x.reshape(len(x), -1, machine.layers[0].fan_in).astype(np.int64)
    if machine.coding == "direct":
        return frames[:, 0]
    spare = -frames.shape[2] % WORD
    words = np.pad(frames, ((0, 0), (0, 0), (0, spare))).reshape(len(x), -1, WORD)
    beats: NDArray[np.int64] = words @ (1 << np.arange(WORD))
    return beats


def weight_beats(machine: Machine, image: Image) -> list[int]:
    """The weight rows as the beats of the core's load stream."""
    mask = (1 << WORD) - 1
    return [row >> WORD * beat & mask for row in image.weights for beat in range(machine.row_beats)]


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
