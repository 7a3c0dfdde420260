"""qsnnc --explain: every neuron's equation, where numbers are from, what was rounded."""

from pathlib import Path

import numpy as np
import pytest

from qsnn_compile.cli import qsnnc
from qsnn_compile.foreign.onnx.front import read_onnx
from qsnn_compile.quantise.explain import equation, rows
from qsnn_compile.quantise.network import quantise
from qsnn_compile.reals.normal_form import (
    Convolution,
    Neuron,
    Node,
    Pool,
    StateGrid,
    SynapticCurrent,
    reals,
)

ROOT = Path(__file__).parents[2]
CASES = ROOT / "tests" / "cases" / "onnx"
ONE = reals(1)


@pytest.mark.parametrize("op, expected", [
    (Neuron(ONE, decay=reals(0.9), reset_value=ONE, delayed=True),
     "v = 0.9·u + I\n    v -= 1 where u > 1 (reset a step late)\ns = [v > 1]"),
    (Neuron(ONE, decay=reals(0.5), gain=reals(0.5), offset=reals(-0.05), strict=False,
            reset="hard", reset_value=reals(-0.1)),
     "v = 0.5·u + 0.5·I + (-0.05)\ns = [v ≥ 1]\nv = -0.1 where s"),
    (Neuron(reals([1, 2]), reset_value=reals([1, 2]), amplitude=3, clamp=reals(-1),
            initial=reals(0.25)),
     "v = u + I\ns = 3 · [v > 1 … 2]\nv -= 1 … 2 where s\nv ≥ -1\nu(0) = 0.25"),
    (Neuron(ONE, reset_value=ONE, max_spikes=float("inf")),
     "v = u + I\ns = ⌊v / 1⌋ (where positive)\nv -= s·1 where s"),
    (Neuron(ONE, decay=reals(0.8), reset="none", synapse=SynapticCurrent(reals(0.7), delayed=True),
            grid=StateGrid(reals([-1, 0, 1]))),
     "i = 0.7·i + I\nv = 0.8·u + i(t-1)\ns = [v > 1]\nu = nearest of 3 levels, -1 … 1"),
    (Neuron(reals(np.inf), decay=reals(0.8), reset="none"), "v = 0.8·u + I\nnever spikes"),
    (Convolution(reals(np.ones((4, 1, 3, 3))), ONE, (2, 2), (1, 1, 1, 1)),
     "I = W∗x + b, 4 channels, kernel 3×3, stride 2, padding 1"),
    (Pool("max", (2, 2), (2, 2)), "max over 2, stride 2"),
])
def test_equations(op, expected):
    assert equation(Node("n", op, ("x",))) == expected


def test_rows():
    network = read_onnx(CASES / "snntorch_leaky_dense_step__dynamo.onnx")
    _, report = quantise(network, steps=4)
    shown = rows(report)
    assert [row[0] for row in shown] == ["linear1", "neuron1", "linear2", "neuron2"]
    _, understood, origin, rounded, _ = shown[1]
    assert understood.startswith("v = 0.9·u + I\n")
    assert origin == "node 'node_sub_1' (Sub)"
    assert rounded.startswith("decay 0.9 → 3686 (0.01%)\nthreshold 1 → ")
    assert shown[0][3].startswith("weight -0.3047 … 0.5846 → ")
    assert shown[0][4] == "8 bits"


def test_the_table(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert qsnnc.main([str(CASES / "native_int4_dense_step.onnx"), "--explain"]) == 0
    shown = capsys.readouterr().out
    for part in ("what was understood", "s = [v > 1]", "kept", "float and fixed point on",
                 "input: no data: assumed 0 … 1; ranges of the membranes: random inputs",
                 "assumed: 16 steps: the file says one step; else --steps T"):
        assert part in " ".join(shown.split())


def test_files_of_integers_are_explained_too(capsys):
    assert qsnnc.main([str(ROOT / "models" / "zoo" / "fashion_mnist_mlp.onnx"), "--explain"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "v = ⌊u·2^k·1/2^1⌋" in shown and "as in the file" in shown


def test_an_output_is_asked_for(capsys):
    assert qsnnc.main(["a.onnx"]) == 2
    assert capsys.readouterr().err.startswith("qsnnc: -o/--output DIR must be given")
