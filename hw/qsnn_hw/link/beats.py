"""The order of what goes over the core's two input streams: plain arrays, no HDL.

An input frame goes place by place, row by row; a place is its channels one by one (values), or in
words of WORD spikes, channel 0 in the lowest bit. Frames of spikes or counts follow step by step; a
direct-coded sample is one frame, and so is a step of a stream.
"""

import numpy as np
from numpy.typing import NDArray

from qsnn_hw.machine.arch import Image, Machine
from qsnn_hw.machine.layers import WORD


def input_beats(machine: Machine, x: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Samples ``[N, *shape]`` (direct, or steps of a stream) or ``[N, T, *shape]`` as input beats,
    ``[N, machine.input_beats]``; a shape other than [C, H, W] is a vector's."""
    frames = x[:, None] if machine.parameters.one_frame else x
    if frames.ndim != 5:
        frames = frames.reshape(*frames.shape[:2], -1, 1, 1)
    places = np.moveaxis(frames, 2, 4).astype(np.int64)
    if machine.layout.value_words:
        return places.reshape(len(x), -1)
    spare = [(0, 0)] * 4 + [(0, -places.shape[4] % WORD)]
    words = np.pad(places, spare).reshape(len(x), -1, WORD)
    beats: NDArray[np.int64] = words @ (1 << np.arange(WORD))
    return beats


def weight_beats(machine: Machine, image: Image) -> list[int]:
    """The weight rows as the beats of the load stream: bank by bank, lowest lanes first."""
    mask = (1 << WORD) - 1
    return [row >> WORD * beat & mask for bank in image.weights for row in bank
            for beat in range(machine.layout.row_beats)]
