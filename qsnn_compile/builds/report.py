"""report.json (docs/report-schema.md) and the same as a table."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from qsnn_compile.chips.resources import Resources
from qsnn_compile.chips.targets import Target
from qsnn_compile.ir import Bounds, Graph, Interval, NeuronBounds
from qsnn_compile.lower.channels import neuron_shape
from qsnn_compile.lower.lowered import lowered
from qsnn_compile.lower.program import Program
from qsnn_compile.lower.stage import Stage
from qsnn_compile.system.errors import QsnnError
from qsnn_compile.system.files import read_json
from qsnn_compile.system.text import marked, plain
from qsnn_hw.machine.arch import Machine

from . import manifest
from .clocks import MARGIN, NOT_PLACED, Clocked
from .folder import restore
from .tools import Placed

SCHEMA = 1
REQUIRED = frozenset((
    "name", "board", "device", "resources", "predicted", "available", "fmax_mhz", "seeds", "layers",
    "classes", "steps", "weight_bits", "membrane_bits", "readout", "banks", "lanes", "units",
    "weight_rows",
    "widths", "clock_mhz", "digest"))
Report = dict[str, Any]


class ReportError(QsnnError):
    """A report is missing or isn't one of ours."""


def make_report(graph: Graph, program: Program, target: Target, predicted: Resources,
                tools: dict[str, str], clocked: Clocked = NOT_PLACED) -> Report:
    """Everything known about a build. *clocked*: its clock, and what the FPGA tools made of it, if
    they ran."""
    machine, device, made = program.machine, target.device, clocked.made
    low = lowered(graph, endless=machine.parameters.streaming)
    layers = _layers(machine, low.stages)
    return {
        "schema": SCHEMA,
        "name": graph.name,
        "digest": machine.digest,
        "target": target.name,
        "device": device.name,
        "board": target.board.name,
        "clock_mhz": program.clock_mhz,
        "clock_from": clocked.source,
        "clock_asked_mhz": clocked.asked,
        **_clock(clocked),
        "steps": graph.steps,
        "input": asdict(graph.input) | {"shape": list(graph.input.shape)},
        "readout": graph.readout.kind,
        "classes": machine.parameters.classes,
        "class_names": list(graph.readout.names),
        "banks": machine.parameters.banks,
        "lanes": machine.parameters.banks * machine.parameters.lanes,
        "units": machine.parameters.banks * machine.parameters.units,
        "columns": machine.parameters.columns,
        "order": machine.parameters.order,
        "streaming": machine.parameters.streaming,
        "exit_margin": machine.parameters.exit_margin,
        "weight_bits": max(layer["weight_bits"] for layer in layers),
        "membrane_bits": machine.arithmetic.membrane_bits,
        "fmax_mhz": None if made is None else round(made.fmax_mhz, 2),
        "resources": None if made is None else made.resources,
        "predicted": asdict(predicted),
        "available": {"lc": device.lc, "ebr": device.ebr, "spram": device.spram,
                      "dsp": device.dsp},
        "seeds": None if made is None else _seeds(made.runs),
        "layers": layers,
        "weight_rows": machine.layout.rows,
        "widths": {name: getattr(machine.arithmetic, name) for name in (
            "acc_bits", "sum_bits", "current_bits", "potential_bits", "score_bits")},
        "bounds": _bounds(low.bounds),
        "tools": tools | (made.tools if made is not None else {}),
    }


def write_report(report: Report, path: Path) -> None:
    path.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def read_report(folder: str | Path) -> Report:
    """The report of the build in *folder*. Raises ReportError."""
    path = Path(folder) / "report.json"
    restore(folder)
    try:
        report = read_json(path)
    except OSError:
        raise ReportError(f"{folder}: must be a folder that qsnnc wrote, not one without "
                          f"'report.json'; qsnnc model.onnx -o {folder} makes one") from None
    except (ValueError, RecursionError) as error:
        raise ReportError(f"{path}: must be JSON: {error}; compile the model again") from None
    schema = report.get("schema") if isinstance(report, dict) else None
    if schema != SCHEMA:
        raise ReportError(f"{path}: schema must be {SCHEMA}, not {schema!r}; compile the model "
                          "again with this version of qsnnc")
    missing = REQUIRED - report.keys()
    if missing:
        raise ReportError(f"{path}: must hold {min(missing)!r}, and it is damaged; compile the "
                          "model again")
    try:
        _rows(report), _lines(report)
    except (AttributeError, LookupError, TypeError, ValueError):
        raise ReportError(f"{path}: must hold what docs/report-schema.md says, and it is damaged; "
                          "compile the model again") from None
    manifest.check(Path(folder), path.name)
    return dict(report)


def _clock(clocked: Clocked) -> dict[str, Any]:
    """What the placements say of the clock."""
    made, margin = clocked.made, clocked.margin
    return {
        "clock_margin": None if margin is None else round(margin, 4),
        "bitstream_seed": made and made.seed,
        "bitstream_fmax_mhz": made and round(made.best_mhz, 2),
        "rounds": [{"clock_mhz": one.clock_mhz, "seeds": _seeds(one.made.runs)}
                   for one in clocked.rounds] or None,
    }


