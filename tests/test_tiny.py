"""The whole path on a network of a few neurons: trained, compiled, simulated, verified."""

import json

import numpy as np
import pytest
from blobs import CONFIG, NETWORK, dataset

from qsnn_compile.cli import qsnn, qsnnc
from qsnn_compile.system.errors import QsnnError
from qsnn_models import data
from qsnn_models.training import recipes as zoo
from qsnn_sim.rtl import simulators as rtl


def printed(main, tmp_path, *command):
    """What a command that must succeed writes with ``--json``."""
    assert main([*map(str, command), "--json", str(tmp_path / "out.json")]) == 0
    return json.loads((tmp_path / "out.json").read_text())


def test_from_training_to_rtl(tmp_path, monkeypatch):
    try:
        rtl.check_tools("icarus")
    except QsnnError as missing:
        pytest.skip(str(missing))
    monkeypatch.setitem(zoo.RECIPES, "tiny", zoo.Recipe(NETWORK, CONFIG))
    monkeypatch.setattr(data, "load", lambda name, folder: dataset())
    test = dataset()
    np.savez(tmp_path / "test.npz", x=test.test_x, y=test.test_y)

    ledger = printed(qsnn.main, tmp_path, "train", "tiny", "--out", tmp_path)
    assert [stage["differ"] for stage in ledger["stages"]] == [None, None, None, 0, 0]

    report = printed(qsnnc.main, tmp_path, tmp_path / "tiny.onnx", "-o", tmp_path / "build")
    assert report["predicted"]["lc"] < report["available"]["lc"] and report["steps"] == 4

    build, samples = tmp_path / "build", ("--data", tmp_path / "test.npz")
    models = printed(qsnn.main, tmp_path, "sim", build, *samples)
    assert models["accuracy"] == ledger["stages"][-1]["accuracy"]

    verdict = printed(qsnn.main, tmp_path, "verify", build, *samples, "--samples", 4,
                      "--simulator", "icarus")
    assert verdict.items() >= {"samples": 4, "spike_mismatches": 0, "result_mismatches": 0,
                               "clock_mismatches": 0}.items()
