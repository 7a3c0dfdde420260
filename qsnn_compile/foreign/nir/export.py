"""The fixed-point IR → NIR, where NIR can say it: real numbers, resets to a value, no max pool.

What is lost is said: NIR has no integers, so a reader's membranes are neither rounded nor limited
to U bits, and a few spikes differ from ours.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from qsnn_compile import ir
from qsnn_compile.system.outputs import whole

from .file import NirError

if TYPE_CHECKING:
    import nir

Reals = NDArray[np.float64]


def export_nir(graph: ir.Graph, path: str | Path, *, dt: float = 1.0) -> list[str]:
    """Write *graph* as a NIR file whose Euler step of *dt* is our step; returns what it loses.

    Raises NirError, naming the node, where NIR has no words for it.
    """
    import nir
    writer = _Writer(graph, dt)
    nodes, edges = writer.write()
    with whole("path", path) as part:
        nir.write(part, nir.NIRGraph(nodes, edges, type_check=False))
    return writer.notes


class _Writer:
    def __init__(self, graph: ir.Graph, dt: float) -> None:
        self.graph, self.dt = graph, dt
        self.shapes = ir.shapes(graph)
        self.nodes: dict[str, Any] = {}
        self.edges: list[tuple[str, str]] = []
        self.bias = _biases(graph)
        self.notes = [f"dt = {dt:g}, reset hard: a reader must be told"]

    def write(self) -> "tuple[dict[str, nir.NIRNode], list[tuple[str, str]]]":
        import nir
        source = self.graph.input
        self._name(source.name, nir.Input({"input": np.array(source.shape)}))
        for node in self.graph.nodes:
            rule = _RULES.get(type(node.op))
            if rule is None:
                raise NirError(f"node {node.name!r}: must be an operator that NIR has, not "
                               f"{type(node.op).__name__!r}; train without it to export to NIR")
            self._name(node.name, rule(self, node, node.op))
            self.edges += [(name, node.name) for name in node.inputs]
        end = self._end()
        self._name("output", nir.Output({"output": np.array(self.shapes[end])}))
        self.edges.append((end, "output"))
        self._tell()
        return self.nodes, self.edges

    def _name(self, name: str, node: Any) -> None:
        if "/" in name or name in self.nodes:
            raise NirError(f"node {name!r}: name must be one that HDF5 takes, once, without '/'; "
                           "rename it")
        self.nodes[name] = node

    def _tell(self) -> None:
        if self.graph.input.coding == "direct":
            self.notes.append(f"the same input must be shown for {self.graph.steps} steps")
        if self.graph.input.takes == "reals":
            self.notes.append("the input is not rounded and limited to "
                              f"{self.graph.input.bits} bits")
        neurons = [node.op for node in self.graph.nodes if isinstance(node.op, ir.Neuron)]
        widths = sorted({op.bits for op in neurons})
        if widths:
            self.notes.append("membranes are real numbers, not rounded and limited to "
                              f"{', '.join(map(str, widths))} bits: some spikes differ")

    def _end(self) -> str:
        readout = self.graph.readout
        if readout.kind == "last" and readout.source not in self.shapes:
            raise NirError(f"readout source must be spikes or a current for NIR, not the membrane "
                           f"{readout.source!r}; read out something else")
        if readout.kind == "potential":
            self.notes.append("the scores are the sum of the output over the steps")
        return readout.source

    def _scaled(self, node: ir.Node, weight: ir.Ints) -> tuple[Reals, Reals]:
        """Weights and biases on the node's real input, in units of the neuron behind it."""
        name, shift = self.bias.get(node.name, (None, 0))
        real = weight.astype(np.float64) * 2.0 ** shift
        bias = np.zeros(len(weight))
        if name is not None:
            op = self.graph[name].op
            assert isinstance(op, ir.Neuron)
            bias = bias + _per_channel(op.bias, len(weight), name)
        if node.name == self.graph.readout.source:
            gain = np.broadcast_to(self.graph.readout.gain, (len(weight),))
            real = real * gain.reshape((-1,) + (1,) * (real.ndim - 1))
            bias = bias + self.graph.readout.bias / self.graph.steps
        source = self.graph.input
        if node.inputs[0] == source.name:
            scale, zero = (np.broadcast_to(values.ravel(), source.shape[:1]).reshape(
                1, -1, *[1] * (real.ndim - 2)) for values in source.per_channel())
            bias = bias + (real * zero).reshape(len(real), -1).sum(axis=1)
            real = real / scale
        return real, bias

    def _dense(self, node: ir.Node, op: ir.Dense) -> "nir.Affine":
        import nir
        return nir.Affine(*self._scaled(node, op.weight))

    def _convolution(self, node: ir.Node, op: ir.Conv2d) -> "nir.Conv2d":
        import nir
        top, left, bottom, right = op.padding
        if (top, left) != (bottom, right):
            raise NirError(f"node {node.name!r}: padding must be the same on opposite sides for "
                           f"NIR, not {op.padding!r}; pad evenly")
        if op.pad_value != (self.graph.input.zero_point
                            if node.inputs[0] == self.graph.input.name else 0):
            raise NirError(f"node {node.name!r}: pad_value must be the input's zero for NIR, not "
                           f"{op.pad_value!r}; pad with zeros")
        weight, bias = self._scaled(node, op.weight)
        height, width = self.shapes[node.inputs[0]][1:]
        return nir.Conv2d((height, width), weight, op.stride, (top, left), (1, 1), op.groups, bias)

    def _pool(self, node: ir.Node, op: ir.SumPool) -> "nir.SumPool2d":
        import nir
        return nir.SumPool2d(np.array(op.kernel), np.array(op.stride), np.array([0, 0]))

    def _flatten(self, node: ir.Node, op: ir.Flatten) -> "nir.Flatten":
        import nir
        return nir.Flatten({"input": np.array(self.shapes[node.inputs[0]])}, 0, -1)

    def _neuron(self, node: ir.Node, op: ir.Neuron) -> "nir.NIRNode":
        import nir
        _check_neuron(node.name, op)
        shape = self.shapes[node.name]
        decay = np.broadcast_to(op.decay / 2.0 ** op.decay_shift, shape)
        threshold = np.broadcast_to(op.threshold - 0.5, shape)
        low = np.broadcast_to(op.reset_value.astype(np.float64), shape)
        if (decay == 1).all():
            return nir.IF(np.full(shape, 1 / self.dt), threshold, low)
        if (decay >= 1).any():
            raise NirError(f"node {node.name!r}: decay must be below 1 in all neurons of a layer, "
                           f"or 1 in all, for NIR, not {float(decay.max())!r}; split the layer")
        return nir.LIF(self.dt / (1 - decay), 1 / (1 - decay), np.zeros(shape), threshold, low)


