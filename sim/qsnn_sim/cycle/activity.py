"""How many spikes the words of a window have, and how many events these become: what the cycle
model's clocks depend on."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qsnn_hw.machine.arch import Machine
from qsnn_hw.machine.layers import WORD, Map, Word
from qsnn_hw.machine.schedule import Item

Ints = NDArray[np.int64]


class Activity:
    """How many spikes each word of each map has, 1 for a value that is not 0.

    In a stream a sample is a step: its frame, and the spikes of the step before (of none where it
    is a first step) and of its own.
    """

    def __init__(self, machine: Machine, x: Any, spikes: Sequence[Any]) -> None:
        self.machine = machine
        self.maps = {index: places(np.asarray(train)) for index, train in enumerate(spikes)}
        frames = np.asarray(x)[:, None] if machine.parameters.one_frame else np.asarray(x)
        self.maps[-1] = places(frames)
        self.listed: Ints = np.count_nonzero(frames.reshape(len(x), -1), axis=1)
        self._counts: dict[tuple[int, str, bool], NDArray[np.uint8]] = {}

    def words(self, source: Map, layer: int) -> NDArray[np.uint8]:
        """Spikes of the words of a map that *layer* reads, [steps, height, width, words, N]; of all
        columns where the layer takes them merged."""
        merged = source.kind == "spikes" and self.machine.timing.stride[layer] > 1
        key = (source.layer, source.kind, merged)
        if key not in self._counts:
            train = self.maps[source.layer]
            train = _merged(train, self.machine.parameters.columns) if merged else train
            counts = _words(train) if source.kind == "spikes" else (train != 0).astype(np.uint8)
            self._counts[key] = np.ascontiguousarray(np.moveaxis(counts, 0, -1))
        return self._counts[key]


class Window:
    """A pass of a layer's window: for items and a step the events of each word, one for each plane
    of a spike."""

    def __init__(self, activity: Activity, index: int, part: Sequence[Word]) -> None:
        layer = activity.machine.parameters.layers[index]
        self.words = part
        self.maps = layer.maps
        self.source, self.dy, self.dx, self.index = np.array(
            [(word.source, word.dy, word.dx, word.index) for word in part]).T
        self.tables = [activity.words(source, index) for source in layer.maps
                       if source.kind != "list"]
        self.direct = [source.layer < 0 and activity.machine.parameters.one_frame
                       for source in layer.maps]

    def counts(self, items: Sequence[Item], step: int) -> Ints:
        """[words, items, N]"""
        samples = self.tables[0].shape[-1]
        counts = np.zeros((len(self.words), len(items), samples), dtype=np.int64)
        silent = np.array([item.silent for item in items])
        for number, (source, table) in enumerate(zip(self.maps, self.tables, strict=True)):
            if source.previous and step == 0:
                continue
            mine = self.source == number
            origin = np.array([item.origins[number] for item in items])
            y = self.dy[mine, None] + origin[:, 1]
            x = self.dx[mine, None] + origin[:, 2]
            inside = (y >= 0) & (y < source.height) & (x >= 0) & (x < source.width)
            at = 0 if self.direct[number] else step - source.previous
            pad = 0 if not source.pad else WORD if source.kind == "spikes" else 1
            read = table[at, np.where(inside, y, 0), np.where(inside, x, 0),
                         self.index[mine, None]]
            counts[mine] = source.planes * np.where(
                (inside & ~silent)[..., None], read.astype(np.int64),
                np.where(silent, 0, pad)[:, None])
        return counts


def places(train: NDArray[Any]) -> NDArray[Any]:
    """``[N, T, C, H, W]`` -> ``[N, T, H, W, C]``; any other shape is one place's channels."""
    if train.ndim == 5:
        return train.transpose(0, 1, 3, 4, 2)
    return train.reshape(*train.shape[:2], 1, 1, -1)


def _merged(train: NDArray[Any], columns: int) -> NDArray[Any]:
    """The steps of a line joined: a spike in any."""
    lines = -(-train.shape[1] // columns)
    padded = np.zeros((len(train), lines * columns, *train.shape[2:]), dtype=bool)
    padded[:, :train.shape[1]] = train != 0
    joined: NDArray[Any] = np.logical_or.reduce(
        padded.reshape(len(train), lines, columns, *train.shape[2:]), axis=2)
    return joined


def _words(train: NDArray[Any]) -> NDArray[np.uint8]:
    """``[..., C]`` -> spikes in each word of 16, ``[..., words]``."""
    count = -(-train.shape[-1] // WORD)
    padded = np.zeros((*train.shape[:-1], count * WORD), dtype=bool)
    padded[..., :train.shape[-1]] = train != 0
    sums: NDArray[np.uint8] = padded.reshape(*train.shape[:-1], count, WORD).sum(
        axis=-1, dtype=np.uint8)
    return sums
