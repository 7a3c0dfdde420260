"""Damaged model files by the hundred: a build, or exit 2 or 3 with one line, soon."""

import random
import re
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import onnx
import pytest
from broken_models import good_graph, model, one_pool
from damage import damaged
from test_errors import end

from qsnn_compile.cli import qsnnc

CASES = Path(__file__).parents[1] / "cases" / "onnx"
FOREIGN = ("snntorch_leaky_dense_step__dynamo", "snntorch_synaptic_dense_step__dynamo",
           "qsnn_function_dense_scan", "native_int4_dense_step", "norse_iaf_dense_step__ts",
           "snntorch_leaky_thr075_asfunction_dense_step__ts", "qsnn_torch_scan_plain_dynT")
SECONDS = 10                    # of one file's CPU time
NOTE = re.compile(r"qsnnc: (assumed|warning): ")


def originals():
    ours = [model(shape, graph).SerializeToString() for shape in ("step", "scan")
            for graph in (good_graph(), one_pool())]
    return [*ours, *((CASES / f"{name}.onnx").read_bytes() for name in FOREIGN)]


def check(seed, files):
    """Damage a file as *seed* says, read it by a command, and judge how that ends."""
    rng = random.Random(seed)
    Path("model.onnx").write_bytes(damaged(rng, rng.choice(files), onnx.load_model_from_string))
    arguments = ["model.onnx", "--explain"] + (["--steps", "3"] if rng.random() < 0.5 else [])
    begin = time.process_time()
    left = end(lambda: qsnnc.main(arguments))
    assert time.process_time() - begin < SECONDS, seed
    code, *lines = left.splitlines()
    told = [line for line in lines if not NOTE.match(line)]
    assert len(told) == (0 if code == "exit 0" else 1), (seed, left)
    assert code in ("exit 0", "exit 2", "exit 3"), (seed, left)
    assert all(line.isprintable() and len(line) < 2100 for line in lines), seed


@pytest.mark.parametrize("block", range(4))
def test_any_damage_ends_in_one_line(block, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files = originals()
    for seed in range(50 * block, 50 * (block + 1)):
        check(seed, files)


@pytest.mark.slow
@pytest.mark.parametrize("block", range(4, 60))
def test_any_damage_ends_in_one_line_at_length(block, tmp_path, monkeypatch):
    test_any_damage_ends_in_one_line(block, tmp_path, monkeypatch)
