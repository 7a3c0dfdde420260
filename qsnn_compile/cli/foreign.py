"""What qsnnc and qsnn check share about files of other libraries: tables, and the golden model
that judges them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from qsnn_compile.system.text import line, marked

if TYPE_CHECKING:
    import numpy as np

    from qsnn_compile.compare.layers import LayerCheck
    from qsnn_compile.foreign.reader import Foreign
    from qsnn_compile.ir import Graph
    from qsnn_sim.golden.golden import Result

SAMPLES = 256                   # of the data, for the table


def golden(graph: "Graph", x: "np.ndarray[Any, Any]") -> "Result":
    """All that the golden model does on *x*."""
    from qsnn_sim.golden.golden import run
    return run(graph, x, record="all")


def judged(foreign: "Foreign") -> "tuple[tuple[LayerCheck, ...], dict[str, float] | None, int]":
    """A quantised file before and after, on its data or on random inputs: its layers, where the
    classes are known its accuracies, and the number of samples."""
    import numpy as np

    from qsnn_compile.compare.check import FIXED, FLOAT, accuracies, classes_of
    from qsnn_compile.compare.layers import layer_checks
    from qsnn_compile.reals.calibrate import InputCodes, random_data
    from qsnn_compile.reals.float_model import arranged, run
    network, graph = foreign.network, foreign.graph
    scale, zero = map(float, graph.input.per_channel())
    codes = InputCodes(graph.input.bits, scale, int(zero), "")
    x = foreign.data[:SAMPLES] if foreign.data is not None else \
        random_data(network, codes, graph.steps)
    frames = arranged(network, np.asarray(x), graph.steps).astype(np.float32)
    fixed = golden(graph, frames if network.coding == "frames" else frames[:, 0])
    floats = run(network, frames)
    layers = layer_checks(network, graph, foreign.report, floats.spikes, fixed)
    if foreign.labels is None:
        return layers, None, len(frames)
    answers = floats.output.reshape(*floats.output.shape[:2], -1)
    return layers, accuracies({FLOAT: classes_of(graph, answers), FIXED: fixed.classes},
                              foreign.labels[:SAMPLES]), len(frames)


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
