"""Data sets as uint8 arrays: `load` gives any of the `CATALOGUE`."""

from qsnn_models.data.catalogue import CATALOGUE, load, load_test
from qsnn_models.data.coding import encode
from qsnn_models.data.dataset import Bytes, Dataset
from qsnn_models.data.images import FILES, SOURCES

__all__ = ["CATALOGUE", "FILES", "SOURCES", "Bytes", "Dataset", "encode", "load", "load_test"]
