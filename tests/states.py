"""A second state for the neurons of any network: synaptic currents, narrow ones and wide ones."""

from dataclasses import replace

import numpy as np

from qsnn_compile.ir import Neuron, Synapse, ints, shapes


def with_states(graph, seed, odds=0.7):
    """*graph*, most neurons of which get a synapse; the others pass their current through."""
    rng, found = np.random.default_rng([seed, 5]), shapes(graph)
    return replace(graph, nodes=tuple(
        replace(node, op=replace(node.op, synapse=random_synapse(rng, found[node.name])))
        if isinstance(node.op, Neuron) and rng.random() < odds else node for node in graph.nodes))


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
