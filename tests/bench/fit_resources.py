"""Fits the resource model to what yosys and nextpnr make of the shapes in machine_shapes, and
checks it on eight others::

    python tests/bench/fit_resources.py            # fit, rewrite chips/resource_coefficients.py
    python tests/bench/fit_resources.py --check    # the table of docs/resource-model.md

nextpnr packs and doesn't place: placing changes no count.
"""

import argparse
import hashlib
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from machine_shapes import CHECKED, FITTED

from qsnn_compile.builds.folder import constraints
from qsnn_compile.builds.tools import find_tools, pack_only, synthesise
from qsnn_compile.chips import resource_coefficients as resource_fit
from qsnn_compile.chips.memories import memories
from qsnn_compile.chips.resources import features, predict, written_cells
from qsnn_compile.chips.targets import target
from qsnn_hw.boards.top import top_verilog

WITHIN = 0.15


def measure(verilog, name="ice40"):
    """LC, EBR, SPRAM and DSP as nextpnr packs the board's design."""
    goal = target(name)
    tools = find_tools(goal.family)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "top.v").write_text(verilog)
        (folder / f"top.{goal.family.constraints}").write_text(constraints(goal))
        synthesise(tools, folder, goal.device)
        return pack_only(tools, folder, goal.device)


def measured(shapes, cache):
    """(shape, (machine, image), what it takes) of each; *cache* keeps results of equal Verilog."""
    known = json.loads(cache.read_text()) if cache and cache.exists() else {}
    for shape in shapes:
        built = shape.machine()
        verilog = top_verilog(*built)
        key = hashlib.sha256(verilog.encode()).hexdigest()
        if key not in known:
            print(f"… {shape.name}", file=sys.stderr, flush=True)
            known[key] = measure(verilog)
            if cache:
                cache.write_text(json.dumps(known))
        yield shape, built, known[key]


def fit(rows):
    """Weights that are never negative and minimise the relative error (active set)."""
    names = list(features(rows[0][1][0], memories(*rows[0][1])))
    cells = np.array([used["lc"] for _, _, used in rows], dtype=float)
    beside = np.array([written_cells(memories(*built)) for _, built, _ in rows])
    table = np.array([list(features(built[0], memories(*built)).values()) for _, built, _ in rows])
    kept = list(range(len(names)))
    while True:
        coefficients, *_ = np.linalg.lstsq(table[:, kept] / cells[:, None], 1 - beside / cells,
                                    rcond=None)
        if coefficients.min() >= 0:
            break
        kept.pop(int(coefficients.argmin()))
    weights = dict.fromkeys(names, 0.0)
    weights.update({names[index]: round(float(w), 4)
                    for index, w in zip(kept, coefficients, strict=True)})
    return weights


def show(rows):
    """A line a shape; the largest relative error of LC and EBR."""
    worst = 0.0
    print("| shape | LC | predicted | error "
          "| EBR | predicted | SPRAM | predicted | DSP | predicted |")
    print("| --- " + "| ---: " * 9 + "|")
    for shape, built, used in rows:
        guess = asdict(predict(*built))
        errors = {key: guess[key] / used[key] - 1 if used[key] else float(guess[key] != 0)
                  for key in ("lc", "ebr", "spram")}
        worst = max(worst, *map(abs, errors.values()))
        name = f"{shape.name} P{shape.lanes}" if not hasattr(shape, "sizes") else shape.name
        print(f"| {name} | {used['lc']} | {guess['lc']} | {errors['lc']:+.1%} | "
              + " | ".join(f"{used[k]} | {guess[k]}" for k in ("ebr", "spram", "dsp")) + " |")
    print(f"\nlargest error {worst:.1%}")
    return worst


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true", help="check, don't fit")
    parser.add_argument("--cache", type=Path, help="keep measurements in this file")
    options = parser.parse_args()
    if options.check:
        return int(show(list(measured(CHECKED, options.cache))) > WITHIN)
    rows = list(measured(FITTED, options.cache))
    weights = fit(rows)
    lines = "".join(f'    "{name}": {weight},\n' for name, weight in weights.items())
    Path(resource_fit.__file__).write_text(
        f'"""{resource_fit.__doc__}"""\n\nWEIGHTS = {{\n{lines}}}\n')
    resource_fit.WEIGHTS.update(weights)
    show(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
