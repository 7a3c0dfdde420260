"""The walk over the network: every value gets its unit, every node its integers."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from qsnn_compile import ir
from qsnn_compile.reals.calibrate import InputCodes
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
    Pool,
    Reals,
    Scale,
)
from qsnn_compile.reals.units import (
    Activation,
    Current,
    QuantiseError,
    Shape,
    Value,
    along,
    as_current,
    flat,
    per_channel,
    same,
)

from . import refined
from .explain import equation
from .linear import WIDEST, Weights, constant_bias, finer, quantise_weights
from .neuron import Widths, quantise_neuron
from .plan import FRACTION, Bits, Plan, names, sources
from .report import Layer, Rounding, span
from .traces import Traces


class Layers:
    """One walk: ``nodes`` of the IR, ``names`` and ``values`` of the normal form's, ``layers`` for
    the report. Where there are *traces* of data, weights and membranes are rounded by them."""

    def __init__(self, network: Network, bits: Bits, codes: InputCodes, plan: Plan,
                 traces: Traces | None = None) -> None:
        self.network, self.bits, self.plan, self.traces = network, bits, plan, traces
        self.by_name = {node.name: node for node in network.nodes}
        self.names = names(network)
        self.nodes: list[ir.Node] = []
        self.layers: list[Layer] = []
        rank = (1,) * len(network.input_shape)
        self.values: dict[str, Value] = {INPUT: Activation(
            np.full(rank, codes.scale), codes.zero, (1 << codes.bits) - 1)}
        self.units: dict[str, Reals] = {}
        self.exact = sources(network, self.by_name, lambda op: isinstance(op, Delay) or (
            isinstance(op, Neuron) and op.synapse is not None))
        self.slow = sources(network, self.by_name, lambda op: isinstance(op, Neuron)
                             and op.synapse is not None)
        self.shared = sources(network, self.by_name, lambda op: isinstance(op, Add))
        self.widths: dict[str, int] = {}
        self.spare: dict[str, int] = {}

    def run(self) -> "Layers":
        """Walk. Raises QuantiseError."""
        for node in self.network.nodes:
            self.values[node.name] = self._value(node)
            if self.traces is not None and node.name not in self.traces.after:
                self.traces.follow(node, node.op)
        return self

    def _value(self, node: Node) -> Value:
        rule: Callable[..., Value] = _RULES[type(node.op)]
        return rule(self, node, node.op)

    def _shape(self, name: str) -> Shape:
        return self.plan.shapes[name]

    def add(self, node: Node, op: ir.Op, *inputs: str) -> None:
        """Append *op* under the name of *node*."""
        self.nodes.append(ir.Node(self.names[node.name], op,
                                  inputs or tuple(self.names[name] for name in node.inputs)))

    def tell(self, node: Node, roundings: tuple[Rounding, ...] = (),
             notes: tuple[str, ...] = ()) -> None:
        """A line of the report."""
        self.layers.append(Layer(node.name, self.names[node.name], type(node.op).__name__,
                                 node.origin, equation(node), roundings, notes))

    def _delay(self, node: Node, op: Delay) -> Value:
        self.add(node, ir.Delay())
        self.tell(node)
        known = self.values.get(node.inputs[0])
        if known is None:                       # a later neuron's spikes
            later = self.by_name[node.inputs[0]].op
            if not isinstance(later, Neuron):
                raise QuantiseError(f"node {node.name!r}: a loop must go through a neuron's "
                                    f"spikes, not {type(later).__name__!r}")
            return self._spikes(node.name, later)
        return known

    def _spikes(self, name: str, op: Neuron) -> Activation:
        rank = (1,) * len(self._shape(name))
        top = int(min(op.max_spikes, 255))
        return Activation(np.full(rank, op.amplitude), 0, top)

    def _linear(self, node: Node, op: Linear | Convolution) -> Value:
        x, shape = self._activation(node), self._shape(node.inputs[0])
        made = quantise_weights(node.name, op, x, shape, self.bits.weight_bits,
                                self.plan.units.get(node.name))
        if self.traces is not None:
            made = self._by_data(node, op, x, made)
        made = finer(made, self._spare(node.name, made.bits))
        self.widths[node.name] = made.bits
        if isinstance(op, Linear):
            fixed: ir.Dense | ir.Conv2d = ir.Dense(made.codes, made.bits)
        else:
            fixed = ir.Conv2d(made.codes, made.bits, op.stride, op.padding, op.groups, x.zero)
        rank = len(self._shape(node.name)) - 1
        sums = made.codes.reshape(len(made.codes), -1).sum(axis=1)
        bias = np.broadcast_to(op.bias + made.correction, made.unit.shape)
        offset = bias - made.unit * x.zero * sums
        note = (f"{op.grid.source}, {made.bits} bits, kept" if made.exact and op.grid else
                f"{made.bits} bits" + (f", its {op.grid.source} not kept" if op.grid else ""))
        self.tell(node, (Rounding("weight", span(op.weight), span(made.codes), made.error),),
                  (note,))
        tall = made.unit.reshape((-1,) + (1,) * rank)
        if node.name in self.exact and (offset != 0).any():
            self.nodes += constant_bias(self.names[node.name], fixed, self.names[node.inputs[0]],
                                        np.rint(offset / made.unit), made.bits)
            return Current(tall, np.zeros_like(tall))
        self.add(node, fixed)
        return Current(tall, offset.reshape(tall.shape))

    def _by_data(self, node: Node, op: Linear | Convolution, x: Activation, made: Weights
                 ) -> Weights:
        """*made*, refined where it is of few bits; the data go through it."""
        assert self.traces is not None
        layer = refined.Layer(node.name, op, x, self._shape(node.inputs[0]))
        if layer.of_few_bits(made):
            made = layer.refined(made, *self.traces.inputs(node), node.name in self.shared)
        if node.name in self.exact:             # a bias there would cost neurons
            made = replace(made, correction=np.zeros(()))
        self.traces.follow(node, layer.in_reals(made))
        return made

    def _spare(self, name: str, bits: int) -> int:
        """Fraction bits for weights that a synapse integrates. An offset and a Delay need none."""
        known = self.spare[name] = min(FRACTION, WIDEST - bits) if name in self.slow else 0
        return known

    def _activation(self, node: Node) -> Activation:
        x = self.values[node.inputs[0]]
        if isinstance(x, Current):
            raise QuantiseError(f"node {node.name!r}: its input must be spikes, counts or the "
                                f"network's input, not the current {node.inputs[0]!r}; put a "
                                "neuron between the two layers, or join their weights")
        if x.top > 255:
            raise QuantiseError(f"node {node.name!r}: its input must be at most 255, not {x.top}; "
                                "pool fewer spikes")
        return x

    def _pool(self, node: Node, op: Pool) -> Value:
        value, size = self.values[node.inputs[0]], op.kernel[0] * op.kernel[1]
        divisor = size if op.kind == "average" else 1
        self.tell(node, notes=((f"a sum, its unit divided by {size}",)
                               if op.kind == "average" else ()))
        if op.kind == "max":
            self.add(node, ir.MaxPool(op.kernel, op.stride, self._flipped(node, value)))
            return value
        self.add(node, ir.SumPool(op.kernel, op.stride))
        if isinstance(value, Activation):
            return Activation(value.scale / divisor, value.zero * size, value.top * size)
        return Current(value.unit / divisor, value.offset * (size / divisor))

    def _flipped(self, node: Node, value: Value) -> ir.Ints:
        sign = value.scale if isinstance(value, Activation) else value.unit
        if isinstance(value, Current) and np.ptp(value.offset.reshape(len(value.offset), -1),
                                                 axis=1).max() > 0:
            raise QuantiseError(f"node {node.name!r}: what it pools must have one offset a "
                                "channel, not several; give the layer one bias a channel")
        flipped = per_channel(node.name, np.sign(sign), self._shape(node.inputs[0])) < 0
        return ir.ints(flipped.reshape(-1, 1, 1)) if flipped.any() else ir.ints(0)

    def _scale(self, node: Node, op: Scale) -> Value:
        value, shape = self.values[node.inputs[0]], self._shape(node.name)
        self.names[node.name] = self.names[node.inputs[0]]
        self.tell(node, notes=("taken into the unit",))
        factor = along(op.factor, shape)
        if isinstance(value, Activation):
            return Activation(value.scale * factor, value.zero, value.top)
        return Current(value.unit * factor, value.offset * factor)

    def _flatten(self, node: Node, op: Flatten) -> Value:
        value, shape = self.values[node.inputs[0]], self._shape(node.inputs[0])
        self.add(node, ir.Flatten())
        if isinstance(value, Activation):
            return Activation(flat(value.scale, shape), value.zero, value.top)
        return Current(flat(value.unit, shape), flat(value.offset, shape))

    def _add(self, node: Node, op: Add) -> Value:
        values = [self.values[name] for name in node.inputs]
        self.add(node, ir.Add())
        self.tell(node)
        if all(isinstance(value, Activation) for value in values):
            return _joined(node, [value for value in values if isinstance(value, Activation)])
        if any(isinstance(value, Activation) for value in values):
            raise QuantiseError(f"node {node.name!r}: must add currents or add spikes, not one to "
                                "the other; pass the spikes through a layer")
        currents = [as_current(value) for value in values]
        unit = self._common(node, currents)
        for name, current in zip(node.inputs, currents, strict=True):
            if not same(current.unit, unit):
                self.demand(name, unit)
        return Current(unit, np.sum(np.broadcast_arrays(*(c.offset for c in currents)), axis=0))

    def _common(self, node: Node, currents: list[Current]) -> Reals:
        """The unit of a sum: that of a layer whose weights lie on a grid, else the finest that
        gives no layer weights of more than 16 bits."""
        for name, current in zip(node.inputs, currents, strict=True):
            source = self.by_name.get(name)
            on_grid = source is not None and getattr(source.op, "grid", None) is not None
            if on_grid and name not in self.plan.units:
                return current.unit
        units = np.stack(np.broadcast_arrays(*(np.abs(current.unit) for current in currents)))
        room = np.stack([np.full(units.shape[1:], self._coarser(name)) for name in node.inputs])
        return np.asarray(np.maximum(units.min(axis=0), (units / room).max(axis=0))
                          * np.sign(currents[0].unit))

    def _coarser(self, name: str) -> float:
        """How many times finer the unit of the current *name* may get."""
        known = self.widths.get(name)
        return 1.0 if known is None else float(1 << WIDEST - known)

    def demand(self, name: str, unit: Reals) -> None:
        """The current called *name* must come in *unit*: ask the layers it is from."""
        node, shape = self.by_name.get(name), self._shape(name)
        op = None if node is None else node.op
        if node is None or isinstance(op, Neuron):
            raise QuantiseError(f"node {name!r}: spikes must be weighted by a layer before they "
                                "are added or turned, not used as they are; put a layer between")
        if isinstance(op, Linear | Convolution):
            self.plan.ask(name, per_channel(name, unit, shape) * (1 << self.spare[name]))
        for source in () if isinstance(op, Linear | Convolution) else node.inputs:
            before, wanted = self._shape(source), unit
            if isinstance(op, Flatten):
                wanted = np.broadcast_to(unit, shape).reshape(before)
            elif isinstance(op, Pool) and op.kind == "average":
                wanted = unit * (op.kernel[0] * op.kernel[1])
            elif isinstance(op, Scale):
                wanted = unit / along(op.factor, shape)
            if isinstance(op, Pool):
                wanted = per_channel(name, wanted, shape).reshape(-1, 1, 1)
            self.demand(source, wanted)

    def _neuron(self, node: Node, op: Neuron) -> Value:
        current, shape = as_current(self.values[node.inputs[0]]), self._shape(node.name)
        bits, traces = self.bits.membrane_bits, self.traces
        trial = None if traces is None else traces.trial(node)
        made = quantise_neuron(node.name, op, current, shape, self.plan.ranges.get(node.name),
                               Widths(bits, self.bits.q), trial)
        if traces is not None:
            traces.follow(node, op, made.place, bits)
        if made.wanted is not None:
            self.demand(node.inputs[0], made.wanted)
        self.add(node, made.op)
        self.tell(node, made.roundings, made.notes)
        self.units[node.name] = made.unit
        return self._spikes(node.name, op)


def _joined(node: Node, values: list[Activation]) -> Activation:
    first = values[0]
    if any(value.zero or not same(value.scale, first.scale)
           for value in values):
        raise QuantiseError(f"node {node.name!r}: spikes that are added must have one size, not "
                            f"{', '.join(span(value.scale) for value in values)}")
    return Activation(first.scale, 0, sum(value.top for value in values))


_RULES: dict[type, Callable[..., Value]] = {
    Linear: Layers._linear, Convolution: Layers._linear, Pool: Layers._pool,
    Scale: Layers._scale, Flatten: Layers._flatten, Add: Layers._add, Delay: Layers._delay,
    Neuron: Layers._neuron,
}
