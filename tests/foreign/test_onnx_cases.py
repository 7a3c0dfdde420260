"""Every file of tests/cases: its spikes by the normal form are the library's; traps are refused."""

import csv
from pathlib import Path

import numpy as np
import pytest
import work

from qsnn_compile.foreign.onnx.front import read_onnx
from qsnn_compile.reals.float_model import run
from qsnn_compile.system.errors import QsnnError

CASES = Path(__file__).parent.parent / "cases"
with (CASES / "MANIFEST.tsv").open() as table:
    FILES = [row["file"] for row in csv.DictReader(table, delimiter="\t")]
TRAPS = {
    "TRAP_sinabs_lif_shape_dense_multistep_stalestate__ts.onnx": "initial state must be zero",
    "TRAP_sj_lif_singlecall__dynamo.onnx": "no carried state",
    "TRAP_snntorch_inithidden_singlecall__dynamo.onnx": "no carried state",
    "TRAP_snntorch_inithidden_singlecall__ts.onnx": "no carried state",
}


def data_of(file: str) -> "np.lib.npyio.NpzFile":
    """The stored inputs and spikes that belong to *file*."""
    stem = file.removesuffix(".onnx").split("__")[0]
    stem = "qsnn_function_dense_scan" if stem.startswith("qsnn_torch_scan") else stem
    return np.load(CASES / "onnx" / f"{stem}.npz")


def spikes_of(file: str) -> tuple[np.ndarray, np.ndarray]:
    """x and spk of *file*, samples first."""
    data = data_of(file)
    x, spk = data["x"], data["spk"]
    return (x[None], spk[None]) if file.startswith("qsnn_") else (x, spk)


@pytest.mark.parametrize("file", [file for file in FILES if file not in TRAPS])
def test_spikes_are_the_library_s(file: str) -> None:
    with work.at_most(1_000_000):
        network = read_onnx(CASES / "onnx" / file)
    x, spk = spikes_of(file)
    result = run(network, x)
    wrong = result.output.ravel() != spk.ravel()
    ties = sum(int(tied.sum()) for tied in result.tied.values())
    assert not wrong.any(), f"{wrong.sum()} of {wrong.size} spikes differ, {ties} ties"


@pytest.mark.parametrize("file", sorted(TRAPS))
def test_traps_are_refused(file: str) -> None:
    with pytest.raises(QsnnError, match=TRAPS[file]) as caught:
        read_onnx(CASES / "onnx" / file)
    assert str(caught.value).startswith(str(CASES / "onnx" / file))
    assert "export" in str(caught.value)


def test_every_file_is_listed() -> None:
    assert {path.name for path in (CASES / "onnx").glob("*.onnx")} == set(FILES)


QUANTISED = [file for file in FILES if file.startswith(("brevitas", "native"))]


@pytest.mark.parametrize("file", QUANTISED)
def test_the_integers_of_quantised_weights(file: str) -> None:
    network, data = read_onnx(CASES / "onnx" / file), data_of(file)
    layers = [node.op for node in network.nodes if hasattr(node.op, "weight")]
    names = [key.removesuffix(".int") for key in data if key.endswith(".int")]
    bits = {"b1": 1, "b2": 2, "in": 4 if "int4" in file else 2, "b4": 4}[file.split("_")[1][:2]]
    for name, op in zip(names, layers, strict=True):
        assert op.grid is not None and op.grid.bits == bits
        q = op.weight / op.grid.scale
        assert np.array_equal(np.rint(q), data[f"{name}.int"])
        assert np.allclose(q, np.rint(q), atol=1e-4)
