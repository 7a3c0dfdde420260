"""What rounding costs networks of other libraries, in accuracy on their test images::

    python tests/bench/foreign_networks.py           # trains them; needs their libraries
    python tests/bench/rounding.py [--held-out] [NAME ...]

Each is calibrated on 1,000 of its training images. "Ranges" is rounding to the nearest within the
ranges of the data; "data" is what qsnnc does. Points lost against the float network in brackets.
--held-out: on 5,000 training images kept from training, which the recipes were chosen on.
"""

import sys
from pathlib import Path
from time import perf_counter
from unittest.mock import patch

import numpy as np

from qsnn_compile.foreign.reader import Options, read_foreign
from qsnn_compile.quantise import network as quantiser
from qsnn_compile.reals import float_model
from qsnn_models.data.catalogue import load
from qsnn_sim.golden import golden

FOLDER = Path.home() / ".cache" / "qsnn" / "foreign"
DATA = {"dense": "mnist", "conv": "fashion-mnist", "dense-kept-back": "fashion-mnist",
        "conv-kept-back": "mnist"}
WIDTHS = ((8, 12), (8, 8), (8, 4), (4, 4), (2, 8), (1, 12))
CALIBRATION, HELD_OUT = 1_000, 5_000


def images(pixels, shape):
    return (pixels.reshape(-1, *shape) / 255).astype(np.float32)


def floats(network, x):
    """The classes of the float network."""
    parts = np.array_split(x, max(1, len(x) // 500))
    return np.concatenate([float_model.run(network, part).output.sum(axis=1).argmax(axis=1)
                           for part in parts])


def rounded(network, calibrate, x, y, widths):
    """The accuracy in %, and the seconds that rounding took."""
    begun = perf_counter()
    graph, _ = quantiser.quantise(network, weight_bits=widths[0], membrane_bits=widths[1],
                                  calibrate=calibrate)
    seconds = perf_counter() - begun
    return 100 * (golden.run(graph, x).classes == y).mean(), seconds


def report(name, held_out):
    network, data = read_foreign(FOLDER / f"{name}.onnx", Options()), load(DATA[name])
    x, y = (data.train_x[-HELD_OUT:], data.train_y[-HELD_OUT:]) if held_out else (
        data.test_x, data.test_y)
    x = images(x, network.input_shape)
    rows = np.random.default_rng(5).permutation(len(data.train_x) - HELD_OUT)[:CALIBRATION]
    calibrate = images(data.train_x[rows], network.input_shape)
    full = 100 * (floats(network, x) == y).mean()
    print(f"\n{name}: float {full:.2f} %\n\n| W/U | ranges | data | seconds |\n|---|---|---|---|")
    for widths in WIDTHS:
        with patch.object(quantiser, "Traces", lambda *_: None):
            before, _ = rounded(network, calibrate, x, y, widths)
        after, seconds = rounded(network, calibrate, x, y, widths)
        print(f"| W{widths[0]}/U{widths[1]} | {before:.2f} ({full - before:.2f}) | {after:.2f} "
              f"({full - after:.2f}) | {seconds:.1f} |", flush=True)


if __name__ == "__main__":
    names = [name for name in sys.argv[1:] if not name.startswith("-")]
    for chosen in names or DATA:
        report(chosen, "--held-out" in sys.argv)
