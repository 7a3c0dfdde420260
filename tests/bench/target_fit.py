"""What networks take of a target's chip, predicted and as the tools count it; docs/targets.md::

    python tests/bench/target_fit.py ecp5-85f mnist_mlp fashion_mnist_mlp   # nextpnr packs only
    python tests/bench/target_fit.py ecp5-85f fashion_mnist_mlp --lanes 512 --seeds 1
    python tests/bench/target_fit.py up5k fashion_mnist_mlp --map lanes=64 units=4 --seeds 1 2 3

The machine is the one that the search chooses, or what ``--map`` says (one step a pass). With
``--seeds`` the design is placed and routed, and the clock that each seed reaches is printed. With
``--beside`` the same core is packed for UP5K too, its weights in single-port RAM: a family's
`cell_scale` is the median of cells over cells there.
"""

import argparse
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from qsnn_compile.builds.folder import write_sources
from qsnn_compile.builds.tools import find_tools, pack_only, place, synthesise
from qsnn_compile.chips.resources import predict
from qsnn_compile.chips.targets import target
from qsnn_compile.dialect.reader import import_onnx
from qsnn_compile.lower.mapping import map_graph
from qsnn_compile.lower.program import Program
from qsnn_compile.passes import PASSES, run_passes
from qsnn_compile.search.choose import Aim, choose


def beside(program, graph):
    """Cells of the same core on UP5K."""
    goal = target("up5k")
    machine = program.machine.with_parameters(weight_memory="spram", small_memories="block")
    there = replace(program, machine=machine, board=goal.board.name,
                    clock_mhz=goal.board.clock_mhz)
    with tempfile.TemporaryDirectory() as name:
        write_sources(Path(name), graph, there)
        tools = find_tools(goal.family)
        synthesise(tools, Path(name), goal.device)
        return pack_only(tools, Path(name), goal.device)["lc"]


def mapped(graph, goal, lanes, shape):
    """The search's machine of *lanes* lanes, or the one of *shape*, and its image."""
    if shape:
        return map_graph(graph, **{key: int(value) for key, value in
                                   (entry.split("=") for entry in shape)})
    return choose(graph, goal, Aim(lanes=lanes))


def row(goal, model, lanes, shape, seeds, margin, compare):
    """A line of the table."""
    path = Path(model) if model.endswith(".onnx") else Path(f"models/zoo/{model}.onnx")
    graph = run_passes(import_onnx(path), PASSES)
    machine, image = mapped(graph, goal, lanes, shape)
    parameters = machine.parameters
    guess = predict(machine, image, goal.device)
    program = Program(machine, image, graph.input, goal.name, goal.board.name,
                      goal.board.clock_mhz)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_sources(folder, graph, program)
        began, tools = time.monotonic(), find_tools(goal.family)
        synthesise(tools, folder, goal.device)
        print(f"… {model}: synthesis {time.monotonic() - began:.0f} s", file=sys.stderr)
        runs = [place(tools, folder, goal.device, seed, goal.board.clock_mhz * margin)
                for seed in seeds]
        used = runs[0].resources if runs else pack_only(tools, folder, goal.device)
    clocks = " ".join("none" if run.fmax_mhz is None else f"{run.fmax_mhz:.1f}" for run in runs)
    print(f"… {time.monotonic() - began:.0f} s in all", file=sys.stderr)
    shape = f"{parameters.banks} × {parameters.lanes}, {parameters.units} units, {parameters.order}"
    counts = " | ".join(f"{used.get(key, 0):,} | {getattr(guess, key):,}"
                        for key in ("lc", "ebr", "dsp"))
    lc = used.get("lc", 0)
    there = beside(program, graph) if compare else None
    over = f"{there:,} ({lc / there:.2f})" if there else ""
    return (f"| {graph.name} | {shape} | {counts} | {lc / guess.lc:.2f} | {over} | {clocks} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("target")
    parser.add_argument("models", nargs="+")
    parser.add_argument("--lanes", type=int)
    parser.add_argument("--map", nargs="+", default=(), metavar="KEY=N",
                        help="banks, lanes, units, columns of this machine, not the search's")
    parser.add_argument("--seeds", type=int, nargs="*", default=())
    parser.add_argument("--margin", type=float, default=1.2, help="asked of nextpnr, over the "
                        "board's clock (default: %(default)s)")
    parser.add_argument("--beside", action="store_true", help="pack it for UP5K too")
    options = parser.parse_args()
    goal = target(options.target)
    print(f"| {goal.device.name} | banks × lanes | logic cells | predicted | block RAM | predicted "
          "| multipliers | predicted | tools / model | on UP5K | MHz |")
    print("| --- | --- " + "| ---: " * 9 + "|")
    for model in options.models:
        print(row(goal, model, options.lanes, options.map, options.seeds,
                  options.margin, options.beside), flush=True)


if __name__ == "__main__":
    main()
