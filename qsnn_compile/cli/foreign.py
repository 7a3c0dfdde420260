"""What qsnnc and qsnn check share about files of other libraries: options, tables, the golden
model that judges them."""

import argparse
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from qsnn_compile.system.text import line, marked

if TYPE_CHECKING:
    import numpy as np

    from qsnn_compile.compare.layers import LayerCheck
    from qsnn_compile.foreign.reader import Foreign, Options
    from qsnn_compile.ir import Graph
    from qsnn_sim.golden.golden import Result

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
    group.add_argument("--input-scale", type=float, metavar="S", help="whole numbers in the data "
                       "are codes: x = S · (code - zero point), as 0.00392157 for pixels of a "
                       "network that was trained on x / 255 (default: they are x itself)")
    group.add_argument("--input-zero-point", type=int, metavar="Z",
                       help="the code that stands for 0 (default: 0)")
    group.add_argument("--decay-bits", type=int, metavar="Q", help="of a decay's fraction "
                       "(default: as many as the membrane's, 8 to 16)")
    group.add_argument("--calibrate", metavar="NPZ",
                       help="x, for the ranges of input and membranes (default: random inputs)")
    group.add_argument("--dt", metavar="[NODE=]DT", action="append", help="NIR: the time step, a "
                       "number or the library (snntorch, spikingjelly, sinabs, sinabs-normed, "
                       "sinabs-unnormed, norse); again for a node, as --explain names it")
    group.add_argument("--reset", metavar="[NODE=]HOW", action="append", help="NIR: hard, soft, "
                       "none, delayed-soft or delayed-hard; again for a node (default: the "
                       "library's, hard for a number)")
    group.add_argument("--spikes", metavar="[NODE=]N", action="append", help="NIR: the most a "
                       "neuron sends in a step, a number or many; again for a node (default: 1)")
    group.add_argument("--clamp", metavar="[NODE=]V", action="append", help="NIR: the lowest "
                       "membrane; again for a node (default: none)")


def options_of(arguments: argparse.Namespace) -> "Options":
    """The options that `add_options` added."""
    from qsnn_compile.foreign.reader import Options
    return Options(arguments.weight_bits, arguments.membrane_bits, arguments.input_bits,
                   arguments.decay_bits, arguments.calibrate, _once(arguments.dt),
                   _once(arguments.reset), getattr(arguments, "coding", None),
                   _once(arguments.spikes), _once(arguments.clamp), arguments.input_scale,
                   arguments.input_zero_point)


def _once(given: "list[str] | None") -> tuple[str, ...] | None:
    return None if given is None else tuple(given)


def golden(graph: "Graph", x: "np.ndarray[Any, Any]") -> "Result":
    """All that the golden model does on *x*."""
    from qsnn_sim.golden.golden import run
    return run(graph, x, record="all")


def judged(found: "Foreign") -> "tuple[tuple[LayerCheck, ...], dict[str, float] | None, int]":
    """A quantised file before and after, on its data or on random inputs: its layers, where the
    classes are known its accuracies, and the number of samples."""
    import numpy as np

    from qsnn_compile.compare.check import FIXED, FLOAT, accuracies, classes_of
    from qsnn_compile.compare.layers import layer_checks
    from qsnn_compile.reals.calibrate import InputCodes, random_data
    from qsnn_compile.reals.float_model import arranged, run
    network, graph = found.network, found.graph
    scale, zero = map(float, graph.input.per_channel())
    codes = InputCodes(graph.input.bits, scale, int(zero), "")
    x = found.data[:SAMPLES] if found.data is not None else \
        random_data(network, codes, graph.steps)
    frames = arranged(network, np.asarray(x), graph.steps).astype(np.float32)
    fixed = golden(graph, frames if network.coding == "frames" else frames[:, 0])
    floats = run(network, frames)
    layers = layer_checks(network, graph, found.report, floats.spikes, fixed)
    if found.labels is None:
        return layers, None, len(frames)
    answers = floats.output.reshape(*floats.output.shape[:2], -1)
    return layers, accuracies({FLOAT: classes_of(graph, answers), FIXED: fixed.classes},
                              found.labels[:SAMPLES]), len(frames)


def print_accuracy(accuracy: "Mapping[str, float] | None", samples: int) -> None:
    """The accuracies on so many *samples*, by what gave the answers, where they are known."""
    from rich.console import Console
    if accuracy is not None:
        shares = ", ".join(f"{name} {share:.2%}" for name, share in accuracy.items())
        Console(soft_wrap=True).print(f"accuracy on {samples} samples: {shares}", highlight=False,
                                      markup=False)


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


def print_notes(notes: Iterable[str], warnings: Iterable[str] = ()) -> None:
    """What was assumed, and what may be wrong."""
    from rich.console import Console
    console = Console(soft_wrap=True)
    for note in [*(f"assumed: {note}" for note in notes),
                 *(f"warning: {warning}" for warning in warnings)]:
        console.print(line(note), highlight=False, markup=False)
