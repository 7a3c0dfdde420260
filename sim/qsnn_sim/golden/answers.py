"""What a network answers after each step, and when that is settled: the golden model's word.

It knows the graph and what its readout read (`golden.Result.reads`), and no machine.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from qsnn_compile.ir import Graph

Ints = NDArray[np.int64]
ALONE = np.iinfo(np.int64).max          # the lead of a class without others


@dataclass(frozen=True, eq=False)
class Answers:
    """After each step of N samples the best class, its score, and its lead over the next, [N, T]
    each."""

    classes: Ints
    scores: Ints
    leads: Ints

    def settled(self, margin: int) -> NDArray[np.bool_]:
        """After which steps the best score leads by *margin* or more, [N, T]."""
        reached: NDArray[np.bool_] = self.leads >= margin
        return reached

    def exits(self, margin: int) -> Ints:
        """The first step after which that is so, else the last one, [N]."""
        settled = self.settled(margin)
        settled[:, -1] = True
        first: Ints = settled.argmax(axis=1)
        return first


def answers(graph: Graph, reads: Ints, *, stream: bool = False) -> Answers:
    """The answers of *graph*, whose readout read *reads* [N, steps, classes] from the first step
    on. A *stream*'s sums are halved, towards 0, before each step T + 1, 2 T + 1, …"""
    readout, totals = graph.readout, np.empty(reads.shape, dtype=np.int64)
    total = np.zeros_like(totals[:, 0])
    for step in range(reads.shape[1]):
        if stream and step and step % graph.steps == 0:
            total = np.sign(total) * (abs(total) // 2)
        totals[:, step] = total = total + reads[:, step]
    scores = totals if readout.kind == "count" else readout.gain * totals + readout.bias
    classes = scores.argmax(axis=2)
    ranked = np.sort(scores, axis=2)
    leads = (ranked[..., -1] - ranked[..., -2] if scores.shape[2] > 1
             else np.full(classes.shape, ALONE))
    return Answers(classes, ranked[..., -1], leads)


def by_frames(graph: Graph, steps: int) -> Graph:
    """*graph* as it runs *steps* steps of a stream: a frame of its own at each."""
    return replace(graph, steps=steps, input=replace(graph.input, coding="spikes"))


def frames(graph: Graph, x: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Samples of *graph* as streams of its T steps, [N, T, ...]: a direct-coded one stands still.
    """
    if graph.input.coding == "spikes":
        return x
    return np.repeat(x[:, None], graph.steps, axis=1)


def shifted(train: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """[N, T, ...] → [N · T, 2, ...]: the spikes of the step before, of none at first, and of each
    step, as `cycle.run` takes those of a stream."""
    before = np.concatenate([np.zeros_like(train[:, :1]), train[:, :-1]], axis=1)
    return np.stack([before, train], axis=2).reshape(-1, 2, *train.shape[2:])
