"""``qsnn run``: a compiled network on a board."""

import sys
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, TextIO

from qsnn_compile.system.text import plain
from qsnn_hw.link import frames

from . import options, progress
from .frame import command, option
from .kinds import Whole
from .output import check_json, write_json

if TYPE_CHECKING:
    from qsnn_runtime.network import Network
    from qsnn_sim.measure.data import Samples


@command("run")
@options.build
@option("--port", required=True, metavar="PORT", help="The board's serial port, as /dev/ttyUSB1.")
@options.data(help="x [N, ...] and, where known, y [N].")
@option("--baud", type=Whole(), default=frames.BAUD, metavar="RATE",
        help="The bitstream's rate, bits a second.")
@options.json
def run(given: SimpleNamespace) -> int:
    """Load a compiled network's weights into a programmed board and classify samples. Without
    --data it stops after loading."""
    from qsnn_runtime.devices.uart import UartDevice
    from qsnn_runtime.network import Network
    from qsnn_sim.measure.data import Build, read_samples
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


def _infer(network: "Network", samples: "Samples") -> dict[str, Any]:
    started = time.monotonic()
    with progress.bar("samples", len(samples.x)) as tell:
        classes, scores = network.run(samples.x, tell)
    seconds = time.monotonic() - started
    return {
        "samples": len(samples.x),
        "accuracy": None if samples.y is None else float((classes == samples.y).mean()),
        "seconds": seconds,
        "classes": classes.tolist(),
        "scores": scores.tolist(),
        "class_names": list(network.program.class_names),
    }


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
