"""What every loader answers with."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Dataset:
    """A training and a test part; labels ``[N]`` are uint8, from 0, and the values are bytes:
    images flat, ``[N, P]``, row-major pixels, 0..255; frames ``[N, T, ...]``, one a step, of
    ``bits`` bits.

    Or they are a sensor's raw numbers, float32: a vector a sample, ``[N, C]``, or a series of them,
    ``[N, T, C]``; ``scaling`` then says how a network makes codes of them (`training.fitting`).

    ``shape`` is one image's or one frame's as a network's notation has it, (1, 28, 28), (2, 34, 34)
    or (40,); left out, what the arrays have. ``names`` are what the classes are called, if known.
    ``own``: it is in no catalogue.
    """

    name: str
    train_x: NDArray[Any]
    train_y: Bytes
    test_x: NDArray[Any]
    test_y: Bytes
    shape: tuple[int, ...] = ()
    bits: int = 8
    names: tuple[str, ...] = ()
    scaling: str = ""
    own: bool = False

    def __post_init__(self) -> None:
        if not self.shape:
            object.__setattr__(self, "shape", self.train_x.shape[2 if self.steps else 1:])

    @property
    def real(self) -> bool:
        """Whether the values are raw numbers, not bytes."""
        return self.train_x.dtype != np.uint8

    @property
    def steps(self) -> int:
        """Frames a sample, 0 for images and vectors."""
        return self.train_x.shape[1] if self.train_x.ndim > 2 else 0

    @property
    def classes(self) -> int:
        return len(self.names) or int(max(self.train_y.max(), self.test_y.max())) + 1
