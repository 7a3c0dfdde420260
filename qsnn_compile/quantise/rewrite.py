"""What the IR's neuron has no field for, said with the operators it has: the same network.

- A synapse that the membrane reads a step late: a Delay before it.
- A delayed soft reset of a quantised state: the neuron's own spike as an inhibiting input, a step
  late, and no reset.
- Spikes and pixels in one sum, whose weights differ by the pixels' 255: more spikes a step.
- A first membrane beside the levels of a quantised state: a current in the first step.
- A threshold raised behind a membrane that a reset left above it: `twice_over`.
"""

from dataclasses import replace

import numpy as np

from qsnn_compile.reals.normal_form import (
    INPUT,
    Add,
    Convolution,
    Delay,
    Flatten,
    Linear,
    Network,
    Neuron,
    Node,
    reals,
)
from qsnn_compile.reals.shapes import shapes
from qsnn_compile.reals.units import Shape, flat

from .spikes import diagonal, loud_spikes, twice_over


def expressible(network: Network, input_scale: float) -> Network:
    """*network*, spike for spike, in terms that the IR has. *input_scale* is the size of 1 of the
    input's codes: what is added to a layer's current should have weights of that layer's size."""
    return _Rewriter(network, input_scale).network()


class _Rewriter:
    def __init__(self, network: Network, input_scale: float) -> None:
        self.given, self.input_scale = network, input_scale
        self.shapes = shapes(network)
        self.by_name = {node.name: node for node in network.nodes}

    def network(self) -> Network:
        nodes: list[Node] = []
        small = self._partners()
        for node in self.given.nodes:
            if isinstance(node.op, Neuron):
                nodes += self._neuron(node, node.op)
            elif isinstance(node.op, Linear | Convolution) and node.name in small:
                nodes += self._loud_layer(node, node.op, small[node.name])
            else:
                nodes.append(node)
        return replace(self.given, nodes=tuple(nodes))

    def _partners(self) -> dict[str, float]:
        """For each layer of spikes that is added to others: the smallest of the sizes."""
        sizes: dict[str, float] = {}
        for node in self.given.nodes:
            if isinstance(node.op, Add):
                size = min(self._weight(name) for name in node.inputs)
                sizes.update((name, size) for name in node.inputs if self._spikes(name) is not None)
        return sizes

    def _spikes(self, layer: str) -> Neuron | None:
        """The neuron whose spikes the node *layer* weighs, if it does that."""
        node = self.by_name.get(layer)
        if node is None or not isinstance(node.op, Linear | Convolution):
            return None
        source = self.by_name.get(node.inputs[0])
        while source is not None and isinstance(source.op, Delay):
            source = self.by_name.get(source.inputs[0])
        op = None if source is None else source.op
        return op if isinstance(op, Neuron) and op.max_spikes == 1 else None

    def _loud_layer(self, node: Node, op: Linear | Convolution, size: float) -> list[Node]:
        source, neuron = node.inputs[0], self._spikes(node.name)
        assert neuron is not None
        shape, amplitude = self.shapes[source], neuron.amplitude
        loud, times = loud_spikes(f"{node.name}/x", source, shape, op.weight * amplitude, size,
                                  amplitude)
        if not loud:
            return [node]
        factor = amplitude / times
        grid = None if op.grid is None else replace(op.grid, scale=reals(op.grid.scale * factor))
        op = replace(op, weight=reals(op.weight * factor), grid=grid)
        return [*loud, replace(node, op=op, inputs=(loud[-1].name,))]

    def _neuron(self, node: Node, op: Neuron) -> list[Node]:
        before: list[Node] = []
        source, shape = node.inputs[0], self.shapes[node.name]
        size = self._weight(source)
        if op.synapse is not None and op.synapse.delayed:
            before.append(Node(f"{node.name}/late", Delay(), (source,), node.origin))
            source, op = before[-1].name, replace(op, synapse=replace(op.synapse, delayed=False))
        if op.raised is not None and op.grid is None and op.clamp is None:
            return [*before, *twice_over(replace(node, op=op, inputs=(source,)), op, shape, size)]
        if op.grid is not None and op.delayed and op.reset == "soft" and op.synapse is None:
            before += _inhibition(node, op, shape, source, size)
            source, op = before[-1].name, replace(op, reset="none", delayed=False)
        if op.grid is not None and op.synapse is None and len(shape) == 1:
            more, op = self._first_step(node, op, source, size)
            before += more
            source = before[-1].name if more else source
        return [*before, replace(node, op=op, inputs=(source,))]

    def _weight(self, source: str) -> float:
        """The largest weight behind *source*, per 1 of what it reads."""
        node = self.by_name.get(source)
        while node is not None and not isinstance(node.op, Linear | Convolution | Neuron):
            node = self.by_name.get(node.inputs[0])
        if node is None or not isinstance(node.op, Linear | Convolution):
            return 1.0
        scale = self.input_scale if node.inputs[0] == INPUT else 1.0
        return float(np.abs(node.op.weight).max()) * scale

    def _first_step(self, node: Node, op: Neuron, source: str, size: float
                    ) -> tuple[list[Node], Neuron]:
        """The current that makes up for a first membrane beside the levels, and that membrane on
        one: a pulse neuron, its membrane 1 at first and 0 after its spike, sends it."""
        assert op.grid is not None
        levels, shape = op.grid.levels, self.shapes[node.name]
        initial, gain = flat(op.initial, shape), flat(op.gain, shape)
        nearest = levels[np.abs(levels - initial[:, None]).argmin(axis=1)]
        if np.abs(initial - nearest).max() <= 1e-6 * np.ptp(levels) or (gain == 0).any():
            return [], op
        name, pixels = node.name, int(np.prod(self.given.input_shape))
        image = [Node(f"{name}/x", Flatten(), (INPUT,))] if len(self.given.input_shape) > 1 else []
        idle = Node(f"{name}/idle", Linear(reals(np.zeros((1, pixels))), reals(0)),
                    (image[0].name if image else INPUT,))
        pulse = Node(f"{name}/pulse", Neuron(reals(0.5), gain=reals(0), strict=False, reset="hard",
                                             initial=reals(1)), (idle.name,))
        missing = flat(op.decay, shape) * (initial - nearest) / gain
        loud, times = loud_spikes(f"{name}/once", pulse.name, (1,), missing, size)
        first = Node(f"{name}/first", Linear(reals(missing[:, None] / times), reals(0)),
                     (loud[-1].name if loud else pulse.name,))
        joined = Node(f"{name}/start", Add(), (source, first.name), node.origin)
        return [*image, idle, pulse, *loud, first, joined], replace(op, initial=reals(nearest))


def _inhibition(node: Node, op: Neuron, shape: Shape, source: str, size: float) -> list[Node]:
    name = node.name
    late = Node(f"{name}/spiked", Delay(), (name,), node.origin)
    taken = -op.reset_value / np.where(op.gain == 0, 1.0, op.gain)
    loud, times = loud_spikes(f"{name}/again", late.name, shape, taken, size, op.amplitude)
    weighted = Node(f"{name}/inhibition", diagonal(name, taken / times, shape),
                    (loud[-1].name if loud else late.name,), node.origin)
    return [late, *loud, weighted, Node(f"{name}/sum", Add(), (source, weighted.name), node.origin)]
