"""MNIST converted by a simulated event camera: three saccades over a still image.

The camera and its path follow Orchard et al., "Converting static image datasets to spiking
neuromorphic datasets using saccades" (2015); the path's corners and its speed were fitted to the
centroids of genuine recordings. What comes out is like N-MNIST, and is not N-MNIST.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qsnn_models.errors import DataError

from .dataset import Bytes

Floats = NDArray[np.float32]

SIDE = 34                       # the sensor's pixels each way
MICROSECONDS = 315_000          # three saccades of 105 ms
_MARGIN = 11                    # black pixels around the image, more than the path ever needs


@dataclass(frozen=True)
class Camera:
    """A log-intensity change detector that looks at an image from a moving platform.

    ``L = ln(I + floor)``, I in 0..1, is watched by every pixel; whenever it has left the last
    reported value by ``threshold`` an event is sent: polarity 0 brighter, 1 darker (the genuine
    recordings' sign). The image's upper left corner goes along ``corners`` (x, y; pixels), one leg
    a saccade, moving in the share ``moving`` of the saccade, slow at both ends. ``jitter`` moves
    path (pixels) and threshold (as a factor) of every block of 64 images by chance: a camera that
    is never mounted twice the same way, for training.
    """

    threshold: float = 0.26
    floor: float = 0.35
    corners: tuple[tuple[float, float], ...] = ((-0.2, 1.0), (2.0, 7.5), (6.0, 1.2), (0.0, 1.3))
    moving: tuple[float, float] = (0.085, 0.795)
    looks: int = 105            # at the scene: one every 3 ms; at least one a bin
    jitter: float = 0.0

    def __post_init__(self) -> None:
        for name in ("threshold", "floor", "looks"):
            if not getattr(self, name) > 0:
                raise DataError(f"the camera's {name} must be above 0, not "
                                f"{getattr(self, name)!r}")
        if not 0 <= self.jitter <= 1:
            raise DataError(f"the camera's jitter must be within 0 and 1, not {self.jitter!r}")

    def path(self, looks: int) -> NDArray[np.float64]:
        """The corner ``[looks + 1, 2]`` (x, y) in equal times from the start to the end."""
        legs = np.linspace(0, len(self.corners) - 1, looks + 1)
        leg = np.minimum(legs.astype(int), len(self.corners) - 2)
        first, last = self.moving
        share = np.clip((legs - leg - first) / (last - first), 0, 1)
        share = (share * share * (3 - 2 * share))[:, None]
        corners = np.array(self.corners)
        frames: NDArray[np.float64] = corners[leg] * (1 - share) + corners[leg + 1] * share
        return frames


def counts(images: Bytes, steps: int, camera: Camera | None = None, seed: int = 0
           ) -> Iterator[Bytes]:
    """Events per time bin of *images* ``[N, 784]``, uint8, a block ``[n, T, 2, 34, 34]`` after the
    other (n up to 64): the whole of 60,000 images would not fit a small machine's memory."""
    camera = camera or Camera()
    path = camera.path(max(camera.looks, steps))
    random = np.random.default_rng(seed)
    for first in range(0, len(images), 64):
        shift = random.uniform(-2, 2, 2) * camera.jitter
        threshold = camera.threshold * np.exp(random.uniform(-1, 1) * camera.jitter)
        block = images[first:first + 64].reshape(-1, 28, 28)
        yield _block(block, steps, np.clip(path + shift, -_MARGIN + 1, _MARGIN - 1),
                     float(threshold), camera.floor)


def _block(images: Bytes, steps: int, path: NDArray[np.float64], threshold: float, floor: float
           ) -> Bytes:
    scene = np.zeros((len(images), SIDE + 2 * _MARGIN, SIDE + 2 * _MARGIN), np.float32)
    scene[:, _MARGIN:_MARGIN + 28, _MARGIN:_MARGIN + 28] = images
    scene *= np.float32(1 / 255)
    scene += np.float32(floor)
    bins = (np.arange(len(path) - 1) * steps) // (len(path) - 1)
    frames = np.zeros((len(images), steps, 2, SIDE, SIDE), np.uint8)
    reported = _level(scene, path[0], threshold)
    for index in range(steps):
        _bin(scene, path[1:][bins == index], threshold, reported, frames[:, index])
    return frames


def _bin(scene: Floats, path: NDArray[np.float64], threshold: float, reported: Floats, frames: Bytes
         ) -> None:
    """Move along *path*; *reported* ``[n, 34, 34]`` goes with it, *frames* ``[n, 2, 34, 34]`` gets
    the events: those up and down are their number and what they change, added and halved."""
    before, events = reported.copy(), np.zeros_like(reported)
    for corner in path:
        change = _level(scene, corner, threshold)
        change -= reported
        np.trunc(change, out=change)
        reported += change
        events += np.abs(change, out=change)
    net = np.rint(reported - before)
    frames[:, 0], frames[:, 1] = (events + net) / 2, (events - net) / 2


def _level(scene: Floats, corner: NDArray[np.float64], threshold: float) -> Floats:
    """What the sensor sees with the image's corner at *corner*: ln of the intensity, bilinear
    between pixels, in units of the threshold ``[n, 34, 34]``."""
    x, y = (_MARGIN - corner).tolist()
    left, top = int(x), int(y)
    seen = scene[:, top:top + SIDE + 1, left:left + SIDE + 1]
    rows = seen[:, :-1] + np.float32(y - top) * (seen[:, 1:] - seen[:, :-1])
    level: Floats = rows[:, :, :-1] + np.float32(x - left) * (rows[:, :, 1:] - rows[:, :, :-1])
    np.log(level, out=level)
    level *= np.float32(1 / threshold)
    return level
