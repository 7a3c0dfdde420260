"""qsnn: what is done with a build, and training. Each sub-command reads its own arguments."""

import argparse
import importlib
import sys
from collections.abc import Callable

from qsnn_compile.system.errors import QsnnError

from .errors import Arguments, run, version_line

Command = Callable[[list[str]], int]


def main(argv: list[str] | None = None) -> int:
    """The command ``qsnn``. Returns its exit code."""
    arguments = sys.argv[1:] if argv is None else argv
    name = arguments[0] if arguments else ""
    if name in COMMANDS:
        return run(f"qsnn {name}", lambda: COMMANDS[name][1](arguments[1:]))
    if name == "--version":
        print(version_line())
        return 0
    if name in ("", "-h", "--help"):
        _help().print_help()
        return 0 if name else 2
    return run("qsnn", lambda: _unknown(name))


def _unknown(name: str) -> int:
    raise QsnnError(f"command must be one of {', '.join(COMMANDS)}, not {name!r}; "
                    "qsnn --help describes them")


def _help() -> argparse.ArgumentParser:
    width = max(map(len, COMMANDS))
    listed = "\n".join(f"  {name:{width}}  {text}" for name, (text, _) in COMMANDS.items())
    return Arguments(
        prog="qsnn", formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="qsnn COMMAND …", description="Simulate, verify, run and train quantised spiking "
        "networks on FPGA accelerators that qsnnc compiles.",
        epilog=f"commands:\n{listed}\n\nqsnn COMMAND --help says more. Exit codes: 0 done, "
        "1 a comparison failed, 2 bad input, 3 does not fit the target. qsnn --version.",
        add_help=False)


def _elsewhere(module: str, function: str) -> Command:
    """*function* of *module*, imported when it is called."""
    def command(argv: list[str]) -> int:
        return int(getattr(importlib.import_module(module), function)(argv) or 0)
    return command


def _report(argv: list[str]) -> int:
    from qsnn_compile.builds.report import print_report, read_report

    from .qsnnc import check_json, write_json
    parser = Arguments(prog="qsnn report", description="Print a build's report.")
    parser.add_argument("build", help="the folder that qsnnc wrote")
    parser.add_argument("--json", metavar="FILE", help="write it there too; - is standard output, "
                        "in place of the table")
    options = parser.parse_args(argv)
    check_json(options.json)
    report = read_report(options.build)
    if options.json != "-":
        print_report(report)
    if options.json:
        write_json(report, options.json)
    return 0


def _targets(argv: list[str]) -> int:
    from dataclasses import asdict

    from qsnn_compile.chips.targets import BOARDS, DEVICES, FAMILIES

    from .qsnnc import check_json, write_json
    parser = Arguments(prog="qsnn targets", description="List what --target takes.")
    parser.add_argument("--json", metavar="FILE", help="write the list there; - is standard output")
    options = parser.parse_args(argv)
    check_json(options.json)
    if options.json:
        write_json({"families": {family.name: family.board for family in FAMILIES},
                    "devices": [asdict(device) for device in DEVICES],
                    "boards": [asdict(board) for board in BOARDS]}, options.json)
    if options.json != "-":
        _print_targets()
    return 0


def _print_targets() -> None:
    from rich.console import Console
    from rich.table import Table

    from qsnn_compile.chips.targets import BOARDS, DEVICES, FAMILIES
    table = Table("target", "what it is", "logic cells", "block RAM", "SPRAM", "multipliers")
    for family in FAMILIES:
        table.add_row(family.name, f"family; stands for {family.board}")
    for device in DEVICES:
        table.add_row(device.name, device.description, f"{device.lc:,}", str(device.ebr),
                      str(device.spram), str(device.dsp))
    for entry in BOARDS:
        table.add_row(entry.name, f"{entry.description}: {entry.device}, core at "
                      f"{entry.clock_mhz:g} MHz until placed")
    Console().print(table)


COMMANDS: dict[str, tuple[str, Command]] = {
    "explore": ("the machines that a network can be on a chip, and the front of them",
                _elsewhere("qsnn_compile.cli.explore", "explore")),
    "sim": ("golden model and cycle model: accuracy, latency, energy",
            _elsewhere("qsnn_compile.cli.sim", "sim")),
    "verify": ("RTL against the golden model, in a simulator",
               _elsewhere("qsnn_compile.cli.sim", "verify")),
    "check": ("a model of another library: its runtime, float form and integers compared",
              _elsewhere("qsnn_compile.cli.check", "check")),
    "run": ("a build on a board", _elsewhere("qsnn_compile.cli.run", "run")),
    "train": ("train a network, of the zoo or of a file, and export it; sweeps",
              _elsewhere("qsnn_compile.cli.train", "main")),
    "report": ("print a build's report", _report),
    "targets": ("list families, devices and boards", _targets),
}


if __name__ == "__main__":
    sys.exit(main())
