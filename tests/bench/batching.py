"""Two steps a pass against one, on the same lanes and neuron units, side by side::

    python tests/bench/batching.py

The direct-coded network is the zoo's, on real images; the rate-coded one has random weights and an
input in which every pixel is a spike at every step, or half of them. Clocks are the cycle model's,
which `qsnn verify` checks against the RTL clock by clock.
"""

import argparse

import numpy as np
from rich.console import Console
from rich.table import Table

from qsnn_compile.dialect.reader import import_onnx
from qsnn_compile.ir import Dense, Graph, Input, Neuron, Node, Readout, ints
from qsnn_compile.lower.mapping import map_graph
from qsnn_compile.passes import PASSES, run_passes
from qsnn_sim.cycle import cycle
from qsnn_sim.golden import golden

MACHINES = ({"lanes": 64, "units": 2}, {"lanes": 64, "units": 4},
            {"lanes": 32, "units": 2, "banks": 2})


def rate_coded(steps=8):
    """256-128-10 of random 1-bit weights, a spike input."""
    rng = np.random.default_rng(0)
    signs = [ints(rng.integers(0, 2, shape) * 2 - 1) for shape in ((128, 256), (10, 128))]
    nodes = (Node("fc0", Dense(signs[0], 1), ("x",)),
             Node("lif0", Neuron(4, ints(24), ints(np.zeros(128)), ints(3), ints(1), 1, 0, "hard",
                                 ints(0)), ("fc0",)),
             Node("fc1", Dense(signs[1], 1), ("lif0",)))
    readout = Readout("potential", "fc1", ints(np.ones(10)), ints(np.zeros(10)))
    return Graph("rate_coded", steps, Input((256,), 1, "spikes"), nodes, readout)


def clocks(graph, x, result, **machine):
    """The median of a sample's clocks, and the share of lanes × clocks that add: not those of the
    pixels as they arrive."""
    built, _ = map_graph(graph, **machine)
    spikes = [result.spikes[layer.name] for layer in built.layers if layer.fires]
    timing = cycle.run(built, x, spikes)
    used = timing.lane_clocks.sum() / (built.banks * built.lanes * timing.latency.sum())
    return np.median(timing.latency), used


def measured():
    """(name, graph, samples) of what is compared."""
    rng = np.random.default_rng(1)
    images = np.load("models/zoo/fashion_mnist_test1k.npz")["x"]
    dense = run_passes(import_onnx("models/zoo/fashion_mnist_mlp.onnx"), PASSES)
    yield "fashion_mnist_mlp, direct, 1,000 images", dense, images.reshape(len(images), -1)
    graph = run_passes(rate_coded(), PASSES)
    shape = (200, graph.steps, 256)
    yield "256-128-10, T = 8, every input spikes", graph, np.ones(shape, np.uint8)
    yield "256-128-10, T = 8, half of them", graph, (rng.random(shape) < 0.5).astype(np.uint8)
    slow = rng.random(shape) < 0.1
    yield "256-128-10, T = 8, a tenth", graph, slow.astype(np.uint8)


def main():
    argparse.ArgumentParser(description=__doc__.split("\n")[0]).parse_args()
    table = Table("network and input", "banks × lanes", "units", "one step", "used", "two steps",
                  "ratio",
                  caption="median clocks from the last input beat to the result")
    for name, graph, x in measured():
        result = golden.run(graph, x, record="spikes")
        for machine in MACHINES:
            single, used = min(clocks(graph, x, result, **machine, columns=columns)
                               for columns in (1, 2, 4))
            pair, _ = clocks(graph, x, result, **machine, columns=2, batch=True)
            table.add_row(name, f"{machine.get('banks', 1)} × {machine['lanes']}",
                          str(machine["units"]), f"{single:,.0f}", f"{used:.1%}", f"{pair:,.0f}",
                          f"{single / pair:.2f}")
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
