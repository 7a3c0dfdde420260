"""NIR files: what they compute for a given dt and reset, and what is refused."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from qsnn_compile.foreign.nir.file import NirError, is_nir
from qsnn_compile.foreign.nir.front import read_nir
from qsnn_compile.quantise.network import quantise
from qsnn_compile.reals.float_model import run
from qsnn_compile.reals.normal_form import Delay, Network
from qsnn_sim.golden import golden

nir = pytest.importorskip("nir")
h5py = pytest.importorskip("h5py")

CASES = Path(__file__).parents[1] / "cases" / "nir"
STORED = [("snntorch_dense", "snntorch", "hard", "spk_nir_spec_hard"),
          ("snntorch_dense", 1e-4, "soft", "spk_nir_soft"),
          ("snntorch_dense", "snntorch", "delayed-soft", "spk_framework"),
          ("spikingjelly_dense_if", "spikingjelly", "hard", "spk_nir_spec_hard"),
          ("spikingjelly_dense_if", "1e-4", "soft", "spk_nir_soft"),
          ("spikingjelly_dense_lif", "spikingjelly", None, "spk_framework"),
          ("spikingjelly_dense_lif", "spikingjelly", "soft", "spk_nir_soft")]


@pytest.mark.parametrize("file, dt, reset, stored", STORED)
def test_spikes_are_those_stored(file, dt, reset, stored):
    network = read_nir(CASES / f"{file}.nir", dt=dt, reset=reset)
    data = np.load(CASES / f"{file}.npz")
    spikes = run(network, data["x"]).output
    assert np.array_equal(spikes, data[stored].reshape(spikes.shape))


def test_integers_are_near_the_spikes_stored():
    wrong = {(16, 24): 0, (8, 12): 0}
    for file, dt, reset, stored in STORED:
        network, data = read_nir(CASES / f"{file}.nir", dt=dt, reset=reset), np.load(
            CASES / f"{file}.npz")
        for bits in wrong:
            graph, report = quantise(network, weight_bits=bits[0], membrane_bits=bits[1], steps=20)
            spikes = golden.run(graph, data["x"].reshape(4, 20, 16), record="spikes").spikes
            train = spikes[report.nodes[network.output]]
            wrong[bits] += int((train != data[stored].reshape(train.shape)).sum())
    total = 320 * len(STORED)
    assert wrong[16, 24] <= 0.001 * total
    assert wrong[8, 12] <= 0.02 * total


@pytest.mark.parametrize("file, dt, reset", [
    ("norse_dense_lifbox", "norse", "hard, NIR's own: v = v_reset"),
    ("sinabs_dense_iaf", "sinabs", "soft, sinabs's default")])
def test_other_libraries_are_read(file, dt, reset):
    network = read_nir(CASES / f"{file}.nir", dt=dt)
    assert network.notes[0].endswith(f"({dt}'s); NIR doesn't say it")
    assert network.notes[2] == f"reset {reset}; libraries lose theirs when they write NIR"
    x = np.random.default_rng(0).random((4, 20, 16))
    assert 0.05 < run(network, x).output.mean() < 0.95


def full(value, *shape):
    return np.full(shape, value, dtype=np.float64)


def written(path, nodes, edges):
    graph = nir.NIRGraph(nodes, edges, type_check=False)
    nir.write(path, graph)
    return path


def ends(count, out):
    return {"input": nir.Input({"input": np.array([count])}),
            "output": nir.Output({"output": np.array([out])})}


def test_synapse_and_leaky_integrator(tmp_path):
    path = written(tmp_path / "a.nir", {
        **ends(3, 3), "syn": nir.CubaLIF(full(4, 3), full(5, 3), full(2, 3), full(0.1, 3),
                                         full(1, 3), w_in=full(3, 3)),
        "li": nir.LI(full(8, 3), full(1, 3), full(0, 3))},
        [("input", "syn"), ("syn", "li"), ("li", "output")])
    network = read_nir(path, dt=1)
    assert network.answer == "potential"
    x = np.random.default_rng(1).random((5, 12, 3))
    i = v = y = np.zeros((5, 3))
    answers = []
    for t in range(12):
        i = i + (3 * x[:, t] - i) / 4
        v = v + (0.1 - v + 2 * i) / 5
        s = v > 1
        v = np.where(s, 0, v)
        y = y + (s - y) / 8
        answers.append(y)
    np.testing.assert_allclose(run(network, x).output, np.stack(answers, 1), atol=1e-6)


def test_recurrent_networks_and_subgraphs(tmp_path):
    rng = np.random.default_rng(2)
    w, back = rng.uniform(-1, 2, (4, 3)), rng.uniform(-1, 0.5, (4, 4))
    inner = nir.NIRGraph({
        "input": nir.Input({"input": np.array([4])}), "if": nir.IF(
            full(1, 4), full(1, 4), full(0, 4)),
        "rec": nir.Linear(back), "output": nir.Output({"output": np.array([4])})},
        [("input", "if"), ("if", "rec"), ("rec", "if"), ("if", "output")])
    path = written(tmp_path / "a.nir", {**ends(3, 4), "w": nir.Linear(w), "inner": inner},
                   [("input", "w"), ("w", "inner"), ("inner", "output")])
    network = read_nir(path, dt=1, reset="soft")
    assert [node.origin for node in network.nodes if isinstance(node.op, Delay)] == [
        "edge from inner/if"]
    x = rng.random((5, 12, 3))
    v = s = np.zeros((5, 4))
    for t in range(12):
        v = v + x[:, t] @ w.T + s @ back.T
        s = (v > 1).astype(float)
        v = v - s
        assert np.array_equal(run(network, x).output[:, t], s)


def test_convolutions_pools_and_delays(tmp_path):
    rng = np.random.default_rng(3)
    image = np.array([1, 6, 6])
    nodes = {
        "input": nir.Input({"input": image}), "output": nir.Output({"output": np.array([2])}),
        "conv": nir.Conv2d((6, 6), rng.uniform(-1, 1, (2, 1, 2, 2)), 1, "same", (2, 2), 1,
                           full(0.2, 2)),
        "if": nir.IF(full(1, 2, 6, 6), full(1, 2, 6, 6), full(0, 2, 6, 6)),
        "pool": nir.AvgPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])),
        "late": nir.Delay(full(3, 2, 3, 3)), "scale": nir.Scale(full(2, 2, 3, 3)),
        "flat": nir.Flatten({"input": np.array([2, 3, 3])}, 0, -1),
        "fc": nir.Affine(rng.uniform(-1, 1, (2, 18)), full(0.1, 2)),
        "th": nir.Threshold(full(0.4, 2))}
    order = ["input", "conv", "if", "pool", "late", "scale", "flat", "fc", "th", "output"]
    path = written(tmp_path / "a.nir", nodes,
                   list(pairwise(order)))
    network = read_nir(path, dt=1)
    kinds = [type(node.op).__name__ for node in network.nodes]
    assert kinds == ["Convolution", "Neuron", "Pool", "Delay", "Delay", "Delay", "Scale",
                     "Flatten", "Linear", "Neuron"]
    assert network.nodes[0].op.weight.shape == (2, 1, 3, 3)
    assert network.nodes[0].op.padding == (1, 1, 1, 1)
    output = run(network, rng.random((4, 9, 1, 6, 6))).output
    assert np.ptp(output[:, :3], axis=1).max() == 0 and np.ptp(output) == 1


def chain(tmp_path, **nodes):
    order = ["input", *nodes, "output"]
    return written(tmp_path / "a.nir", {**ends(3, 3), **nodes},
                   list(pairwise(order)))


LIF = {"lif": nir.LIF(full(2e-3, 3), full(1, 3), full(0, 3), full(1, 3))}


@pytest.mark.parametrize("nodes, options, message", [
    (LIF, {}, "dt must be given for a NIR file, which doesn't say it; add --dt with a number or "
     "one of snntorch, spikingjelly, sinabs, sinabs-normed, sinabs-unnormed, norse"),
    (LIF, {"dt": "fast"}, "dt must be a positive number or one of snntorch, spikingjelly, sinabs, "
     "sinabs-normed, sinabs-unnormed, norse, not 'fast'"),
    (LIF, {"dt": -1.0}, "dt must be a positive number or one of snntorch, spikingjelly, sinabs, "
     "sinabs-normed, sinabs-unnormed, norse, not -1.0"),
    (LIF, {"dt": 1, "reset": "zero"}, "reset must be one of hard, soft, none, delayed-soft, "
     "delayed-hard, not 'zero'"),
    (LIF, {"dt": "sinabs"}, "node 'lif': dt must be at most tau, 0.002, not 1.0: the membrane "
     "would swing; use the dt of the library that wrote the file, --dt snntorch or spikingjelly "
     "or sinabs or sinabs-normed or sinabs-unnormed or norse"),
    ({"pool": nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([1, 0]))}, {"dt": 1},
     "node 'pool': padding must be 0 in a pool, not [1, 0]; pad before it"),
    ({"c": nir.Conv1d(3, full(1, 1, 1, 1), 1, 0, 1, 1, full(0, 1))}, {"dt": 1},
     "node 'c': must be one of Affine, Linear, Conv2d, SumPool2d, AvgPool2d, Flatten, Scale, "
     "Delay, Threshold, IF, LIF, LI, I, CubaLIF, CubaLI, not 'Conv1d'; replace it before the "
     "export"),
    ({"late": nir.Delay(np.array([1.0, 2.0, 3.0]))}, {"dt": 1},
     "node 'late': delay must be one number of at most 255 steps, not [1.0, 2.0, 3.0]; use "
     "another --dt"),
], ids=["no dt", "odd dt", "negative dt", "reset", "swing", "padding", "operator", "delays"])
def test_what_is_refused(tmp_path, nodes, options, message):
    with pytest.raises(NirError) as caught:
        read_nir(chain(tmp_path, **nodes), **options)
    assert str(caught.value) == message


def test_loops_need_a_neuron(tmp_path):
    nodes = {**ends(3, 3), "a": nir.Linear(np.eye(3)), "b": nir.Linear(np.eye(3))}
    path = written(tmp_path / "a.nir", nodes, [("input", "a"), ("a", "b"), ("b", "a"),
                                               ("a", "output")])
    with pytest.raises(NirError, match="loop a ← b: it must go through a neuron that spikes, not "
                                       "Linear, Linear; put one in it"):
        read_nir(path, dt=1)


def test_damaged_and_hostile_files(tmp_path):
    good = (CASES / "snntorch_dense.nir").read_bytes()
    for size in range(0, len(good), 997):
        path = tmp_path / "cut.nir"
        path.write_bytes(good[:size])
        with pytest.raises(NirError, match="must be a readable NIR file"):
            read_nir(path, dt=1e-4)
    with pytest.raises(NirError, match="model must be a file"):
        read_nir(tmp_path / "none.nir", dt=1)
    outside = chain(tmp_path, **LIF)
    with h5py.File(outside, "a") as file:
        file["node/nodes/lif/tau2"] = h5py.ExternalLink("/etc/passwd", "/")
    with pytest.raises(NirError, match="must be in the file, not a link"):
        read_nir(outside, dt=1)
    huge = chain(tmp_path, **LIF)
    with h5py.File(huge, "a") as file:
        file.create_dataset("node/nodes/lif/more", (1 << 40,), "f8", chunks=(1 << 10,))
    with pytest.raises(NirError, match="arrays must be at most 268435456 bytes"):
        read_nir(huge, dt=1)


def test_files_are_known_by_content():
    assert is_nir(CASES / "snntorch_dense.nir")
    assert not is_nir(CASES / "snntorch_dense.npz")
    assert not is_nir(CASES / "missing.nir")
    assert isinstance(read_nir(CASES / "snntorch_dense.nir", dt=1e-4), Network)
