"""The examples of other libraries: their committed files compile and spike as the library did; the
scripts, slow, write them anew in environments of their own."""

import os
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
import pytest

from qsnn_compile import compile as qsnn_compiled
from qsnn_compile.cli.foreign import golden
from qsnn_compile.compare.check import check
from qsnn_compile.foreign.reader import Options

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
EXPORT = ["onnxscript", "onnx-ir", "onnxoptimizer"]
PACKAGES = {        # beside ours, torch, onnx and onnxruntime; without what they only declare
    "snntorch": ["snntorch==1.0.0"],
    "spikingjelly": ["spikingjelly==2.0.0", "loguru", "scienceplots", "tqdm", "requests", "urllib3",
                     "idna", "certifi", "charset-normalizer"],
    "norse": ["norse==1.1.0", "nirtorch"],
    "sinabs": ["sinabs==3.1.3", "pbr", "nirtorch"],
    "brevitas": ["brevitas==0.13.4", "snntorch==1.0.0", "unfoldNd",
                 "dependencies==2.0.1"],
}
LIBRARIES = sorted(PACKAGES)


def test_every_library_has_its_example():
    assert sorted(path.parent.name for path in EXAMPLES.glob("*/export.py")) == LIBRARIES
    assert all(len(path.read_text().splitlines()) < 65 for path in EXAMPLES.glob("*/export.py"))


@pytest.mark.parametrize("library", LIBRARIES)
def test_the_committed_file_spikes_as_the_library(library):
    pytest.importorskip("onnxruntime")
    if library == "brevitas":
        pytest.importorskip("qonnx")
    folder = EXAMPLES / library
    checked = check(folder / "network.onnx", folder / "data.npz", Options(), golden)
    spikes = np.load(folder / "data.npz")["spk"]
    assert checked.spikes == spikes.size == 256
    assert 0.02 < spikes.mean() < 0.9
    assert checked.runtime_mismatches == checked.float_mismatches == checked.ties == 0
    assert checked.fixed_mismatches <= 0.02 * spikes.size


@pytest.mark.parametrize("library", LIBRARIES)
def test_the_committed_file_compiles(library):
    qsnn_compiled(EXAMPLES / library / "network.onnx", target="ice40")


@pytest.mark.slow
@pytest.mark.libraries
@pytest.mark.parametrize("library", LIBRARIES)
def test_the_script_writes_the_file_anew(library, tmp_path):
    python = environment(tmp_path / "venv", PACKAGES[library])
    out = tmp_path / "out"
    subprocess.run([python, EXAMPLES / library / "export.py", out], check=True, timeout=300,
                   env={**os.environ, "PYTHONPATH": str(ROOT / "models")})
    arrays, committed = np.load(out / "data.npz"), np.load(EXAMPLES / library / "data.npz")
    assert np.array_equal(arrays["x"], committed["x"])
    assert np.array_equal(arrays["spk"], committed["spk"])
    assert check(out / "network.onnx", out / "data.npz", Options(), golden).float_mismatches == 0


def environment(folder, packages):
    """A new environment: *packages* before those of this one. Returns its python."""
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    done = subprocess.run([sys.executable, "-m", "pip", "--python", python, "install", "--quiet",
                           "--no-deps", *EXPORT, *packages], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"needs a package index: {done.stderr.strip().splitlines()[-1]}")
    ours = next(path for path in sys.path if path.endswith("site-packages"))
    (next(folder.glob("lib/python*/site-packages")) / "ours.pth").write_text(ours)
    return python
