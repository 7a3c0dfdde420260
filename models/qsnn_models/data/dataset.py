"""What every loader answers with."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Dataset:
    """A training and a test part; all four arrays are uint8, labels ``[N]`` from 0.

    Images are flat, ``[N, P]``: row-major pixels, 0..255. Frames are ``[N, T, ...]``: one frame a
    step, of ``bits`` bits. ``shape`` is one image's or one frame's as a network's notation has it,
    (1, 28, 28), (2, 34, 34) or (40,); left out, what the arrays have.
    """

    name: str
    train_x: Bytes
    train_y: Bytes
    test_x: Bytes
    test_y: Bytes
    shape: tuple[int, ...] = ()
    bits: int = 8

    def __post_init__(self) -> None:
        if not self.shape:
            object.__setattr__(self, "shape", self.train_x.shape[2 if self.steps else 1:])

    @property
    def steps(self) -> int:
        """Frames a sample, 0 for images."""
        return self.train_x.shape[1] if self.train_x.ndim > 2 else 0

    @property
    def classes(self) -> int:
        return int(max(self.train_y.max(), self.test_y.max())) + 1
