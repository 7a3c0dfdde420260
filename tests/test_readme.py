"""What the README shows is true: its cheap commands run, what it names exists."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
COMMANDS = [shlex.split(line[2:].partition("#")[0])
            for block in re.findall(r"```console\n(.*?)```", README, re.DOTALL)
            for line in block.splitlines() if line.startswith("$ ")]
OURS = [command for command in COMMANDS if command[0] in ("qsnnc", "qsnn")]
MINUTES = {"--bitstream", "verify", "run", "train"}     # or a board: their own tests run them


def call(command, folder):
    script = Path(sys.executable).with_name(command[0])
    environment = os.environ | {"COLUMNS": "100"}
    return subprocess.run([script, *command[1:]], cwd=folder, text=True, capture_output=True,
                          env=environment, check=False)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder that looks like the repository's root to a command that only reads it, with
    somebody's network in it."""
    place = tmp_path_factory.mktemp("readme")
    (place / "models").symlink_to(ROOT / "models")
    theirs = ROOT / "tests" / "cases" / "onnx" / "snntorch_leaky_dense_step"
    (place / "theirs.onnx").symlink_to(f"{theirs}__dynamo.onnx")
    (place / "x.npz").symlink_to(f"{theirs}.npz")
    return place


def test_the_readme_shows_the_commands():
    assert {command[0] for command in COMMANDS} == {"make", "qsnnc", "qsnn"}


def test_cheap_commands_run_in_their_order(place):
    for command in OURS:
        cheap = [word for word in command if word != "--bitstream"]
        if not MINUTES & set(cheap):
            done = call(cheap, place)
            assert done.returncode == 0, f"{shlex.join(cheap)}\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("command", OURS, ids=shlex.join)
def test_every_option_exists(command):
    name = command[:1] if command[0] == "qsnnc" else command[:2]
    shown = call([*name, "--help"], ROOT).stdout
    for option in (word for word in command if word.startswith("--")):
        assert option in shown


def test_every_make_target_exists():
    makefile = (ROOT / "Makefile").read_text()
    for command in COMMANDS:
        if command[0] == "make":
            assert f"\n{command[1]}:" in makefile


def test_python_example_runs(place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    for code in re.findall(r"```python\n(.*?)```", README, re.DOTALL):
        exec(compile(code, "README.md", "exec"), {})
    assert capsys.readouterr().out.startswith("64 ")


def test_layout_is_the_repositorys():
    rows = re.findall(r"^\| `(\w+)/` \| (?:`(\w+)`)? ?\|", README, re.MULTILINE)
    for folder, package in rows:
        assert (ROOT / folder).is_dir()
        assert not package or (ROOT / folder / package).is_dir() or package == folder
    tracked = {path.parts[0] for path in map(Path, subprocess.run(
        ["git", "ls-files"], cwd=ROOT, text=True, capture_output=True, check=False,
    ).stdout.splitlines()) if len(path.parts) > 1 and not path.parts[0].startswith(".")}
    assert tracked <= {folder for folder, _ in rows}
