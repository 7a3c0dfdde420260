"""Data sets as uint8 arrays: `load` gives any of the `CATALOGUE`.

`Frames` says how events become frames, `Camera` what the simulated event camera is, `Cochlea` how
sound becomes frames; their fields are the loaders' options. It may import `qsnn_models.errors`.
"""

from .catalogue import CATALOGUE, folds, load, load_test
from .cochlea import Cochlea, encode_sound
from .coding import encode
from .dataset import Bytes, Dataset
from .events import Events, Frames, frames
from .images import FILES, SOURCES
from .saccades import Camera

__all__ = [
    "CATALOGUE", "load", "load_test", "folds", "encode", "Bytes", "Dataset", "FILES", "SOURCES",
    "Events", "Frames", "frames", "Camera", "Cochlea", "encode_sound",
]
