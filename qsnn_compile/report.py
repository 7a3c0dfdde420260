"""report.json (docs/report-schema.md) and the same as a table."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from qsnn_hw.arch import Machine

from .errors import QsnnError
from .fpga import Implementation
from .ir import Graph, Interval, NeuronBounds, Node, bounds
from .program import Program
from .resource import Resources
from .targets import Target

SCHEMA = 1
REQUIRED = frozenset((
    "name", "board", "device", "resources", "predicted", "available", "fmax_mhz", "seeds", "layers",
    "classes", "steps", "weight_bits", "membrane_bits", "readout", "lanes", "units", "weight_rows",
    "widths", "clock_mhz", "digest"))
Report = dict[str, Any]


class ReportError(QsnnError):
    """A report is missing or isn't one of ours."""


def make_report(graph: Graph, program: Program, target: Target, predicted: Resources,
                tools: dict[str, str], made: Implementation | None) -> Report:
    """Everything known about a build. ``made``: what the FPGA tools made of it, if they ran."""
    machine, device = program.machine, target.device
    return {
        "schema": SCHEMA,
        "name": graph.name,
        "digest": machine.digest,
        "target": target.name,
        "device": device.name,
        "board": target.board.name,
        "clock_mhz": program.clock_mhz,
        "steps": graph.steps,
        "input": asdict(graph.input) | {"shape": list(graph.input.shape)},
        "readout": graph.readout.kind,
        "classes": machine.classes,
        "lanes": machine.lanes,
        "units": machine.units,
        "weight_bits": max(layer.weight_bits for layer in machine.layers),
        "membrane_bits": machine.membrane_bits,
        "fmax_mhz": None if made is None else round(made.fmax_mhz, 2),
        "resources": None if made is None else made.resources,
        "predicted": asdict(predicted),
        "available": {"lc": device.lc, "ebr": device.ebr, "spram": device.spram,
                      "dsp": device.dsp},
        "seeds": None if made is None else [
            {"seed": run.seed, "fmax_mhz": None if run.fmax_mhz is None
             else round(run.fmax_mhz, 2)} for run in made.runs],
        "layers": _layers(machine, graph),
        "weight_rows": machine.rows,
        "widths": {name: getattr(machine, name) for name in (
            "acc_bits", "sum_bits", "current_bits", "potential_bits", "score_bits")},
        "bounds": _bounds(graph),
        "tools": tools | (made.tools if made is not None else {}),
    }


def write_report(report: Report, path: Path) -> None:
    path.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def read_report(folder: str | Path) -> Report:
    """The report of the build in *folder*. Raises ReportError."""
    path = Path(folder) / "report.json"
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise ReportError(f"{folder}: must be a folder that qsnnc wrote, not one without "
                          f"'report.json'; qsnnc model.onnx -o {folder} makes one") from None
    except ValueError as error:
        raise ReportError(f"{path}: must be JSON: {error}; compile the model again") from None
    found = report.get("schema") if isinstance(report, dict) else None
    if found != SCHEMA:
        raise ReportError(f"{path}: schema must be {SCHEMA}, not {found!r}; compile the model "
                          "again with this version of qsnnc")
    missing = REQUIRED - report.keys()
    if missing:
        raise ReportError(f"{path}: must hold {min(missing)!r}, and it is damaged; compile the "
                          "model again")
    return dict(report)


def _layers(machine: Machine, graph: Graph) -> list[dict[str, Any]]:
    nodes = {node.name: node for node in graph.nodes}
    return [{
        "name": layer.name, "fan_in": layer.fan_in, "neurons": layer.neurons,
        "weight_bits": layer.weight_bits, "groups": machine.groups(index),
        "rows": machine.groups(index) * layer.weight_bits * layer.fan_in,
        **_neuron(nodes[layer.name]),
    } for index, layer in enumerate(machine.layers)]


def _neuron(node: Node) -> dict[str, Any]:
    op: Any = node.op
    fires = hasattr(op, "reset")
    return {"membrane_bits": op.bits if fires else None, "reset": op.reset if fires else None}


def _bounds(graph: Graph) -> dict[str, Any]:
    """The proven range of every intermediate, over all channels and steps."""
    proved = bounds(graph)
    found: dict[str, Any] = {
        name: {"current": _ends(linear.current), "inputs": _ends(linear.total)}
        for name, linear in proved.linear.items()}
    found |= {name: _neuron_bounds(neuron) for name, neuron in proved.neurons.items()}
    found["readout"] = {"accumulator": _ends(proved.accumulator), "scores": _ends(proved.scores)}
    return found


def _neuron_bounds(neuron: NeuronBounds) -> dict[str, list[int]]:
    names = ("current", "leak", "v", "compared", "reduced", "after", "rounded", "u")
    return {name: _ends(getattr(neuron, name)) for name in names}


def _ends(interval: Interval) -> list[int]:
    return [interval.lowest, interval.highest]


# -- readable -------------------------------------------------------------------------------------

def print_report(report: Report) -> None:
    """The report as tables on standard output."""
    from rich.console import Console
    from rich.table import Table
    console = Console()
    table = Table(title=f"{report['name']} on {report['board']} ({report['device']})",
                  title_justify="left")
    for column, justify in (("", "left"), ("predicted", "right"), ("placed", "right"),
                            ("available", "right"), ("", "right")):
        table.add_column(column, justify="right" if justify == "right" else "left")
    for key, label in (("lc", "logic cells"), ("ebr", "block RAM"), ("spram", "SPRAM"),
                       ("dsp", "multipliers")):
        used = (report["resources"] or report["predicted"])[key]
        placed = str(report["resources"][key]) if report["resources"] else "–"
        table.add_row(label, str(report["predicted"][key]), placed,
                      str(report["available"][key]), f"{used / report['available'][key]:.0%}")
    console.print(table)
    for line in _lines(report):
        console.print(line, highlight=False)


def _lines(report: Report) -> list[str]:
    fmax = (f"{report['fmax_mhz']} MHz (median of seeds "
            f"{', '.join(str(run['seed']) for run in report['seeds'])})"
            if report["fmax_mhz"] else "not placed: add --bitstream")
    shape = "–".join(str(layer["fan_in"]) for layer in report["layers"])
    return [
        f"network   {shape}–{report['classes']}, T = {report['steps']}, "
        f"W = {report['weight_bits']}, U = {report['membrane_bits']}, "
        f"{report['readout']} readout",
        f"machine   {report['lanes']} lanes, {report['units']} neuron units, "
        f"{report['weight_rows']} weight rows, accumulators of "
        f"{report['widths']['acc_bits']} bits",
        f"clock     {report['clock_mhz']:g} MHz on the board; Fmax {fmax}",
    ]
