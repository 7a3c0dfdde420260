"""Who may know whom. Each room's ``__init__`` says what its modules may import; here it is held to
that, imports inside functions and under TYPE_CHECKING included."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
import rooms

ROOT = Path(__file__).parents[1]
MODULES = rooms.sources(None)
IMPORTS = {name: rooms.imported(name, text, is_init, MODULES)
           for name, (text, is_init) in MODULES.items()}
ROOMS = {name: rooms.room_of(name, is_init) for name, (_, is_init) in MODULES.items()}
HEAVY = {"torch", "onnx", "onnxruntime", "amaranth", "amaranth_boards", "cocotb", "matplotlib",
         "distributed"}
OURS = set(rooms.FOLDERS.values())


def home(module):
    """The folder that *module* lies in, by its import name."""
    return module if MODULES[module][1] else module.rpartition(".")[0]


def law(module):
    """What the room of *module* may import, by the sentence in its ``__init__``."""
    sentence = re.search(r"It (may\s+import|imports)\s+(.*?)\.(?=\s|$)", ast.get_docstring(
        ast.parse(MODULES[home(module)][0])) or "", re.DOTALL)
    assert sentence, f"{home(module)}: its __init__ must say what it may import"
    return set(re.findall(r"`([\w.]+)`", sentence[2]))


def heavy(module):
    """The large libraries that *module* imports."""
    for node in ast.walk(ast.parse(MODULES[module][0])):
        names = ([alias.name for alias in node.names] if isinstance(node, ast.Import) else
                 [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else [])
        yield from HEAVY & {name.split(".")[0] for name in names}


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_keep_the_law_of_their_room(module):
    allowed = law(module)
    beside = {ROOMS[other] for other in MODULES if home(other) == home(module)}
    rest = {ROOMS[other] for other in IMPORTS[module]} - beside - OURS
    assert rest | set(heavy(module)) <= allowed, f"{module} imports more than its room may"


def test_the_law_names_rooms_that_are_there():
    named = set().union(*map(law, MODULES)) - HEAVY
    assert named <= set(ROOMS.values())


def test_no_circle_of_rooms_or_modules():
    assert rooms.circles(rooms.room_arrows(IMPORTS, ROOMS)) == []
    assert rooms.circles(IMPORTS) == []


def test_the_golden_model_knows_only_the_ir():
    """That independence makes it the judge."""
    assert [name for name in MODULES if ROOMS[name] == "qsnn_sim.golden"
            and law(name) != {"qsnn_compile.ir"}] == []


def loaded_after(code):
    script = f"import sys\n{code}\nprint(*sys.modules)"
    return set(subprocess.run([sys.executable, "-c", script], capture_output=True, text=True,
                              check=True, cwd=ROOT).stdout.split("\n")[-2].split())


@pytest.mark.parametrize("code", [
    "import qsnn_compile",
    "from qsnn_compile.cli import qsnnc\ntry: qsnnc.main(['--help'])\nexcept SystemExit: pass",
    "from qsnn_compile.cli import qsnn\ntry: qsnn.main(['--help'])\nexcept SystemExit: pass",
    "import qsnn_runtime.network, qsnn_compile.cli.run",
    "import qsnn_hw.link.beats, qsnn_hw.link.frames, qsnn_hw.machine.tables",
    "import qsnn_sim.golden.golden, qsnn_sim.cycle.cycle",
])
def test_light_things_load_nothing_heavy(code):
    assert not loaded_after(code) & HEAVY