def _check_neuron(name: str, op: ir.Neuron) -> None:
    """Raise NirError for what NIR's LIF has no word for."""
    if op.reset != "hard":
        raise NirError(f"node {name!r}: reset must be hard for NIR, whose neurons go to v_reset, "
                       f"not {op.reset!r}; train with a hard reset to export to NIR")
    for what, given, plain in (("clamp", op.clamp is not None, "none"),
                               ("max_spikes", op.max_spikes != 1, "1"),
                               ("initial", bool(op.initial.any()), "0"),
                               ("synapse", op.synapse is not None, "none")):
        if given:
            raise NirError(f"node {name!r}: {what} must be {plain} for NIR, not "
                           f"{getattr(op, what)!r}; train without it to export to NIR")


def _biases(graph: ir.Graph) -> dict[str, tuple[str | None, int]]:
    """For each layer, the neuron whose bias and shift f it takes: the one that reads it."""
    biases: dict[str, tuple[str | None, int]] = {}
    for node in graph.nodes:
        if isinstance(node.op, ir.Neuron) and (node.op.bias.any() or node.op.gain_shift):
            source = graph[node.inputs[0]] if node.inputs[0] != graph.input.name else None
            if source is None or not isinstance(source.op, ir.Dense | ir.Conv2d):
                raise NirError(f"node {node.name!r}: bias must follow a layer directly for NIR, "
                               f"not {node.inputs[0]!r}; move the pool behind the neuron")
            if source.name in biases:
                raise NirError(f"node {source.name!r}: must feed one neuron layer for NIR, not "
                               "two; split it")
            biases[source.name] = (node.name, node.op.gain_shift)
    return biases


def _per_channel(values: ir.Ints, channels: int, name: str) -> Reals:
    rows = np.broadcast_to(values, values.shape or (1,))
    rows = rows.reshape(len(rows), -1)
    if np.ptp(rows, axis=1).any():
        raise NirError(f"node {name!r}: bias must be one number a channel for NIR, not one a "
                       "neuron; use one bias a channel")
    return np.broadcast_to(rows[:, 0].astype(np.float64), (channels,))


_RULES: dict[type, Callable[[_Writer, ir.Node, Any], Any]] = {
    ir.Dense: _Writer._dense, ir.Conv2d: _Writer._convolution, ir.SumPool: _Writer._pool,
    ir.Flatten: _Writer._flatten, ir.Neuron: _Writer._neuron,
}
