"""What an early end brings and costs: accuracy and clocks, margin by margin.

    python tests/bench/early_exit.py [--model FILE] [--data NPZ] [--samples N] [--margins M,...]

By default the zoo's Fashion-MNIST network and the 1,000 test images beside it.
"""

import argparse
import tempfile

from rich.console import Console
from rich.table import Table

import qsnn_compile
from qsnn_sim.measure.data import Build, Samples, read_samples
from qsnn_sim.measure.exits import exit_rows
from qsnn_sim.measure.measure import Measured, measure

ZOO = "models/zoo/fashion_mnist"
MODES = {"window": {"exit_margin": 0}, "stream": {"stream": True}}


def measured(options: argparse.Namespace, **mode: object) -> tuple[Build, Samples, Measured]:
    with tempfile.TemporaryDirectory() as folder:
        qsnn_compile.compile(options.model, output=f"{folder}/build", **mode)
        build = Build.load(f"{folder}/build")
    samples = read_samples(options.data, build.graph).first(options.samples)
    return build, samples, measure(build, samples)


def layer_by_layer(options: argparse.Namespace) -> str:
    """What the same network takes where no step has an answer but the last."""
    build, samples, rates = measured(options)
    machine = build.program.machine
    parameters = machine.parameters
    right = (rates.classes == samples.y).mean()
    lanes = parameters.banks * parameters.lanes
    return (f"no early end, order {parameters.order!r}, {lanes} lanes: "
            f"{right:.2%}, {rates.latency.mean():,.0f} clocks")


def table_of(name: str, build: Build, samples: Samples, rates: Measured,
             margins: list[int]) -> Table:
    whole = rates.ends[:, -1].mean()
    table = Table("margin", "accuracy", "points lost", "settled", "steps", "clocks", "of all",
                  title=f"{name}, {build.program.machine.parameters.lanes} lanes: all "
                  f"{build.graph.steps} steps take {whole:,.0f} clocks", title_justify="left")
    for row in exit_rows(build, samples, rates, margins):
        table.add_row(str(row["margin"]), f"{row['accuracy']:.2%}",
                      f"{100 * row['accuracy_lost']:.2f}", f"{row['settled']:.1%}",
                      f"{row['steps']:.2f}", f"{row['clocks']:,.0f}",
                      f"{row['clocks'] / whole:.1%}")
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=f"{ZOO}_mlp.onnx")
    parser.add_argument("--data", default=f"{ZOO}_test1k.npz")
    parser.add_argument("--samples", type=int)
    parser.add_argument("--margins", default="0,500,1000,1500,2000,3000,4000,6000")
    options = parser.parse_args()
    margins = [int(part) for part in options.margins.split(",")]
    console = Console()
    console.print(layer_by_layer(options))
    for name, mode in MODES.items():
        console.print(table_of(name, *measured(options, **mode), margins))


if __name__ == "__main__":
    main()
