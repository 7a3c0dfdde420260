"""How clocks grow with events, and the bits that weights and state take, against their count::

    python -P tests/bench/growth.py [--plot docs/growth.svg]

A direct-coded 784-256-256-10 of 1-bit weights on 64 lanes, T = 4, with random events; clocks are
the cycle model's. The zoo's networks show the bits.
"""

import argparse
from itertools import pairwise

import numpy as np
from rich.console import Console
from rich.table import Table

from qsnn_compile.ir import Conv2d, Dense, shapes
from qsnn_compile.mapping import map_graph
from qsnn_compile.onnx_import import import_onnx
from qsnn_compile.passes import PASSES, run_passes
from qsnn_sim import cycle

ZOO = {"fashion_mnist_mlp": {"lanes": 64, "units": 4},
       "mnist_mlp": {"lanes": 64, "units": 4},
       "fashion_mnist_small_conv": {"lanes": 16, "units": 4, "banks": 2},
       "spoken_digits": {"lanes": 64, "units": 2, "stepwise": True}}
ACTIVITY = (0.0125, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8)


def load(name):
    """A network of the zoo, legalised."""
    return run_passes(import_onnx(f"models/zoo/{name}.onnx"), PASSES)


def clocks_table(plot):
    """Events and clocks at several activities, with the line through them."""
    graph = load("fashion_mnist_mlp")
    machine, _ = map_graph(graph, lanes=64, units=4)
    points = []
    for rate in ACTIVITY:
        rng = np.random.default_rng(1)
        x = (rng.random((50, 784)) < rate).astype(np.uint8)
        trains = [(rng.random((50, graph.steps, layer.channels)) < rate).astype(np.uint8)
                  for layer in machine.layers if layer.fires]
        timing = cycle.run(machine, x, trains)
        points.append((rate, timing.lane_clocks.sum(axis=1).mean() / machine.lanes,
                       timing.latency.mean()))
    _, added, taken = np.array(points).T
    busy = added > added.max() / 10
    slope, floor = np.polyfit(added[busy], taken[busy], 1)
    table = Table("activity", "clocks of additions", "clocks", "line", "off",
                  caption=f"clocks = {floor:,.0f} + {slope:.3f} · clocks of additions")
    for rate, work, clocks in points:
        line = floor + slope * work
        table.add_row(f"{rate:g}", f"{work:,.0f}", f"{clocks:,.0f}", f"{line:,.0f}",
                      f"{clocks / line - 1:+.1%}")
    doublings = [f"{after[1] / before[1]:.2f}" for before, after in pairwise(points)]
    Console().print(table)
    Console().print("additions when events double: " + " ".join(doublings))
    if plot:
        _draw(plot, added, taken, floor, slope)


def _draw(path, added, taken, floor, slope):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot(added, taken, "o", label="cycle model")
    axes.plot(added, floor + slope * added, label=f"{floor:,.0f} + {slope:.3f} · additions")
    axes.set(xlabel="clocks of additions (events · channels / lanes)",
             ylabel="clocks from the last pixel to the result")
    axes.legend()
    axes.grid(alpha=0.3)
    figure.savefig(path)


def bits_table():
    """Bits of weights and of membranes: counted in the network, and where they lie."""
    table = Table("network", "weights", "stored", "ratio", "membranes", "stored", "ratio",
                  caption="membranes: of all neurons; layer by layer only one group's are kept")
    for name, choice in ZOO.items():
        graph = load(name)
        machine, _ = map_graph(graph, **choice)
        weights = sum(node.op.weight.size * node.op.bits for node in graph.nodes
                      if isinstance(node.op, Dense | Conv2d))
        rows = machine.rows * machine.lanes * machine.banks
        neurons = sum(int(np.prod(shapes(graph)[node.name])) for node in graph.nodes
                      if type(node.op).__name__ == "Neuron")
        state = neurons * machine.membrane_bits
        kept = machine.membrane_slots * machine.units * machine.banks * machine.membrane_bits
        table.add_row(name, f"{weights:,}", f"{rows:,}", f"{rows / weights:.3f}", f"{state:,}",
                      f"{kept:,}", f"{kept / state:.3f}")
    Console().print(table)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--plot", help="draw clocks against additions there")
    clocks_table(parser.parse_args().plot)
    bits_table()


if __name__ == "__main__":
    main()
