"""Synaptic currents, narrow ones and wide ones, and clamps for the neurons of any network."""

from dataclasses import replace

import numpy as np

from qsnn_compile.ir import Neuron, Synapse, ints, shapes


def with_states(graph, seed, odds=0.7):
    """*graph*, most layers of which get a synapse, and some a clamp."""
    rng, sizes = np.random.default_rng([seed, 5]), shapes(graph)

    def changed(node):
        op, shape = node.op, sizes[node.name]
        if rng.random() < odds:
            op = replace(op, synapse=random_synapse(rng, shape))
        if rng.random() < odds / 2:
            op = replace(op, clamp=random_clamp(rng, op, shape))
        return replace(node, op=op)

    return replace(graph, nodes=tuple(
        changed(node) if isinstance(node.op, Neuron) else node for node in graph.nodes))


def stateful(make):
    """The networks of *make* with second states."""
    return lambda seed: with_states(make(seed), seed)


def some(rng, shape, low, high):
    """One number for the layer, or one a channel."""
    tail = (1,) * (len(shape) - 1)
    return ints(rng.integers(low, high, (shape[0], *tail) if rng.random() < 0.6 else ()))


def random_synapse(rng, shape):
    q = int(rng.integers(0, 5))
    return Synapse(some(rng, shape, 0, (1 << q) + 2), q, int(rng.choice([1, 3, 5, 8, 32])))


def random_clamp(rng, op, shape):
    """Around 0, within reach of the threshold; sometimes out of reach."""
    reach = int(abs(op.threshold).max()) // int(rng.choice([1, 4])) + 1
    clamp = some(rng, shape, -reach, reach // 4 + 1)
    return ints(rng.choice([0, -1 << 20])) if rng.random() < 0.3 else clamp
