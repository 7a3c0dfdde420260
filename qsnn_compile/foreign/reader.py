"""From a file of another library to the fixed-point IR: its front end, and what it leaves open."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qsnn_compile import ir
from qsnn_compile.foreign.nir.file import is_nir
from qsnn_compile.foreign.nir.front import read_nir
from qsnn_compile.foreign.nir.options import Given, Told, told
from qsnn_compile.foreign.onnx.front import read_onnx
from qsnn_compile.loader.parse import OnnxError, parsed
from qsnn_compile.passes.legalise import MAX_STEPS, check_layers, check_steps
from qsnn_compile.quantise.network import quantise
from qsnn_compile.quantise.report import Report
from qsnn_compile.reals.calibrate import (
    DEFAULT_STEPS,
    InputCodes,
    read_data,
    read_labels,
    real_numbers,
    told_codes,
)
from qsnn_compile.reals.float_model import DataError
from qsnn_compile.reals.normal_form import Network, Neuron, Node
from qsnn_compile.reals.shapes import ShapeError, check_shapes
from qsnn_compile.system.errors import Unsupported

Array = NDArray[Any]
LARGEST = 1e18                  # beyond it, products leave what floats can say


@dataclass(frozen=True)
class Options:
    """What the command line says about a file of another library. ``calibrate`` is an .npz file;
    ``coding`` is direct or frames; None leaves it to the file and the data. ``dt``, ``reset``,
    ``spikes`` and ``clamp`` are `read_nir`'s. Where ``input_scale`` is given, whole numbers in the
    data are codes: x = input_scale · (code - input_zero_point)."""

    weight_bits: int = 8
    membrane_bits: int = 12
    input_bits: int | None = None
    decay_bits: int | None = None
    calibrate: str | None = None
    dt: Given = None
    reset: Given = None
    coding: str | None = None
    spikes: Given = None
    clamp: Given = None
    input_scale: float | None = None
    input_zero_point: int | None = None

    def codes(self, x: Array | None) -> InputCodes | None:
        """The input's codes as told, *x* being the data; None where nothing is. Raises DataError.
        """
        if self.input_scale is None:
            if self.input_zero_point is not None:
                raise DataError("--input-zero-point must come with --input-scale, not alone; say "
                                "what 1 of the input's codes is worth")
            return None
        return told_codes(self.input_scale, self.input_zero_point or 0, self.input_bits, x)

    def told(self) -> Told:
        """What is said about the nodes of a NIR file. Raises NirError."""
        return told(self.dt, self.reset, self.spikes, self.clamp)


@dataclass(frozen=True, eq=False)
class Foreign:
    """A file understood and quantised; ``data`` is what calibrated it, in real numbers, and
    ``labels`` its right classes, where known."""

    network: Network
    graph: ir.Graph
    report: Report
    data: Array | None
    labels: NDArray[np.int64] | None = None


def is_foreign(path: str | Path) -> bool:
    """Whether the file at *path* is another library's: NIR, or an ONNX file with a graph that has
    nothing of our dialect. A file that can't be read is left to the front end of ours."""
    if is_nir(path):
        return True
    try:
        model = parsed(path)
    except OnnxError:
        return False
    if any(p.key.startswith("qsnn.") for p in model.metadata_props):
        return False
    ours = [node for owner in (model.graph, *model.functions) for node in owner.node]
    return not any(node.domain == "qsnn" and node.op_type == "QLIF" for node in ours)


def read_foreign(path: str | Path, options: Options, steps: int | None = None) -> Network:
    """The normal form of the file at *path*. Raises QsnnError."""
    if steps is not None and steps > MAX_STEPS:     # before the work of so many
        raise DataError(f"{path}: steps must be at most {MAX_STEPS}, not {steps!r}; use a shorter "
                        "window")
    if is_nir(path):
        with np.errstate(all="ignore"):
            network = read_nir(path, dt=options.dt, reset=options.reset, spikes=options.spikes,
                               clamp=options.clamp)
        return _sound(path, replace(network, steps=steps))
    for name in ("dt", "reset", "spikes", "clamp"):
        value = getattr(options, name)
        if value is not None:
            shown = value if isinstance(value, str | float | int) else " ".join(map(str, value))
            raise DataError(f"{path}: --{name} must be left out for an ONNX file, which says it, "
                            f"not {shown!r}")
    with np.errstate(all="ignore"):     # what isn't finite is refused by name
        return _sound(path, read_onnx(path, steps=steps))


def _sound(path: str | Path, network: Network) -> Network:
    """*network*, if its numbers are finite and its shapes go together. Raises QsnnError."""
    try:
        check_shapes(network)
    except ShapeError as error:
        raise ShapeError(f"{path}: {error}") from None
    return _finite(path, network)


