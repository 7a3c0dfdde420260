"""What qsnnc and qsnn check share about files of other libraries: options, tables, the golden
model that judges them."""

import argparse
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from qsnn_compile.plain import line, marked

if TYPE_CHECKING:
    import numpy as np

    from qsnn_compile.foreign.check import LayerCheck
    from qsnn_compile.foreign.quantise_file import Foreign, Options
    from qsnn_compile.ir import Graph
    from qsnn_sim.golden import Result

SAMPLES = 256                   # of the data, for the table


def add_options(parser: argparse.ArgumentParser) -> None:
    """The arguments about a file of another library."""
    group = parser.add_argument_group("files of other libraries")
    group.add_argument("--weight-bits", type=int, default=8, metavar="W",
                       help="of weights that aren't quantised yet (default: %(default)s)")
    group.add_argument("--membrane-bits", type=int, default=12, metavar="U",
                       help="of the stored membranes (default: %(default)s)")
    group.add_argument("--input-bits", type=int, metavar="B", help="of the input's codes (default: "
                       "8, or 1 for frames of spikes)")
    group.add_argument("--decay-bits", type=int, metavar="Q", help="of a decay's fraction "
                       "(default: as many as the membrane's, 8 to 16)")
    group.add_argument("--calibrate", metavar="NPZ",
                       help="x, for the ranges of input and membranes (default: random inputs)")
    group.add_argument("--dt", metavar="DT", help="NIR: the time step, a number or the library "
                       "(snntorch, spikingjelly, sinabs, norse)")
    group.add_argument("--reset", metavar="HOW", help="NIR: hard, soft, none, delayed-soft or "
                       "delayed-hard (default: hard, NIR's own)")


def options_of(arguments: argparse.Namespace) -> "Options":
    """The options that `add_options` added."""
    from qsnn_compile.foreign.quantise_file import Options
    return Options(arguments.weight_bits, arguments.membrane_bits, arguments.input_bits,
                   arguments.decay_bits, arguments.calibrate, arguments.dt, arguments.reset,
                   getattr(arguments, "coding", None))


def golden(graph: "Graph", x: "np.ndarray[Any, Any]") -> "Result":
    """All that the golden model does on *x*."""
    from qsnn_sim.golden import run
    return run(graph, x, record="all")


def layers_of(found: "Foreign") -> "tuple[LayerCheck, ...]":
    """A quantised file before and after, on its data or on random inputs."""
    import numpy as np

    from qsnn_compile.foreign.calibrate import InputCodes, random_data
    from qsnn_compile.foreign.check import layer_checks
    from qsnn_compile.foreign.float_model import arranged, run
    network, graph = found.network, found.graph
    source = graph.input
    codes = InputCodes(source.bits, source.scale, source.zero_point, "")
    x = found.data[:SAMPLES] if found.data is not None else \
        random_data(network, codes, graph.steps)
    frames = arranged(network, np.asarray(x), graph.steps).astype(np.float32)
    fixed = golden(graph, frames if network.coding == "frames" else frames[:, 0])
    return layer_checks(network, graph, found.report, run(network, frames).spikes, fixed)


def print_layers(layers: "Sequence[LayerCheck]", title: str = "float and fixed point") -> None:
    """The table, and what would cure a layer gone wrong."""
    from rich.console import Console
    from rich.table import Table
    table = Table("layer", "neurons", "rate before", "after", "saturated", "spikes that differ",
                  "by step", "first (sample, step, neuron)", title=title)
    for layer in layers:
        wrong = sum(layer.mismatches)
        table.add_row(marked(layer.name), str(layer.neurons), f"{layer.float_rate:.3%}",
                      f"{layer.fixed_rate:.3%}", f"{layer.saturated:.2%}",
                      f"{wrong} of {layer.spikes} ({wrong / max(1, layer.spikes):.2%})",
                      _steps(layer.mismatches), "" if layer.first is None else str(layer.first))
    console = Console()
    console.print(table)
    for layer in layers:
        if layer.advice:
            console.print(line(f"warning: {layer.advice}"), highlight=False, markup=False)


def _steps(mismatches: Sequence[int]) -> str:
    shown = " ".join(map(str, mismatches[:12]))
    return shown + (" …" if len(mismatches) > 12 else "")


def print_notes(notes: Iterable[str]) -> None:
    """What was assumed."""
    from rich.console import Console
    console = Console()
    for note in notes:
        console.print(line(f"assumed: {note}"), highlight=False, markup=False)
