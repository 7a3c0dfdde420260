"""`make demo`: a trained spiking network becomes an FPGA bitstream, is checked and measured.

Runs the commands a user would type, shows their own progress, and sums up their `--json` reports.
"""

import json
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from qsnn_compile.system.errors import QsnnError
from qsnn_sim.rtl.simulators import check_tools

ROOT = Path(__file__).resolve().parent.parent
ZOO = Path("models/zoo")
MODEL, DATA, BUILD = ZOO / "fashion_mnist_mlp.onnx", ZOO / "fashion_mnist_test1k.npz", Path("build")
RTL_SAMPLES = 20


def main() -> int:
    """Compile, simulate, verify, sum up. The exit code is that of the first command that fails."""
    console = Console()
    if not (ROOT / MODEL).exists():
        console.print(f"[red]{MODEL} is missing: the demo needs the repository's model zoo")
        return 2
    try:
        check_tools("verilator")        # now, not after minutes of synthesis
    except QsnnError as missing:
        console.print(f"[red]{missing}", highlight=False)
        return missing.exit_code
    commands = (
        ["qsnnc", str(MODEL), "--target", "ice40", "-o", f"{BUILD}/", "--bitstream"],
        ["qsnn", "sim", f"{BUILD}/", "--data", str(DATA), "--json", f"{BUILD}/sim.json"],
        ["qsnn", "verify", f"{BUILD}/", "--samples", str(RTL_SAMPLES), "--data", str(DATA),
         "--json", f"{BUILD}/verify.json"],
    )
    for command in commands:
        code = run(console, command)
        if code:
            return code
    reports = [json.loads((ROOT / BUILD / name).read_text())
               for name in ("report.json", "sim.json", "verify.json")]
    console.print(summary(*reports))
    return 0


def run(console: Console, command: Sequence[str]) -> int:
    """Show and run one of our commands in the repository's root; its exit code."""
    console.print(f"\n[bold]$ {shlex.join(command)}[/bold]", highlight=False, soft_wrap=True)
    installed = Path(sys.executable).with_name(command[0])
    return subprocess.run([installed, *command[1:]], cwd=ROOT, check=False).returncode


def summary(report: dict[str, Any], sim: dict[str, Any], verify: dict[str, Any]) -> Table:
    """The three reports as one table."""
    table = Table(title="Fashion-MNIST on a spiking network in an iCE40 UP5K", show_header=False)
    table.add_column(style="cyan")
    table.add_column()
    for name, text in (*measured(sim), *implemented(report), ("RTL", checked(verify))):
        table.add_row(name, text)
    return table


def measured(sim: dict[str, Any]) -> list[tuple[str, str]]:
    """The rows that the cycle-exact simulation gives."""
    clocks, micro, energy = sim["clocks"], sim["latency_us"], sim["energy_nj"]
    return [
        ("accuracy", f"{sim['accuracy']:.1%} of {sim['samples']:,} test images"),
        ("clocks an image", f"median {clocks['median']:,.0f}, p99 {clocks['p99']:,.0f}, "
                            f"proven worst case {clocks['worst_case']:,.0f}"),
        ("latency", f"median {micro['median']:.0f} µs, worst case {micro['worst_case']:.0f} µs"),
        ("energy an image", f"{energy['total'] / 1000:.1f} µJ (a model: "
                            f"{energy['low'] / 1000:.1f} to {energy['high'] / 1000:.1f} µJ)"),
        ("work", f"{sim['sops']:,.0f} synaptic operations an image, {sim['utilisation']:.1%} of "
                 "lanes × clocks"),
    ]


def implemented(report: dict[str, Any]) -> list[tuple[str, str]]:
    """The rows that place and route gives."""
    used = report["resources"]
    return [
        ("chip", f"{used['lc']:,} logic cells, {used['ebr']} block RAMs, {used['spram']} SPRAMs, "
                 f"{used['dsp']} DSPs"),
        ("clock", f"{report['clock_mhz']:g} MHz, where the placed design reaches "
                  f"{report['bitstream_fmax_mhz']:.1f}; {report['lanes']} synaptic operations "
                  "a clock"),
        ("bitstream", f"{BUILD}/top.bin"),
    ]


def checked(verify: dict[str, Any]) -> str:
    """Whether the RTL equals the golden model, in a few words."""
    names = ("spike_mismatches", "result_mismatches", "clock_mismatches")
    wrong = {name.replace("_", " "): verify[name] for name in names if verify[name]}
    if wrong:
        return "[red]differs from the golden model: " + ", ".join(
            f"{count} {name}" for name, count in wrong.items())
    return (f"[green]equals the golden model[/green] on {verify['samples']} images: "
            "every spike, every result, every clock")


if __name__ == "__main__":
    sys.exit(main())
