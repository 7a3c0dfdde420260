"""A batch of the campaign. Each seed is a network, a machine and its traffic; golden model, cycle
model and RTL do the same with its samples, and for some the netlist does so too."""

import gc
import random
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import CalledProcessError
from typing import Any

import draws
import numpy as np
from amaranth.back.verilog import YosysError
from cores import CALM, Core, joined, netlist

from qsnn_compile.lower.mapping import WINDOW, Mode
from qsnn_compile.lower.program import Program
from qsnn_compile.system import processes
from qsnn_compile.system.errors import QsnnError
from qsnn_hw.machine.arch import Machine
from qsnn_sim.measure.verify import Verdict, build_core, run_plans
from qsnn_sim.rtl.plan import Plan, Traffic, plan, random_samples

BATCH = 25                  # networks of one simulation
SAMPLES = (9, 8)            # of a network: a beat a clock; idle clocks, stalls and resets
# Clocks and lanes of a draw at most, in turn: with more of them there are more images.
SIZES = (*[(700, 16), (700, 32), (1500, 32)] * 2, (700, 32), (2500, 128))
VERILATOR = 20              # one batch of so many; it compiles ten times as long as Icarus
NETLIST = 4                 # one batch of so many has a network whose netlist runs too
NETLIST_SAMPLES = (3, 3)
MARGINS = (0, 1, 2, 5, 20, 100, 1000)
MODES = (*[WINDOW] * 15, *[Mode(stream=True)] * 3, *(Mode(margin=far) for far in MARGINS),
         *(Mode(stream=True, margin=far) for far in MARGINS))
FAILURES = (QsnnError, YosysError, CalledProcessError, AssertionError, ArithmeticError,
            AttributeError, LookupError, NameError, RuntimeError, TypeError, ValueError)
SAID = 600                  # characters of an error that a difference keeps
SHAPE = ("banks", "lanes", "units", "columns", "order", "batch_bits", "coding", "readout",
         "exit_margin", "weight_memory", "small_memories")


@dataclass(frozen=True)
class Result:
    """What batches did: ``counts`` of what was compared, how many networks had each of
    `draws.features`, and a record of each difference."""

    counts: Counter[str] = field(default_factory=Counter)
    features: Counter[str] = field(default_factory=Counter)
    differences: tuple[dict[str, Any], ...] = ()

    def __add__(self, other: "Result") -> "Result":
        return Result(self.counts + other.counts, self.features + other.features,
                      (*self.differences, *other.differences))


def batch(number: int) -> Result:
    """The networks of batch *number*."""
    seeds = range(number * BATCH, (number + 1) * BATCH)
    simulator = "verilator" if number % VERILATOR == VERILATOR - 1 else "icarus"
    done = compared(seeds, simulator)
    return done + synthesised(seeds[0]) if number % NETLIST == 0 else done


def compared(seeds: Sequence[int], simulator: str) -> Result:
    """The RTL of *seeds* beside the models. A batch that fails as a whole is halved, until the
    network that fails stands alone: that is a difference too."""
    try:
        return _compared(seeds, simulator)
    except FAILURES as error:
        processes.check()
        if len(seeds) == 1:
            return _failed(seeds[0], simulator, error)
    half = len(seeds) // 2
    return compared(seeds[:half], simulator) + compared(seeds[half:], simulator)


def synthesised(seed: int) -> Result:
    """The netlist of *seed* beside the models."""
    try:
        core = drawn(seed)
        pair = plans(core, seed, NETLIST_SAMPLES)
        with tempfile.TemporaryDirectory(prefix="qsnn-campaign-") as place:
            files, defines = netlist(core, Path(place))
            built = build_core(files, Path(place), simulator="icarus", defines=defines)
            verdicts = run_plans(built, pair)
    except FAILURES as error:
        processes.check()
        return _failed(seed, "netlist", error)
    counts = Counter(netlists=1, netlist_samples=sum(NETLIST_SAMPLES))
    return Result(counts, differences=_differences(seed, core, "netlist", pair, verdicts))


def drawn(seed: int, prefix: str = "") -> Core:
    """The network of *seed* on its machine: mostly small ones, of which many run."""
    clocks, lanes = SIZES[seed % len(SIZES)]
    one = draws.draw(seed, clocks, MODES, lanes)
    program = Program(one.machine, one.image, one.graph.input, "ice40", "icebreaker", 30.0)
    return Core(one.graph, program, prefix)


def plans(core: Core, seed: int, samples: Sequence[int]) -> list[Plan]:
    """Calm traffic and rough, with samples of their own."""
    rng = random.Random(seed)
    rough = Traffic(rng.choice([0, 0.1, 0.3, 0.6]), rng.choice([0, 0.3, 0.5]), rng.randint(0, 2),
                    seed)
    return [plan(core.program, core.graph, random_samples(core.graph, count, 2 * seed + number),
                 traffic, core.prefix)
            for number, (count, traffic) in enumerate(zip(samples, (CALM, rough), strict=True))]


def _compared(seeds: Sequence[int], simulator: str) -> Result:
    cores = [drawn(seed, f"k{seed}_") for seed in seeds]
    pairs = [plans(core, seed, SAMPLES) for core, seed in zip(cores, seeds, strict=True)]
    with _without_collection():
        text = joined(cores)
    with tempfile.TemporaryDirectory(prefix="qsnn-campaign-") as place:
        built = build_core({"cores.v": text}, Path(place), simulator=simulator, toplevel="cores")
        verdicts = iter(run_plans(built, [one for pair in pairs for one in pair]))
    results = (_result(seed, core, simulator, pair, [next(verdicts) for _ in pair])
               for seed, core, pair in zip(seeds, cores, pairs, strict=True))
    return sum(results, Result())


@contextmanager
def _without_collection() -> Iterator[None]:
    """Amaranth makes so many objects that looking for cycles takes longer than all else."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.collect()


def _result(seed: int, core: Core, simulator: str, pair: Sequence[Plan],
            verdicts: Sequence[Verdict]) -> Result:
    counts = Counter(networks=1, samples=sum(SAMPLES), **{f"{simulator}_networks": 1})
    for one, verdict in zip(pair, verdicts, strict=True):
        counts["clocks"] += verdict.core_clocks
        for train in one.spikes:
            shown = train[np.arange(train.shape[1]) <= one.ends[:, None]]
            counts["updates"] += shown.size
            counts["spikes"] += int(shown.sum())
    return Result(counts, Counter(draws.features(core.program.machine)),
                  _differences(seed, core, simulator, pair, verdicts))


def _differences(seed: int, core: Core, engine: str, pair: Sequence[Plan],
                 verdicts: Sequence[Verdict]) -> tuple[dict[str, Any], ...]:
    return tuple(
        _record(seed, engine, core.program.machine, verdict.first, repr(one.traffic))
        for one, verdict in zip(pair, verdicts, strict=True)
        if not verdict.equal or verdict.samples != len(one.x))


def _failed(seed: int, engine: str, error: Exception) -> Result:
    """An error of a network alone, as a difference."""
    try:
        machine = drawn(seed).program.machine
    except FAILURES:
        machine = None
    first = f"{type(error).__name__}: {error}"[:SAID]
    return Result(Counter(networks=1) if engine != "netlist" else Counter(netlists=1),
                  differences=(_record(seed, engine, machine, first, None),))


def _record(seed: int, engine: str, machine: Machine | None, first: str | None,
            traffic: str | None) -> dict[str, Any]:
    shape = machine and {name: getattr(machine.parameters, name) for name in SHAPE}
    return {"seed": seed, "engine": engine, "first": first, "traffic": traffic, "machine": shape}
