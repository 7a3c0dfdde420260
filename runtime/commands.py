"""``qsnn run``: a compiled network on a board."""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qsnn_compile.errors import QsnnError
from qsnn_hw import frames

from .network import Network


def run(argv: Sequence[str]) -> int:
    """The command line of ``qsnn run``; its exit code. Raises QsnnError on bad input."""
    given = _parser().parse_args(argv)
    data = _read_data(given.data) if given.data else None
    with Network.open(given.build, given.port, given.baud) as network:
        network.load()
        report: dict[str, Any] = {"port": given.port, "loaded": True}
        if data is not None:
            report |= _infer(network, *data)
    _print(report, file=sys.stderr if given.json == "-" else sys.stdout)
    if given.json:
        _write_json(report, given.json)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
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


def _read_data(path: str) -> tuple[NDArray[Any], NDArray[Any] | None]:
    try:
        with np.load(path) as data:
            arrays = {name: data[name] for name in data.files if name in ("x", "y")}
    except (OSError, ValueError, EOFError) as error:
        raise QsnnError(f"{path}: data must be a readable .npz file: {error}") from None
    if "x" not in arrays:
        raise QsnnError(f"{path}: data must hold an array x [N, ...]; "
                        "write it with numpy.savez(file, x=..., y=...)")
    return arrays["x"], arrays.get("y")


def _infer(network: Network, x: NDArray[Any], y: NDArray[Any] | None) -> dict[str, Any]:
    started = time.monotonic()
    classes, scores = network.run(x, _progress(len(x)))
    seconds = time.monotonic() - started
    return {
        "samples": len(x),
        "accuracy": None if y is None else float((classes == y).mean()),
        "seconds": seconds,
        "classes": classes.tolist(),
        "scores": scores.tolist(),
    }


def _progress(total: int) -> Any:
    """Says on a terminal how many of *total* samples are done; elsewhere nothing."""
    def show(done: int) -> None:
        if done == total or done % 20 == 0:
            print(f"\r{done} of {total} samples", end="\n" if done == total else "",
                  file=sys.stderr, flush=True)
    return show if sys.stderr.isatty() else lambda done: None


def _print(report: dict[str, Any], file: Any) -> None:
    print(f"weights loaded through {report['port']}", file=file)
    if "samples" in report:
        rate = report["samples"] / max(report["seconds"], 1e-9)
        print(f"{report['samples']} samples in {report['seconds']:.2f} s, {rate:.0f} a second "
              "(with the link's time)", file=file)
        if report["accuracy"] is None:
            print("classes: " + " ".join(map(str, report["classes"])), file=file)
        else:
            print(f"accuracy {report['accuracy']:.2%}", file=file)


def _write_json(report: dict[str, Any], path: str) -> None:
    text = json.dumps(report, indent=1) + "\n"
    if path == "-":
        sys.stdout.write(text)
        return
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise QsnnError(f"--json must be a file that can be written, not {path!r}: "
                        f"{error.strerror}") from None
