"""Each layer of neurons in float and in integers: mismatches by step, what would cure a layer gone
wrong."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from qsnn_compile import ir
from qsnn_compile.quantise.report import Report
from qsnn_compile.reals.normal_form import Network, Neuron

Array = NDArray[Any]
SILENT = 0.1                    # of its rate in float, or less: a layer has gone silent
SATURATED = 0.01                # of its membranes at their limit, or more, and of its spikes wrong


@dataclass(frozen=True)
class LayerCheck:
    """One layer of neurons in float and in integers. ``mismatches`` are by step; ``first`` the
    (sample, step, neuron) of the first; ``saturated`` the share of stored membranes at a limit."""

    name: str
    neurons: int
    float_rate: float
    fixed_rate: float
    saturated: float
    mismatches: tuple[int, ...]
    spikes: int
    first: tuple[int, int, int] | None
    advice: str = ""


class Result(Protocol):
    """What the golden model returns, as far as it is needed here."""

    @property
    def spikes(self) -> Mapping[str, Array]: ...
    @property
    def membranes(self) -> Mapping[str, Array]: ...
    @property
    def classes(self) -> Array: ...
    @property
    def scores(self) -> Array: ...


def layer_checks(network: Network, graph: ir.Graph, report: Report,
                 floats: Mapping[str, Array], fixed: Result) -> tuple[LayerCheck, ...]:
    """Before and after, layer by layer."""
    made = []
    for node in network.nodes:
        if isinstance(node.op, Neuron) and not np.isposinf(node.op.threshold).all():
            name = report.nodes[node.name]
            before = floats[node.name] / (node.op.amplitude or 1.0)
            made.append(_layer(node.name, graph, name, before, fixed))
    return tuple(made)


def _layer(name: str, graph: ir.Graph, fixed_name: str, before: Array, fixed: Result) -> LayerCheck:
    rows = (*before.shape[:2], -1)
    before = before.reshape(rows)
    after = fixed.spikes[fixed_name].reshape(rows)
    op = graph[fixed_name].op
    assert isinstance(op, ir.Neuron)
    half = 1 << op.bits - 1
    stored = fixed.membranes[fixed_name]
    limits = float(((stored == -half) | (stored == half - 1)).mean()) if op.bits > 4 else 0.0
    wrong = np.rint(before) != after
    made = LayerCheck(name, before.shape[2], float(before.mean()), float(after.mean()), limits,
                      by_step(wrong), wrong.size, first(wrong))
    return replace(made, advice=_advice(made, op.bits))


def _advice(layer: LayerCheck, bits: int) -> str:
    if layer.float_rate > 0.001 and layer.fixed_rate < SILENT * layer.float_rate:
        return (f"layer {layer.name!r} has gone silent: use more weight bits (--weight-bits), or "
                f"--membrane-bits {bits + 4}")
    # A range clipped on purpose, by data, does no harm.
    if layer.saturated > SATURATED and sum(layer.mismatches) > SATURATED * layer.spikes:
        return (f"layer {layer.name!r} is saturated: use --membrane-bits {bits + 2}, or calibrate "
                "with data like these (--calibrate)")
    if layer.float_rate < 0.999 and 1 - layer.fixed_rate < SILENT * (1 - layer.float_rate):
        return (f"layer {layer.name!r} spikes all the time: use more weight bits (--weight-bits)")
    return ""


def by_step(wrong: NDArray[np.bool_]) -> tuple[int, ...]:
    """How many are *wrong* [N, T, outputs], by step."""
    return tuple(int(n) for n in wrong.sum(axis=(0, 2)))


def first(wrong: NDArray[np.bool_]) -> tuple[int, int, int] | None:
    """The earliest step, then the first sample and neuron."""
    places = np.argwhere(wrong)
    if not len(places):
        return None
    sample, step, neuron = places[np.lexsort((places[:, 2], places[:, 0], places[:, 1]))[0]]
    return int(sample), int(step), int(neuron)
