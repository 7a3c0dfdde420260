"""qsnnc: compile a model."""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING, Any

from qsnn_compile.chips.targets import target_names
from qsnn_compile.system.outputs import check_file, check_outside, whole
from qsnn_compile.system.text import line

from .errors import Arguments, Version, run
from .foreign import add_options, judged, options_of, print_accuracy, print_layers

if TYPE_CHECKING:
    from qsnn_compile.foreign.reader import Foreign
    from qsnn_compile.ir import Graph


def main(argv: list[str] | None = None) -> int:
    """The command ``qsnnc``. Returns its exit code."""
    options = parser().parse_args(argv)
    if options.output is None and not options.explain and options.nir is None:
        parser().error("the following arguments are required: -o/--output")
    if options.output is None and options.json is not None:
        parser().error("--json writes the report of a build: it must come with -o/--output")
    return run("qsnnc", lambda: _compile(options))


def parser() -> argparse.ArgumentParser:
    """The arguments of ``qsnnc``."""
    made = Arguments(
        prog="qsnnc", description="Compile a trained spiking network (ONNX, NIR) into an FPGA "
        "accelerator: fixed-point IR, program image, Verilog, constraints, report.",
        epilog="Exit codes: 0 done, 2 bad input, 3 does not fit the target.")
    made.add_argument("model", help="the ONNX or NIR file")
    made.add_argument("--version", action=Version)
    made.add_argument("--target", default="ice40", metavar="NAME",
                      help=f"{', '.join(target_names())} (default: %(default)s)")
    made.add_argument("-o", "--output", metavar="DIR",
                      help="the build folder, an earlier build there is replaced; may be left out "
                      "with --explain or --nir")
    made.add_argument("--bitstream", action="store_true",
                      help="run synthesis and place and route too, at the fastest clock that the "
                      "placed design reaches")
    made.add_argument("--clock", type=float, metavar="MHZ", help="the core's clock, or the fastest "
                      "below it that the board makes; a bitstream must reach it (default: the "
                      "fastest that is reached; without --bitstream the board's table's)")
    made.add_argument("--lanes", type=int, metavar="N",
                      help="synaptic operations a clock, a power of two (default: what fits)")
    made.add_argument("--goal", choices=("latency", "area", "energy"), default="latency",
                      help="what the machine is chosen for, of those that fit (default: "
                      "%(default)s); qsnn explore shows them")
    made.add_argument("--max-lc", type=int, metavar="N", help="logic cells at most")
    made.add_argument("--latency-us", type=float, metavar="X",
                      help="µs at most of a typical sample, at --clock or the clock of the board's "
                      "table, and at the bitstream's")
    made.add_argument("--stream", action="store_true", help="answer after every step, for ever, "
                      "not after a window of steps")
    made.add_argument("--exit-margin", type=int, metavar="M", help="an answer is settled when the "
                      "best score leads the next by M: a window ends there")
    made.add_argument("--steps", type=int, metavar="T", help="time steps, before the file's own")
    made.add_argument("--readout", choices=("count", "potential", "last"),
                      help="how steps become scores, before the file's own")
    made.add_argument("--explain", action="store_true", help="print what was understood of each "
                      "layer, where each number is from, what was rounded and by how much")
    made.add_argument("--nir", metavar="FILE", help="write the network as NIR too, as far as NIR "
                      "can say it")
    made.add_argument("--print-between-passes", action="store_true",
                      help="print the network after each pass")
    made.add_argument("--json", metavar="FILE", help="write the report there too; - is standard "
                      "output, in place of the table")
    add_options(made)
    made.add_argument("--coding", choices=("direct", "frames"), help="whether x is the same at "
                      "every step, where the file leaves it open")
    return made


