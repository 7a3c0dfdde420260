"""``qsnn verify``: a build's RTL checked."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

from qsnn_compile.system.errors import QsnnError
from qsnn_compile.system.outputs import OutputError
from qsnn_sim.rtl.simulators import SIMULATORS

from . import options, progress
from .frame import command, option
from .kinds import FILE, Chance, OneOf, Whole
from .output import check_json, write_json


@command("verify")
@options.build
@options.samples(default=10, help="How many.")
@options.data(help="The samples. [default: random ones]")
@option("--simulator", type=OneOf(SIMULATORS), default=SIMULATORS[0], help="What runs the RTL.")
@option("--idle", type=Chance(), default=0.0, metavar="P",
        help="Chance of an idle clock before an input beat.")
@option("--stall", type=Chance(), default=0.0, metavar="P",
        help="Chance of a clock that takes no result.")
@option("--resets", type=Whole(0), default=0, metavar="N",
        help="Samples cut short by a reset and sent again.")
@options.seed(default=0, help="Of everything random.")
@option("--work", type=FILE, metavar="DIR", help="Compile there, and keep it for another run.")
@options.json
def verify(given: SimpleNamespace) -> int:
    """Run samples through the RTL in a simulator: every spike, result and clock must be the golden
    model's and the cycle model's. Exit code 1 where the RTL differs."""
    from qsnn_sim.measure.data import Build, Samples, read_samples
    from qsnn_sim.measure.verify import build_core, core_again, run_plans
    from qsnn_sim.rtl.plan import Traffic, plan, random_samples
    check_json(given.json)
    _check_work(given.work)
    build = Build.load(given.build)
    samples = (read_samples(given.data, build.graph).first(given.samples) if given.data else
               Samples(random_samples(build.graph, given.samples, given.seed), None))
    if given.resets > len(samples.x):
        raise QsnnError(f"--resets must be at most {len(samples.x)} samples, "
                        f"not {given.resets!r}")
    samples.warn("qsnn verify")
    traffic = Traffic(given.idle, given.stall, given.resets, given.seed)
    what = plan(build.program, build.graph, samples.x, traffic)
    verilog = core_again(build)
    with _work_folder(given.work) as folder:
        with progress.spinner(f"{given.simulator} compiles the core"):
            built = build_core({"core.v": verilog}, folder, simulator=given.simulator)
        with progress.spinner(f"{len(samples.x)} samples in {given.simulator}"):
            (verdict,) = run_plans(built, [what])
    report = asdict(verdict) | {"simulator": given.simulator, "name": build.graph.name,
                                "digest": build.program.machine.digest,
                                "accuracy": samples.accuracy(build.graph)}
    if given.json != "-":
        from qsnn_sim.measure.tables import print_verify
        print_verify(report)
    if given.json:
        write_json(report, given.json)
    return 0 if verdict.equal else 1


@contextmanager
def _work_folder(given: str | None) -> Iterator[Path]:
    """The folder *given*, kept with a list of what is in it, or a temporary one that stays only if
    something fails in it."""
    from qsnn_compile.builds import manifest
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
    from qsnn_compile.builds.folder import check_place
    check_place(given, "--work")
