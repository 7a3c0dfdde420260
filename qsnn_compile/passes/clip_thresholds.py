"""Pass clip-thresholds: a threshold out of reach needs no more bits than the reach."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from qsnn_compile.ir import Graph, Interval, Neuron, Node, bounds, ints

from .base import Pass


@dataclass(frozen=True)
class ClipThresholds(Pass):
    """Clip θ to v_min .. v_max + 1, the proven range of its channel's potential: below it a neuron
    fires always, above it never, so no spike changes. Neurons of one spike only. ``endless``: the
    range of a stream, not of T steps."""

    endless: bool = False

    name: ClassVar[str] = "clip-thresholds"
    description: ClassVar[str] = "clip thresholds to one beyond what the potential can reach"

    def apply(self, graph: Graph) -> Graph:
        proved = bounds(graph, endless=self.endless).neurons
        return replace(graph, nodes=tuple(
            _clipped(node, node.op, proved[node.name].v)
            if isinstance(node.op, Neuron) and node.op.max_spikes == 1 else node
            for node in graph.nodes))


def _clipped(node: Node, op: Neuron, v: Interval) -> Node:
    clipped = np.clip(op.threshold, v.lo, v.hi + 1)
    if (clipped == op.threshold).all():
        return node
    return replace(node, op=replace(op, threshold=ints(clipped)))
