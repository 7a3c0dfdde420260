"""qsnn check: a model of another library, its float normal form and its integers side by side."""

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING

from .errors import Arguments
from .foreign import add_options, golden, options_of, print_accuracy, print_layers, print_notes
from .qsnnc import check_json, write_json

if TYPE_CHECKING:
    from qsnn_compile.compare.check import Check


def check(argv: list[str]) -> int:
    """The command line of ``qsnn check``; its exit code, 1 where the float normal form differs from
    the library's answers or was not compared with them. Raises QsnnError on bad input."""
    from qsnn_compile.compare import check as checks
    from qsnn_compile.foreign.reader import is_foreign
    options = _parser().parse_args(argv)
    check_json(options.json)
    if not is_foreign(options.model):
        return _own(options)
    found = checks.check(options.model, options.data, options_of(options), golden,
                         steps=options.steps)
    if options.json != "-":
        _print(found)
    if options.json:
        write_json(asdict(found), options.json)
    return 0 if found.good else 1


def _own(options: argparse.Namespace) -> int:
    """A file of qsnn's: its integers in onnxruntime and in the golden model."""
    from qsnn_compile.compare.own_file import check_own
    made = check_own(options.model, options.data, golden)
    if options.json != "-":
        print(f"{made.samples:,} samples in onnxruntime and the golden model: the scores of "
              f"{made.scores_differ:,} differ, the class of {made.classes_differ:,}")
        print_accuracy(made.accuracy, made.samples)
    if options.json:
        write_json(asdict(made), options.json)
    return 0 if made.good else 1


def _parser() -> argparse.ArgumentParser:
    parser = Arguments(
        prog="qsnn check", description="Run a model by its own runtime, by what was understood of "
        "it (in float) and by the integers made of that, and compare spike by spike.",
        epilog="Exit codes: 0 the float form does what the library does, 1 it does not or was not "
        "compared with the library (NIR without spk), 2 bad input.")
    parser.add_argument("model", help="an ONNX file of another library, or a NIR file")
    parser.add_argument("--data", metavar="NPZ", required=True,
                        help="x [N, T, ...] and, where known, the library's spikes spk "
                        "[N, T, ...] and the right classes y [N]")
    parser.add_argument("--steps", type=int, metavar="T", help="time steps, before the file's own")
    add_options(parser)
    parser.add_argument("--json", metavar="FILE",
                        help="write the result there too; - is standard output, in place of it")
    return parser


def _print(found: "Check") -> None:
    from rich.console import Console
    print_layers(found.layers)
    console = Console(soft_wrap=True)
    widths = f"{found.weight_bits}-bit weights, {found.membrane_bits}-bit membranes"
    for what, wrong, first in ((found.runtime, found.runtime_mismatches, None),
                               ("float normal form", found.float_mismatches, found.float_first),
                               (f"fixed point, {widths},", found.fixed_mismatches,
                                found.fixed_first)):
        if wrong is not None:
            share = wrong / found.spikes if found.spikes else 0.0
            where = "" if first is None else \
                f"; first: sample {first[0]}, step {first[1]}, output {first[2]}"
            console.print(f"{what} against {found.reference}: {wrong} of {found.spikes} differ "
                          f"({share:.3%}){where}", highlight=False)
    if found.fixed_mismatches is None:
        console.print(f"fixed point, {widths}: the network ends in a potential, which integers "
                      "count in other units; only classes are compared", highlight=False)
    if found.ties:
        console.print(f"ties, within 4 ulp of a threshold: {found.ties} more", highlight=False)
    console.print(f"class: the integers choose that of {found.reference} in {found.same_class:.2%} "
                  "of the samples", highlight=False)
    print_accuracy(found.accuracy, found.samples)
    print_notes(found.notes, found.warnings)
    if not found.compared_with_library:
        console.print("not compared with the library: the data hold no spk, so all of the above is "
                      "held against NIR's equations as they were understood here; store the "
                      "library's answers with np.savez(file, x=x, spk=spk)", highlight=False)
