"""Who may know whom: the imports of every file, those inside functions too."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OURS = {"qsnn_compile": "qsnn_compile", "hw": "qsnn_hw", "sim": "qsnn_sim",
        "runtime": "qsnn_runtime", "models": "qsnn_models"}
HEAVY = {"torch", "onnx", "onnxruntime", "amaranth", "amaranth_boards", "cocotb", "matplotlib",
         "distributed"}
COMPILER = "qsnn_compile"
MACHINE = ("qsnn_hw.arch", "qsnn_hw.fields", "qsnn_hw.layers", "qsnn_hw.validity")

# Where the most specific row counts: (what of ours it may import, which heavy packages)
ALLOWED = {
    "hw/fields.py": ((), set()),
    "hw/layers.py": ((), set()),
    "hw/validity.py": (MACHINE, set()),
    "hw/arch.py": (MACHINE, set()),
    "hw/frames.py": (MACHINE, set()),
    "hw/beats.py": (MACHINE, set()),
    "hw/schedule.py": (MACHINE, set()),
    "hw/tables.py": ((*MACHINE, "qsnn_hw.schedule"), set()),
    "hw": (("qsnn_hw",), {"amaranth"}),
    "qsnn_compile/errors.py": ((), set()),
    "qsnn_compile/files.py": ((), set()),
    "qsnn_compile/ir": (("qsnn_compile.ir",), set()),
    "qsnn_compile/program.py": (("qsnn_compile.errors", "qsnn_compile.files", "qsnn_compile.ir",
                                 *MACHINE, "qsnn_hw.frames"), set()),
    "qsnn_compile/cli/explore.py": (tuple(OURS.values()), {"matplotlib", "distributed"}),
    "qsnn_compile/cli/explore_plot.py": (("qsnn_compile",), {"matplotlib"}),
    "qsnn_compile/cli": (tuple(OURS.values()), set()),
    "qsnn_compile": (("qsnn_compile", "qsnn_hw"), {"onnx", "onnxruntime"}),
    "sim/golden.py": (("qsnn_compile.ir", "qsnn_sim.golden_ops"), set()),
    "sim/golden_ops.py": (("qsnn_compile.ir",), set()),
    "sim/cycle.py": (("qsnn_sim.activity", *MACHINE, "qsnn_hw.schedule"), set()),
    "sim/activity.py": ((*MACHINE, "qsnn_hw.schedule"), set()),
    "sim/benches": (("qsnn_sim", *MACHINE, "qsnn_hw.beats", "qsnn_compile.program"),
                    {"cocotb"}),
    "sim": (("qsnn_sim", "qsnn_compile", "qsnn_hw"), set()),
    "runtime/commands.py": (("qsnn_runtime", "qsnn_hw.frames", "qsnn_compile.cli.qsnnc",
                             "qsnn_sim.data"), set()),
    "runtime": (("qsnn_runtime", *MACHINE, "qsnn_hw.beats", "qsnn_hw.frames",
                 "qsnn_compile.errors", "qsnn_compile.files", "qsnn_compile.ir",
                 "qsnn_compile.program"), set()),
    "models": (("qsnn_models", "qsnn_compile.files", "qsnn_compile.ir"),
               {"torch", "onnx", "onnxruntime", "matplotlib"}),
}


def sources():
    return sorted(path for folder in OURS for path in (ROOT / folder).rglob("*.py"))


def module_of(path):
    folder, *rest = path.relative_to(ROOT).with_suffix("").parts
    return ".".join([OURS[folder], *(part for part in rest if part != "__init__")])


def imported(path):
    """Every module that *path* names in an import, as full names with what is taken from them."""
    package = module_of(path).split(".")
    package = package if path.name == "__init__.py" else package[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[:len(package) - node.level + 1] if node.level else []
            base = [*base, *([node.module] if node.module else [])]
            yield from (".".join([*base, alias.name]) for alias in node.names)


def row(path):
    place = path.relative_to(ROOT)
    return next(ALLOWED[key] for key in map(str, [place, *place.parents]) if key in ALLOWED)


def within(name, prefixes):
    return any(f"{name}.".startswith(f"{prefix}.") for prefix in prefixes)


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_keep_their_direction(path):
    ours, heavy = row(path)
    for name in imported(path):
        if within(name, OURS.values()):
            assert within(name, ours) or name == COMPILER, f"{path} imports {name}"
        elif name.split(".")[0] in HEAVY:
            assert name.split(".")[0] in heavy, f"{path} imports {name}"


def test_no_file_uses_a_bare_folder_name():
    bare = {"hw", "sim", "runtime", "models"}
    wrong = [(path, name) for path in sources() for name in imported(path)
             if name.split(".")[0] in bare]
    assert not wrong


def loaded_after(code):
    script = f"import sys\n{code}\nprint(*sys.modules)"
    return set(subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True,
                              check=True).stdout.split("\n")[-2].split())


@pytest.mark.parametrize("code", [
    "import qsnn_compile",
    "from qsnn_compile.cli import qsnnc\ntry: qsnnc.main(['--help'])\nexcept SystemExit: pass",
    "from qsnn_compile.cli import qsnn\ntry: qsnn.main(['--help'])\nexcept SystemExit: pass",
    "import qsnn_runtime.network, qsnn_runtime.commands",
    "import qsnn_hw.beats, qsnn_hw.frames, qsnn_hw.tables",
    "import qsnn_sim.golden, qsnn_sim.cycle",
])
def test_light_things_load_nothing_heavy(code):
    assert not loaded_after(code) & HEAVY
