"""Data sets as uint8 arrays: `load` gives any of the `CATALOGUE`.

`Frames` says how events become frames, `Camera` what the simulated event camera is, `Cochlea` how
sound becomes frames; their fields are the loaders' options. `from_arrays` is for data that a
program holds. It may import `qsnn_compile.system` and `qsnn_models.errors`.
"""

from .catalogue import CATALOGUE, folds, is_listed, load, load_test, place_of
from .cochlea import Cochlea, encode_sound
from .coding import encode
from .dataset import Bytes, Dataset
from .events import Events, Frames, frames
from .given import from_arrays, gathered
from .images import FILES, SOURCES
from .saccades import Camera

__all__ = [
    "CATALOGUE", "load", "load_test", "folds", "is_listed", "encode", "Bytes", "Dataset", "FILES",
    "SOURCES", "Events", "Frames", "frames", "Camera", "Cochlea", "encode_sound", "from_arrays",
    "gathered", "place_of",
]
