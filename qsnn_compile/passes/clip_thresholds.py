"""Pass clip-thresholds: a threshold or a clamp out of reach needs no more bits than the reach."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from qsnn_compile.ir import Graph, Neuron, NeuronBounds, bounds, ints

from .base import Pass


@dataclass(frozen=True)
class ClipThresholds(Pass):
    """Clip θ to v_min .. v_max + 1, the proven range of its channel's potential: below it a neuron
    fires always, above it never, so no spike changes; of neurons of one spike only. A clamp is
    raised to the layer's lowest v', which it leaves as it is. ``endless``: the range of a stream,
    not of T steps."""

    endless: bool = False

    name: ClassVar[str] = "clip-thresholds"
    description: ClassVar[str] = "clip thresholds and clamps to what the potential can reach"

    def apply(self, graph: Graph) -> Graph:
        proved = bounds(graph, endless=self.endless).neurons
        return replace(graph, nodes=tuple(
            replace(node, op=_clipped(node.op, proved[node.name]))
            if isinstance(node.op, Neuron) else node for node in graph.nodes))


def _clipped(op: Neuron, proved: NeuronBounds) -> Neuron:
    clipped = np.clip(op.threshold, proved.v.lo, proved.v.hi + 1)
    if op.max_spikes == 1 and (clipped != op.threshold).any():
        op = replace(op, threshold=ints(clipped))
    if op.clamp is not None:
        op = replace(op, clamp=ints(np.maximum(op.clamp, proved.after.lowest)))
    return op
