"""What an early end brings and costs: margin by margin, on samples that are measured already."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qsnn_compile.system.errors import QsnnError
from qsnn_sim.golden.answers import Answers

from .data import Build, Samples
from .measure import Measured


def margins_of(build: Build, given: Sequence[int] | None) -> tuple[int, ...]:
    """The margins to try: *given* ones, or the build's own. Raises QsnnError for a machine that has
    no answer before its last step."""
    machine = build.program.machine
    if given and machine.parameters.order != "step":
        raise QsnnError(f"{build.folder}: --exit-margin needs a machine that runs step by step, "
                        "and this one runs layer by layer; compile the model with qsnnc "
                        "--exit-margin or --stream")
    if given:
        return tuple(given)
    return () if machine.parameters.exit_margin is None else (machine.parameters.exit_margin,)


def exit_rows(build: Build, samples: Samples, measured: Measured,
              margins: Sequence[int]) -> list[dict[str, Any]]:
    """For each margin what all samples do if they end when their answer is settled, beside what
    they do without (`docs/streaming.md`)."""
    return [exit_row(build, samples, measured, margin) for margin in margins]


def exit_row(build: Build, samples: Samples, measured: Measured, margin: int) -> dict[str, Any]:
    """The row of one margin."""
    answers, n = measured.answers, np.arange(len(measured.answers.classes))
    ends = answers.exits(margin)
    machine = build.program.machine
    parameters = machine.parameters
    compared = ends + 1 if parameters.streaming else np.ones_like(ends)    # answers, a clock each
    extra = compared if parameters.exit_margin is None else 0
    whole, clocks = measured.ends[:, -1], measured.ends[n, ends] + extra
    right = _accuracy(answers.classes[n, ends], samples)
    full = _accuracy(answers.classes[:, -1], samples)
    return {
        "margin": margin, "accuracy": right,
        "accuracy_lost": None if right is None or full is None else full - right,
        "settled": float(answers.settled(margin)[n, ends].mean()),
        "steps": float(ends.mean()) + 1, "clocks": float(clocks.mean()),
        "clocks_saved": float((whole - clocks).mean()),
        "latency_us": float(clocks.mean()) / build.program.clock_mhz}


def by_step(answers: Answers, samples: Samples) -> list[float] | None:
    """The accuracy of the answers after each step, where classes are known."""
    if samples.y is None:
        return None
    return [float(share) for share in (answers.classes == samples.y[:, None]).mean(axis=0)]


def _accuracy(classes: NDArray[np.int64], samples: Samples) -> float | None:
    return None if samples.y is None else float((classes == samples.y).mean())
