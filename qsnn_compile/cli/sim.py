"""``qsnn sim``: a build measured."""

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from qsnn_compile.system.outputs import check_file, whole

from . import options, progress
from .frame import command, option
from .kinds import FILE, Wholes
from .output import check_json, write_json

if TYPE_CHECKING:
    from qsnn_sim.measure.measure import Measured


@command("sim")
@options.build
@options.data(required=True, help="x [N, ...] (spikes: [N, T, ...]) and, where known, y [N].")
@options.samples(help="Only the first N.")
@options.json
@option("--exit-margin", type=Wholes(0), metavar="M[,M...]", help="What it would bring and cost to "
        "end when the best score leads the next by M.")
@option("--record", type=FILE, metavar="NPZ",
        help="Save the spikes and membranes of each layer and step.")
def sim(given: SimpleNamespace) -> int:
    """Run samples through the golden model and the cycle model: accuracy, clocks, utilisation,
    energy."""
    from qsnn_sim.measure.data import Build, read_samples
    from qsnn_sim.measure.exits import by_step, exit_rows, margins_of
    from qsnn_sim.measure.measure import measure, summary
    check_json(given.json)
    check_file("--record", given.record)
    build = Build.load(given.build)
    margins = margins_of(build, given.exit_margin)
    samples = read_samples(given.data, build.graph).first(given.samples)
    samples.warn("qsnn sim")
    with progress.bar("golden and cycle model", len(samples.x)) as tell:
        measured = measure(build, samples, record=given.record is not None, progress=tell)
    report = summary(build, samples, measured) | {
        "warnings": [samples.warning] if samples.warning else [],
        "accuracy_by_step": by_step(measured.answers, samples),
        "exits": exit_rows(build, samples, measured, margins)}
    if given.record:
        _record(Path(given.record), measured)
    if given.json != "-":
        from qsnn_sim.measure.tables import print_sim
        print_sim(report)
    if given.json:
        write_json(report, given.json)
    return 0


def _record(path: Path, measured: "Measured") -> None:
    """Spikes and membranes [N, T, neurons] by neuron, beside each sample's answer."""
    import numpy as np
    arrays: dict[str, Any] = {f"spikes/{name}": values for name, values in measured.spikes.items()}
    arrays |= {f"membranes/{name}": values for name, values in measured.membranes.items()}
    with whole("--record", path) as part, part.open("wb") as file:  # without .npz it stays as it is
        np.savez_compressed(file, classes=measured.classes, scores=measured.scores,
                            clocks=measured.latency, **arrays)
