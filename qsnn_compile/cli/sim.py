"""``qsnn sim`` and ``qsnn verify``: a build measured, and its RTL checked."""

import argparse
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from qsnn_compile.builds import manifest
from qsnn_compile.builds.folder import check_place
from qsnn_compile.system.errors import QsnnError
from qsnn_compile.system.outputs import OutputError, check_file, whole
from qsnn_sim.measure.data import Build, Samples, read_samples

from .errors import Arguments
from .qsnnc import check_json, write_json


def sim(argv: Sequence[str]) -> int:
    """The command line of ``qsnn sim``; its exit code. Raises QsnnError on bad input."""
    from qsnn_sim.measure.exits import by_step, exit_rows, margins_of
    from qsnn_sim.measure.measure import measure, summary
    options = _sim_parser().parse_args(argv)
    check_json(options.json)
    check_file("--record", options.record)
    build = Build.load(options.build)
    margins = margins_of(build, options.exit_margin)
    samples = read_samples(options.data, build.graph).first(options.samples)
    samples.warn("qsnn sim")
    with _progress("golden and cycle model", len(samples.x)) as progress:
        found = measure(build, samples, record=options.record is not None, progress=progress)
    report = summary(build, samples, found) | {
        "warnings": [samples.warning] if samples.warning else [],
        "accuracy_by_step": by_step(found.answers, samples),
        "exits": exit_rows(build, samples, found, margins)}
    if options.record:
        _record(Path(options.record), found)
    if options.json != "-":
        from qsnn_sim.measure.tables import print_sim
        print_sim(report)
    if options.json:
        write_json(report, options.json)
    return 0


def verify(argv: Sequence[str]) -> int:
    """The command line of ``qsnn verify``; its exit code, 1 where the RTL differs. Raises QsnnError
    on bad input."""
    from qsnn_sim.measure.verify import build_core, core_again, run_plans
    from qsnn_sim.rtl.plan import Traffic, plan, random_samples
    options = _verify_parser().parse_args(argv)
    check_json(options.json)
    _check_work(options.work)
    build = Build.load(options.build)
    samples = (read_samples(options.data, build.graph).first(options.samples) if options.data else
               Samples(random_samples(build.graph, options.samples, options.seed), None))
    if options.resets > len(samples.x):
        raise QsnnError(f"--resets must be at most {len(samples.x)} samples, "
                        f"not {options.resets!r}")
    samples.warn("qsnn verify")
    traffic = Traffic(options.idle, options.stall, options.resets, options.seed)
    what = plan(build.program, build.graph, samples.x, traffic)
    verilog = core_again(build)
    with _work_folder(options.work) as folder:
        with _spinner(f"{options.simulator} compiles the core"):
            built = build_core({"core.v": verilog}, folder, simulator=options.simulator)
        with _spinner(f"{len(samples.x)} samples in {options.simulator}"):
            (verdict,) = run_plans(built, [what])
    report = asdict(verdict) | {"simulator": options.simulator, "name": build.graph.name,
                                "digest": build.program.machine.digest,
                                "accuracy": samples.accuracy(build.graph)}
    if options.json != "-":
        from qsnn_sim.measure.tables import print_verify
        print_verify(report)
    if options.json:
        write_json(report, options.json)
    return 0 if verdict.equal else 1


def _sim_parser() -> argparse.ArgumentParser:
    parser = Arguments(
        prog="qsnn sim", description="Run samples through the golden model and the cycle model: "
        "accuracy, clocks, utilisation, energy.")
    parser.add_argument("build", help="the folder that qsnnc wrote")
    parser.add_argument("--data", metavar="NPZ", required=True,
                        help="x [N, ...] (spikes: [N, T, ...]) and, where known, y [N]")
    parser.add_argument("--samples", type=_positive, metavar="N", help="only the first N")
    parser.add_argument("--json", metavar="FILE",
                        help="write the report there too; - is standard output, in place of it")
    parser.add_argument("--exit-margin", type=_margins, metavar="M[,M...]",
                        help="what it would bring and cost to end when the best score leads the "
                        "next by M")
    parser.add_argument("--record", metavar="NPZ",
                        help="save the spikes and membranes of each layer and step")
    return parser


def _verify_parser() -> argparse.ArgumentParser:
    from qsnn_sim.rtl.simulators import SIMULATORS
    parser = Arguments(
        prog="qsnn verify", description="Run samples through the RTL in a simulator: every spike, "
        "result and clock must be the golden model's and the cycle model's.")
    parser.add_argument("build", help="the folder that qsnnc wrote")
    parser.add_argument("--samples", type=_positive, default=10, metavar="N",
                        help="how many (default: %(default)s)")
    parser.add_argument("--data", metavar="NPZ", help="the samples (default: random ones)")
    parser.add_argument("--simulator", choices=SIMULATORS, default=SIMULATORS[0],
                        help="default: %(default)s")
    parser.add_argument("--idle", type=_chance, default=0.0, metavar="P",
                        help="chance of an idle clock before an input beat (default: 0)")
    parser.add_argument("--stall", type=_chance, default=0.0, metavar="P",
                        help="chance of a clock that takes no result (default: 0)")
    parser.add_argument("--resets", type=_count, default=0, metavar="N",
                        help="samples cut short by a reset and sent again (default: 0)")
    parser.add_argument("--seed", type=_count, default=0, help="of everything random (default: 0)")
    parser.add_argument("--work", metavar="DIR", help="compile there, and keep it for another run")
    parser.add_argument("--json", metavar="FILE",
                        help="write the report there too; - is standard output, in place of it")
    return parser


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, not {value!r}")
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"must be 0 or more, not {value!r}")
    return value


def _margins(text: str) -> list[int]:
    return [_count(part) for part in text.split(",")]


def _chance(text: str) -> float:
    value = float(text)
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"must be from 0 to below 1, not {value!r}")
    return value


def _record(path: Path, found: Any) -> None:
    """Spikes and membranes [N, T, neurons] by neuron, beside each sample's answer."""
    arrays = {f"spikes/{name}": values for name, values in found.spikes.items()}
    arrays |= {f"membranes/{name}": values for name, values in found.membranes.items()}
    with whole("--record", path) as part, part.open("wb") as file:  # without .npz it stays as it is
        np.savez_compressed(file, classes=found.classes, scores=found.scores,
                            clocks=found.latency, **arrays)


@contextmanager
def _work_folder(given: str | None) -> Iterator[Path]:
    """The folder *given*, kept with a list of what is in it, or a temporary one that stays only if
    something fails in it."""
    if given:
        try:
            yield Path(given)
        finally:
            with suppress(OSError):
                manifest.write(Path(given))
        return
    folder = Path(tempfile.mkdtemp(prefix="qsnn-verify-"))
    try:
        yield folder
    except (ImportError, KeyboardInterrupt):        # no log in it that would say more
        shutil.rmtree(folder, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)


def _check_work(given: str | None) -> None:
    """Raise OutputError unless ``--work`` names a new folder or one that we filled."""
    if not given:
        return
    try:
        Path(given).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"--work must be a folder that can be written, not {given!r}: "
                          f"{error.strerror}; choose another") from None
    check_place(given, "--work")


@contextmanager
def _progress(title: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar on standard error; what it yields is told of every advance."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
               TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(title, total=total)
        yield lambda done: bar.advance(task, done)


@contextmanager
def _spinner(title: str) -> Iterator[None]:
    """What goes on, and for how long, on standard error."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
    console = Console(stderr=True)
    if not console.is_terminal:
        console.print(f"{title} …", highlight=False)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(title, total=1)
        yield
        bar.update(task, completed=1)
