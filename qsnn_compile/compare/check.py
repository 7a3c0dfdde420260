"""`qsnn check`: the source by its own runtime, the float normal form and the integers, side by
side: what was compared with what, mismatches by step, the first divergence, accuracies."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qsnn_compile import ir
from qsnn_compile.foreign.reader import Options, read_foreign
from qsnn_compile.quantise.network import quantise
from qsnn_compile.quantise.report import Report
from qsnn_compile.reals.calibrate import (
    InputCodes,
    input_codes,
    names_in,
    read_data,
    read_labels,
    real_numbers,
)
from qsnn_compile.reals.float_model import DataError, Run, arranged, run
from qsnn_compile.reals.normal_form import Network, Neuron

from .layers import LayerCheck, Result, by_step, first, layer_checks
from .source_runtime import EQUATIONS, run_source

Array = NDArray[Any]
FLOAT, FIXED = "float normal form", "fixed point"
Golden = Callable[[ir.Graph, Array], Result]


@dataclass(frozen=True)
class Check:
    """The comparison. ``spikes`` answers were compared with those of the ``reference``: stored with
    the data, or run by ``runtime``; ``ties`` of them, where the potential lies within 4 ulp of the
    threshold, are left out of ``float_mismatches``. ``compared_with_library`` is false where the
    reference is only our own reading of the file. ``runtime_mismatches`` is None where the runtime
    is the reference, ``fixed_mismatches`` where the network ends in a potential, which integers
    count in other units. ``same_class``: the share of samples to which the integers give the
    reference's class. ``accuracy`` on the ``samples``, by what gave the answers, where the data
    hold y."""

    model: str
    runtime: str
    reference: str
    compared_with_library: bool
    spikes: int
    runtime_mismatches: int | None
    float_mismatches: int
    ties: int
    fixed_mismatches: int | None
    weight_bits: int
    membrane_bits: int
    layers: tuple[LayerCheck, ...]
    float_steps: tuple[int, ...]
    fixed_steps: tuple[int, ...]
    float_first: tuple[int, int, int] | None
    fixed_first: tuple[int, int, int] | None
    samples: int
    same_class: float
    accuracy: dict[str, float] | None
    notes: tuple[str, ...] = field(default=())
    warnings: tuple[str, ...] = field(default=())

    @property
    def good(self) -> bool:
        """The float normal form does what the library does, as far as these data show."""
        return self.compared_with_library and not (self.float_mismatches or self.runtime_mismatches)


def check(model: str | Path, data: str | Path, options: Options, golden: Golden, *,
          steps: int | None = None) -> Check:
    """Compare the file *model* with its float normal form and its integers on the arrays ``x``
    and, where stored, ``spk`` and ``y`` of the file *data*. Raises QsnnError."""
    network, notes = read_foreign(model, options, steps), list[str]()
    given, stored = read_data(data), _stored(data)
    told = options.codes(given)
    frames = framed(network, real_numbers(given, told), notes)
    network = replace(network, steps=frames.shape[1])
    graph, report = _quantised(network, frames, options, told)
    runtime, answers = run_source(model, network, frames, options.told())
    floats = run(network, frames)
    fixed = golden(graph, frames if network.coding == "frames" else frames[:, 0])
    reference = answers if stored is None else stored
    if reference.size != floats.output.size:
        raise DataError(f"{data}: spk must hold {floats.output.size} answers, one for each sample, "
                        f"step and output, not {reference.shape!r}; store those of x")
    if min(samples := frames.shape[:2]) > 1 and samples[0] != samples[1] and \
            reference.shape[:2] == samples[::-1]:
        raise DataError(f"{data}: spk must be samples first, as x is, not {reference.shape!r}, "
                        "which seems to have the steps first; store np.swapaxes(spk, 0, 1)")
    source = Source(runtime, stored is not None, reference, answers,
                    read_labels(data, len(frames)), tuple(notes))
    return _compared(str(model), source, network, graph, report, floats, fixed, options)


@dataclass(frozen=True, eq=False)
class Source:
    """What the integers and the float normal form are held against."""

    runtime: str
    stored: bool
    reference: Array
    answers: Array
    labels: NDArray[np.int64] | None
    notes: tuple[str, ...]

    @property
    def name(self) -> str:
        """What the reference is."""
        return "spk of the data" if self.stored else self.runtime


def _quantised(network: Network, frames: Array, options: Options, told: InputCodes | None
               ) -> tuple[ir.Graph, Report]:
    """The integers; the input's codes hold all of the data, whatever calibrates the rest."""
    known = None if options.calibrate is None else real_numbers(
        read_data(options.calibrate), told)
    bits = 8 if options.input_bits is None else options.input_bits
    seen = frames if known is None else np.concatenate([frames.ravel(), known.ravel()])
    return quantise(network, weight_bits=options.weight_bits, input_bits=bits,
                    membrane_bits=options.membrane_bits, decay_bits=options.decay_bits,
                    calibrate=known, codes=told or input_codes(seen, bits))


