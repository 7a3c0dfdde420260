"""Accuracy, clocks and utilisation of both zoo networks on real test images, side by side.

    python tests/bench/zoo_clocks.py [--samples 1000] [--data FOLDER]

Needs both data sets (`qsnn train --help` says how to get them). ``--samples 10000`` is all of them.
"""

import argparse
import tempfile

from rich.console import Console
from rich.table import Table

import qsnn_compile
from qsnn_models import data
from qsnn_sim.measure.data import Build, Samples
from qsnn_sim.measure.measure import measure, summary

ZOO = {"fashion_mnist_mlp": "fashion-mnist", "mnist_mlp": "mnist"}


def figures(network: str, images: data.Dataset, samples: int) -> dict:
    """What ``qsnn sim --json`` says of *network* on the first *samples* test images."""
    with tempfile.TemporaryDirectory() as folder:
        qsnn_compile.compile(f"models/zoo/{network}.onnx", target="ice40", output=f"{folder}/build")
        build = Build.load(f"{folder}/build")
    chosen = Samples(images.test_x[:samples], images.test_y[:samples])
    return summary(build, chosen, measure(build, chosen))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--data", help="folder of the data sets")
    options = parser.parse_args()
    table = Table("network", "images", "accuracy", "median", "p99", "worst", "used", "µs", "nJ",
                  caption="clocks and µs from the last pixel to the result, at the board's clock")
    for network, source in ZOO.items():
        figures_of = figures(network, data.load(source, options.data), options.samples)
        clocks = figures_of["clocks"]
        table.add_row(network, f"{figures_of['samples']:,}", f"{figures_of['accuracy']:.2%}",
                      f"{clocks['median']:,.0f}", f"{clocks['p99']:,}",
                      f"{clocks['worst_case']:,}", f"{figures_of['utilisation']:.1%}",
                      f"{figures_of['latency_us']['median']:.1f}",
                      f"{figures_of['energy_nj']['total']:,.0f}")
    Console().print(table)


if __name__ == "__main__":
    main()
