"""The calibration data on their way through the network, in floats and as far as it is rounded."""

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qsnn_compile.reals.calibrate import InputCodes, frames_of
from qsnn_compile.reals.float_model import Machine, stateless
from qsnn_compile.reals.float_operators import patches
from qsnn_compile.reals.normal_form import (
    INPUT,
    Convolution,
    Delay,
    Linear,
    Network,
    Neuron,
    Node,
    Op,
)
from qsnn_compile.reals.shapes import shapes

from .place import Place, immediate, sent
from .trial import Trial

Array = NDArray[Any]
NUMBERS = 1 << 26               # in all values of all samples and steps
ROWS = 1 << 14                  # of a layer's inputs, for their correlations


class Traces:
    """Values by node, real numbers [N, T, *shape], or [N, 1, *shape] of what is the same at every
    step: ``before`` of the float network, ``after`` of the rounded one, which `follow` goes along
    node by node. A delayed value is the float network's."""

    def __init__(self, network: Network, x: Array, steps: int, codes: InputCodes) -> None:
        work = steps * sum(prod(shape) for shape in shapes(network).values())
        frames = frames_of(network, x[:max(1, NUMBERS // work)], steps)
        self.steps, self.before = frames.shape[1], _values(network, frames)
        low, top = -codes.zero, (1 << codes.bits) - 1 - codes.zero
        read = np.clip(np.rint(self.before[INPUT] / codes.scale), low, top) * codes.scale
        self.after = {INPUT: read.astype(np.float32)}

    def inputs(self, node: Node) -> tuple[Array, Array]:
        """Rows that the weights of *node* are multiplied with, before and after: [M, n], the
        columns of all groups side by side."""
        op = node.op
        assert isinstance(op, Linear | Convolution)
        pair = [_rows(op, _samples(values[node.inputs[0]])) for values in (self.before, self.after)]
        count = len(pair[0])
        if count > ROWS:
            chosen = np.random.default_rng(0).choice(count, ROWS, replace=False)
            pair = [rows[chosen] for rows in pair]
        return pair[0], pair[1]

    def trial(self, node: Node) -> Trial:
        """What the neuron *node* is judged by."""
        return Trial(self.before[node.inputs[0]], self.after[node.inputs[0]], self.steps)

    def follow(self, node: Node, op: Op, place: Place | None = None, bits: int = 0) -> None:
        """Go through *node*, whose operator has become *op*, a neuron's membrane as *place* says.
        """
        inputs = [self.after[name] for name in node.inputs if name in self.after]
        if isinstance(op, Delay):
            self.after[node.name] = self.before[node.name]
        elif isinstance(op, Neuron):
            every = [*sent(immediate(op), inputs[0], self.steps, place, bits)]
            self.after[node.name] = np.stack(every, axis=1) * np.float32(op.amplitude)
        else:
            self.after[node.name] = _by_step(lambda *x: stateless(op, x), *inputs)


def _values(network: Network, frames: Array) -> dict[str, Array]:
    """All values of the float network."""
    machine, still = Machine(network, len(frames), np.float32), _still(network)
    seen: dict[str, list[Array]] = {}
    for step in range(frames.shape[1]):
        machine.step(frames[:, step])
        for name, value in machine.values.items():
            if step == 0 or name not in still:
                seen.setdefault(name, []).append(value)
    return {name: np.stack(values, axis=1) for name, values in seen.items()}


def _still(network: Network) -> set[str]:
    """What is the same at every step."""
    still = {INPUT} if network.coding == "direct" else set()
    for node in network.nodes:
        if not isinstance(node.op, Neuron | Delay) and still.issuperset(node.inputs):
            still.add(node.name)
    return still


def _rows(op: Linear | Convolution, x: Array) -> Array:
    return x if isinstance(op, Linear) else patches(x, op.weight.shape[2:], op.stride, op.padding)


def _samples(x: Array) -> Array:
    return x.reshape(-1, *x.shape[2:])


def _by_step(value: Callable[..., Array], *inputs: Array) -> Array:
    """*value* of [N, T, ...], whose samples are all steps of all samples."""
    longest = max(x.shape[1] for x in inputs)
    full = [np.broadcast_to(x, (len(x), longest, *x.shape[2:])) for x in inputs]
    made = value(*map(_samples, full))
    return made.reshape(len(full[0]), longest, *made.shape[1:])
