"""qsnn: what is done with a build, and training."""

import sys

from . import options
from .frame import Group, Row, start

COMMANDS = {
    "explore": Row("qsnn_compile.cli.explore:explore",
                   "the machines that a network can be on a chip, and the front of them"),
    "sim": Row("qsnn_compile.cli.sim:sim",
               "golden model and cycle model: accuracy, latency, energy"),
    "verify": Row("qsnn_compile.cli.verify:verify",
                  "RTL against the golden model, in a simulator"),
    "check": Row("qsnn_compile.cli.check:check", "a model of another library: its runtime, float "
                 "form and integers compared"),
    "run": Row("qsnn_compile.cli.run:run", "a build on a board"),
    "train": Row("qsnn_compile.cli.train:train",
                 "train a network, of the zoo or of a file, and export it; sweeps"),
    "report": Row("qsnn_compile.cli.report:report", "print a build's report"),
    "targets": Row("qsnn_compile.cli.targets:targets", "list families, devices and boards"),
}


def main(argv: list[str] | None = None) -> int:
    """The command ``qsnn``. Returns its exit code."""
    return start(qsnn, sys.argv[1:] if argv is None else argv)


qsnn = options.version(Group(
    "qsnn", COMMANDS, help="Simulate, verify, run and train quantised spiking "
    "networks on FPGA accelerators that qsnnc compiles.",
    epilog="qsnn COMMAND --help says more. Exit codes: 0 done, 1 a comparison failed, 2 bad "
    "input, 3 does not fit the target. qsnnc --help describes the compiler."))

if __name__ == "__main__":
    sys.exit(main())
