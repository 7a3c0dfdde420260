"""`qsnn check` of a file of our own: raw numbers or codes, in onnxruntime and in integers."""

import numpy as np
import onnx
import pytest

from qsnn_compile.compare.own_file import check_own
from qsnn_compile.ir import Dense, Graph, Input, Neuron, Node, Readout, ints
from qsnn_compile.reals.float_model import DataError
from qsnn_models.export.onnx_export import export, save
from qsnn_sim.golden.golden import run

RNG = np.random.default_rng(0)


def graph(takes):
    source = Input((3,), 4, "spikes", (0.5, 2.0, 30.0), (8, 7, -40), takes="reals") \
        if takes == "reals" else Input((3,), 4, "spikes")
    weight = ints(RNG.integers(-8, 8, (4, 3)))
    neuron = Neuron(8, ints(20), decay=ints(1), decay_shift=1)
    return Graph("g", 3, source, (Node("d", Dense(weight, 4), ("x",)), Node("n", neuron, ("d",))),
                 Readout("count", "n"))


def golden(network, x):
    return run(network, x, record="all")


@pytest.mark.parametrize("takes", ["codes", "reals"])
def test_both_say_the_same(tmp_path, takes):
    made = graph(takes)
    x = RNG.normal(size=(30, 3, 3)) * [2, 8, 100] + [0, 0, 1400] if takes == "reals" else \
        RNG.integers(0, 16, (30, 3, 3), np.uint8)
    save(made, tmp_path / "g.onnx")
    y = run(made, x).classes
    y[:3] = (y[:3] + 1) % 4
    np.savez(tmp_path / "x.npz", x=x, y=y)
    checked = check_own(tmp_path / "g.onnx", tmp_path / "x.npz", golden)
    assert checked.good and checked.samples == 30 and checked.classes_differ == 0
    assert checked.accuracy == {"onnxruntime": 0.9, "golden": 0.9}


def test_a_difference_is_counted(tmp_path):
    """A function whose body is not what its name says: the integers are those of the name."""
    model = export(graph("reals"))
    body = next(f for f in model.functions if f.name == "Codes")
    next(node for node in body.node if node.op_type == "Round").op_type = "Ceil"
    (tmp_path / "g.onnx").write_bytes(model.SerializeToString())
    np.savez(tmp_path / "x.npz", x=RNG.normal(size=(99, 3, 3)) * [2, 8, 100] + [0, 0, 1400])
    checked = check_own(tmp_path / "g.onnx", tmp_path / "x.npz", golden)
    assert not checked.good and 0 < checked.classes_differ <= checked.scores_differ
    assert checked.accuracy is None


def test_what_can_not_be_checked(tmp_path):
    save(graph("reals"), tmp_path / "g.onnx")
    np.savez(tmp_path / "x.npz", x=np.zeros((2, 3, 3), np.uint8))
    with pytest.raises(DataError, match="x must be real numbers, as .* takes them, not codes"):
        check_own(tmp_path / "g.onnx", tmp_path / "x.npz", golden)
    np.savez(tmp_path / "x.npz", x=np.zeros((2, 4, 3)))
    with pytest.raises(DataError, match=r"x.npz: x must be \[N, T, ...\] = \[N, 3, 3\], not "):
        check_own(tmp_path / "g.onnx", tmp_path / "x.npz", golden)
    onnx.save(export(graph("reals"), "step"), tmp_path / "g.onnx")
    np.savez(tmp_path / "x.npz", x=np.zeros((2, 3, 3)))
    with pytest.raises(DataError, match="must hold all steps to be checked, not one"):
        check_own(tmp_path / "g.onnx", tmp_path / "x.npz", golden)
