"""Random small graphs of every operator, and data for them, as hypothesis strategies.

Hypothesis draws the structure, a seeded generator the numbers: examples shrink to few layers.
"""

from typing import Any

import numpy as np
from hypothesis import strategies as st

from qsnn_compile.ir import (
    Add,
    Conv2d,
    Delay,
    Dense,
    Flatten,
    Graph,
    Input,
    Ints,
    MaxPool,
    Neuron,
    Node,
    Op,
    Readout,
    SumPool,
    Synapse,
    ints,
)


class Builder:
    """A graph under construction: the last value's name and shape, and the nodes so far."""

    def __init__(self, draw: Any, steps: int, source: Input) -> None:
        self.draw, self.steps, self.source = draw, steps, source
        self.rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        self.nodes: list[Node] = []
        self.last, self.shape = source.name, source.shape

    def chance(self) -> bool:
        return bool(self.draw(st.booleans()))

    def pick(self, low: int, high: int) -> int:
        return int(self.draw(st.integers(low, high)))

    def numbers(self, low: int, high: int, shape: tuple[int, ...] = ()) -> Ints:
        return ints(self.rng.integers(low, high + 1, shape))

    def parameter(self, low: int, high: int) -> Ints:
        """One number a layer, a channel or a neuron."""
        channel = (self.shape[0],) + (1,) * (len(self.shape) - 1)
        return self.numbers(low, high, self.draw(st.sampled_from([(), channel, self.shape])))

    def append(self, name: str, op: Op, *inputs: str, shape: tuple[int, ...] | None = None) -> str:
        name = f"{name}{len(self.nodes)}"
        self.nodes.append(Node(name, op, inputs or (self.last,)))
        self.last, self.shape = name, self.shape if shape is None else shape
        return name

    def weight(self, shape: tuple[int, ...]) -> tuple[Ints, int]:
        bits = self.draw(st.sampled_from([1, 1, 2, 4, 8, 16]))
        if bits == 1:
            return ints(self.rng.choice([-1, 1], shape)), 1
        return self.numbers(-(1 << bits - 1), (1 << bits - 1) - 1, shape), bits

    def dense(self, classes: int | None = None) -> None:
        if len(self.shape) > 1:
            self.append("flat", Flatten(), shape=(int(np.prod(self.shape)),))
        channels = classes or self.pick(1, 6)
        self.append("fc", Dense(*self.weight((channels, self.shape[0]))), shape=(channels,))

    def conv(self, top: int) -> None:
        """*top* is the largest value of the activation."""
        planes, height, width = self.shape
        groups = planes if self.chance() else 1
        channels = groups * self.pick(1, 2)
        kernel = (self.pick(1, min(3, height)), self.pick(1, min(3, width)))
        stride = (self.pick(1, 2), self.pick(1, 2))
        pads = tuple(self.pick(0, 2) for _ in range(4))
        weight, bits = self.weight((channels, planes // groups, *kernel))
        op = Conv2d(weight, bits, stride, pads, groups, self.pick(0, top))
        padded = height + pads[0] + pads[2], width + pads[1] + pads[3]
        self.append("conv", op, shape=(channels, *windows(padded, kernel, stride)))

    def pool(self, sums: bool = True) -> None:
        channels, height, width = self.shape
        kernel = (self.pick(1, min(3, height)), self.pick(1, min(3, width)))
        stride = (self.pick(1, 2), self.pick(1, 2))
        shape = (channels, *windows((height, width), kernel, stride))
        flipped = self.numbers(0, 1, (channels, 1, 1))
        op = SumPool(kernel, stride) if sums and self.chance() else MaxPool(kernel, stride, flipped)
        self.append("pool", op, shape=shape)

    def recur(self) -> None:
        """Add the current of the spikes that the next node, a neuron, sent a step before."""
        current, shape = self.last, self.shape
        if len(shape) > 1:
            return
        later = f"lif{len(self.nodes) + 3}"
        delayed = self.append("delay", Delay(), later)
        back = self.append("back", Dense(*self.weight((shape[0], shape[0]))), delayed)
        self.append("sum", Add(), current, back)

    def neuron(self) -> None:
        span = 1 << self.pick(1, 12)
        spikes = self.draw(st.sampled_from([1, 1, 1, 3]))
        reset = self.draw(st.sampled_from(["soft", "none"] + ["hard"] * (spikes == 1)))
        bits = self.draw(st.sampled_from([1, 2, 4, 8, 16, 32]))
        half = min(1 << bits - 1, 1 << 12)
        decay, shift = self.draw(st.sampled_from([(1, 0), (1, 1), (7, 3), (0, 0), (3, 1)]))
        per_channel = self.chance()
        self.append("lif", Neuron(
            bits=bits,
            threshold=self.parameter(1 if spikes > 1 else -span // 4, span),
            bias=self.parameter(-span // 4, span // 4),
            step_shift=self.parameter(0, 9),
            decay=self.parameter(0, 7) if per_channel else ints(decay),
            decay_shift=3 if per_channel else shift,
            gain_shift=self.pick(0, 3),
            reset=reset,
            reset_value=self.parameter(-span // 4, span),
            initial=self.parameter(-half, half - 1) if self.chance() else ints(0),
            clamp=self.parameter(-span, span // 4) if self.chance() else None,
            synapse=Synapse(self.parameter(0, 3), 2, self.pick(2, 20)) if self.chance() else None,
            max_spikes=spikes,
        ))

    def residual(self, before: str, shape: tuple[int, ...]) -> None:
        if shape == self.shape:
            self.append("skip", Add(), before, self.last)

    def graph(self) -> Graph:
        self.dense(self.pick(1, 5))
        classes = self.shape[0]
        kind = self.draw(st.sampled_from(["potential", "last", "count", "membrane"]))
        source = self.last
        if kind in ("count", "membrane"):
            self.neuron()
            source = self.last + (".u" if kind == "membrane" else "")
        if kind == "count":
            readout = Readout("count", source)
        else:
            readout = Readout("last" if kind == "membrane" else kind, source,
                              self.numbers(1, 9, (classes,)), self.numbers(-50, 50, (classes,)))
        return Graph("random", self.steps, self.source, tuple(self.nodes), readout)


def windows(size: tuple[int, int], kernel: tuple[int, int],
            stride: tuple[int, int]) -> tuple[int, int]:
    return ((size[0] - kernel[0]) // stride[0] + 1, (size[1] - kernel[1]) // stride[1] + 1)


@st.composite
def inputs(draw: Any, image: bool) -> Input:
    sizes = [draw(st.integers(1, 2)), *(draw(st.integers(1, 5)) for _ in range(2))]
    shape = tuple(sizes) if image else (draw(st.integers(1, 8)),)
    coding = draw(st.sampled_from(["direct", "spikes"]))
    return Input(shape, draw(st.sampled_from([1, 2, 8])), coding)


@st.composite
def graphs(draw: Any, layers: int = 2) -> Graph:
    """A verified kind of graph: up to *layers* hidden layers, dense or convolutional."""
    source = draw(inputs(image=draw(st.booleans())))
    builder = Builder(draw, draw(st.integers(1, 4)), source)
    for _ in range(draw(st.integers(0, layers))):
        before, shape = builder.last, builder.shape
        if len(builder.shape) == 3 and builder.chance():
            builder.conv(top=1)
            if builder.chance():
                builder.pool()
        else:
            builder.dense()
        if builder.chance():
            builder.recur()
        builder.neuron()
        if len(builder.shape) == 3 and builder.chance():
            builder.pool()
        if builder.chance():
            builder.residual(before, shape)
    return builder.graph()


@st.composite
def data(draw: Any, graph: Graph, most: int = 3) -> Any:
    """Up to *most* samples for *graph*, all-zero and all-largest ones among them."""
    count = draw(st.integers(1, most))
    shape = graph.input.shape
    if graph.input.coding == "spikes":
        shape = (graph.steps, *shape)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    top = (1 << graph.input.bits) - 1
    low, high = draw(st.sampled_from([(0, 0), (top, top), (0, top), (0, top), (0, top)]))
    return rng.integers(low, high + 1, (count, *shape)).astype(np.uint8)


@st.composite
def runs(draw: Any, layers: int = 2) -> tuple[Graph, Any]:
    """A graph and data for it."""
    graph = draw(graphs(layers))
    return graph, draw(data(graph))
