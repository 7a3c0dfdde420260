"""The picture of ``qsnn explore``: logic cells against time, the front as a line."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

from qsnn_compile.search.explore import best
from qsnn_compile.system.outputs import whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from qsnn_compile.search.explore import Point

FRONT, OTHERS, PLACED = "#2166ac", "#bbbbbb", "#d7301f"
PLACES = {"latency": (8, 12), "area": (-8, -14), "energy": (-8, -16)}   # of the names, from a point


def plot(file: Path, title: str, points: "Sequence[Point]", shown: "Sequence[Point]") -> None:
    """Draw *points*, of which *shown* are the front, into *file*; the same points give the same
    file. Raises OutputError where it can't be written."""
    with rc_context({"svg.hashsalt": "qsnn", "svg.fonttype": "none", "font.size": 9}):
        figure = Figure(figsize=(6.5, 4.2), layout="constrained")
        axes = figure.add_subplot(title=title, xlabel="µs of a sample at the board's clock",
                                  ylabel="logic cells", xscale="log")
        _draw(axes, points, shown)
        dated = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
        with whole("--plot", file) as path:
            figure.savefig(path, dpi=150, metadata=dated.get(file.suffix), format=file.suffix[1:])


def _draw(axes: "Axes", points: "Sequence[Point]", shown: "Sequence[Point]") -> None:
    axes.plot([one.us for one in points], [one.needed.lc for one in points], "o", ms=4,
              color=OTHERS, label="fits")
    axes.step([one.us for one in shown], [one.needed.lc for one in shown], "o-", where="post",
              color=FRONT, ms=5, lw=1, label="beaten by none")
    made = [(one.clocks / one.placed.fmax_mhz, one.placed.resources["lc"])
            for one in shown if one.placed is not None]
    if made:
        axes.plot(*zip(*made, strict=True), "s", color=PLACED, mfc="none",
                  label="placed, at its Fmax")
    for goal, point in best(shown).items():
        machine, place = point.candidate.machine, PLACES[goal]
        axes.annotate(f"{goal}: {machine.parameters.banks * machine.parameters.lanes} lanes",
                      (point.us, point.needed.lc), xytext=place, textcoords="offset points",
                      ha="left" if place[0] > 0 else "right",
                      arrowprops={"arrowstyle": "-", "lw": 0.5})
    for axis, scale in ((axes.xaxis, (1, 2, 5)), (axes.yaxis, None)):
        axis.set_major_formatter(StrMethodFormatter("{x:,g}"))
        if scale:
            axis.set_major_locator(LogLocator(subs=scale))
            axis.set_minor_locator(NullLocator())
    axes.grid(alpha=0.3, lw=0.5)
    axes.margins(0.12)
    axes.legend(frameon=False)
