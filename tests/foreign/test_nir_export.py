"""The fixed-point IR written as NIR: read back, it is the same network but for its rounding."""

from pathlib import Path

import numpy as np
import pytest

from qsnn_compile.dialect.reader import import_onnx
from qsnn_compile.foreign.nir.export import export_nir
from qsnn_compile.foreign.nir.file import NirError
from qsnn_compile.foreign.nir.front import read_nir
from qsnn_compile.ir import (
    Conv2d,
    Dense,
    Flatten,
    Graph,
    Input,
    MaxPool,
    Neuron,
    Node,
    Readout,
    SumPool,
    Synapse,
    ints,
)
from qsnn_compile.reals.float_model import run
from qsnn_compile.system.outputs import OutputError
from qsnn_sim.golden import golden

pytest.importorskip("nir")
ZOO = Path(__file__).parents[2] / "models" / "zoo"


def image(neuron, pool=None):
    """A network whose membranes never round: halves of even numbers are exact for a few steps."""
    rng = np.random.default_rng(0)
    pool = SumPool((2, 2), (2, 2)) if pool is None else pool
    return Graph("image", 5, Input((1, 6, 6), 4, "spikes", scale=0.5, zero_point=3), (
        Node("conv", Conv2d(ints(rng.integers(-8, 8, (2, 1, 3, 3))), 4, (1, 1), (1, 1, 1, 1),
                            pad_value=3), ("x",)),
        Node("lif", neuron, ("conv",)), Node("pool", pool, ("lif",)),
        Node("flat", Flatten(), ("pool",)),
        Node("fc", Dense(ints(rng.integers(-8, 8, (3, 18))), 4), ("flat",)),
        Node("out", Neuron(32, ints(9), bias=ints([1, -1, 2]), reset_value=ints(-2)), ("fc",))),
        Readout("count", "out"))


INTEGRATE = Neuron(32, ints(40), bias=ints([[[3]], [[-2]]]), gain_shift=1)


def test_spikes_are_the_golden_model_s(tmp_path):
    graph = image(INTEGRATE)
    notes = export_nir(graph, tmp_path / "a.nir", dt=0.1)
    assert notes == ["dt = 0.1, reset hard: a reader must be told", "membranes are real numbers, "
                     "not rounded and limited to 32 bits: some spikes differ"]
    codes = np.random.default_rng(1).integers(0, 16, (20, 5, 1, 6, 6))
    spikes = golden.run(graph, codes, record="spikes").spikes["out"]
    floats = run(read_nir(tmp_path / "a.nir", dt=0.1), (codes - 3) * 0.5).output
    assert np.array_equal(floats, spikes) and 0.05 < spikes.mean() < 0.95


def test_leaks_are_near_it(tmp_path):
    graph = image(Neuron(32, ints(400), decay=ints(7), decay_shift=3, gain_shift=4))
    export_nir(graph, tmp_path / "a.nir")
    codes = np.random.default_rng(1).integers(0, 16, (20, 5, 1, 6, 6))
    spikes = golden.run(graph, codes, record="spikes").spikes["out"]
    floats = run(read_nir(tmp_path / "a.nir", dt=1), (codes - 3) * 0.5).output
    assert (floats != spikes).mean() < 0.02


def test_a_scale_a_channel_goes_into_the_weights(tmp_path):
    """Numbers that are codes exactly: only the rounding of the input is lost."""
    source = Input((3,), 8, "spikes", (0.5, 2.0, 0.25), (10, -100, 300), takes="reals")
    weight = ints(np.random.default_rng(0).integers(-8, 8, (4, 3)))
    graph = Graph("g", 5, source, (Node("d", Dense(weight, 4), ("x",)),
                                   Node("n", Neuron(32, ints(900)), ("d",))), Readout("count", "n"))
    notes = export_nir(graph, tmp_path / "a.nir")
    assert "the input is not rounded and limited to 8 bits" in notes
    codes = np.random.default_rng(1).integers(0, 256, (20, 5, 3), np.uint8)
    real = (codes - np.array([10, -100, 300.0])) * [0.5, 2.0, 0.25]
    assert np.array_equal(source.quantise(real, 5), codes)
    spikes = golden.run(graph, codes, record="spikes").spikes["n"]
    output = run(read_nir(tmp_path / "a.nir", dt=1), real, dtype=np.float64).output
    assert spikes.any() and np.array_equal(output, spikes)


def test_a_soft_reset_of_the_zoo_is_refused(tmp_path):
    with pytest.raises(NirError, match="node 'lif1': reset must be hard for NIR"):
        export_nir(import_onnx(ZOO / "mnist_mlp.onnx"), tmp_path / "a.nir")


def test_the_zoo_can_be_exported(tmp_path):
    graph = import_onnx(ZOO / "fashion_mnist_mlp.onnx")
    notes = export_nir(graph, tmp_path / "a.nir")
    assert notes[1:] == ["the scores are the sum of the output over the steps", "the same input "
                         "must be shown for 4 steps", "membranes are real numbers, not rounded "
                         "and limited to 4 bits: some spikes differ"]
    network = read_nir(tmp_path / "a.nir", dt=1)
    x = np.random.default_rng(2).integers(0, 256, (20, 784))
    frames = np.repeat(x[:, None] / 255, 4, axis=1)
    scores = run(network, frames, dtype=np.float64).output.sum(axis=1)
    assert (scores.argmax(axis=1) == golden.run(graph, x).classes).mean() >= 0.6


@pytest.mark.parametrize("graph, message", [
    (image(Neuron(8, ints(4), reset="soft", reset_value=ints(4))),
     "node 'lif': reset must be hard for NIR, whose neurons go to v_reset, not 'soft'; train with "
     "a hard reset to export to NIR"),
    (image(INTEGRATE, MaxPool((2, 2), (2, 2))),
     "node 'pool': must be an operator that NIR has, not 'MaxPool'; train without it to export to "
     "NIR"),
    (image(Neuron(8, ints(4), synapse=Synapse(ints(1), 1, 8))), "node 'lif': synapse must be none "
     "for NIR"),
    (image(Neuron(8, ints(4), initial=ints(2))), "node 'lif': initial must be 0 for NIR"),
    (image(Neuron(8, ints(4), decay=ints([[[1]], [[2]]]), decay_shift=1)),
     "node 'lif': decay must be below 1 in all neurons of a layer, or 1 in all, for NIR, not 1.0; "
     "split the layer"),
], ids=["soft", "max pool", "synapse", "initial", "mixed"])
def test_what_nir_cannot_say(tmp_path, graph, message):
    with pytest.raises(NirError) as caught:
        export_nir(graph, tmp_path / "a.nir")
    assert str(caught.value).startswith(message)


def test_a_full_disk_leaves_the_earlier_file(tmp_path, monkeypatch):
    """HDF5 says what is wrong in its own words, without a number."""
    def full(path, graph):
        Path(path).write_bytes(b"half")
        raise OSError("Unable to synchronously write raw data: No space left on device")
    path = tmp_path / "net.nir"
    path.write_bytes(b"earlier")
    monkeypatch.setattr("nir.write", full)
    with pytest.raises(OutputError, match="^path must name a file that can be written, not '.*': "
                       "Unable to .* No space left on device; choose another$"):
        export_nir(image(INTEGRATE), path)
    assert path.read_bytes() == b"earlier" and [*tmp_path.iterdir()] == [path]