def _finite(path: str | Path, network: Network) -> Network:
    """*network*, if its numbers are finite; a threshold or a clamp may be infinite. Raises
    DataError."""
    for node in network.nodes:
        for name, value in vars(node.op).items():
            if not isinstance(value, np.ndarray):
                continue
            good = ~np.isnan(value) if isinstance(node.op, Neuron) else np.isfinite(value)
            origin = f" ({node.origin})" if node.origin else ""
            beyond = np.isfinite(value) & (np.abs(value) > LARGEST)
            if beyond.any() and name != "clamp":
                raise DataError(f"{path}: node {node.name!r}{origin}: {name} must be at most "
                                f"{LARGEST:g} in size, not {float(value[beyond][0]):g}; the "
                                "training has diverged: export weights from before")
            if not good.all():
                raise DataError(f"{path}: node {node.name!r}{origin}: {name} must be finite, not "
                                f"{float(value[~good][0])!r}; the training has diverged: export "
                                "weights from before")
    return network


def quantise_file(path: str | Path, options: Options, *, steps: int | None = None,
                  readout: str | None = None) -> Foreign:
    """The file at *path* in integers, for the core: without data, what the file leaves open is
    taken as the core runs it, and noted. Raises QsnnError."""
    network = read_foreign(path, options)
    check_layers(sum(isinstance(node.op, Neuron) for node in network.nodes))
    check_steps(network.steps or 0)
    data = None if options.calibrate is None else read_data(options.calibrate)
    labels = None if options.calibrate is None or data is None else read_labels(
        options.calibrate, len(data))
    codes = options.codes(data)
    data = None if data is None else real_numbers(data, codes)
    open_ended = network.steps is None and network.coding == "frames" and not is_nir(path)
    network = _coded(network, options.coding, data, open_ended)
    network = _stepped(network if steps is None else replace(network, steps=steps), data)
    bits = 1 if data is None and network.coding == "frames" else 8
    bits = bits if options.input_bits is None else options.input_bits
    graph, report = quantise(
        network, weight_bits=options.weight_bits, membrane_bits=options.membrane_bits,
        input_bits=bits, decay_bits=options.decay_bits, calibrate=data, readout=readout,
        codes=codes)
    return Foreign(network, graph, report, data, labels)


def runnable(foreign: Foreign) -> ir.Graph:
    """The graph, if the core has what its nodes need. Raises Unsupported, in the words of the file:
    the IR says some of them in many nodes."""
    for node in foreign.network.nodes:
        reason = _lacking(node)
        if reason is not None:
            origin = f" ({node.origin})" if node.origin else ""
            raise Unsupported(f"node {node.name!r}{origin}: {reason}; it is understood: qsnn check "
                              "simulates it with the golden model")
    return foreign.graph


def _lacking(node: Node) -> str | None:
    """What *node* needs that the core's neurons must be without."""
    op = node.op
    if not isinstance(op, Neuron):
        return None
    if op.max_spikes > 1:
        most = "any number of" if np.isinf(op.max_spikes) else f"{int(op.max_spikes)}"
        return f"neurons must send at most one spike a step in the core, not {most} spikes"
    if op.raised is not None:
        return ("a threshold must be the same at every step in the core, not raised behind a spike "
                "(snnTorch's reset_delay=False)")
    if op.grid is not None and op.delayed and op.reset == "soft":
        return ("a quantised state must be reset before it is rounded in the core, not a step "
                "late")
    return None


def _coded(network: Network, coding: str | None, data: Array | None, open_ended: bool) -> Network:
    """*network* with the coding asked for, else the data's, else the core's: a file of one step,
    *open_ended*, does not say whether x changes from step to step."""
    if coding not in (None, "direct", "frames"):
        raise DataError(f"coding must be direct or frames, not {coding!r}")
    if coding == "frames":
        return replace(network, coding="frames")
    still = data is None or data.size == len(data) * int(np.prod(network.input_shape))
    if coding is None and not (open_ended and still):
        return network
    note = "" if coding else "x is the same at every step" + (
        ": the file says one step; else --coding frames" if data is None else ", as in the data")
    return replace(network, coding="direct", notes=(*network.notes, *([note] if note else [])))


def _stepped(network: Network, data: Array | None) -> Network:
    if network.steps is not None:
        return network
    if data is not None and network.coding == "frames" and data.ndim > 1:
        return replace(network, steps=int(data.shape[1]))
    note = f"{DEFAULT_STEPS} steps: the file says one step; else --steps T"
    return replace(network, steps=DEFAULT_STEPS, notes=(*network.notes, note))
