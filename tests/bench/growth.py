"""How clocks grow with events, and the bits that weights and state take, against their count::

    python tests/bench/growth.py [--plot docs/growth.svg]

A direct-coded 784-256-256-10 of 1-bit weights on 64 lanes, T = 4, with random events; clocks are
the cycle model's. The zoo's networks and ever wider ones show the bits; unused lanes, copies in
banks, parameters, programs, spikes and the input's list are listed apart.
"""

import argparse
import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parent))

from machine_shapes import Shape

from qsnn_compile.chips.memories import memories
from qsnn_compile.dialect.reader import import_onnx
from qsnn_compile.ir import Conv2d, Dense, Neuron, shapes
from qsnn_compile.lower.mapping import map_graph
from qsnn_compile.passes import PASSES, run_passes
from qsnn_sim.cycle import cycle

ZOO = {"fashion_mnist_mlp": {"lanes": 64, "units": 4},
       "mnist_mlp": {"lanes": 64, "units": 4},
       "fashion_mnist_small_conv": {"lanes": 16, "units": 4, "banks": 2},
       "spoken_digits": {"lanes": 64, "units": 2, "stepwise": True}}
WIDTHS = (64, 128, 256, 512)
OTHERS = {"parameters": "parameters", "readout": "parameters", "windows": "programs",
          "items": "programs", "copy": "spikes", "list": "input", "values": "input"}
ACTIVITY = (0.0125, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8)


def load(name):
    """A network of the zoo, legalised."""
    return run_passes(import_onnx(f"models/zoo/{name}.onnx"), PASSES)


def clocks_table():
    """Events and clocks at several activities; the points, and the line through them."""
    graph = load("fashion_mnist_mlp")
    machine, _ = map_graph(graph, lanes=64, units=4)
    points = []
    for rate in ACTIVITY:
        rng = np.random.default_rng(1)
        x = (rng.random((50, 784)) < rate).astype(np.uint8)
        trains = [(rng.random((50, graph.steps, layer.channels)) < rate).astype(np.uint8)
                  for layer in machine.parameters.layers if layer.fires]
        timing = cycle.run(machine, x, trains)
        points.append((rate, timing.lane_clocks.sum(axis=1).mean() / machine.parameters.lanes,
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
    return added, taken, floor, slope


def draw(path, events, bits):
    """Both plots, side by side."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    added, taken, floor, slope = events
    left.plot(added, taken, "o", label="cycle model")
    left.plot(added, floor + slope * added, label=f"{floor:,.0f} + {slope:.3f} · additions")
    left.set(xlabel="clocks of additions (events · channels / lanes)",
             ylabel="clocks from the last pixel to the result")
    weights, stored, membranes, kept = bits
    right.loglog(weights, stored, "o", label="weights")
    right.loglog(membranes, kept, "s", label="membranes")
    ends = np.array([membranes.min(), weights.max()])
    right.loglog(ends, ends, "k-", lw=0.7, label="their count")
    right.loglog(ends, 1.08 * ends, "k--", lw=0.7, label="1.08 times")
    right.set(xlabel="bits of a 784-N-N-10 of 1-bit weights, 4-bit membranes",
              ylabel="bits that they take")
    for axes in (left, right):
        axes.legend()
        axes.grid(alpha=0.3)
    figure.savefig(path)


@dataclass(frozen=True)
class Bits:
    """Bits of a network and where they lie. ``unused`` of lanes without a channel and ``copies`` in
    banks that work on other places (of a readout: on other inputs) are rows too; ``kept`` are
    membranes, of a group or of all."""

    weights: int
    unused: int
    copies: int
    membranes: int
    kept: int
    others: dict[str, int]

    @property
    def ratio(self):
        """What weights take, copies apart."""
        return 1 + self.unused / self.weights


def bits_of(graph, machine, image):
    """The `Bits` of *graph* on *machine*."""
    parameters, arithmetic, layout = machine.parameters, machine.arithmetic, machine.layout
    width = parameters.lanes * parameters.banks
    weights = sum(node.op.weight.size * node.op.bits for node in graph.nodes
                  if isinstance(node.op, Dense | Conv2d))
    memory_bits = [(layout.group_rounds[i] * layer.rows * width,
              layout.place_banks[i] if layer.fires else parameters.banks)
             for i, layer in enumerate(parameters.layers)]
    rows, once = sum(bits for bits, _ in memory_bits), sum(bits // n for bits, n in memory_bits)
    neurons = sum(int(np.prod(shapes(graph)[node.name])) for node in graph.nodes
                  if isinstance(node.op, Neuron))
    others = dict.fromkeys(OTHERS.values(), 0)
    for memory in memories(machine, image):
        name = OTHERS.get(memory.kind)
        if name:
            others[name] += memory.bits
    kept = layout.membrane_slots * parameters.units * parameters.banks
    return Bits(weights, once - weights, rows - once, neurons * arithmetic.membrane_bits,
                kept * arithmetic.membrane_bits, others)


def bits_table():
    """Bits of weights and of membranes: counted in the network, and where they lie."""
    table = Table("network", "weights", "unused lanes", "ratio", "copies", "membranes", "kept",
                  *dict.fromkeys(OTHERS.values()),
                  caption="membranes: of all neurons; layer by layer only one group's are kept")
    for name, choice in ZOO.items():
        graph = load(name)
        widths = bits_of(graph, *map_graph(graph, **choice))
        numbers = [widths.copies, widths.membranes, widths.kept, *widths.others.values()]
        table.add_row(name, f"{widths.weights:,}", f"{widths.unused:,}", f"{widths.ratio:.3f}",
                      *(f"{number:,}" for number in numbers))
    Console(width=140).print(table)


def grown():
    """`Bits` of ever wider networks, step by step: all membranes are kept."""
    for wide in WIDTHS:
        shape = Shape((784, wide, wide, 10), 1, 4, 4, 0, "potential", 64)
        graph = shape.graph()
        yield wide, bits_of(graph, *map_graph(graph, lanes=64, units=2, stepwise=True))


def grown_table():
    """Bits against their count as a network grows, and the points."""
    table = Table("784-N-N-10, N", "weights", "taken", "ratio", "membranes", "taken", "ratio")
    points = []
    for wide, row in grown():
        taken = row.weights + row.unused
        table.add_row(f"{wide}", f"{row.weights:,}", f"{taken:,}", f"{row.ratio:.3f}",
                      f"{row.membranes:,}", f"{row.kept:,}",
                      f"{row.kept / row.membranes:.3f}")
        points.append((row.weights, taken, row.membranes, row.kept))
    Console().print(table)
    return np.array(points).T


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--plot", help="draw clocks against additions, and bits, there")
    plot = parser.parse_args().plot
    events = clocks_table()
    bits_table()
    bits = grown_table()
    if plot:
        draw(plot, events, bits)


if __name__ == "__main__":
    main()
