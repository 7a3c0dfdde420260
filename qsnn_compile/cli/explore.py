"""qsnn explore: the machines that a network can be, and those that no other one beats."""

import argparse
import importlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing import active_children, get_context
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TYPE_CHECKING

from qsnn_compile.chips.targets import target_names
from qsnn_compile.system.errors import QsnnError
from qsnn_compile.system.outputs import check_file
from qsnn_compile.system.processes import GRACE, follow
from qsnn_compile.system.text import marked, plain

from .errors import Arguments
from .foreign import add_options, options_of
from .qsnnc import check_json, write_json

if TYPE_CHECKING:
    from rich.table import Table

    from qsnn_compile.chips.targets import Target
    from qsnn_compile.ir import Graph
    from qsnn_compile.search.explore import Clock, Point, Progress
    from qsnn_sim.measure.data import Samples

SAMPLES = 100                   # of the data, where nobody says how many
PICTURES = (".png", ".svg", ".pdf")
WIDTH = 120                     # of the table where no terminal bounds it
MOST_JOBS = 1024
PATIENCE = "5s"                 # for a Dask scheduler to answer


def explore(argv: list[str]) -> int:
    """The command line of ``qsnn explore``; its exit code. Raises QsnnError on bad input."""
    from qsnn_compile.chips.targets import target
    from qsnn_compile.search import explore as machines
    options = _parser().parse_args(argv)
    _check(options)
    goal, graph = target(options.target), _graph(options)
    data = _samples(options, graph)
    clock, samples = _clock(graph, data), None if data is None else len(data.x)
    accuracy = None if data is None else data.accuracy(graph)
    with _executor(options) as executor:
        with _bar("machines") as progress:
            points = machines.explore(graph, goal, executor, lanes=options.lanes, clock=clock,
                                      progress=progress)
        shown = machines.front(points)
        if options.pnr:
            with _bar("place and route") as progress:
                shown = machines.placed(shown, goal, executor, progress=progress)
    if options.json != "-":
        _print(graph, goal, points, shown, samples, accuracy)
    if options.plot:
        from .explore_plot import plot
        title = f"{plain(graph.name)} on {goal.device.name}".replace("$", r"\$")
        plot(Path(options.plot), title, points, shown)
    if options.json:
        write_json(machines.summary(graph, goal, points, shown, samples)
                   | {"accuracy": accuracy}, options.json)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Arguments(
        prog="qsnn explore", description="Rate the machines that a network can be on a chip "
        "(lanes, banks, neuron units, columns, order) and show those that no other one beats in "
        "both clocks and logic cells. qsnnc --max-lc N builds the fastest of N logic cells.",
        epilog="Exit codes: 0 done, 2 bad input, 3 does not fit the target.")
    parser.add_argument("model", help="the ONNX or NIR file")
    parser.add_argument("--target", default="ice40", metavar="NAME",
                        help=f"{', '.join(target_names())} (default: %(default)s)")
    parser.add_argument("--lanes", type=int, metavar="N", help="only machines of N lanes")
    parser.add_argument("--steps", type=int, metavar="T", help="time steps, before the file's own")
    parser.add_argument("--data", metavar="NPZ", help="x [N, ...] and, where known, y [N]: exact "
                        "clocks of these samples by the cycle model (default: estimates for a "
                        "typical sample)")
    parser.add_argument("--samples", type=int, metavar="N",
                        help=f"of the data, the first N (default: {SAMPLES})")
    parser.add_argument("--pnr", action="store_true", help="place and route the front too")
    parser.add_argument("--json", metavar="FILE",
                        help="write the result there too; - is standard output, in place of it")
    parser.add_argument("--plot", metavar="FILE", help=f"draw it: {', '.join(PICTURES)}")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N",
                       help="processes (default: %(default)s, one a core)")
    where.add_argument("--dask", metavar="ADDRESS", help="the scheduler of a Dask cluster that "
                       "does the work, as tcp://host:8786")
    add_options(parser)
    return parser


def _check(options: argparse.Namespace) -> None:
    """Raise QsnnError for what the work need not be begun for."""
    check_json(options.json)
    check_file("--plot", options.plot)
    if options.plot and Path(options.plot).suffix not in PICTURES:
        raise QsnnError(f"--plot must name a file that ends in {', '.join(PICTURES)}, not "
                        f"{options.plot!r}; choose another")
    if options.plot:
        importlib.import_module("matplotlib")       # or the extra that brings it is named
    if options.pnr:
        from qsnn_compile.builds.tools import find_tools
        from qsnn_compile.chips.targets import target
        find_tools(target(options.target).family)
    for name in ("jobs", "samples"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise QsnnError(f"--{name} must be 1 or more, not {value!r}")
    if options.jobs > MOST_JOBS:
        raise QsnnError(f"--jobs must be at most {MOST_JOBS} processes, not {options.jobs!r}; "
                        "leave it out for one a core")
    if options.samples is not None and options.data is None:
        raise QsnnError(f"--samples {options.samples} must come with --data: they are the first of "
                        "its samples")


def _graph(options: argparse.Namespace) -> "Graph":
    from qsnn_compile.compiler import legalised, read_model
    return legalised(options.model, read_model(options.model, options.steps, None,
                                               options_of(options)))


def _samples(options: argparse.Namespace, graph: "Graph") -> "Samples | None":
    """The samples of the data, as many as asked for."""
    if options.data is None:
        return None
    from qsnn_sim.measure.data import read_samples
    samples = read_samples(options.data, graph).first(options.samples or SAMPLES)
    samples.warn("qsnn explore")
    return samples


def _clock(graph: "Graph", samples: "Samples | None") -> "Clock | None":
    """What times the samples."""
    if samples is None:
        return None
    from qsnn_sim.measure.measure import Clock
    return Clock.of(graph, samples.x)


@contextmanager
def _executor(options: argparse.Namespace) -> Iterator[Executor]:
    """Where the work is done."""
    if options.dask is not None:
        with _dask(options.dask) as executor:
            yield executor
    elif options.jobs == 1:
        with ThreadPoolExecutor(1) as executor:
            yield executor
    else:
        with _processes(options.jobs) as executor:
            yield executor


@contextmanager
def _processes(jobs: int) -> Iterator[Executor]:
    """Processes of this machine; where something fails or stops us, what they do is dropped."""
    with ProcessPoolExecutor(jobs, get_context("spawn"), initializer=follow) as executor:
        try:
            yield executor
        except BaseException:
            working = active_children()
            executor.shutdown(wait=False, cancel_futures=True)
            _end(working)
            raise


def _end(children: Sequence[BaseProcess]) -> None:
    """Tell worker processes to end; again, for a signal may come just before a long wait."""
    for tell in (BaseProcess.terminate, BaseProcess.terminate, BaseProcess.kill):
        for child in children:
            tell(child)
        for child in children:
            wait([child.sentinel], GRACE)


@contextmanager
def _dask(address: str) -> Iterator[Executor]:
    from distributed import Client
    try:
        client = Client(address, timeout=PATIENCE)
    except (OSError, TypeError, ValueError) as error:     # what Dask says of odd addresses
        raise QsnnError(f"--dask must be the address of a scheduler that answers, not {address!r} "
                        f"({error}); 'dask scheduler' starts one") from None
    with client, client.get_executor() as executor:
        yield executor


@contextmanager
def _bar(title: str) -> "Iterator[Progress]":
    """A bar on standard error, moved by being told how many of how many are done."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
               TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, of: bar.update(task, completed=done, total=of)


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
