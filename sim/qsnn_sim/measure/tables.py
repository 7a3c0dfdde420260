"""The reports of ``qsnn sim`` and ``qsnn verify`` as tables on standard output."""

from typing import Any

from rich.console import Console
from rich.table import Table

from qsnn_compile.system.text import marked, plain

MISMATCHES = ("spike_mismatches", "result_mismatches", "clock_mismatches")


def print_sim(report: dict[str, Any]) -> None:
    """Accuracy, time, work and energy; then a line a layer."""
    console = Console(highlight=False, soft_wrap=True)
    banks = f"{report['banks']} × " if report["banks"] > 1 else ""
    console.print(f"[bold]{marked(plain(report['name']))}[/bold], {report['samples']:,} samples, "
                  f"{banks}{report['lanes']} lanes at {report['clock_mhz']:g} MHz"
                  f"{'' if report['clock_placed'] else ' (not placed)'}")
    if report["accuracy"] is not None:
        console.print(f"accuracy  {report['accuracy']:.2%}{_when(report)}")
    if report["by_class"]:
        console.print(f"classes   {marked(plain(classes(report['by_class'])))}")
    unit = "step" if report["streaming"] else "sample"
    console.print(f"work      {report['sops']:,.0f} synaptic operations a {unit}, "
                  f"{report['utilisation']:.1%} of lanes × clocks")
    console.print(f"roof      {report['roof_clocks']:,.0f} clocks, layer by layer the larger of "
                  f"operations / lanes and updates / units; {_over(report)}")
    console.print(f"energy    {_energy(report)}\n")
    console.print(_times(report))
    console.print()
    console.print(_layers(report["layers"]))
    if report["exits"]:
        console.print()
        console.print(_exits(report["exits"]))


def classes(rows: list[dict[str, Any]]) -> str:
    """``walk 98.0%, run 91.5%``, or how many answers say each."""
    return ", ".join(f"{row['name']} " + (
        f"{row['answers']:,}" if row.get("accuracy") is None else f"{row['accuracy']:.1%}")
        for row in rows)


def _over(report: dict[str, Any]) -> str:
    """The clocks beside the roof, where they are of the same steps."""
    if report["exit_margin"] is not None and not report["streaming"]:
        return "of a window of all its steps"
    return ("the mean sample takes "
            f"{report['clocks']['mean'] / max(report['roof_clocks'], 1):.2f} times as many")


def _when(report: dict[str, Any]) -> str:
    """After which step the accuracy is, where there is more than one answer."""
    if report["streaming"]:
        return f" after {report['steps']} steps; the times are of one"
    return "" if report["exit_margin"] is None else " where windows end as they are settled"


def _exits(rows: list[dict[str, Any]]) -> Table:
    table = _table("exit margin")
    for name in ("accuracy", "lost", "settled", "steps", "clocks", "saved", "µs"):
        table.add_column(name, justify="right")
    for row in rows:
        known = row["accuracy"] is not None
        table.add_row(
            str(row["margin"]), f"{row['accuracy']:.2%}" if known else "–",
            f"{100 * row['accuracy_lost']:.2f} points" if known else "–", f"{row['settled']:.1%}",
            f"{row['steps']:.2f}", f"{row['clocks']:,.0f}", f"{row['clocks_saved']:,.0f}",
            f"{row['latency_us']:,.1f}")
    return table


def _times(report: dict[str, Any]) -> Table:
    table = _table("latency")
    columns = ("min", "median", "p99", "max", "worst_case")
    for name in columns:
        table.add_column(name.replace("worst_case", "proven worst"), justify="right")
    for label, key, form in (("clocks", "clocks", ",.0f"), ("µs", "latency_us", ",.1f"),
                             ("µs with input, a beat a clock", "latency_us_with_input", ",.1f")):
        table.add_row(label, *(format(report[key][name], form) for name in columns))
    return table


def _energy(report: dict[str, Any]) -> str:
    energy, model = report["energy_nj"], report["energy_model"]
    if energy is None:
        return "no constants for this device: see docs/energy.md"
    return (f"{energy['total']:,.0f} nJ an inference, {energy['low']:,.0f} to "
            f"{energy['high']:,.0f}: a model from {model['lc']:,} logic cells "
            f"({model['lc_from']}), not a measurement")


def _layers(layers: list[dict[str, Any]]) -> Table:
    table = _table("layer")
    for name in ("neurons", "inputs", "events", "operations", "clocks", "lanes' roof",
                 "units' roof", "used"):
        table.add_column(name, justify="right", no_wrap="'" not in name)
    for layer in layers:
        table.add_row(
            marked(plain(layer["name"])), _size(layer), *(f"{layer[key]:,.0f}" for key in (
                "fan_in", "events", "sops", "clocks", "lane_roof", "unit_roof")),
            f"{layer['utilisation']:.1%}")
    return table


def _size(layer: dict[str, Any]) -> str:
    """Neurons: channels, and places where there are several."""
    places = layer["height"] * layer["width"]
    return f"{layer['channels']:,}" + (
        f" × {layer['height']} × {layer['width']}" if places > 1 else "")


def _table(first: str) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column(first)
    return table


def print_verify(report: dict[str, Any]) -> None:
    """Whether the RTL equals the models; if not, where they first part."""
    console = Console(highlight=False, soft_wrap=True)
    speed = report["core_clocks"] / report["seconds"]
    wrong = [f"{report[key]:,} {key.replace('_', ' ')}" for key in MISMATCHES if report[key]]
    if wrong:
        console.print(f"[red]RTL differs[/red] on {report['samples']} samples: "
                      f"{', '.join(wrong)}")
        console.print(f"first divergence: {marked(str(report['first']))}")
    else:
        console.print(f"[green]RTL = golden model[/green] on {report['samples']} samples of "
                      f"{marked(plain(report['name']))}: every spike, every result, every clock")
    if report["accuracy"] is not None:
        console.print(f"accuracy {report['accuracy']:.2%}, of the golden model")
    console.print(f"{report['simulator']}: {report['core_clocks']:,} clocks in "
                  f"{report['seconds']:.1f} s ({speed:,.0f} a second)")
