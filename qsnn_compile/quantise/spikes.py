"""Spikes that inhibit, in the IR's terms: weighed each on its own, several for one, late ones."""

from dataclasses import replace

import numpy as np

from qsnn_compile.reals.normal_form import (
    Add,
    Convolution,
    Delay,
    Grid,
    Linear,
    Neuron,
    Node,
    Reals,
    reals,
)
from qsnn_compile.reals.units import Shape, flat, per_channel

LOUDEST = 255


def twice_over(node: Node, op: Neuron, shape: Shape, size: float) -> list[Node]:
    """*node*, whose threshold is ``raised`` where a reset left its membrane above θ, without that.

    A twin without reset, inhibited by the neuron's spikes, has the membrane that is left, and
    spikes where it is above θ. A step late, each of its spikes takes ``raised`` from the neuron's
    potential, and gives it back before the next. *size*: as for `loud_spikes`.
    """
    alpha = reals(0) if op.synapse is None else op.synapse.decay
    gain = op.gain * (1.0 if op.synapse is None else op.synapse.gain)
    unit = np.where(gain == 0, 1.0, gain)
    assert op.raised is not None
    lift, drop = op.raised / unit, op.reset_value / unit
    name, twin = node.name, f"{node.name}/left"
    last = Node(f"{twin}/late", Delay(), (twin,), node.origin)
    held, marks = _weighed(f"{name}/lift", last.name, shape, size, 1.0,
                           (-lift, (op.decay + alpha) * lift, -alpha * op.decay * lift))
    taken, drops = _weighed(f"{name}/drop", name, shape, size, op.amplitude,
                            (-drop, alpha * drop))
    still = replace(op, raised=None, reset="none", amplitude=1.0)
    return [last, *held, Node(f"{name}/held", Add(), (*node.inputs, *marks), node.origin),
            replace(node, op=replace(op, raised=None), inputs=(f"{name}/held",)),
            *taken, Node(f"{twin}/sum", Add(), (*node.inputs, *drops), node.origin),
            Node(twin, still, (f"{twin}/sum",), node.origin)]


def _weighed(name: str, source: str, shape: Shape, size: float, amplitude: float,
             weights: tuple[Reals, ...]) -> tuple[list[Node], list[str]]:
    """Nodes that weigh the spikes of *source*: those of this step by the first of *weights*, those
    of the step before by the second …; and the names of the currents."""
    nodes: list[Node] = []
    made: list[str] = []
    for number, weight in enumerate(weights):
        if number:
            nodes.append(Node(f"{name}/{number}/late", Delay(), (source,)))
            source = nodes[-1].name
        if np.any(weight):
            more, times = loud_spikes(f"{name}/{number}/again", source, shape, weight, size,
                                      amplitude)
            made.append(f"{name}/{number}")
            nodes += [*more, Node(made[-1], diagonal(name, weight / times, shape),
                                  (more[-1].name if more else source,))]
    return nodes, made


def loud_spikes(name: str, source: str, shape: Shape, weight: Reals, size: float,
                amplitude: float = 1.0) -> tuple[list[Node], float]:
    """Nodes that make each spike of *source* several in one step, so that its *weight*, which
    shares a unit with weights of *size*, may be as small; and what the weight is divided by."""
    times = int(min(LOUDEST, np.ceil(np.abs(weight).max() / size))) if size else 1
    if times <= 1:
        return [], amplitude
    grid = Grid(9, reals(1 / amplitude), "count")
    spread = replace(diagonal(name, reals(times / amplitude), shape), grid=grid)
    burst = Neuron(reals(1), decay=reals(0), strict=False, reset="none", max_spikes=times)
    first = Node(f"{name}/spread", spread, (source,))
    return [first, Node(name, burst, (first.name,))], times


def diagonal(name: str, size: Reals, shape: Shape) -> Linear | Convolution:
    """Each neuron times its *size*."""
    if len(shape) == 1:
        return Linear(reals(np.diag(flat(size, shape))), reals(0))
    weight = per_channel(name, size, shape).reshape(-1, 1, 1, 1)
    return Convolution(reals(weight), reals(0), groups=shape[0])
