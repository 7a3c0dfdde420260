"""qsnn explore: the machines that a network can be, and those that no other one beats."""

import importlib
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

from qsnn_compile.system.errors import QsnnError
from qsnn_compile.system.outputs import check_file
from qsnn_compile.system.text import marked, plain

from . import options
from .executors import executor
from .frame import command, option
from .kinds import FILE
from .output import check_json, write_json
from .progress import bar

if TYPE_CHECKING:
    from rich.table import Table

    from qsnn_compile.chips.targets import Target
    from qsnn_compile.ir import Graph
    from qsnn_compile.search.explore import Clock, Point
    from qsnn_sim.measure.data import Samples

SAMPLES = 100                   # of the data, where nobody says how many
PICTURES = (".png", ".svg", ".pdf")
WIDTH = 120                     # of the table where no terminal bounds it


@command("explore", epilog="Exit codes: 0 done, 2 bad input, 3 does not fit the target.")
@options.model
@options.target
@options.lanes(help="Only machines of N lanes.")
@options.steps
@options.data(help="x [N, ...] and, where known, y [N]: exact clocks of these samples by the cycle "
              "model. [default: estimates for a typical sample]")
@options.samples(help=f"Of the data, the first N. [default: {SAMPLES}]")
@option("--pnr", is_flag=True, help="Place and route the front too.")
@options.json
@option("--plot", type=FILE, metavar="FILE", help=f"Draw it: {', '.join(PICTURES)}.")
@options.jobs
@options.foreign
def explore(given: SimpleNamespace) -> int:
    """Rate the machines that a network can be on a chip (lanes, banks, neuron units, columns,
    order) and show those that no other one beats in both clocks and logic cells. qsnnc --max-lc N
    builds the fastest of N logic cells."""
    from qsnn_compile.chips.targets import target
    from qsnn_compile.search import explore as machines
    _check(given)
    goal, graph = target(given.target), _graph(given)
    data = _samples(given, graph)
    clock, samples = _clock(graph, data), None if data is None else len(data.x)
    accuracy = None if data is None else data.accuracy(graph)
    with executor(options.workers(given), given.dask) as workers:
        with bar("machines") as progress:
            points = machines.explore(graph, goal, workers, lanes=given.lanes, clock=clock,
                                      progress=progress)
        shown = machines.front(points)
        if given.pnr:
            with bar("place and route") as progress:
                shown = machines.placed(shown, goal, workers, progress=progress)
    if given.json != "-":
        _print(graph, goal, points, shown, samples, accuracy)
    if given.plot:
        from .explore_plot import plot
        title = f"{plain(graph.name)} on {goal.device.name}".replace("$", r"\$")
        plot(Path(given.plot), title, points, shown)
    if given.json:
        write_json(machines.summary(graph, goal, points, shown, samples)
                   | {"accuracy": accuracy}, given.json)
    return 0


def _check(given: SimpleNamespace) -> None:
    """Raise QsnnError for what the work need not be begun for."""
    check_json(given.json)
    check_file("--plot", given.plot)
    if given.plot and Path(given.plot).suffix not in PICTURES:
        raise QsnnError(f"--plot must name a file that ends in {', '.join(PICTURES)}, not "
                        f"{given.plot!r}; choose another")
    if given.plot:
        importlib.import_module("matplotlib")       # or the extra that brings it is named
    if given.pnr:
        from qsnn_compile.builds.tools import find_tools
        from qsnn_compile.chips.targets import target
        find_tools(target(given.target).family)
    options.workers(given)
    if given.samples is not None and given.data is None:
        raise QsnnError(f"--samples {given.samples} must come with --data: they are the first of "
                        "its samples")


def _graph(given: SimpleNamespace) -> "Graph":
    from qsnn_compile.compiler import legalised, read_model
    return legalised(given.model, read_model(given.model, given.steps, None,
                                               options.foreign_of(given)))


def _samples(given: SimpleNamespace, graph: "Graph") -> "Samples | None":
    """The samples of the data, as many as asked for."""
    if given.data is None:
        return None
    from qsnn_sim.measure.data import read_samples
    samples = read_samples(given.data, graph).first(given.samples or SAMPLES)
    samples.warn("qsnn explore")
    return samples


def _clock(graph: "Graph", samples: "Samples | None") -> "Clock | None":
    """What times the samples."""
    if samples is None:
        return None
    from qsnn_sim.measure.measure import Clock
    return Clock.of(graph, samples.x)


def _print(graph: "Graph", goal: "Target", points: "Sequence[Point]", shown: "Sequence[Point]",
           samples: int | None, accuracy: float | None) -> None:
    from rich.console import Console

    from qsnn_compile.search.clock_estimate import ACTIVITY
    console = Console(highlight=False, soft_wrap=True)
    if not console.is_terminal:
        console.width = max(console.width, WIDTH)
    clocks = (f"clocks of a sample in which {ACTIVITY:.1%} of pixels and spikes are not 0, roughly"
              if samples is None else f"mean clocks of {samples:,} samples, by the cycle model")
    console.print(f"[bold]{marked(plain(graph.name))}[/bold] on {goal.board.name} "
                  f"({goal.device.name}): {len(shown)} of the {len(points)} machines that fit are "
                  "beaten by no other in both clocks and logic cells")
    if accuracy is not None:
        console.print(f"accuracy {accuracy:.2%}, of the golden model on these samples")
    console.print(f"[dim]{clocks}; µs at {goal.board.clock_mhz:g} MHz, the board's table's[/dim]\n")
    console.print(_table(shown))


def _table(shown: "Sequence[Point]") -> "Table":
    from rich.table import Table

    from qsnn_compile.search.explore import best
    table = Table(box=None, pad_edge=False)
    rows = [_cells(point) for point in shown]
    for name in rows[0]:
        table.add_column(name, justify="left" if name == "order" else "right")
    table.add_column("best in")
    goals = best(shown)
    for point, row in zip(shown, rows, strict=True):
        marks = [goal for goal, other in goals.items() if other is point]
        table.add_row(*row.values(), ", ".join(marks), style="bold" if marks else None)
    return table


def _cells(point: "Point") -> dict[str, str]:
    """The row of a point, by column."""
    machine, needed, made = point.candidate.machine, point.needed, point.placed
    parameters = machine.parameters
    banks = f"{parameters.banks} × " if parameters.banks > 1 else ""
    cells = {"lanes": f"{banks}{parameters.lanes}", "units": f"{banks}{parameters.units}",
             "columns": f"{parameters.columns}{' in one pass' if parameters.batch_bits else ''}",
             "order": parameters.order,
             "clocks": f"{point.clocks:,.0f}"}
    if point.roof is not None:
        cells["roof"] = f"{point.roof:,.0f}"
    cells |= {"µs": f"{point.us:,.1f}", "LC": f"{needed.lc:,}",
              "RAM": str(needed.ebr),
              "µJ": "–" if point.nanojoules is None else f"{point.nanojoules / 1000:.2f}"}
    if made is not None:
        cells |= {"placed LC": f"{made.resources['lc']:,}",
                  "placed RAM": str(made.resources["ebr"]), "Fmax": f"{made.fmax_mhz:.1f}",
                  "µs at Fmax": f"{point.clocks / made.fmax_mhz:,.1f}"}
    return cells