def _seeds(runs: tuple[Placed, ...]) -> list[dict[str, Any]]:
    return [{"seed": run.seed, "fmax_mhz": None if run.fmax_mhz is None
             else round(run.fmax_mhz, 2)} for run in runs]


def _layers(machine: Machine, stages: Sequence[Stage]) -> list[dict[str, Any]]:
    return [{
        "name": stage.name, "shape": list(stage.shape),
        "fan_in": sum(part.weight[0].size // part.groups for part in stage.current.parts),
        "neurons": math.prod(neuron_shape(stage)),
        "weight_bits": max(part.bits for part in stage.current.parts),
        "pooling": stage.pooling, "groups": machine.layout.groups[index],
        "rows": machine.layout.group_rounds[index] * machine.parameters.layers[index].rows,
        "membrane_bits": stage.neuron.bits if stage.neuron else None,
        "reset": stage.neuron.reset if stage.neuron else None,
    } for index, stage in enumerate(stages)]


def _bounds(proved: Bounds) -> dict[str, Any]:
    """The proven range of every intermediate, over all channels and steps."""
    ranges: dict[str, Any] = {
        name: {"current": _ends(linear.current), "inputs": _ends(linear.total)}
        for name, linear in proved.linear.items()}
    ranges |= {name: _neuron_bounds(neuron) for name, neuron in proved.neurons.items()}
    ranges["readout"] = {"accumulator": _ends(proved.accumulator), "scores": _ends(proved.scores)}
    return ranges


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
    title = f"{plain(report['name'])} on {report['board']} ({report['device']})"
    table = Table(title=marked(title), title_justify="left")
    for column, justify in (("", "left"), ("predicted", "right"), ("placed", "right"),
                            ("available", "right"), ("", "right")):
        table.add_column(column, justify="right" if justify == "right" else "left")
    for row in _rows(report):
        table.add_row(*row)
    console.print(table)
    for line in _lines(report):
        console.print(line, highlight=False, markup=False)


def _rows(report: Report) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for key, label in (("lc", "logic cells"), ("ebr", "block RAM"), ("spram", "SPRAM"),
                       ("dsp", "multipliers")):
        used = (report["resources"] or report["predicted"])[key]
        placed = str(report["resources"][key]) if report["resources"] else "–"
        there = report["available"][key]
        rows.append((label, str(report["predicted"][key]), placed, str(there),
                     f"{used / there:.0%}" if there else "–"))
    return rows


def _lines(report: Report) -> list[str]:
    maps = [report["input"]["shape"], *(layer["shape"] for layer in report["layers"])]
    shape = "–".join(map(_size, maps))
    return [
        f"network   {shape}, T = {report['steps']}, "
        f"W = {report['weight_bits']}, U = {report['membrane_bits']}, "
        f"{report['readout']} readout",
        f"machine   {report['lanes']} lanes in {report['banks']} "
        f"{'bank' if report['banks'] == 1 else 'banks'}, {report['units']} neuron units, "
        f"{report['weight_rows']} weight rows, accumulators of "
        f"{report['widths']['acc_bits']} bits",
        *_mode(report),
        f"clock     {report['clock_mhz']:g} MHz, {_why(report)}",
        *_fmax(report),
    ]


def _why(report: Report) -> str:
    """Where the clock is from."""
    asked, placed = report.get("clock_asked_mhz"), report["fmax_mhz"]
    if asked is None:
        reason = (f"the fastest that leaves {MARGIN:.0%} to what was placed"
                  if report.get("clock_from") == "placed" else "the board's table's")
    elif asked == report["clock_mhz"]:
        reason = "as asked"
    else:
        reason = f"the fastest that the board makes and is not above the {asked:g} MHz asked for"
    return reason if placed else f"{reason}; not placed: add --bitstream"


def _fmax(report: Report) -> list[str]:
    """What the placed design reaches, and the tries that led there."""
    if not report["fmax_mhz"]:
        return []
    seeds = ", ".join(str(run["seed"]) for run in report["seeds"])
    fmax = f"Fmax      {report['fmax_mhz']} MHz (median of seeds {seeds})"
    if not report.get("rounds"):
        return [fmax]
    tries = ", then ".join(f"{one['clock_mhz']:g}" for one in report["rounds"])
    return [f"margin    {report['clock_margin']:.1%}: the bitstream, seed "
            f"{report['bitstream_seed']}, reaches {report['bitstream_fmax_mhz']} MHz",
            f"{fmax}, placed for {tries} MHz"]


def _mode(report: Report) -> list[str]:
    """When it answers, where that is not once, after a window of steps."""
    margin = report.get("exit_margin")
    lead = "" if margin is None else f"settled when the best score leads by {margin}"
    if report.get("streaming"):
        return [f"answers   after every step{lead and ', ' + lead}"]
    return [f"answers   {lead}, or after the last step"] if lead else []


def _size(shape: list[int]) -> str:
    """A map as channels×height×width, a vector as its length."""
    return "×".join(map(str, shape)) if math.prod(shape[1:]) > 1 else str(shape[0])
