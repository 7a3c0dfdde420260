"""Names that say what they hold."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDERS = ("docs", "examples", "hw", "models", "qsnn_compile", "runtime", "sim", "tests")


def bound(tree):
    """Every local, argument and function of *tree*, with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id, node.lineno
        elif isinstance(node, ast.arg):
            yield node.arg, node.lineno
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name, node.lineno


def test_nothing_is_called_found():
    """What was found has a name of its own; in a report it stands beside what was expected."""
    wrong = [f"{file.relative_to(ROOT)}:{line}" for folder in FOLDERS
             for file in sorted((ROOT / folder).rglob("*.py"))
             for name, line in bound(ast.parse(file.read_text())) if name == "found"]
    fields = ("sim/qsnn_sim/rtl/compare.py:", "qsnn_compile/foreign/onnx/neurons/neurons.py:")
    assert [place for place in wrong if not place.startswith(fields)] == []