def framed(network: Network, x: Array, notes: list[str]) -> Array:
    """*x* as [N, T, *input_shape]. A lone sample as ONNX takes it, [T, 1, *input_shape], is read
    as one, and *notes* says so. Raises DataError."""
    lone = (x.shape[1:2] == (1,) and x.shape[2:] == network.input_shape and len(x) > 1
            and network.coding == "frames" and network.steps in (None, len(x)))
    if lone:
        notes.append(f"x is [T, 1, …]: one sample of {len(x)} steps")
        x = x[None]
    return arranged(network, x)


def _stored(data: str | Path) -> Array | None:
    return read_data(data, "spk") if "spk" in names_in(data) else None


def _compared(model: str, source: Source, network: Network, graph: ir.Graph, report: Report,
              run: Run, fixed: Result, options: Options) -> Check:
    samples, steps = run.output.shape[:2]
    rows = (samples, steps, -1)
    truth, floats = source.reference.reshape(rows), run.output.reshape(rows)
    integers = _answers(network, graph, report, fixed, floats)
    wrong, tied = _differs(floats, truth, network), _ties(run, network, rows)
    bad = None if integers is None else _differs(integers, truth, network)
    run_wrong = None if not source.stored else int(
        _differs(source.answers.reshape(rows), truth, network).sum())
    classes = {source.name: truth, source.runtime: source.answers.reshape(rows), FLOAT: floats}
    chosen = {name: classes_of(graph, answers) for name, answers in classes.items()}
    chosen[FIXED] = np.asarray(fixed.classes)
    return Check(
        model, source.runtime, source.name, source.stored or source.runtime != EQUATIONS,
        truth.size, run_wrong, int((wrong & ~tied).sum()), int((wrong & tied).sum()),
        None if bad is None else int(bad.sum()), options.weight_bits, options.membrane_bits,
        layer_checks(network, graph, report, run.spikes, fixed),
        by_step(wrong & ~tied), () if bad is None else by_step(bad), first(wrong & ~tied),
        None if bad is None else first(bad),
        samples, float((chosen[FIXED] == chosen[source.name]).mean()),
        None if source.labels is None else accuracies(chosen, source.labels),
        (*network.notes, *source.notes, f"the input is {report.input}"),
        (*report.warnings, *_several(network, source)))


def _several(network: Network, source: Source) -> list[str]:
    """What to say where more spikes are stored than the neurons of the answer can send."""
    op = next(node.op for node in network.nodes if node.name == network.output)
    most = float(source.reference.max())
    if not source.stored or source.runtime != EQUATIONS or network.answer != "spikes" or \
            not isinstance(op, Neuron) or most <= op.max_spikes:
        return []
    return [f"spk holds up to {most:g} spikes a step, but node {network.output!r} sends at most "
            f"{op.max_spikes:g}; say --spikes many"]


def classes_of(graph: ir.Graph, answers: Array) -> NDArray[np.int64]:
    """The class [N] that *answers* [N, T, classes] choose as the readout of *graph* does."""
    last = graph.readout.kind == "last"
    return np.asarray((answers[:, -1] if last else answers.sum(axis=1)).argmax(axis=1))


def accuracies(classes: Mapping[str, Array], labels: NDArray[np.int64]) -> dict[str, float]:
    """The share of samples whose class is its label, by what chose the class."""
    return {name: float((chosen == labels).mean()) for name, chosen in classes.items()}


def _differs(a: Array, b: Array, network: Network) -> NDArray[np.bool_]:
    """Spikes must be equal; potentials near."""
    op = next(node.op for node in network.nodes if node.name == network.output)
    if network.answer == "spikes" and isinstance(op, Neuron):
        return np.asarray(np.abs(a - b) > 1e-4 * abs(op.amplitude))
    return np.asarray(~np.isclose(a, b, rtol=1e-3, atol=1e-4))


def _ties(run: Run, network: Network, rows: tuple[int, ...]) -> NDArray[np.bool_]:
    """Where a potential anywhere lay so near its threshold that the answer may differ: from that
    step of that sample on."""
    samples, steps = run.output.shape[:2]
    near = np.zeros((samples, steps, 1), np.bool_)
    for tied in run.tied.values():
        near |= tied.reshape(samples, steps, -1).any(axis=2, keepdims=True)
    return np.broadcast_to(np.logical_or.accumulate(near, axis=1),
                           run.output.reshape(rows).shape)


def _answers(network: Network, graph: ir.Graph, report: Report, fixed: Result, like: Array
             ) -> Array | None:
    """The integers' spikes in the size of the float ones; None where the network ends in a
    potential, which integers count in other units."""
    op = next(node.op for node in network.nodes if node.name == network.output)
    if network.answer != "spikes" or not isinstance(op, Neuron):
        return None
    return fixed.spikes[report.nodes[network.output]].reshape(like.shape) * op.amplitude
