"""What the commands read: a build folder, and samples from an ``.npz`` file."""

import sys
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qsnn_compile.builds import manifest
from qsnn_compile.builds.report import read_report
from qsnn_compile.ir import Graph, IrError, parse, quantize_input, shapes, verify
from qsnn_compile.lower.mapping import mapped_again
from qsnn_compile.lower.program import Program
from qsnn_compile.system.arrays import ArrayError, NotNpz, read_npz
from qsnn_compile.system.errors import QsnnError
from qsnn_compile.system.files import read_bytes
from qsnn_sim.golden.golden import run

SMALL = 4                       # so many times the codes used, or more: data of another scale
MUCH = 0.2                      # of x beyond what was seen in training: data of another unit


@dataclass(frozen=True, eq=False)
class Build:
    """A folder that qsnnc wrote, read back: `load` trusts none of its files before the others.

    The program is mapped anew from the graph and must be equal, the report must be of that program,
    and the files must be those that the folder's manifest lists.
    """

    folder: Path
    graph: Graph
    program: Program
    report: dict[str, Any]

    @staticmethod
    def load(folder: str | Path) -> "Build":
        """The build in *folder*. Raises QsnnError where something is missing or foreign."""
        folder = Path(folder)
        report, program = read_report(folder), Program.load(folder)
        path = folder / "model.qir"
        try:
            graph = parse(read_bytes(path).decode())
        except OSError as error:
            raise QsnnError(f"{path}: must be a readable file: {error.strerror}; "
                            "compile the model again with qsnnc") from None
        except ValueError as error:                 # IrError, or bytes that are no text
            raise QsnnError(f"{path}: must be the IR that qsnnc wrote: {error}; "
                            "compile the model again with qsnnc") from None
        again = _again(graph, program, report)
        if again is None:
            raise QsnnError(f"{folder}: model.qir, program.json and report.json must be of one "
                            "build, not of several; compile the model again with qsnnc")
        manifest.check(folder, "program.json", "model.qir", "weights.bin",
                       *program.images)
        return Build(folder, graph, again, report)


def _again(graph: Graph, program: Program, report: dict[str, Any]) -> Program | None:
    """*program*, made anew of *graph* with its own choice of lanes and the like; None where that is
    another one, or where *report* is not of both."""
    machine = program.machine
    parameters = machine.parameters
    facts = (machine.digest, program.target, program.board, program.clock_mhz)
    if ((graph.name, graph.steps, graph.input, graph.readout.names)
            != (parameters.name, parameters.steps, program.input, program.class_names)
            or tuple(map(report.get, ("digest", "target", "board", "clock_mhz"))) != facts):
        return None
    try:
        verify(graph)
        made = mapped_again(graph, machine)
    except (ArithmeticError, AssertionError, LookupError, TypeError, ValueError):
        return None                 # choices with which no machine runs this graph
    same = made == (machine, program.image)
    return replace(program, machine=made[0], image=made[1]) if same else None


@dataclass(frozen=True, eq=False)
class Samples:
    """``x``: the integers the network takes; ``y`` [N]: the right classes, where known;
    ``warning``: what may be wrong with them."""

    x: NDArray[np.uint8]
    y: NDArray[np.int64] | None
    warning: str = ""

    def first(self, count: int | None) -> "Samples":
        """The first *count* samples, or all."""
        return Samples(self.x[:count], None if self.y is None else self.y[:count], self.warning)

    def warn(self, command: str) -> None:
        """Say on standard error what may be wrong."""
        if self.warning:
            print(f"{command}: warning: {self.warning}", file=sys.stderr)

    def accuracy(self, graph: Graph) -> float | None:
        """The golden model's share of right classes, where they are known."""
        return None if self.y is None else float((run(graph, self.x).classes == self.y).mean())


