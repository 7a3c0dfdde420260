"""Machine shapes for the resource model: those it is fitted to, and eight that it is checked on."""

from dataclasses import dataclass, fields, replace
from itertools import pairwise

import numpy as np

from qsnn_compile.dialect.reader import import_onnx
from qsnn_compile.ir import Conv2d, Dense, Flatten, Graph, Input, Neuron, Node, Readout, ints
from qsnn_compile.lower.mapping import map_graph
from qsnn_compile.passes import PASSES, run_passes


@dataclass(frozen=True)
class Shape:
    """``sizes`` from input to classes; W, U, T; ``x`` bits of a direct input, 0 for spikes."""

    sizes: tuple[int, ...]
    w: int
    u: int
    steps: int
    x: int
    readout: str
    lanes: int
    units: int = 2
    reset: str = "hard"
    decay: bool = False         # per-channel decays
    banks: int = 1
    columns: int | None = None
    batch: bool = False         # two steps a pass

    @property
    def name(self):
        net = "-".join(map(str, self.sizes))
        coding = f"x{self.x}" if self.x else "spikes"
        banks = f"{self.banks}x" if self.banks > 1 else ""
        extras = (" m" if self.decay else "") + (" batch" if self.batch else "")
        return (f"{net} W{self.w} U{self.u} T{self.steps} {coding} {self.readout} "
                f"P{banks}{self.lanes} NU{self.units} {self.reset}{extras}")

    def machine(self):
        return map_graph(self.graph(), lanes=self.lanes, units=self.units,
                         banks=self.banks, columns=self.columns, batch=self.batch)

    def graph(self):
        """Its network, legalised."""
        return run_passes(self._graph(), PASSES)

    def _graph(self):
        rng = np.random.default_rng(len(self.name))
        coding = "direct" if self.x else "spikes"
        source = Input((self.sizes[0],), self.x or 1, coding)
        nodes, before, x = [], "x", (1 << (self.x or 1)) - 1
        for i, (n, c) in enumerate(pairwise(self.sizes)):
            nodes.append(Node(f"fc{i}", Dense(self._weights(rng, c, n), self.w), (before,)))
            before = f"fc{i}"
            if i < len(self.sizes) - 2 or self.readout == "count":
                nodes.append(Node(f"n{i}", self._neuron(rng, c, x * n * (1 << self.w - 1)),
                                  (before,)))
                before, x = f"n{i}", 1
        gain = ints(rng.integers(40, 128, self.sizes[-1]))
        bias = ints(rng.integers(-1500, 1500, self.sizes[-1]))
        end = (Readout("count", before) if self.readout == "count"
               else Readout("potential", before, gain, bias))
        return Graph("shape", self.steps, source, tuple(nodes), end)

    def _weights(self, rng, count, fan_in):
        if self.w == 1:
            return ints(rng.integers(0, 2, (count, fan_in)) * 2 - 1)
        half = 1 << self.w - 1
        return ints(rng.integers(-half, half, (count, fan_in)))

    def _neuron(self, rng, count, reach):
        """Thresholds of a tenth of the reach, steps that cover them: as training leaves them."""
        top = max(4, reach // 10)
        theta = rng.integers(top // 2, top, count)
        step = np.maximum(0, np.ceil(np.log2(theta)).astype(int) - self.u + 2)
        m = ints(rng.integers(1, 8, count)) if self.decay else ints(1)
        return Neuron(self.u, ints(theta), ints(rng.integers(-top // 3, top // 3, count)),
                      ints(step), m, 3 if self.decay else 1, 0, self.reset,
                      ints(theta if self.reset == "soft" else 0))


def _over_maps(neuron):
    """*neuron* with one value a channel of a map."""
    arrays = {f.name: getattr(neuron, f.name) for f in fields(neuron)}
    return replace(neuron, **{name: ints(value.reshape(-1, 1, 1)) for name, value in arrays.items()
                              if isinstance(value, np.ndarray) and value.size > 1})


@dataclass(frozen=True)
class Convolution(Shape):
    """Convolutions of 3 x 3, stride 2, of a square image of ``side``, and classes: ``sizes`` are
    channels."""

    side: int = 16

    @property
    def name(self):
        return f"{self.side}x{self.side} C{super().name}"

    def _graph(self):
        rng = np.random.default_rng(self.side)
        coding = "direct" if self.x else "spikes"
        source = Input((self.sizes[0], self.side, self.side), self.x or 1, coding)
        nodes, before, x, side = [], "x", (1 << (self.x or 1)) - 1, self.side
        for i, (n, c) in enumerate(pairwise(self.sizes[:-1])):
            weight = self._weights(rng, c, n * 9).reshape(c, n, 3, 3)
            neuron = self._neuron(rng, c, x * n * 9 * (1 << self.w - 1))
            nodes += [Node(f"conv{i}", Conv2d(ints(weight), self.w, (2, 2), (1, 1, 1, 1)),
                           (before,)), Node(f"n{i}", _over_maps(neuron), (f"conv{i}",))]
            before, x, side = f"n{i}", 1, -(-side // 2)
        nodes += [Node("flat", Flatten(), (before,)),
                  Node("fc", Dense(self._weights(rng, self.sizes[-1],
                                                 self.sizes[-2] * side * side), self.w), ("flat",))]
        gain = ints(rng.integers(40, 128, self.sizes[-1]))
        bias = ints(rng.integers(-1500, 1500, self.sizes[-1]))
        return Graph("shape", self.steps, source, tuple(nodes),
                     Readout("potential", "fc", gain, bias))


@dataclass(frozen=True)
class Zoo:
    """A network of the zoo on a machine of its own."""

    name: str
    lanes: int = 64
    units: int = 2
    banks: int = 1
    columns: int | None = None
    batch: bool = False

    def machine(self):
        graph = import_onnx(f"models/zoo/{self.name}.onnx")
        return map_graph(run_passes(graph, PASSES), lanes=self.lanes, units=self.units,
                         banks=self.banks, columns=self.columns, batch=self.batch)


FITTED = (
    Shape((600, 300, 100, 10), 1, 4, 4, 8, "potential", 64),
    Shape((784, 200, 10), 1, 4, 4, 4, "count", 64),
    Shape((196, 64, 10), 1, 4, 8, 0, "count", 64, reset="soft"),
    Shape((64, 32, 10), 4, 8, 4, 8, "potential", 32, reset="soft"),
    Shape((100, 48, 12), 2, 3, 2, 4, "count", 32),
    Shape((784, 100, 10), 8, 6, 3, 8, "potential", 16),
    Shape((32, 16, 4), 1, 16, 10, 0, "potential", 16, units=1),
    Shape((400, 200, 100, 20), 2, 5, 6, 0, "count", 32, reset="soft"),
    Shape((256, 64, 64, 64, 10), 1, 4, 4, 2, "potential", 64, units=4),
    Shape((49, 20, 5), 4, 4, 16, 8, "count", 16, units=4, decay=True),
    Shape((784, 64, 10), 8, 8, 2, 8, "count", 32, reset="none"),
    Shape((128, 128, 10), 1, 2, 20, 0, "potential", 64, decay=True),
    Shape((20, 10), 1, 6, 4, 8, "count", 16),
    Shape((300, 30), 2, 8, 4, 8, "potential", 32),
    Shape((300, 128, 64, 10), 1, 4, 4, 8, "potential", 32, banks=2, columns=2, batch=True),
    Shape((200, 100, 50, 8), 1, 4, 4, 0, "count", 32, units=4, columns=2, batch=True),
    Convolution((1, 16, 32, 10), 1, 4, 4, 8, "potential", 16, banks=4, units=1),
    Convolution((2, 12, 24, 4), 1, 2, 2, 0, "potential", 16, banks=2, units=4, side=20),
    Convolution((3, 8, 16, 6), 4, 8, 3, 4, "potential", 16, banks=2, units=2, reset="soft"),
)
CHECKED = (
    Zoo("fashion_mnist_mlp"),
    Zoo("mnist_mlp"),
    Zoo("fashion_mnist_mlp", lanes=32, banks=2, columns=2, batch=True),
    Zoo("mnist_conv", lanes=16, banks=4, units=1),
    Shape((128, 96, 10), 4, 6, 4, 8, "potential", 32),
    Shape((256, 128, 10), 1, 3, 6, 0, "count", 64),
    Shape((90, 40, 40, 6), 2, 10, 5, 4, "potential", 16, reset="soft"),
    Shape((500, 100, 10), 8, 4, 4, 6, "count", 16),
    Shape((144, 64, 10), 1, 8, 3, 8, "count", 32, units=4, reset="soft", decay=True),
)
