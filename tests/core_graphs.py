"""Random dense networks over all that the core takes."""

from itertools import pairwise

import numpy as np

from qsnn_compile.ir import Add, Delay, Dense, Graph, Input, Neuron, Node, Readout, ints

WEIGHT_BITS = (1, 2, 4, 8)


def random_graph(seed, weight_bits=None, membrane_bits=None, sizes=None):
    rng = np.random.default_rng(seed)
    sizes = sizes or tuple(int(n) for n in rng.integers(1, 24, rng.integers(2, 5)))
    coding = str(rng.choice(["direct", "spikes"]))
    source = Input((sizes[0],), int(rng.integers(1, 9)) if coding == "direct" else 1, coding)
    readout = str(rng.choice(["count", "potential"]))
    nodes, before = [], "x"
    x = (1 << source.bits) - 1
    for index, (fan_in, count) in enumerate(pairwise(sizes)):
        bits = weight_bits or int(rng.choice(WEIGHT_BITS))
        dense = Dense(random_weights(rng, count, fan_in, bits), bits)
        nodes.append(Node(f"dense{index}", dense, (before,)))
        before = f"dense{index}"
        if index < len(sizes) - 2 or readout == "count":
            op = random_neuron(rng, dense, x, membrane_bits)
            nodes.append(Node(f"lif{index}", op, (before,)))
            before, x = f"lif{index}", 1
    return Graph("random", int(rng.integers(1, 5)), source, tuple(nodes),
                 random_readout(rng, readout, before, sizes[-1]))


def random_weights(rng, count, fan_in, bits):
    if bits > 1:
        return ints(rng.integers(-(1 << bits - 1), 1 << bits - 1, (count, fan_in)))
    return ints(np.where(rng.random((count, fan_in)) < rng.random(), 1, -1))


def random_readout(rng, kind, source, classes):
    if kind == "count":
        return Readout(kind, source)
    return Readout(kind, source, ints(rng.integers(-20, 100, classes)),
                   ints(rng.integers(-500, 500, classes)))


def random_neuron(rng, dense, x, membrane_bits=None):
    count = len(dense.weight)

    def some(low, high):
        """One value for the layer, or one a channel."""
        return ints(rng.integers(low, high, count if rng.random() < 0.6 else ()))

    bits = membrane_bits or int(rng.integers(2, 17))
    reach = max(2, x * int(abs(dense.weight).sum(axis=1).max()) // 4)
    q = int(rng.integers(0, 4))
    decay = ints(1 << q) if rng.random() < 0.3 else some(0, (1 << q) + 1)
    limit = 1 << bits - 1
    return Neuron(
        bits, some(-reach // 4, reach), some(-reach // 2, reach // 2), some(0, 8), decay, q,
        int(rng.integers(0, 3)), str(rng.choice(["hard", "soft", "none"])), some(-9, reach),
        some(-limit, limit) if rng.random() < 0.5 else ints(0))


def random_data(graph, samples, seed):
    rng = np.random.default_rng(seed)
    source = graph.input
    if source.coding == "direct":
        return rng.integers(0, 1 << source.bits, (samples, *source.shape), dtype=np.uint8)
    return rng.integers(0, 2, (samples, graph.steps, *source.shape), dtype=np.uint8)


def recurrent(seed, classes=2, steps=3):
    """A layer hears of the step before through a second one, which the readout passes by."""
    rng = np.random.default_rng(seed)

    def weights(count, fan_in):
        return Dense(ints(rng.integers(-1, 2, (count, fan_in))), 2)

    neuron = Neuron(4, ints(1))
    nodes = (Node("seen", weights(16, 4), ("x",)), Node("before", Delay(), ("second",)),
             Node("heard", weights(16, 16), ("before",)), Node("both", Add(), ("seen", "heard")),
             Node("first", neuron, ("both",)), Node("fc", weights(16, 16), ("first",)),
             Node("second", neuron, ("fc",)), Node("fc2", weights(classes, 16), ("first",)),
             Node("out", neuron, ("fc2",)))
    return Graph("recurrent", steps, Input((4,), 1, "spikes"), nodes, Readout("count", "out"))
