"""qsnnc: compile a model."""

import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from types import SimpleNamespace
from typing import TYPE_CHECKING

from qsnn_compile.system.errors import QsnnError
from qsnn_compile.system.outputs import check_file, check_outside
from qsnn_compile.system.text import line

from . import options
from .foreign import judged, print_accuracy, print_layers
from .frame import command, option, start
from .kinds import FILE, OneOf, Real, Whole
from .output import check_json, write_json
from .progress import spinner

if TYPE_CHECKING:
    from qsnn_compile.foreign.reader import Foreign
    from qsnn_compile.ir import Graph


def main(argv: list[str] | None = None) -> int:
    """The command ``qsnnc``. Returns its exit code."""
    return start(qsnnc, sys.argv[1:] if argv is None else argv)


@command("qsnnc", epilog="Exit codes: 0 done, 2 bad input, 3 does not fit the target.")
@options.model
@options.version
@options.target
@option("-o", "--output", type=FILE, metavar="DIR", help="The build folder, an earlier build there "
        "is replaced; may be left out with --explain or --nir.")
@option("--bitstream", is_flag=True, help="Run synthesis and place and route too, at the fastest "
        "clock that the placed design reaches.")
@option("--clock", type=Real(), metavar="MHZ", help="The core's clock, or the fastest below it "
        "that the board makes; a bitstream must reach it. [default: the fastest that is reached; "
        "without --bitstream the board's table's]")
@options.lanes(help="Synaptic operations a clock, a power of two. [default: what fits]")
@option("--goal", type=OneOf(("latency", "area", "energy")), default="latency",
        help="What the machine is chosen for, of those that fit; qsnn explore shows them.")
@option("--max-lc", type=Whole(), metavar="N", help="Logic cells at most.")
@option("--latency-us", type=Real(), metavar="X", help="µs at most of a typical sample, at --clock "
        "or the clock of the board's table, and at the bitstream's.")
@option("--stream", is_flag=True, help="Answer after every step, for ever, not after a window of "
        "steps.")
@option("--exit-margin", type=Whole(), metavar="M", help="An answer is settled when the best score "
        "leads the next by M: a window ends there.")
@options.steps
@option("--readout", type=OneOf(("count", "potential", "last")),
        help="How steps become scores, before the file's own.")
@option("--explain", is_flag=True, help="Print what was understood of each layer, where each "
        "number is from, what was rounded and by how much.")
@option("--nir", type=FILE, metavar="FILE", help="Write the network as NIR too, as far as NIR can "
        "say it.")
@option("--print-between-passes", is_flag=True, help="Print the network after each pass.")
@options.json
@options.foreign
@options.coding
def qsnnc(given: SimpleNamespace) -> int:
    """Compile a trained spiking network (ONNX, NIR) into an FPGA accelerator: fixed-point IR,
    program image, Verilog, constraints, report."""
    from qsnn_compile.builds.report import print_report
    from qsnn_compile.compiler import compile_model, read_model
    from qsnn_compile.lower.mapping import Mode
    from qsnn_compile.search.choose import Aim
    _check(given)
    if given.output is None:
        understood = read_model(given.model, given.steps, given.readout, options.foreign_of(given))
        _shown(understood, given)
        return 0
    build = compile_model(
        given.model, target_name=given.target, output=given.output,
        bitstream=given.bitstream, clock=given.clock, steps=given.steps,
        readout=given.readout,
        aim=Aim(given.goal, given.lanes, given.max_lc, given.latency_us,
                Mode(given.stream, given.exit_margin)),
        progress=spinner,
        watch=_print_pass(given) if given.print_between_passes else None,
        options=options.foreign_of(given), understood=lambda read: _aside(read, given))
    if given.json != "-":
        print_report(build.report)
    if given.json:
        write_json(build.report, given.json)
    return 0


def _check(given: SimpleNamespace) -> None:
    """Raise QsnnError for options that don't go together and for a place where something can't be
    written: before the work."""
    if given.output is None and not given.explain and given.nir is None:
        raise QsnnError("-o/--output DIR must be given, but with --explain or --nir; qsnnc --help "
                        "lists the arguments")
    if given.output is None and given.json is not None:
        raise QsnnError("--json writes the report of a build: it must come with -o/--output")
    check_json(given.json)
    check_file("--nir", given.nir)
    for name, file in (("--json", given.json), ("--nir", given.nir)):
        check_outside(name, file, given.output)


def _aside(understood: "Graph | Foreign", given: SimpleNamespace) -> None:
    """`_shown`, on standard error where standard output is for the report alone."""
    with redirect_stdout(sys.stderr if given.json == "-" else sys.stdout):
        _shown(understood, given)


def _shown(understood: "Graph | Foreign", given: SimpleNamespace) -> None:
    """What the command line asks about the model itself."""
    if given.explain:
        _explain(understood)
    else:
        _judge(understood)
    if given.nir is not None:
        from qsnn_compile.foreign.nir.export import export_nir
        from qsnn_compile.ir import Graph
        graph = understood if isinstance(understood, Graph) else understood.graph
        for note in export_nir(graph, given.nir):
            print(f"qsnnc: {line(f'{given.nir}: {note}')}", file=sys.stderr)


def _explain(understood: "Graph | Foreign") -> None:
    """What was understood and rounded; before and after."""
    from qsnn_compile.ir import Graph
    from qsnn_compile.quantise.explain import explain_graph, print_explanation
    if isinstance(understood, Graph):
        print_explanation(explain_graph(understood))
        return
    print_explanation(understood.report)
    where = "random inputs" if understood.data is None else "the data given"
    layers, accuracy, samples = judged(understood)
    print_layers(layers, f"float and fixed point on {where}")
    print_accuracy(accuracy, samples)


def _judge(understood: "Graph | Foreign") -> None:
    """Say on standard error what was assumed of another library's file, and warn of a layer that
    quantisation has broken; with data, the whole table."""
    from qsnn_compile.ir import Graph
    if isinstance(understood, Graph):
        return
    layers, accuracy, samples = judged(understood)
    for note in [*(f"assumed: {note}" for note in understood.network.notes),
                 *(f"warning: {warning}" for warning in understood.report.warnings),
                 *(f"warning: {layer.advice}" for layer in layers if layer.advice)]:
        print(f"qsnnc: {line(note)}", file=sys.stderr)
    if understood.data is not None:
        print_layers(layers, "float and fixed point on the data given")
    print_accuracy(accuracy, samples)


def _print_pass(given: SimpleNamespace) -> Callable[[str, str, "Graph"], None]:
    """Prints a network, on standard error where ``--json`` has standard output."""
    def show(name: str, description: str, graph: "Graph") -> None:
        from qsnn_compile.ir import to_text
        print(f"// after {name}: {description}\n{to_text(graph)}",
              file=sys.stderr if given.json == "-" else sys.stdout)
    return show


if __name__ == "__main__":
    sys.exit(main())
