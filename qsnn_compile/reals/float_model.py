"""The normal form in floating point: the network as its library computed it, many samples at
once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from qsnn_compile.system.errors import QsnnError

from .float_neuron import State, advance, near, start
from .float_operators import convolve, pooled
from .normal_form import (
    INPUT,
    Add,
    Convolution,
    Delay,
    Flatten,
    Linear,
    Network,
    Neuron,
    Node,
    Op,
    Pool,
    Scale,
)
from .shapes import shapes

Array = NDArray[Any]


class DataError(QsnnError):
    """Data that do not fit the network."""


@dataclass(frozen=True, eq=False)
class Run:
    """What a network did. ``spikes`` [N, T, *shape] of every neuron node (amplitude, or the count
    of a multi-spike neuron, included); ``tied`` where v lay within 4 ulp of the threshold;
    ``output`` [N, T, *shape], the answer at every step."""

    spikes: Mapping[str, Array]
    tied: Mapping[str, NDArray[np.bool_]]
    output: Array


def arranged(network: Network, x: Array, steps: int | None = None) -> Array:
    """*x* as [N, T, *input_shape], where only axes of one number differ from that.

    Raises DataError, which says so if samples and steps have changed places.
    """
    steps = network.steps if steps is None else steps
    size = int(np.prod(network.input_shape, dtype=np.int64))
    if network.coding == "direct" and x.size == len(x) * size:
        if steps is None:
            raise DataError("steps must be given for a network that is shown the same input at "
                            "every step, not left out; add --steps T")
        still = x.reshape(len(x), 1, *network.input_shape)
        return np.broadcast_to(still, (len(x), steps, *network.input_shape))
    frames = x.shape[1] if x.ndim > 1 and steps is None else steps or 1
    if x.shape[:2] != (len(x), frames) and 1 in x.shape[1:2]:
        frames = x.size // max(1, len(x) * size)
    _check(network, x, steps, frames, size)
    return x.reshape(len(x), frames, *network.input_shape)


def _check(network: Network, x: Array, steps: int | None, frames: int, size: int) -> None:
    wanted = f"[N, {steps or 'T'}, {', '.join(map(str, network.input_shape))}]"
    if x.size == len(x) * frames * size and (steps is None or frames == steps):
        return
    if x.ndim > 1 and steps is not None and x.shape[0] == steps != x.shape[1]:
        raise DataError(f"x must be samples first, {wanted}, not {x.shape!r}, which seems to have "
                        "the steps first; store np.swapaxes(x, 0, 1)")
    raise DataError(f"x must be {wanted}, not {x.shape!r}; arrange the samples so")


def run(network: Network, x: Array, *, steps: int | None = None,
        dtype: DTypeLike = np.float32) -> Run:
    """The network's spikes and answers on *x*, [N, T, *shape] (direct: [N, *shape])."""
    frames = arranged(network, np.asarray(x), steps).astype(dtype)
    machine = Machine(network, len(frames), dtype)
    for step in range(frames.shape[1]):
        machine.step(frames[:, step])
    return machine.finished()


class Machine:
    """A network between two steps."""

    def __init__(self, network: Network, samples: int, dtype: DTypeLike) -> None:
        self.network = network
        self.samples = samples
        self.dtype = np.dtype(dtype)
        self._shapes = shapes(network)
        self.values: dict[str, Array] = {}
        self.potentials: dict[str, Array] = {}
        self._state: dict[str, State] = {}
        self._spikes: dict[str, list[Array]] = {}
        self._tied: dict[str, list[Array]] = {}
        self._answers: list[Array] = []

    def step(self, frame: Array) -> None:
        """One time step on *frame* [N, *shape]."""
        before = self.values
        self.values = {INPUT: frame}
        for node in self.network.nodes:
            if isinstance(node.op, Delay):
                nothing = np.zeros((self.samples, *self._shapes[node.name]), self.dtype)
                self.values[node.name] = before.get(node.inputs[0], nothing)
            else:
                self.values[node.name] = self._value(node)
        kept = self.potentials if self.network.answer == "potential" and \
            self.network.output in self.potentials else self.values
        self._answers.append(kept[self.network.output])

    def finished(self) -> Run:
        """What it did so far."""
        spikes = {name: np.stack(values, 1) for name, values in self._spikes.items()}
        tied = {name: np.stack(values, 1) for name, values in self._tied.items()}
        return Run(spikes, tied, np.stack(self._answers, 1))

    def _value(self, node: Node) -> Array:
        inputs = [self.values[name] for name in node.inputs]
        if isinstance(node.op, Neuron):
            return self._neuron(node.name, node.op, inputs[0])
        return stateless(node.op, inputs)

    def _neuron(self, name: str, op: Neuron, x: Array) -> Array:
        state = self._state.get(name) or start(op, x)
        now = advance(op, state, x)
        self._state[name] = now.state
        self.potentials[name] = now.v
        spikes = now.count * np.asarray(op.amplitude, self.dtype)
        self._tied.setdefault(name, []).append(near(op, now.v))
        self._spikes.setdefault(name, []).append(spikes)
        return np.asarray(spikes)


def stateless(op: Op, inputs: Sequence[Array]) -> Array:
    """What *op*, neither a neuron nor a delay, makes of its *inputs* [samples, *shape], in their
    type."""
    x = inputs[0]
    match op:
        case Linear():
            return np.asarray(x @ op.weight.T.astype(x.dtype) + op.bias.astype(x.dtype))
        case Convolution():
            return convolve(x, op.weight, op.bias, op.stride, op.padding, op.groups)
        case Pool():
            return pooled(x, op.kind, op.kernel, op.stride)
        case Scale():
            return np.asarray(x * op.factor.astype(x.dtype))
        case Flatten():
            return x.reshape(len(x), -1)
        case Add():
            return np.asarray(sum(inputs[1:], start=x))
    raise TypeError(f"{op!r} is no operator of the normal form that has no state")