def _compile(options: argparse.Namespace) -> int:
    from qsnn_compile.builds.report import print_report
    from qsnn_compile.compiler import compile_model, read_model
    from qsnn_compile.lower.mapping import Mode
    from qsnn_compile.search.choose import Aim
    _check(options)
    if options.output is None:
        found = read_model(options.model, options.steps, options.readout, options_of(options))
        _shown(found, options)
        return 0
    build = compile_model(
        options.model, target_name=options.target, output=options.output,
        bitstream=options.bitstream, clock=options.clock, steps=options.steps,
        readout=options.readout,
        aim=Aim(options.goal, options.lanes, options.max_lc, options.latency_us,
                Mode(options.stream, options.exit_margin)),
        progress=_progress,
        watch=_print_pass(options) if options.print_between_passes else None,
        options=options_of(options), understood=lambda found: _aside(found, options))
    if options.json != "-":
        print_report(build.report)
    if options.json:
        write_json(build.report, options.json)
    return 0


def _check(options: argparse.Namespace) -> None:
    """Raise OutputError for a place where something can't be written: before the work."""
    check_json(options.json)
    check_file("--nir", options.nir)
    for option, file in (("--json", options.json), ("--nir", options.nir)):
        check_outside(option, file, options.output)


def _aside(found: "Graph | Foreign", options: argparse.Namespace) -> None:
    """`_shown`, on standard error where standard output is for the report alone."""
    with redirect_stdout(sys.stderr if options.json == "-" else sys.stdout):
        _shown(found, options)


def _shown(found: "Graph | Foreign", options: argparse.Namespace) -> None:
    """What the command line asks about the model itself."""
    if options.explain:
        _explain(found)
    else:
        _judge(found)
    if options.nir is not None:
        from qsnn_compile.foreign.nir.export import export_nir
        from qsnn_compile.ir import Graph
        graph = found if isinstance(found, Graph) else found.graph
        for note in export_nir(graph, options.nir):
            print(f"qsnnc: {line(f'{options.nir}: {note}')}", file=sys.stderr)


def _explain(found: "Graph | Foreign") -> None:
    """What was understood and rounded; before and after."""
    from qsnn_compile.ir import Graph
    from qsnn_compile.quantise.explain import explain_graph, print_explanation
    if isinstance(found, Graph):
        print_explanation(explain_graph(found))
        return
    print_explanation(found.report)
    where = "random inputs" if found.data is None else "the data given"
    layers, accuracy, samples = judged(found)
    print_layers(layers, f"float and fixed point on {where}")
    print_accuracy(accuracy, samples)


def _judge(found: "Graph | Foreign") -> None:
    """Say on standard error what was assumed of another library's file, and warn of a layer that
    quantisation has broken; with data, the whole table."""
    from qsnn_compile.ir import Graph
    if isinstance(found, Graph):
        return
    layers, accuracy, samples = judged(found)
    for note in [*(f"assumed: {note}" for note in found.network.notes),
                 *(f"warning: {warning}" for warning in found.report.warnings),
                 *(f"warning: {layer.advice}" for layer in layers if layer.advice)]:
        print(f"qsnnc: {line(note)}", file=sys.stderr)
    if found.data is not None:
        print_layers(layers, "float and fixed point on the data given")
    print_accuracy(accuracy, samples)


def check_json(file: str | None) -> None:
    """Raise OutputError unless ``--json`` *file* can be written: before the work, not after it."""
    if file != "-":
        check_file("--json", file)


def write_json(data: dict[str, Any], file: str) -> None:
    """*data* as JSON into *file*, ``-`` for standard output. Raises OutputError."""
    text = json.dumps(data, indent=1) + "\n"
    if file == "-":
        sys.stdout.write(text)
        return
    with whole("--json", file) as path:
        path.write_text(text, encoding="utf-8")


def _print_pass(options: argparse.Namespace) -> Callable[[str, str, "Graph"], None]:
    """Prints a network, on standard error where ``--json`` has standard output."""
    def show(name: str, description: str, graph: "Graph") -> None:
        from qsnn_compile.ir import to_text
        print(f"// after {name}: {description}\n{to_text(graph)}",
              file=sys.stderr if options.json == "-" else sys.stdout)
    return show


@contextmanager
def _progress(stage: str) -> Iterator[None]:
    """*stage* and its running time on standard error."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    if not console.is_terminal:
        console.print(f"{stage} …", highlight=False)
    with Progress(*columns, console=console, transient=False,
                  disable=not console.is_terminal) as bar:
        task = bar.add_task(stage, total=1)
        yield
        bar.update(task, completed=1)


if __name__ == "__main__":
    sys.exit(main())
