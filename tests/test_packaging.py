"""The wheel holds what the repository holds, and works without it."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SETUPTOOLS = PROJECT["tool"]["setuptools"]
FOLDERS = {"qsnn_compile": "qsnn_compile", "qsnn_hw": "hw/qsnn_hw", "qsnn_sim": "sim/qsnn_sim",
           "qsnn_runtime": "runtime/qsnn_runtime", "qsnn_models": "models/qsnn_models"}
MODEL, DATA = "fashion_mnist_mlp.onnx", "fashion_mnist_test1k.npz"


def test_packages_are_found_where_they_lie():
    places = SETUPTOOLS["packages"]["find"]["where"]
    assert sorted(FOLDERS.values()) == sorted(
        str(init.parent.relative_to(ROOT)) for place in places
        for init in (ROOT / place).glob("qsnn_*/__init__.py"))


def test_every_folder_with_modules_is_a_package():
    folders = {path.parent for place in FOLDERS.values() for path in (ROOT / place).rglob("*.py")}
    assert [folder for folder in folders if not (folder / "__init__.py").exists()] == []


@pytest.mark.parametrize("extra", [None, *PROJECT["project"]["optional-dependencies"]])
def test_every_dependency_has_a_tested_version(extra):
    pinned = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().split("\n")
                  if "==" in line)
    project = PROJECT["project"]
    wanted = project["optional-dependencies"][extra] if extra else project["dependencies"]
    assert {name.split(">")[0] for name in wanted} <= set(pinned)


def test_torch_is_pinned_to_the_tested_release():
    assert "\ntorch==2.13.0\n" in (ROOT / "constraints.txt").read_text()


# -- the wheel, in a place of its own -------------------------------------------------------------

@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from a copy, so that nothing is left in the repository."""
    place = tmp_path_factory.mktemp("wheel")
    for name in FOLDERS.values():
        shutil.copytree(ROOT / name, place / "source" / name,
                        ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, place / "source")
    run([sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-q",
         "-w", place, place / "source"], place)
    return next(place.glob("*.whl"))


@pytest.fixture(scope="module")
def elsewhere(wheel, tmp_path_factory):
    """An environment with the wheel and, by a path, what it depends on; no repository."""
    place = tmp_path_factory.mktemp("elsewhere")
    venv.create(place, with_pip=False)
    python = next(place.glob("bin/python")) if os.name != "nt" else place / "Scripts/python.exe"
    run([sys.executable, "-m", "pip", "-q", "--python", python, "install", "--no-deps",
         "--no-index", wheel], place)
    packages = run([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], place)
    (Path(packages.strip()) / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


def run(command, folder):
    """Standard output of *command*, run in *folder* without hints of where the sources are."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run([str(part) for part in command], cwd=folder, env=env, text=True,
                          capture_output=True, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def test_wheel_holds_every_module(elsewhere, tmp_path):
    code = "import qsnn_compile as c, pathlib; print(pathlib.Path(c.__file__).parent.parent)"
    installed = Path(run([elsewhere, "-c", code], tmp_path).strip())
    assert ROOT not in installed.parents
    for name, folder in FOLDERS.items():
        sources = {path.relative_to(ROOT / folder) for path in (ROOT / folder).rglob("*.py")}
        packed = {path.relative_to(installed / name) for path in (installed / name).rglob("*.py")}
        assert packed == sources
        assert (installed / name / "py.typed").exists()


def test_wheel_compiles_and_simulates(elsewhere, tmp_path):
    shutil.copy(ROOT / "models/zoo" / MODEL, tmp_path)
    with np.load(ROOT / "models/zoo" / DATA) as data:
        np.savez(tmp_path / "few.npz", x=data["x"][:10], y=data["y"][:10])
    scripts = elsewhere.parent
    run([scripts / "qsnnc", MODEL, "--target", "ice40", "-o", "build"], tmp_path)
    run([scripts / "qsnn", "sim", "build", "--data", "few.npz", "--json", "sim.json"], tmp_path)
    assert json.loads((tmp_path / "sim.json").read_text())["samples"] == 10
    assert (tmp_path / "build" / "top.v").exists()


def test_version_is_the_changelogs():
    assert f"## {version('qsnn')} " in (ROOT / "CHANGELOG.md").read_text()
