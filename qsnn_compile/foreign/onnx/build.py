"""From a step and its neurons to the nodes of the normal form.

A block's meaning is a `Signal`: nodes of the network times factors, plus a constant. Layers are
made when something reads them; a gain or offset on the way to a neuron goes into the layer's
weights, where the layer has no other reader.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qsnn_compile.foreign.onnx.neurons.neurons import Neurons, Placed
from qsnn_compile.foreign.onnx.neurons.region_affine import Region
from qsnn_compile.foreign.onnx.neurons.region_forms import Affine, Var
from qsnn_compile.foreign.onnx.trace.step import Step, elementwise
from qsnn_compile.loader.nodes import OnnxError
from qsnn_compile.reals.normal_form import INPUT, Add, Delay, Linear, Neuron, Node, Op, Scale, reals

from .layers import Layers, broadcastable
from .signal import Signal

Array = NDArray[np.float64]
ONE = np.ones(())
ZERO = np.zeros(())


@dataclass(eq=False)
class Builder:
    """Makes the nodes of *step*; ``neurons`` are its neurons."""

    step: Step
    neurons: Neurons
    input_shape: tuple[int, ...]
    nodes: list[Node] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.trace = self.step.trace
        self._signals: dict[int, Signal] = {}
        self._names: dict[str, int] = {}
        self._neuron_of: dict[int, str] = {}
        self._waiting: list[tuple[str, int]] = []
        self._layers = Layers(self)

    # -- nodes -----------------------------------------------------------------------------------

    def add(self, kind: str, op: Op, inputs: Sequence[str], origin: str = "") -> str:
        """A node of a fresh name; its name."""
        number = self._names[kind] = self._names.get(kind, 0) + 1
        name = f"{kind}{number}"
        self.nodes.append(Node(name, op, tuple(inputs), origin))
        return name

    def find(self, name: str) -> Node | None:
        """The node *name*; None for the input."""
        return next((node for node in self.nodes if node.name == name), None)

    def put(self, node: Node) -> None:
        """Replace the node of the same name."""
        self.nodes = [node if old.name == node.name else old for old in self.nodes]

    def finish(self) -> None:
        """Give delays what they delay, which may be made only now."""
        while self._waiting:
            name, block = self._waiting.pop()
            source = self.materialised(self.signal(block))
            node = self.find(name)
            if node is not None:
                self.put(replace(node, inputs=(source,)))

    # -- signals ---------------------------------------------------------------------------------

    def signal(self, block: int) -> Signal:
        """What block *block* means."""
        if block not in self._signals:
            self._signals[block] = self._signal(block)
        return self._signals[block]

    def _signal(self, index: int) -> Signal:
        block = self.trace.blocks[index]
        if index in self.step.inputs:
            return Signal({INPUT: ONE}, ZERO, self.input_shape)
        if index in self.step.late:
            return self._delayed(self.step.late[index], block.shape)
        carried = self.neurons.reach.before.get(index)
        if carried is not None and carried.before in self.neurons.reach.derived:
            return self._delayed(carried.after, self.trace.blocks[carried.after].shape)
        if index in self.neurons.leaves:
            return self._spikes(index)
        if block.reads is not None:
            return self._layers.layer(block)
        if not elementwise(block):
            raise OnnxError(f"{block.origin or 'an input'}: must be the network's input or a state "
                            "that an output carries on, not another input; return its new value, "
                            "or make it a constant")
        return self._affine(index)

    def _delayed(self, source: int, shape: tuple[int, ...]) -> Signal:
        name = self.add("delay", Delay(), (INPUT,), self.trace.blocks[source].origin)
        self._waiting.append((name, source))
        return Signal({name: ONE}, ZERO, shape)

    def _affine(self, index: int) -> Signal:
        """An elementwise function of layers and spikes, which must be affine."""
        block = self.trace.blocks[index]
        if self.neurons.reach.states(index):
            raise OnnxError(f"{block.origin}: what one layer passes to the next must be spikes, "
                            "not the membrane; return or use the spikes")

        def variable(other: int) -> Affine | None:
            if elementwise(self.trace.blocks[other]) and other not in self.neurons.leaves \
                    and other not in self.step.late:
                return None
            return None if self.trace.blocks[other].op == "const" else \
                Affine(ZERO, {Var(other): ONE})
        pieces = Region(self.trace, variable).pieces([index])
        form = pieces[0].values[0]
        if not all(form.close(piece.values[0]) for piece in pieces):
            self._stateless(index)
        return self._layers.folded(index, self._sum(form, block.shape))

    def _stateless(self, index: int) -> None:
        block = self.trace.blocks[index]
        raise OnnxError(
            f"{block.origin}: a threshold must belong to a neuron whose state is carried from step "
            "to step, not stand alone: no carried state was found, so the file holds a single call "
            "with its initial state baked in (or an activation that has no spiking form). To "
            "export it properly, make the state an input and an output of one step (snnTorch: pass "
            "mem; SpikingJelly, Sinabs: a wrapper that sets and returns v), or loop over at least "
            "3 steps inside forward; qsnn_models.from_torch does that")

    def _sum(self, form: Affine, shape: tuple[int, ...]) -> Signal:
        terms: dict[str, Array] = {}
        offset = form.const
        for variable, factor in form.terms.items():
            if not isinstance(variable, Var) or variable.at is not None:
                raise OnnxError(f"{shape}: layers must be connected as a whole, not by parts of "
                                "them; write the selection as a layer")
            inner = self.signal(variable.block)
            shape = max(shape, inner.shape, key=len)
            offset = offset + factor * np.ravel(inner.offset) if inner.offset.ndim else \
                offset + factor * inner.offset
            for name, weight in inner.terms.items():
                terms[name] = terms.get(name, ZERO) + weight * factor
        return Signal(terms, offset, shape)

    # -- neurons ---------------------------------------------------------------------------------

    def _spikes(self, block: int) -> Signal:
        """What leaves a neuron, in units of its node."""
        placed = self.neurons.leaves[block]
        sink = placed.sinks[block]
        if sink.factor is None:
            origin = self.trace.blocks[block].origin
            raise OnnxError(f"{origin}: what one layer passes to the next must be spikes, not the "
                            "membrane; return or use the spikes")
        name = self.neuron(placed)
        node = self.find(name)
        amplitude = node.op.amplitude if node is not None and isinstance(node.op, Neuron) else 1.0
        return Signal({name: _compact(sink.factor / amplitude)}, ZERO, placed.shape)

    def neuron(self, placed: Placed) -> str:
        """The node of *placed*."""
        key = id(placed)
        if key not in self._neuron_of:
            self._neuron_of[key] = ""
            self._neuron_of[key] = self._new_neuron(placed)
        name = self._neuron_of[key]
        if not name:
            raise OnnxError(f"{placed.origin}: a neuron's input must come from other neurons, or "
                            "from itself a step later, not from itself in the same step")
        return name

    def _new_neuron(self, placed: Placed) -> str:
        neuron, weights = placed.found.neuron, placed.found.weights
        form = Affine(ZERO, {x: np.asarray(w) for x, w in weights.items()})
        current = self._sum(form, placed.shape)
        shape = max(placed.shape, current.shape, key=len)
        name, gain, offset = self._single(current)
        neuron = replace(
            neuron, amplitude=_amplitude(placed),
            gain=reals(neuron.gain * gain),
            offset=reals(neuron.offset + neuron.gain * offset))
        return self.add("neuron", shaped(neuron, shape), (name,), placed.origin)

    def _single(self, signal: Signal) -> tuple[str, Array, Array]:
        """*signal* as one node with a gain and an offset."""
        if len(signal.terms) == 1:
            (name, factor), = signal.terms.items()
            return name, factor, signal.offset
        return self.materialised(replace(signal, offset=ZERO)), ONE, signal.offset

    def materialised(self, signal: Signal) -> str:
        """One node that is *signal*, which must have no offset but where it is a layer's."""
        names = [self._scaled(name, factor, signal.shape)
                 for name, factor in signal.terms.items()]
        if np.any(signal.offset):
            names[0] = self._shifted(names[0], signal)
        return names[0] if len(names) == 1 else self.add("sum", Add(), names)

    def _scaled(self, name: str, factor: Array, shape: tuple[int, ...]) -> str:
        if np.all(factor == 1):
            return name
        return self.add("scale", Scale(reals(broadcastable(factor, shape))), (name,))

    def _shifted(self, name: str, signal: Signal) -> str:
        node = self.find(name)
        if node is None or not isinstance(node.op, Linear):
            raise OnnxError("a constant that is added between layers must be added to a layer's "
                            "result, not to spikes or the input; put it into the layer's bias")
        bias = reals(node.op.bias + np.ravel(signal.offset))
        return self.add("linear", replace(node.op, bias=bias), node.inputs, node.origin)


def shaped(neuron: Neuron, shape: tuple[int, ...]) -> Neuron:
    """*neuron* with its parameters as small as they can be: a number, one a channel, or all."""
    names = ("threshold", "decay", "gain", "offset", "reset_value", "clamp", "initial",
             "raised")
    given: dict[str, Any] = {name: getattr(neuron, name) for name in names}
    small: dict[str, Any] = {name: reals(broadcastable(value, shape))
                             for name, value in given.items() if value is not None}
    return replace(neuron, **small)


def _amplitude(placed: Placed) -> float:
    """The size of the neuron's spike, if it has one size."""
    factors = [np.unique(sink.factor) for sink in placed.sinks.values()
               if sink.factor is not None]
    return float(factors[0][0]) if factors and len(factors[0]) == 1 and factors[0][0] else 1.0


def _compact(factor: Array) -> Array:
    return ONE if np.all(factor == 1) else np.asarray(factor)
