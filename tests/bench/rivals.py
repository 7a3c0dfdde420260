"""The work of other spiking cores, on this one: clocks of a step, and what fits where::

    python tests/bench/rivals.py

* 32-64-128-64-12, step by step, at the activity that SYNtzulu's own demonstration has (0.45 of the
  inputs, then 0.16, 0.06 and 0.03 of the neurons) and at uniform ones; its clocks from the formula
  that its RTL obeys exactly, 77 + Σ (N_out / 2) · max(1, active groups of 4 inputs).
* 700-200-20, recurrent (the size of the Spiking Heidelberg Digits): which chip it fits.

Weights and spikes are random; clocks are the cycle model's.
"""

import argparse
from itertools import pairwise

import numpy as np
from rich.console import Console
from rich.table import Table

from qsnn_compile.chips.resources import predict
from qsnn_compile.chips.targets import target
from qsnn_compile.ir import Add, Delay, Dense, Graph, Input, Neuron, Node, Readout, ints
from qsnn_compile.lower.mapping import map_graph
from qsnn_compile.passes import PASSES, run_passes
from qsnn_compile.search.choose import choose
from qsnn_compile.system.errors import DoesNotFit
from qsnn_sim.cycle import cycle

SIZES = (32, 64, 128, 64, 12)
DEMO = (0.45, 0.16, 0.06, 0.03)
MACHINES = ({"lanes": 64, "units": 4}, {"lanes": 64, "units": 8},
            {"lanes": 32, "units": 8, "banks": 2}, {"lanes": 16, "units": 4, "banks": 4})
STEPS = 20


def neuron(count):
    """LIF of 8-bit membranes; thresholds don't matter here."""
    return Neuron(8, ints(np.full(count, 300)), ints(np.zeros(count)), ints(3), ints(3), 2, 0,
                  "soft", ints(300))


def weights(rng, rows, columns, bits):
    """Random ones of *bits* bits."""
    if bits == 1:
        return ints(rng.integers(0, 2, (rows, columns)) * 2 - 1)
    return ints(rng.integers(1 - (1 << bits - 1), 1 << bits - 1, (rows, columns)))


def feed_forward(bits):
    """32-64-128-64-12, all of whose layers fire."""
    rng, nodes, before = np.random.default_rng(0), [], "x"
    for index, (fan_in, count) in enumerate(pairwise(SIZES)):
        nodes += [Node(f"fc{index}", Dense(weights(rng, count, fan_in, bits), bits), (before,)),
                  Node(f"lif{index}", neuron(count), (f"fc{index}",))]
        before = f"lif{index}"
    graph = Graph("syntzulu", STEPS, Input((SIZES[0],), 1, "spikes"), tuple(nodes),
                  Readout("count", before))
    return run_passes(graph, PASSES)


def recurrent(bits, steps=100):
    """700-200R-20."""
    rng = np.random.default_rng(0)
    nodes = (Node("fc0", Dense(weights(rng, 200, 700, bits), bits), ("x",)),
             Node("before", Delay(), ("lif0",)),
             Node("back", Dense(weights(rng, 200, 200, bits), bits), ("before",)),
             Node("sum", Add(), ("fc0", "back")), Node("lif0", neuron(200), ("sum",)),
             Node("fc1", Dense(weights(rng, 20, 200, bits), bits), ("lif0",)),
             Node("lif1", neuron(20), ("fc1",)))
    return run_passes(Graph("recurrent", steps, Input((700,), 1, "spikes"), nodes,
                            Readout("count", "lif1")), PASSES)


def spikes(activity, samples=50):
    """Input frames and the trains of the four layers, of which the last one is never read."""
    rng = np.random.default_rng(1)
    return [(rng.random((samples, STEPS, size)) < rate).astype(np.uint8)
            for size, rate in zip(SIZES, (*activity, 0.1), strict=True)]


def theirs(trains):
    """SYNtzulu's clocks a step, from its inputs to its outputs valid."""
    total = 77.0
    for train, count in zip(trains, (64, 128, 64, 16), strict=False):
        groups = train.reshape(*train.shape[:2], -1, 4).any(axis=3).sum(axis=2)
        total += count / 2 * np.maximum(groups, 1).mean()
    return total


def ours(graph, trains, machine):
    """Clocks a step of *machine*."""
    built, _ = map_graph(graph, **machine, stepwise=True)
    timing = cycle.run(built, trains[0], trains[1:])
    return timing.latency.mean() / STEPS


def steps_table():
    """Clocks a step, side by side."""
    table = Table("activity", "operations", "SYNtzulu, 8 bit", "lanes",
                  "8 bit", "1 bit", caption="mean clocks a step")
    graphs = {bits: feed_forward(bits) for bits in (8, 1)}
    for activity in (DEMO, *((rate,) * 4 for rate in (0.05, 0.1, 0.2, 1.0))):
        trains = spikes(activity)
        work = sum(train.sum(axis=2).mean() * count
                   for train, count in zip(trains, SIZES[1:], strict=False))
        for machine in MACHINES:
            table.add_row(" ".join(map(str, dict.fromkeys(activity))), f"{work:,.0f}",
                          f"{theirs(trains):,.0f}",
                          f"{machine.get('banks', 1)} × {machine['lanes']}",
                          *(f"{ours(graph, trains, machine):,.0f}" for graph in graphs.values()))
    return table


def fits_table():
    """Where the recurrent network fits."""
    table = Table("700-200-20 recurrent", "target", "lanes", "LC", "block RAM", "single-port RAM")
    for bits in (1, 4, 8):
        graph = recurrent(bits)
        for name in ("up5k", "ecp5-25f"):
            goal = target(name)
            try:
                machine, image = choose(graph, goal)
            except DoesNotFit as error:
                table.add_row(f"{bits} bit", name, str(error).splitlines()[0], "", "", "")
                continue
            needed = predict(machine, image, goal.device)
            shape = f"{machine.parameters.banks} × {machine.parameters.lanes}"
            table.add_row(f"{bits} bit", name, shape,
                          f"{needed.lc:,}", str(needed.ebr), str(needed.spram))
    return table


def main():
    argparse.ArgumentParser(description=__doc__.split("\n")[0]).parse_args()
    console = Console()
    console.print(steps_table())
    console.print(fits_table())


if __name__ == "__main__":
    main()
