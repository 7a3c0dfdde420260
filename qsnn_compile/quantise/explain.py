"""`qsnnc --explain`: what was understood, where each number is from, what was rounded."""

import numpy as np

from qsnn_compile import ir
from qsnn_compile.reals.normal_form import (
    Add,
    Convolution,
    Delay,
    Flatten,
    Linear,
    Neuron,
    Node,
    Op,
    Pool,
    Reals,
    Scale,
    SynapticCurrent,
)
from qsnn_compile.system.text import line, marked

from .report import Layer, Report, span


def equation(node: Node) -> str:
    """What *node* computes, as people write it."""
    return "\n".join(_lines(node.op))


def _lines(op: Op) -> list[str]:
    match op:
        case Linear():
            return [f"I = W·x{_bias(op.bias)}, W {op.weight.shape[0]} × {op.weight.shape[1]}"]
        case Convolution():
            kernel = "×".join(map(str, op.weight.shape[2:]))
            return [f"I = W∗x{_bias(op.bias)}, {op.weight.shape[0]} channels, kernel {kernel}, "
                    f"stride {_pair(op.stride)}, padding {_pair(op.padding)}"
                    + (f", {op.groups} groups" if op.groups > 1 else "")]
        case Pool():
            return [f"{op.kind} over {_pair(op.kernel)}, stride {_pair(op.stride)}"]
        case Scale():
            return [f"y = {span(op.factor)} · x"]
        case Flatten():
            return ["flatten, channel first"]
        case Add():
            return ["sum of its inputs"]
        case Delay():
            return ["y(t) = x(t - 1)"]
        case Neuron():
            return _neuron(op)


def _pair(numbers: tuple[int, ...]) -> str:
    return str(numbers[0]) if len(set(numbers)) == 1 else "×".join(map(str, numbers))


def _bias(bias: Reals) -> str:
    return " + b" if (bias != 0).any() else ""


def _neuron(op: Neuron) -> list[str]:
    """The neuron's equation, line by line; what is 1 or 0 is left out."""
    lines = [] if op.synapse is None else [_synapse(op.synapse)]
    current = "I" if op.synapse is None else "i(t-1)" if op.synapse.delayed else "i"
    terms = [_times(op.decay, "u"), _times(op.gain, current)]
    terms += [] if not op.offset.any() else [f"({span(op.offset)})"]
    lines.append("v = " + " + ".join(term for term in terms if term))
    late = op.delayed and op.reset != "none"
    if late:
        lines.append("    " + _reset(op) + f" where u {_fires(op)} (reset a step late)")
    lines.append(_spikes(op))
    if op.raised is not None:
        lines.append(f"s also needs v > {span(op.threshold + op.raised)} where u {_fires(op)}")
    if not late and op.reset != "none":
        lines.append(f"{_reset(op)} where s")
    if op.clamp is not None:
        lines.append(f"v ≥ {span(op.clamp)}")
    if op.grid is not None:
        levels = op.grid.levels
        lines.append(f"u = nearest of {len(levels)} levels, {levels[0]:.4g} … {levels[-1]:.4g}")
    if op.initial.any():
        lines.append(f"u(0) = {span(op.initial)}")
    return lines


def _synapse(op: SynapticCurrent) -> str:
    return f"i = {_times(op.decay, 'i') or '0'} + {_times(op.gain, 'I')}"


def _times(factor: Reals, name: str) -> str:
    if (factor == 0).all():
        return ""
    return name if (factor == 1).all() else f"{span(factor)}·{name}"


def _fires(op: Neuron) -> str:
    return f"{'>' if op.strict else '≥'} {span(op.threshold)}"


def _spikes(op: Neuron) -> str:
    size = "" if op.amplitude == 1 else f"{op.amplitude:.6g} · "
    if op.max_spikes > 1:
        most = "" if np.isinf(op.max_spikes) else f"at most {int(op.max_spikes)}, "
        return f"s = {size}⌊v / {span(op.threshold)}⌋ ({most}where positive)"
    if np.isposinf(op.threshold).all():
        return "never spikes"
    return f"s = {size}[v {_fires(op)}]"


def _reset(op: Neuron) -> str:
    if op.reset == "soft":
        times = "s·" if op.max_spikes > 1 else ""
        return f"v -= {times}{span(op.reset_value)}"
    current = " + the current" if op.delayed and not op.silenced else ""
    return f"v = {span(op.reset_value)}{current}"


def rows(report: Report) -> list[tuple[str, str, str, str, str]]:
    """layer, understood as, from, rounded, notes: a row a layer."""
    return [(layer.name, layer.equation, layer.origin, _rounded(layer), "\n".join(layer.notes))
            for layer in report.layers]


def _rounded(layer: Layer) -> str:
    return "\n".join(f"{item.what} {item.given} → {item.stored}"
                     + (f" ({item.error:.2%})" if item.error > 5e-7 else " (exact)")
                     for item in layer.roundings)


def explain_graph(graph: ir.Graph) -> Report:
    """A file of our dialect: integers as they are."""
    layers = tuple(Layer(node.name, node.name, type(node.op).__name__, node.name, _integers(node),
                         (), ("as in the file",)) for node in graph.nodes)
    source = graph.input
    return Report(layers, input=_codes(source), ranges="the file's own bits")


def _codes(source: ir.Input) -> str:
    """What the codes of *source* are worth."""
    if isinstance(source.scale, tuple):
        return f"{source.bits} bits, of reals, with a scale and a zero point a channel"
    return f"{source.bits} bits, real x = {source.scale:g} · (x - {source.zero_point})"


def _integers(node: ir.Node) -> str:
    op = node.op
    if isinstance(op, ir.Dense | ir.Conv2d):
        return f"I = W·x, {op.bits}-bit W {'×'.join(map(str, op.weight.shape))}"
    if not isinstance(op, ir.Neuron):
        return type(op).__name__
    reset = {"hard": f"v = {span(op.reset_value)} where s",
             "soft": f"v -= {span(op.reset_value)} where s", "none": "no reset"}[op.reset]
    return "\n".join([
        f"v = ⌊u·2^k·{span(op.decay)}/2^{op.decay_shift}⌋ + I·2^{op.gain_shift} + b",
        f"b = {span(op.bias)}, s = [v ≥ {span(op.threshold)}]", reset,
        f"u: {op.bits} bits of 2^k, k = {span(op.step_shift)}"])


def print_explanation(report: Report) -> None:
    """The table on standard output, with what was assumed below."""
    from rich.console import Console
    from rich.table import Table
    table = Table(title="what was understood", show_lines=True)
    for head in ("layer", "understood as", "from", "rounded (largest error)", "notes"):
        table.add_column(head, overflow="fold")
    for row in rows(report):
        table.add_row(*map(marked, row))
    console = Console()
    console.print(table)
    console.print(line(f"input: {report.input}; ranges of the membranes: {report.ranges}"),
                  highlight=False, markup=False)
    for note in [*(f"assumed: {note}" for note in report.notes),
                 *(f"warning: {warning}" for warning in report.warnings)]:
        console.print(line(note), highlight=False, markup=False, soft_wrap=True)
