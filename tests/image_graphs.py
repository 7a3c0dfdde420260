"""Random networks of images over all that the core takes: convolutions, pools, sums, recurrence."""

import numpy as np
from core_graphs import random_readout, random_weights

from qsnn_compile.ir import (
    Add,
    Conv2d,
    Delay,
    Dense,
    Flatten,
    Graph,
    Input,
    MaxPool,
    Neuron,
    Node,
    Readout,
    SumPool,
    ints,
)


class Maker:
    """Builds one network node by node; ``shape`` is that of the last value."""

    def __init__(self, seed, features):
        self.rng, self.features = np.random.default_rng(seed), features
        self.nodes, self.names = [], 0
        shape = (int(self.rng.choice([1, 2, 3, 17])), *(int(n) for n in self.rng.integers(3, 7, 2)))
        coding = str(self.rng.choice(["direct", "spikes"]))
        bits = int(self.rng.integers(1, 9)) if coding == "direct" else int(
            self.rng.choice([1, 1, 3]))
        self.source = Input(shape, bits, coding)
        self.last, self.shape, self.top = "x", shape, (1 << bits) - 1

    def chance(self, odds=0.5):
        return self.rng.random() < odds

    def on(self, feature, odds=0.5):
        return feature in self.features and self.chance(odds)

    def add(self, kind, op, *inputs, shape=None):
        self.names += 1
        name = f"{kind}{self.names}"
        self.nodes.append(Node(name, op, inputs or (self.last,)))
        self.last, self.shape = name, shape or self.shape
        return name

    def weight(self, shape):
        bits = int(self.rng.choice([1, 1, 2, 4]))
        flat = random_weights(self.rng, shape[0], int(np.prod(shape[1:])), bits)
        return ints(flat.reshape(shape)), bits

    def conv(self):
        inputs, *size = self.shape
        groups = inputs if self.on("groups", 0.3) else 1
        channels = groups * int(self.rng.integers(1, 3)) if groups > 1 else int(
            self.rng.choice([1, 5, 16, 20, 33]))
        kernel = [int(self.rng.integers(1, min(3, n) + 1)) for n in size]
        stride = [int(n) for n in self.rng.integers(1, 3, 2)]
        pads = [int(n) for n in self.rng.integers(0, 2, 4)]
        values = self.source.coding == "direct" or self.source.bits > 1
        pad = int(self.rng.integers(0, self.top + 1)) if self.last == "x" and values else 0
        weight, bits = self.weight((channels, inputs // groups, *kernel))
        out = [(n + a + b - k) // s + 1 for n, a, b, k, s in zip(
            size, pads[:2], pads[2:], kernel, stride, strict=True)]
        self.add("conv", Conv2d(weight, bits, tuple(stride), tuple(pads), groups, pad),
                 shape=(channels, *out))

    def dense(self, channels):
        if len(self.shape) == 3:
            self.add("flat", Flatten(), shape=(int(np.prod(self.shape)),))
        weight, bits = self.weight((channels, self.shape[0]))
        self.add("dense", Dense(weight, bits), shape=(channels,))

    def pool(self, kinds, overlap=True):
        channels, height, width = self.shape
        kernel = tuple(int(self.rng.integers(1, min(3, n) + 1)) for n in (height, width))
        stride = tuple(int(self.rng.integers(1, 3)) for _ in range(2)) if overlap else kernel
        shape = (channels, (height - kernel[0]) // stride[0] + 1,
                 (width - kernel[1]) // stride[1] + 1)
        if self.rng.choice(kinds) == "sum":
            self.add("sum", SumPool(kernel, stride), shape=shape)
        else:
            flipped = ints(self.rng.integers(0, 2, (channels, 1, 1)) if self.chance() else 0)
            self.add("max", MaxPool(kernel, stride, flipped), shape=shape)

    def neuron(self):
        rng, channels = self.rng, self.shape[0]
        each = self.on("each", 0.3)
        tail = (1,) * (len(self.shape) - 1)

        def some(low, high):
            if each:
                return ints(rng.integers(low, high, self.shape))
            return ints(rng.integers(low, high, (channels, *tail) if rng.random() < 0.6 else ()))

        reach = int(rng.choice([4, 20, 60])) * max(1, self.top // 4)
        bits, q = int(rng.integers(2, 9)), int(rng.integers(0, 4))
        limit = 1 << bits - 1
        op = Neuron(bits, some(-reach // 8, reach // 2), some(-reach // 4, reach // 4), some(0, 6),
                    some(0, (1 << q) + 1), q, int(rng.integers(0, 3)),
                    str(rng.choice(["hard", "soft", "none"])), some(-9, reach // 2),
                    some(-limit, limit) if rng.random() < 0.5 else ints(0))
        self.add("lif", op)
        self.top = 1

    def recur(self):
        """A second set of synapses, from the spikes that the next node sent a step before."""
        current, shape, channels = self.last, self.shape, self.shape[0]
        later = f"lif{self.names + 4}"
        self.add("delay", Delay(), later)
        if len(shape) == 1:
            weight, bits = self.weight((channels, channels))
            self.add("back", Dense(weight, bits))
        else:
            weight, bits = self.weight((channels, channels, 3, 3))
            self.add("back", Conv2d(weight, bits, padding=(1, 1, 1, 1)))
        self.add("both", Add(), current, self.last, shape=shape)

    def layer(self):
        if len(self.shape) == 3 and self.chance(0.8):
            self.conv()
            if self.on("pool", 0.4):
                self.pool(["max", "sum"])
        else:
            self.dense(int(self.rng.choice([1, 7, 16, 20, 40])))
        pooled = len(self.nodes) > 0 and isinstance(self.nodes[-1].op, MaxPool | SumPool)
        looped = not pooled and self.on("recur", 0.4)
        if looped:
            self.recur()
        self.neuron()
        spikes = self.last
        if len(self.shape) == 3 and not pooled and not looped and self.on("or", 0.4):
            self.pool(["or"])
            self.nodes[-1] = Node(self.last, MaxPool(self.nodes[-1].op.kernel,
                                                     self.nodes[-1].op.stride), (spikes,))
        elif len(self.shape) == 3 and self.on("spikesum", 0.4):
            self.pool(["sum"], overlap=False)
        elif self.on("residual", 0.4):
            self.residual(spikes)

    def residual(self, spikes):
        """spikes → weights of the same shape, the spikes added to their current."""
        shape, channels = self.shape, self.shape[0]
        if len(shape) == 1:
            self.dense(channels)
        else:
            weight, bits = self.weight((channels, channels, 3, 3))
            self.add("conv", Conv2d(weight, bits, padding=(1, 1, 1, 1)), shape=shape)
        self.add("skip", Add(), self.last, spikes)
        self.neuron()

    def graph(self, layers):
        for _ in range(layers):
            self.layer()
        classes = int(self.rng.integers(1, 8))
        self.dense(classes)
        readout = str(self.rng.choice(["count", "potential"]))
        if readout == "count":
            self.neuron()
        steps = int(self.rng.integers(1, 5))
        readout_made = (Readout("count", self.last) if readout == "count"
                 else random_readout(self.rng, readout, self.last, classes))
        return Graph("images", steps, self.source, tuple(self.nodes), readout_made)


FEATURES = ("groups", "pool", "or", "spikesum", "residual", "recur", "each")


def image_graph(seed, features=FEATURES):
    """A network of images with some of *features*."""
    maker = Maker(seed, features)
    return maker.graph(int(maker.rng.integers(1, 4)))
