"""How long the golden model takes for 10,000 images of the zoo's largest network::

    python tests/bench/golden_speed.py

Random pixels, half of them 0, as dense as Fashion-MNIST's; best of three.
"""

import timeit
from pathlib import Path

import numpy as np

from qsnn_compile.dialect.reader import import_onnx
from qsnn_sim.golden import golden

IMAGES = 10_000


def main() -> None:
    graph = import_onnx(Path("models/zoo/fashion_mnist_mlp.onnx"))
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (IMAGES, 784), dtype=np.uint8) * rng.integers(0, 2, (IMAGES, 784),
                                                                            dtype=np.uint8)
    seconds = min(timeit.repeat(lambda: golden.run(graph, x), number=1, repeat=3))
    print(f"{IMAGES:,} images in {seconds:.2f} s, {seconds / IMAGES * 1e6:.0f} µs an image")


if __name__ == "__main__":
    main()
