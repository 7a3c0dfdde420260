"""Frozen layers -> the fixed-point IR's graph."""

from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor

from qsnn_compile.ir import (
    Add,
    Conv2d,
    Delay,
    Dense,
    Flatten,
    Graph,
    Ints,
    MaxPool,
    Neuron,
    Node,
    Op,
    Readout,
    SumPool,
    ints,
    verify,
)
from qsnn_models.network.config import NetworkConfig

from .frozen import FrozenConv2d, FrozenDense, FrozenLayer, FrozenLIF, FrozenPool


def graph_of(config: NetworkConfig, layers: Sequence[FrozenLayer], classifier: FrozenDense | None,
             gain: Tensor, bias: Tensor) -> Graph:
    """The graph of a frozen network; its nodes are numbered by weight layer: conv1, pool1, lif1,
    flatten2, dense2, lif2, … Raises IrError where it is not well formed."""
    chain = _Chain(len(config.structure.shape) == 3)
    for layer in layers:
        chain.layer(layer)
    readout = Readout("count", chain.source)
    if classifier is not None:
        chain.weights(classifier)
        readout = Readout("potential", chain.source, _ints(gain), _ints(bias))
    graph = Graph(config.name, config.steps, config.entry, tuple(chain.nodes),
                  replace(readout, names=config.class_names))
    verify(graph)
    return graph


class _Chain:
    """Nodes one after another; ``source`` is the latest value, an image or not."""

    def __init__(self, image: bool) -> None:
        self.nodes: list[Node] = []
        self.source, self.image, self.number = "x", image, 0

    def layer(self, layer: FrozenLayer) -> None:
        """One weight layer, from its input spikes to its own."""
        before = self.source
        self.weights(layer.weights)
        if layer.skip is not None:
            self._add(before, f"skip{self.number}", _conv(layer.skip))
        if layer.recurrent is not None:
            self.nodes.append(Node(f"delay{self.number}", Delay(), (f"lif{self.number}",)))
            self._add(f"delay{self.number}", f"recurrent{self.number}", _dense(layer.recurrent))
        if layer.pool is not None:
            self._next("pool", _pool(layer.pool))
        self._next("lif", _neuron(layer.neuron, self.image))

    def weights(self, layer: FrozenDense | FrozenConv2d) -> None:
        """A Conv2d, or a Dense, of a flattened image if need be."""
        self.number += 1
        if isinstance(layer, FrozenConv2d):
            self._next("conv", _conv(layer))
            return
        if self.image:
            self._next("flatten", Flatten())
            self.image = False
        self._next("dense", _dense(layer))

    def _next(self, kind: str, op: Op) -> None:
        self.nodes.append(Node(f"{kind}{self.number}", op, (self.source,)))
        self.source = self.nodes[-1].name

    def _add(self, source: str, name: str, op: Op) -> None:
        """*op* of *source*, added to the latest value."""
        self.nodes.append(Node(name, op, (source,)))
        self.nodes.append(Node(f"add{self.number}", Add(), (self.source, name)))
        self.source = self.nodes[-1].name


def _dense(frozen: FrozenDense) -> Dense:
    return Dense(_ints(frozen.weight), frozen.bits)


def _conv(frozen: FrozenConv2d) -> Conv2d:
    down, across = frozen.padding
    return Conv2d(_ints(frozen.weight), frozen.bits, frozen.stride, (down, across, down, across),
                  frozen.groups)


def _pool(frozen: FrozenPool) -> MaxPool | SumPool:
    kind = SumPool if frozen.sums else MaxPool
    return kind(frozen.kernel, frozen.kernel)


def _neuron(frozen: FrozenLIF, image: bool) -> Neuron:
    def field(name: str) -> Ints:
        value: Tensor = getattr(frozen, name)
        if bool((value == value[0]).all()) and name in ("decay", "reset_value", "initial"):
            return ints(int(value[0]))
        return _ints(value.view(-1, 1, 1) if image else value)

    return Neuron(frozen.bits, field("threshold"), field("bias"), field("step_shift"),
                  field("decay"), frozen.decay_shift,
                  reset="soft" if frozen.reset == "soft" else "hard",
                  reset_value=field("reset_value"), initial=field("initial"))


def _ints(buffer: Tensor) -> Ints:
    return ints(buffer.numpy())
