"""The options that several commands have, each told once."""

import os
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from qsnn_compile.chips.targets import target_names
from qsnn_compile.system.errors import QsnnError

from .frame import option, together
from .kinds import FILE, OneOf, Real, Whole

if TYPE_CHECKING:
    from types import SimpleNamespace

    from qsnn_compile.foreign.reader import Options

MOST_JOBS = 1024
TRAINING = {"seed": "random seed", "epochs": "passes over the training images",
            "holdout": "training images kept back and only measured",
            "threads": "CPU threads; the result depends on it"}     # of [training], as flags too
FOREIGN = "Files of other libraries"

model = click.argument("model", type=FILE, help="The ONNX or NIR file.")
build = click.argument("build", type=FILE, help="The folder that qsnnc wrote.")
version = click.version_option(package_name="qsnn", message="qsnn %(version)s")
json = option("--json", metavar="FILE", type=FILE, help="Write the result there too, as JSON; - is "
              "standard output, in place of the text.")
steps = option("--steps", type=Whole(), metavar="T", help="Time steps, before the file's own.")
lanes = partial(option, "--lanes", type=Whole(), metavar="N")
data = partial(option, "--data", metavar="NPZ", type=FILE)
samples = partial(option, "--samples", type=Whole(1), metavar="N")
seed = partial(option, "--seed", type=Whole(0), metavar="N")
jobs = together(
    option("--jobs", type=Whole(1), metavar="N", help="Processes. [default: one a core]"),
    option("--dask", metavar="ADDRESS", help="The scheduler of a Dask cluster that does the work, "
           "as tcp://host:8786."))


class _Target(click.ParamType[str]):
    """A family, device or board; what is none of them is refused where it is looked up."""

    name = "NAME"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str
                       ) -> list[Any]:
        from click.shell_completion import CompletionItem
        return [CompletionItem(name) for name in target_names() if name.startswith(incomplete)]

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return str(value)


target = option("--target", type=_Target(), default="ice40", metavar="NAME",
                help=f"Family, device or board: {', '.join(target_names())}.")


def workers(given: "SimpleNamespace") -> int:
    """The processes that ``jobs`` asks for. Raises QsnnError."""
    if given.jobs is not None and given.dask is not None:
        raise QsnnError("--jobs must be given without --dask, which says where the work is done")
    if given.jobs is not None and given.jobs > MOST_JOBS:
        raise QsnnError(f"--jobs must be at most {MOST_JOBS} processes, not {given.jobs!r}; "
                        "leave it out for one a core")
    return int(given.jobs or os.cpu_count() or 1)


_foreign = partial(option, section=FOREIGN)
foreign = together(
    _foreign("--weight-bits", type=Whole(), default=8, metavar="W",
             help="Bits of weights that aren't quantised yet."),
    _foreign("--membrane-bits", type=Whole(), default=12, metavar="U",
             help="Bits of the stored membranes."),
    _foreign("--input-bits", type=Whole(), metavar="B",
             help="Bits of the input's codes. [default: 8, or 1 for frames of spikes]"),
    _foreign("--input-scale", type=Real(), metavar="S", help="Whole numbers in the data are codes: "
             "x = S · (code - zero point), as 0.00392157 for pixels of a network that was trained "
             "on x / 255. [default: they are x itself]"),
    _foreign("--input-zero-point", type=Whole(), metavar="Z",
             help="The code that stands for 0. [default: 0]"),
    _foreign("--decay-bits", type=Whole(), metavar="Q", help="Bits of a decay's fraction. "
             "[default: as many as the membrane's, 8 to 16]"),
    _foreign("--calibrate", metavar="NPZ", type=FILE, help="x, for the ranges of input and "
             "membranes. [default: random inputs]"),
    _foreign("--dt", metavar="[NODE=]DT", multiple=True, help="NIR: the time step, a number or the "
             "library (snntorch, spikingjelly, sinabs, sinabs-normed, sinabs-unnormed, norse); "
             "again for a node, as --explain names it."),
    _foreign("--reset", metavar="[NODE=]HOW", multiple=True, help="NIR: hard, soft, none, "
             "delayed-soft or delayed-hard; again for a node. [default: the library's, hard for a "
             "number]"),
    _foreign("--spikes", metavar="[NODE=]N", multiple=True, help="NIR: the most a neuron sends in "
             "a step, a number or many; again for a node. [default: 1]"),
    _foreign("--clamp", metavar="[NODE=]V", multiple=True, help="NIR: the lowest membrane; again "
             "for a node. [default: none]"))
coding = _foreign("--coding", type=OneOf(("direct", "frames")), help="Whether x is the same at "
                  "every step, where the file leaves it open.")


def foreign_of(given: "SimpleNamespace") -> "Options":
    """What the options `foreign` and `coding` say."""
    from qsnn_compile.foreign.reader import Options
    return Options(given.weight_bits, given.membrane_bits, given.input_bits, given.decay_bits,
                   given.calibrate, given.dt or None, given.reset or None,
                   getattr(given, "coding", None), given.spikes or None, given.clamp or None,
                   given.input_scale, given.input_zero_point)
