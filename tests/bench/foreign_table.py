"""The table of docs/foreign.md: library × form × works or refused, from the files in tests/cases.

``python tests/bench/foreign_table.py`` writes it again; ``--show`` prints it instead.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from qsnn_compile.cli.foreign import golden
from qsnn_compile.compare.check import Check, check
from qsnn_compile.compiler import compile_model
from qsnn_compile.foreign.reader import Options, read_foreign
from qsnn_compile.system.errors import QsnnError

ROOT = Path(__file__).parents[2]
CASES = ROOT / "tests" / "cases"
PAGE = ROOT / "docs" / "foreign.md"
MARK = "<!-- tests/bench/foreign_table.py -->"
WIDTHS = ((16, 24), (8, 12))
NIR = {"snntorch_dense": ("snntorch", "delayed-soft"), "spikingjelly_dense_if": ("spikingjelly",),
       "spikingjelly_dense_lif": ("spikingjelly",), "sinabs_dense_iaf": ("sinabs", "soft"),
       "norse_dense_lifbox": ("norse",)}
LIBRARIES = {"snntorch": "snnTorch", "sj": "SpikingJelly 2.0", "sj014": "SpikingJelly 0.0.0.0.14",
             "spikingjelly": "SpikingJelly 2.0", "sinabs": "Sinabs", "norse": "Norse",
             "brevitas": "Brevitas + snnTorch", "native": "native INT4 / INT2",
             "qsnn": "by hand", "TRAP": "traps"}


@dataclass(frozen=True)
class Row:
    """A line of the table; ``wrong`` are the mismatches in fixed point by WIDTHS."""

    library: str
    form: str
    read: str
    spikes: int
    wrong: tuple[int, ...]
    core: str

    def line(self) -> str:
        figures = [str(n) if self.spikes else "–" for n in self.wrong] or ["–"] * len(WIDTHS)
        return " | ".join([f"| {self.library}", self.form, self.read, *figures, f"{self.core} |"])


def files() -> Iterator[Path]:
    yield from sorted((CASES / "onnx").glob("*.onnx"), key=lambda path: path.name.lower())
    yield from sorted((CASES / "nir").glob("*.nir"))


def options_of(path: Path, widths: tuple[int, int] = (8, 12)) -> Options:
    dt, reset = (*NIR.get(path.stem, (None, None)), None)[:2] if path.suffix == ".nir" else (
        None, None)
    return Options(*widths, dt=dt, reset=reset)


def data_of(path: Path) -> Path:
    stem = path.stem.split("__")[0]
    return path.with_name(f"{'qsnn_function_dense_scan' if 'torch_scan' in stem else stem}.npz")


def row_of(path: Path) -> Row:
    library, _, form = path.stem.partition("_")
    form = form.replace("__ts", ", TorchScript").replace("__dynamo", ", dynamo").replace("_", " ")
    if path.suffix == ".nir":
        told = options_of(path)
        form += f", NIR, --dt {told.dt}" + (f" --reset {told.reset}" if told.reset else "")
    name = LIBRARIES.get(library, library)
    try:
        read_foreign(path, options_of(path))
        checks = [checked(path, widths) for widths in WIDTHS] if data_of(path).exists() else []
    except QsnnError as error:
        return Row(name, form, f"refused: {short(error, path)}", 0, (), "")
    read = (f"{checks[0].float_mismatches} of {checks[0].spikes} differ" if checks else
            "read (no spikes stored)")
    wrong = tuple(one.fixed_mismatches for one in checks)
    return Row(name, form, read, checks[0].spikes if checks else 0, wrong, core(path))


def checked(path: Path, widths: tuple[int, int]) -> Check:
    """Against the library's own spikes, always: of NIR, those stored beside the file."""
    with TemporaryDirectory() as folder:
        data = dict(np.load(data_of(path)))
        own = {"spk": data["spk_framework"]} if path.suffix == ".nir" else {}
        np.savez(Path(folder) / "x.npz", **data, **own)
        made = check(path, Path(folder) / "x.npz", options_of(path, widths), golden)
    assert made.compared_with_library
    return made


def core(path: Path) -> str:
    try:
        compile_model(path, target_name="ice40", output=None, options=options_of(path))
    except QsnnError as error:
        return f"refused: {short(error, path)}"
    return "compiles"


def short(error: QsnnError, path: Path) -> str:
    """The reason: after the file and the node, before the advice."""
    text = str(error).removeprefix(f"{path}: ").split(";")[0]
    reason = text.partition("): ")[2] or text.partition("': ")[2] or text
    return reason.split(": ")[0].replace("|", "\\|")


def table() -> str:
    rows = [row_of(path) for path in files()]
    heads = ["library", "form", "float against the library", *(f"{w}/{u} bits" for w, u in WIDTHS),
             "on the core (8/12 bits)"]
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads),
             *(row.line() for row in rows)]
    total = sum(row.spikes for row in rows)
    wrong = np.array([row.wrong for row in rows if row.wrong]).sum(axis=0)
    shares = "; ".join(f"{w}-bit weights, {u}-bit membranes: {n} ({n / total:.3%})"
                       for (w, u), n in zip(WIDTHS, wrong, strict=True))
    return "\n".join([*lines, "", f"All together, {total:,} spikes. Wrong in fixed point with "
                      f"8-bit inputs: {shares}."])


def main() -> None:
    if sys.argv[1:] == ["--show"]:
        print(table())
        return
    before, _, rest = PAGE.read_text().partition(MARK)
    after = rest.partition(MARK)[2]
    PAGE.write_text(f"{before}{MARK}\n{table()}\n{MARK}{after}")


if __name__ == "__main__":
    main()
