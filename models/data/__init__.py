"""Data sets as uint8 arrays: `load` gives any of the `CATALOGUE`.

`Frames` says how events become frames, `Camera` what the simulated event camera is, `Cochlea` how
sound becomes frames; their fields are the loaders' options.
"""

from qsnn_models.data.catalogue import CATALOGUE, folds, load, load_test
from qsnn_models.data.cochlea import Cochlea, encode_sound
from qsnn_models.data.coding import encode
from qsnn_models.data.dataset import Bytes, Dataset
from qsnn_models.data.events import Events, Frames, frames
from qsnn_models.data.images import FILES, SOURCES
from qsnn_models.data.saccades import Camera

__all__ = [
    "CATALOGUE", "load", "load_test", "folds", "encode", "Bytes", "Dataset", "FILES", "SOURCES",
    "Events", "Frames", "frames", "Camera", "Cochlea", "encode_sound",
]
