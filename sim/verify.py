"""The RTL in a simulator against the golden model and the cycle model."""

import json
import os
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


def run_plans(built: rtl.Built, plans: Sequence[Plan], name: str = "core_bench") -> list[Verdict]:
    """Run *plans* one after the other on a compiled core, or each on its core of several.

    Raises QsnnError when the simulation itself fails.
    """
    with tempfile.TemporaryDirectory(prefix="qsnn-plans-") as place:
        folders = [Path(place) / str(number) for number in range(len(plans))]
        for folder, plan in zip(folders, plans, strict=True):
            plan.save(folder)
        rtl.run(built, BENCH, env={"CORE_PLANS": os.pathsep.join(map(str, folders))},
                name=name).check()
        return [Verdict(**json.loads((folder / "answer.json").read_text())) for folder in folders]
