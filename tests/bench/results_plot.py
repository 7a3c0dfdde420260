"""The plot of docs/results.md: accuracy against what an inference reads, and against its energy."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from results_runs import TASKS, Row
from results_store import Line, recipe_of, runs
from results_table import shown

from qsnn_models.network.qsnn import NetworkConfig

COLOURS = {"float": "#444444", "W8/U8": "#7b3294", "W1/U8": "#2166ac", "W1/U4": "#1b9e77",
           "W1/U2": "#e08214", "W1/U0": "#d7301f"}
FLOAT_BITS = 32

CHIP = "fashion-dense"          # the task of the last panel

Point = tuple[str, float, float]         # label, x, accuracy in percent
Shown = Sequence[tuple[Row, list[Line]]]


def plot(folder: Path) -> None:
    """Draw the picture beside *folder*; the same runs give the same file."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams.update({"svg.hashsalt": "results", "svg.fonttype": "none", "font.size": 9,
                         "axes.titlesize": 10})
    import matplotlib.pyplot as plt

    known = {recipe_of(line): line for task in TASKS for line in runs(folder / f"{task}.jsonl")}
    figure, places = plt.subplots(2, 3, figsize=(11, 6.8), layout="constrained")
    rows = shown(known)
    for place, (task, facts) in zip(places.flat, TASKS.items(), strict=False):
        frame(place, facts.title, "weight bits read an inference")
        dots(place, ((row.label, mean(map(bits_read, lines)), percent(lines))
                     for row, lines in rows if row.table == "bits" and row.task == task))
    on_chip(places.flat[-1], [(row, lines) for row, lines in rows if row.task == CHIP])
    handles = [plt.Line2D([], [], color=colour, marker="o", linestyle="", label=label)
               for label, colour in COLOURS.items()]
    handles.append(plt.Line2D([], [], color=COLOURS["W1/U4"], marker="x", linestyle="",
                              label="W1/U4 by spike target"))
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    figure.savefig(folder.with_suffix(".svg"), metadata={"Date": None})
    plt.close(figure)


def frame(place: Any, title: str, x: str, scale: str = "log") -> None:
    """A panel's axes, a logarithmic x with ticks at 1, 2 and 5."""
    from matplotlib.ticker import EngFormatter, LogLocator, NullLocator

    place.set(title=title, xlabel=x, ylabel="accuracy, %", xscale=scale)
    if scale == "log":
        place.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        place.xaxis.set_major_formatter(EngFormatter(sep=""))
        place.xaxis.set_minor_locator(NullLocator())
    place.margins(x=0.12, y=0.12)
    place.grid(alpha=0.3, linewidth=0.5)


def dots(place: Any, points: Iterable[Point]) -> None:
    for label, across, up in points:
        place.scatter(across, up, color=COLOURS[label], s=42, alpha=0.85, zorder=3)


def on_chip(place: Any, rows: Shown) -> None:
    """Energy by the model: the rows of bits, and crosses for spike targets, which buy energy."""
    frame(place, f"{TASKS[CHIP].title}, on UP5K", "energy of an inference, nJ (model)", "linear")
    priced = [(row, mean(joules), percent(lines)) for row, lines in rows
              if (joules := [line["energy_nj"] for line in lines if line["energy_nj"]])]
    dots(place, ((row.label, x, y) for row, x, y in priced if row.table == "bits"))
    for row, x, y in priced:
        if row.table == "spikes" and row.training.get("rate_weight") != 0.005:
            name = row.label.removeprefix("target ").split(",")[0].removeprefix("spike half ")
            place.scatter(x, y, color=COLOURS["W1/U4"], marker="x", s=42, zorder=3)
            place.annotate(name, (x, y), xytext=(5, 4), textcoords="offset points")


def bits_read(line: Line) -> float:
    """Σ over layers of synaptic operations × weight bits."""
    network = NetworkConfig(**line["network"])
    widths = network.widths if network.weights != "float" else [FLOAT_BITS] * len(network.widths)
    return sum(count * bits for count, bits in zip(line["operations"], widths, strict=True))


def percent(lines: Sequence[Line]) -> float:
    return 100 * mean(line["accuracy"] for line in lines)
