"""A data set and a network that train in a fraction of a second."""

import numpy as np

from qsnn_models.data import Dataset
from qsnn_models.network.qsnn import NetworkConfig
from qsnn_models.training.train import TrainConfig


def blobs(count, seed):
    """Four noisy patterns of 16 pixels, and which they are."""
    rng = np.random.default_rng(seed)
    patterns = np.random.default_rng(7).integers(40, 216, (4, 16))
    y = rng.integers(0, 4, count)
    return np.clip(patterns[y] + rng.normal(0, 30, (count, 16)), 0, 255).astype(np.uint8), \
        y.astype(np.uint8)


X, Y = blobs(640, 0)
NETWORK = NetworkConfig("tiny", "16-24-4")
CONFIG = TrainConfig("tiny", epochs=4, batch=64, learning_rate=1e-2)


def dataset():
    return Dataset("tiny", X, Y, *blobs(200, 1))
