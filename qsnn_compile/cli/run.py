"""``qsnn run``: a compiled network on a board."""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, TextIO

from qsnn_compile.system.text import plain
from qsnn_hw.link import frames
from qsnn_runtime.devices.uart import UartDevice
from qsnn_runtime.network import Network
from qsnn_sim.measure.data import Build, Samples, read_samples

from .errors import Arguments
from .qsnnc import check_json, write_json


def run(argv: Sequence[str]) -> int:
    """The command line of ``qsnn run``; its exit code. Raises QsnnError on bad input."""
    given = _parser().parse_args(argv)
    check_json(given.json)
    build = Build.load(given.build)
    samples = read_samples(given.data, build.graph) if given.data else None
    if samples is not None:
        samples.warn("qsnn run")
    with Network(build.program, UartDevice(given.port, given.baud)) as network:
        network.load()
        report: dict[str, Any] = {"port": given.port, "loaded": True}
        if samples is not None:
            report |= _infer(network, samples)
    _print(report, sys.stderr if given.json == "-" else sys.stdout)
    if given.json:
        write_json(report, given.json)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Arguments(
        prog="qsnn run",
        description="Load a compiled network's weights into a programmed board and classify "
                    "samples. Without --data it stops after loading.")
    parser.add_argument("build", help="folder that qsnnc wrote")
    parser.add_argument("--port", required=True, help="the board's serial port, as /dev/ttyUSB1")
    parser.add_argument("--data", metavar="NPZ", help="x [N, ...] and, where known, y [N]")
    parser.add_argument("--baud", type=int, default=frames.BAUD,
                        help="the bitstream's rate (default %(default)s)")
    parser.add_argument("--json", metavar="FILE", help="write the results there too; - for stdout")
    return parser


def _infer(network: Network, samples: Samples) -> dict[str, Any]:
    started = time.monotonic()
    classes, scores = network.run(samples.x, _progress(len(samples.x)))
    seconds = time.monotonic() - started
    return {
        "samples": len(samples.x),
        "accuracy": None if samples.y is None else float((classes == samples.y).mean()),
        "seconds": seconds,
        "classes": classes.tolist(),
        "scores": scores.tolist(),
        "class_names": list(network.program.class_names),
    }


def _progress(total: int) -> Callable[[int], None]:
    """Says on a terminal how many of *total* samples are done; elsewhere nothing."""
    def show(done: int) -> None:
        if done == total or done % 20 == 0:
            print(f"\r{done} of {total} samples", end="\n" if done == total else "",
                  file=sys.stderr, flush=True)
    return show if sys.stderr.isatty() else lambda done: None


def _print(report: dict[str, Any], file: TextIO) -> None:
    print(f"weights loaded through {report['port']}", file=file)
    if "samples" in report:
        rate = report["samples"] / max(report["seconds"], 1e-9)
        print(f"{report['samples']} samples in {report['seconds']:.2f} s, {rate:.0f} a second "
              "(with the link's time)", file=file)
        if report["accuracy"] is None:
            names = report["class_names"] or range(1 << 32)
            print("classes: " + " ".join(plain(str(names[said])) for said in report["classes"]),
                  file=file)
        else:
            print(f"accuracy {report['accuracy']:.2%}", file=file)
