"""qsnn check: a model of another library, its float normal form and its integers side by side."""

from dataclasses import asdict
from types import SimpleNamespace
from typing import TYPE_CHECKING

import click

from . import options
from .foreign import golden, print_accuracy, print_layers, print_notes
from .frame import command
from .kinds import FILE
from .output import check_json, write_json

if TYPE_CHECKING:
    from qsnn_compile.compare.check import Check


@command("check", epilog="Exit codes: 0 the float form does what the library does, 1 it does not "
         "or was not compared with the library (NIR without spk), 2 bad input.")
@click.argument("model", type=FILE,
                help="An ONNX file, of another library or of ours, or a NIR file.")
@options.data(required=True, help="x [N, T, ...] and, where known, the library's spikes spk "
              "[N, T, ...] and the right classes y [N].")
@options.steps
@options.json
@options.foreign
def check(given: SimpleNamespace) -> int:
    """Run a model by its own runtime, by what was understood of it (in float) and by the integers
    made of that, and compare spike by spike."""
    from qsnn_compile.compare import check as checks
    from qsnn_compile.foreign.reader import is_foreign
    check_json(given.json)
    if not is_foreign(given.model):
        return _own(given)
    result = checks.check(given.model, given.data, options.foreign_of(given), golden,
                          steps=given.steps)
    if given.json != "-":
        _print(result)
    if given.json:
        write_json(asdict(result), given.json)
    return 0 if result.good else 1


def _own(given: SimpleNamespace) -> int:
    """A file of qsnn's: its integers in onnxruntime and in the golden model."""
    from qsnn_compile.compare.own_file import check_own
    result = check_own(given.model, given.data, golden)
    if given.json != "-":
        print(f"{result.samples:,} samples in onnxruntime and the golden model: the scores of "
              f"{result.scores_differ:,} differ, the class of {result.classes_differ:,}")
        print_accuracy(result.accuracy, result.samples)
    if given.json:
        write_json(asdict(result), given.json)
    return 0 if result.good else 1


def _print(result: "Check") -> None:
    from rich.console import Console
    print_layers(result.layers)
    console = Console(soft_wrap=True)
    widths = f"{result.weight_bits}-bit weights, {result.membrane_bits}-bit membranes"
    for what, wrong, first in ((result.runtime, result.runtime_mismatches, None),
                               ("float normal form", result.float_mismatches, result.float_first),
                               (f"fixed point, {widths},", result.fixed_mismatches,
                                result.fixed_first)):
        if wrong is not None:
            share = wrong / result.spikes if result.spikes else 0.0
            where = "" if first is None else \
                f"; first: sample {first[0]}, step {first[1]}, output {first[2]}"
            console.print(f"{what} against {result.reference}: {wrong} of {result.spikes} differ "
                          f"({share:.3%}){where}", highlight=False)
    if result.fixed_mismatches is None:
        console.print(f"fixed point, {widths}: the network ends in a potential, which integers "
                      "count in other units; only classes are compared", highlight=False)
    if result.ties:
        console.print(f"ties, within 4 ulp of a threshold: {result.ties} more", highlight=False)
    console.print(f"class: the integers choose that of {result.reference} in "
                  f"{result.same_class:.2%} of the samples", highlight=False)
    print_accuracy(result.accuracy, result.samples)
    print_notes(result.notes, result.warnings)
    if not result.compared_with_library:
        console.print("not compared with the library: the data hold no spk, so all of the above is "
                      "held against NIR's equations as they were understood here; store the "
                      "library's answers with np.savez(file, x=x, spk=spk)", highlight=False)