def read_samples(path: str | Path, graph: Graph) -> Samples:
    """The samples of an ``.npz`` file, checked against *graph*'s input; images [C, H, W] may be
    flat, row by row. Raises QsnnError."""
    arrays = _read(path)
    try:
        given = _unfolded(graph, arrays["x"])
        x = quantize_input(graph, given)
    except IrError as error:
        raise QsnnError(f"{path}: {error}") from None
    if len(x) == 0:
        raise QsnnError(f"{path}: x must hold at least one sample, not {list(x.shape)!r}")
    return Samples(x, _labels(path, arrays.get("y"), len(x), _classes(graph)),
                   _codes(graph, given) or _beyond(graph, given) or _narrow(graph, x))


def _codes(graph: Graph, x: NDArray[Any]) -> str:
    """What to say of bytes for a network that takes real numbers."""
    return "" if graph.input.takes == "codes" or x.dtype != np.uint8 else (
        "x is uint8, so it is taken as the network's codes, not as real numbers: store real "
        "numbers as floats or as other integers")


def _beyond(graph: Graph, x: NDArray[Any]) -> str:
    """What to say of real *x* of which much lies where no training sample did."""
    share = graph.input.beyond(x, graph.steps)
    return "" if share <= MUCH else (
        f"{share:.0%} of x lie beyond the range that was learnt in training, and are taken as its "
        "ends: store x in the unit of the training data")


def _narrow(graph: Graph, x: NDArray[np.uint8]) -> str:
    """What to say of an *x* that uses a small part of the input's codes; nothing if it doesn't."""
    source, low, high = graph.input, int(x.min()), int(x.max())
    top = (1 << source.bits) - 1
    if source.bits == 1 or source.takes == "reals" or (high - low + 1) * SMALL > top + 1:
        return ""
    scale, zero = map(float, source.per_channel())
    least, most = (scale * (code - zero) for code in (low, high))
    return (f"x uses the codes {low} … {high} of 0 … {top}, the real numbers {least:g} … {most:g}: "
            "right if the network was trained on such numbers; else say what a code is worth with "
            "qsnnc --input-scale, or store x in real numbers as floats")


def _unfolded(graph: Graph, x: NDArray[Any]) -> NDArray[Any]:
    shape = graph.input.shape
    flat = graph.input.coding == "direct" and x.ndim == 2 and x.shape[1] == prod(shape)
    return x.reshape(-1, *shape) if flat else x


def _read(path: str | Path) -> dict[str, NDArray[Any]]:
    """The arrays x and, where there is one, y."""
    try:
        with read_npz(path) as arrays:
            if "x" not in arrays.names:
                raise QsnnError(f"{path}: data must hold an array 'x' [N, ...], not only "
                                f"{arrays.names!r}; write it with numpy.savez(file, x=..., y=...)")
            return {name: arrays[name] for name in ("x", "y") if name in arrays.names}
    except NotNpz:
        raise QsnnError(f"{path}: data must be a whole .npz file, not a truncated one or one of "
                        "another kind; write it with numpy.savez(file, x=..., y=...)") from None
    except OSError as error:
        raise QsnnError(f"{path}: data must be a readable .npz file: {error.strerror}") from None
    except ArrayError as error:
        raise QsnnError(f"{path}: data must be a readable .npz file: {error}") from None


def _classes(graph: Graph) -> int:
    return prod(shapes(graph)[graph.readout.source])


def _labels(path: str | Path, y: NDArray[Any] | None, count: int,
            classes: int) -> NDArray[np.int64] | None:
    if y is None:
        return None
    if y.shape != (count,) or y.dtype.kind not in "iu":
        raise QsnnError(f"{path}: y must be whole numbers [N] = [{count}], "
                        f"not {y.dtype!s} {list(y.shape)!r}")
    wrong = y[(y < 0) | (y >= classes)]
    if len(wrong):
        raise QsnnError(f"{path}: y must be classes 0..{classes - 1}, not {int(wrong[0])!r}")
    return y.astype(np.int64)
