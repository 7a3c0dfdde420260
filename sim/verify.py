"""The RTL in a simulator against the golden model and the cycle model."""

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import rtl
from .plan import Plan

BENCH = "qsnn_sim.benches.core_bench"
TOPLEVEL = "qsnn_core"


@dataclass(frozen=True)
class Verdict:
    """How the RTL compared: see `compare.Comparison`; ``first`` is the first divergence in words.
    ``core_clocks`` were simulated in ``seconds``, weights and resets with them."""

    samples: int
    spike_mismatches: int
    result_mismatches: int
    clock_mismatches: int
    first: str | None
    core_clocks: int
    seconds: float

    @property
    def equal(self) -> bool:
        """The RTL did what the models say."""
        return not (self.spike_mismatches or self.result_mismatches or self.clock_mismatches)


def build_core(verilog: Mapping[str, str] | Sequence[Path], build_dir: Path, *,
               simulator: str = "verilator", toplevel: str = TOPLEVEL,
               defines: Mapping[str, str] | None = None) -> rtl.Built:
    """Compile a core, or a module with several, for *simulator*."""
    return rtl.build(verilog, toplevel, simulator=simulator, build_dir=build_dir, defines=defines)


def run_plan(built: rtl.Built, plan: Plan, name: str = "core_bench") -> Verdict:
    """Run *plan* on a compiled core. Raises QsnnError when the simulation itself fails."""
    with tempfile.TemporaryDirectory(prefix="qsnn-") as folder:
        plan.save(Path(folder))
        rtl.run(built, BENCH, env={"CORE_PLAN": folder}, name=name).check()
        return Verdict(**json.loads((Path(folder) / "answer.json").read_text()))
