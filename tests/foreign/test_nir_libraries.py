"""NIR files as each library writes them, against that library's own code, neuron by neuron."""

import warnings
from itertools import pairwise

import numpy as np
import pytest

from qsnn_compile.cli import qsnn, qsnnc
from qsnn_compile.foreign.nir.euler import run_nir
from qsnn_compile.foreign.nir.file import NirError
from qsnn_compile.foreign.nir.front import read_nir
from qsnn_compile.foreign.nir.options import told
from qsnn_compile.quantise.network import quantise
from qsnn_compile.reals.float_model import run
from qsnn_compile.reals.units import QuantiseError
from qsnn_sim.golden import golden

nir = pytest.importorskip("nir")

N, T, INPUTS, SIZE = 8, 14, 6, 5
RNG = np.random.default_rng(7)
X = RNG.integers(0, 2, (N, T, INPUTS)).astype(np.float32)
EXACT = RNG.integers(-1, 4, (SIZE, INPUTS)) / np.float32(4)     # ties with a threshold of 1
WEIGHT = RNG.uniform(-0.4, 0.6, (SIZE, INPUTS)).astype(np.float32)
BACK = RNG.uniform(-0.5, 0.3, (SIZE, SIZE)).astype(np.float32)


def f32(value):
    return np.full(SIZE, value, np.float32)


def written(path, *nodes):
    names = ["input", *(str(n) for n in range(len(nodes))), "output"]
    ends = {"input": nir.Input({"input": np.array([INPUTS])}),
            "output": nir.Output({"output": np.array([SIZE])})}
    chain = dict(zip(names[1:-1], nodes, strict=True))
    graph = nir.NIRGraph({**ends, **chain}, list(pairwise(names)), type_check=False)
    nir.write(path, graph)
    return path


def affine(weight):
    return nir.Affine(weight, np.zeros(SIZE, np.float32))


# What the exporters write, and what the layers do with a current [N, T, SIZE].

def snntorch_leaky(beta, threshold, mode, delay):
    with np.errstate(divide="ignore"):
        tau = np.float32(1e-4) / (1 - f32(beta))
    node = nir.LIF(tau, tau / np.float32(1e-4), f32(0), f32(threshold), f32(0))
    return node, lambda current: snntorch(current, beta, threshold, mode, delay)


def snntorch_synaptic(alpha, beta, threshold, mode, delay):
    dt = np.float32(1e-4)
    tau_syn, tau = dt / (1 - f32(alpha)), dt / (1 - f32(beta))
    node = nir.CubaLIF(tau_syn, tau, tau / dt, f32(0), f32(threshold), f32(0), tau_syn / dt)
    return node, lambda current: snntorch(current, beta, threshold, mode, delay, alpha)


def snntorch(current, beta, threshold, mode, delay, alpha=None, back=None):
    """Leaky.forward, Synaptic.forward (with *alpha*) and RLeaky.forward (with *back*)."""
    spk = mem = syn = np.zeros((N, SIZE), np.float32)
    answers = []
    for t in range(T):
        reset = (mem - np.float32(threshold) > 0).astype(np.float32)
        now = current[:, t] if back is None else current[:, t] + spk @ back.T
        if alpha is not None:
            now = syn = np.float32(alpha) * syn + now
        if mode == "zero" and alpha is None and back is None:
            mem = (1 - reset) * mem
        mem = np.float32(beta) * mem + now
        if mode == "subtract":
            mem = mem - reset * np.float32(threshold)
        elif mode == "zero" and (alpha is not None or back is not None):
            mem = mem - reset * mem
        spk = (mem - np.float32(threshold) > 0).astype(np.float32)
        if not delay and mode != "none":
            mem = mem - (spk - reset) * (np.float32(threshold) if mode == "subtract" else mem)
        answers.append(spk)
    return np.stack(answers, 1)


def norse_lif(v_leak=0.0):
    node = nir.CubaLIF(f32(1e-3) / f32(250), f32(1e-3) / f32(80), f32(1), f32(v_leak), f32(0.1),
                       f32(0), f32(1))

    def layer(current):
        v, i, answers = f32(v_leak) + np.zeros((N, SIZE), np.float32), 0.0, []
        for t in range(T):
            i = i + current[:, t]
            v = v + np.float32(1e-3 * 80) * (np.float32(v_leak) - v + i)
            i = i - np.float32(1e-3 * 250) * i
            z = (v - np.float32(0.1) > 0).astype(np.float32)
            v = (1 - z) * v
            answers.append(z)
        return np.stack(answers, 1)
    return node, layer


def norse_box(spikes=True):
    tau = f32(1e-3) / f32(100)
    node = nir.LIF(tau, f32(1), f32(0.02), f32(0.1), f32(0)) if spikes else nir.LI(
        tau, f32(1), f32(0.02))

    def layer(current):
        v, answers = f32(0.02) + np.zeros((N, SIZE), np.float32), []
        for t in range(T):
            v = v + np.float32(0.1) * (current[:, t] + np.float32(0.02) - v)
            z = (v - np.float32(0.1) > 0).astype(np.float32)
            answers.append(z if spikes else v)
            v = (1 - z) * v if spikes else v
        return np.stack(answers, 1)
    return node, layer


def norse_iaf():
    def layer(current):
        v, answers = np.zeros((N, SIZE), np.float32), []
        for t in range(T):
            v = v + current[:, t]
            z = (v - 1 > 0).astype(np.float32)
            v = (1 - z) * v
            answers.append(z)
        return np.stack(answers, 1)
    return nir.IF(f32(1), f32(1), f32(0)), layer


def sinabs(tau=None, threshold=0.3, norm=True, most=1.0, clamp=None, value=None, spikes=True):
    """LIF, IAF (no *tau*) and ExpLeak (no *spikes*); reset to *value*, else by subtraction."""
    if tau is None:
        node = nir.IF(f32(1), f32(threshold), f32(0))
    elif spikes:
        node = nir.LIF(f32(tau), f32(1), f32(0), f32(threshold), f32(0))
    else:
        node = nir.LI(f32(tau), f32(1), f32(0))

    def layer(current):
        alpha = np.float32(1) if tau is None else np.exp(-1 / np.float32(tau))
        gain = 1 - alpha if norm and tau is not None else np.float32(1)
        v, answers = np.zeros((N, SIZE), np.float32), []
        for t in range(T):
            v = alpha * v + gain * current[:, t]
            if not spikes:
                answers.append(v)
                continue
            z = (v - np.float32(threshold) >= 0).astype(np.float32) if most == 1 else np.minimum(
                (v > 0) * np.trunc(v / np.float32(threshold)), most)
            v = v * (z == 0) + value if value is not None else v - z * np.float32(threshold)
            v = v if clamp is None else np.maximum(v, np.float32(clamp))
            answers.append(z)
        return np.stack(answers, 1)
    return node, layer


def spikingjelly(tau=None, threshold=1.0, v_reset=0.0, decay_input=True):
    """LIFNode and IFNode (no *tau*)."""
    ends = (np.full(SIZE, threshold), np.full(SIZE, v_reset))
    node = nir.IF(np.full(SIZE, 1e4), *ends) if tau is None else nir.LIF(
        np.full(SIZE, tau * 1e-4), np.full(SIZE, 1.0 if decay_input else tau),
        np.full(SIZE, v_reset), *ends)

    def layer(current):
        v, answers = np.full((N, SIZE), np.float32(v_reset)), []
        for t in range(T):
            x = current[:, t]
            if tau is None:
                v = v + x
            elif decay_input:
                v = v + (x - (v - np.float32(v_reset))) / np.float32(tau)
            else:
                v = v - (v - np.float32(v_reset)) / np.float32(tau) + x
            z = (v - np.float32(threshold) >= 0).astype(np.float32)
            v = (1 - z) * v + z * np.float32(v_reset)
            answers.append(z)
        return np.stack(answers, 1)
    return node, layer


SNNTORCH = {"subtract": "delayed-soft", "zero": "delayed-hard", "none": "none",
            "subtract at once": "soft", "zero at once": "hard"}
CASES = {
    **{f"snnTorch Leaky {mode}": (WEIGHT, snntorch_leaky(0.9, 0.4, mode.split()[0], "at" not in
       mode), {"dt": "snntorch", "reset": how}) for mode, how in SNNTORCH.items()},
    **{f"snnTorch Leaky {mode}, ties": (EXACT, snntorch_leaky(0.5, 1, mode.split()[0], "at" not in
       mode), {"dt": "snntorch", "reset": how}) for mode, how in SNNTORCH.items()},
    "snnTorch Leaky, beta 1": (EXACT, snntorch_leaky(1.0, 1, "subtract", True),
                               {"dt": "snntorch"}),
    **{f"snnTorch Synaptic {mode}": (WEIGHT, snntorch_synaptic(0.75, 0.85, 0.6, mode.split()[0],
       "at" not in mode), {"dt": "snntorch", "reset": how}) for mode, how in SNNTORCH.items()},
    "Norse LIF": (WEIGHT, norse_lif(), {"dt": "norse"}),
    "Norse LIF, v_leak": (WEIGHT, norse_lif(0.05), {"dt": "norse"}),
    "Norse LIFBox": (WEIGHT, norse_box(), {"dt": "norse"}),
    "Norse LIBox": (WEIGHT, norse_box(False), {"dt": "norse"}),
    "Norse IAF": (EXACT, norse_iaf(), {"dt": "norse"}),
    "Sinabs LIF": (WEIGHT, sinabs(8.0, 0.1), {"dt": "sinabs"}),
    "Sinabs LIF, norm_input False": (WEIGHT, sinabs(8.0, norm=False), {"dt": "sinabs-unnormed"}),
    "Sinabs LIF, many": (WEIGHT, sinabs(8.0, norm=False, most=np.inf),
                         {"dt": "sinabs-unnormed", "spikes": "many"}),
    "Sinabs LIF, clamp": (WEIGHT - 0.1, sinabs(8.0, 0.02, clamp=-0.01),
                          {"dt": "sinabs", "clamp": -0.01}),
    "Sinabs IAF, ties": (EXACT, sinabs(threshold=1.0), {"dt": "sinabs"}),
    "Sinabs IAF, many, clamp": (EXACT, sinabs(threshold=0.5, most=np.inf, clamp=-0.5),
                                {"dt": "sinabs", "spikes": "many", "clamp": "-0.5"}),
    "Sinabs IAF, three": (EXACT, sinabs(threshold=0.25, most=3),
                          {"dt": "sinabs", "spikes": "3"}),
    "Sinabs IAF, reset": (EXACT, sinabs(threshold=1.0, value=0.0),
                          {"dt": "sinabs", "reset": "hard"}),
    "Sinabs ExpLeak": (WEIGHT, sinabs(6.0, norm=False, spikes=False), {"dt": "sinabs"}),
    "Sinabs ExpLeak, norm_input True": (WEIGHT, sinabs(6.0, spikes=False),
                                        {"dt": "sinabs-normed"}),
    "SpikingJelly IF, ties": (EXACT, spikingjelly(), {"dt": "spikingjelly"}),
    "SpikingJelly IF, v_reset": (EXACT, spikingjelly(v_reset=-0.2), {"dt": "spikingjelly"}),
    "SpikingJelly LIF, ties": (EXACT, spikingjelly(2.0), {"dt": "spikingjelly"}),
    "SpikingJelly LIF, v_reset": (EXACT, spikingjelly(3.0, 0.7, -0.1, False),
                                  {"dt": "spikingjelly"}),
}
LOSSY = ("snnTorch Synaptic zero", "Norse LIBox", "Sinabs ExpLeak",
         "Sinabs ExpLeak, norm_input True")


@pytest.mark.parametrize("name", CASES)
def test_a_neuron_does_what_its_library_does(name, tmp_path):
    weight, (node, layer), options = CASES[name]
    path = written(tmp_path / "a.nir", affine(weight), node)
    right = layer(X @ weight.T)
    assert not np.array_equal(right, np.zeros_like(right))
    network = read_nir(path, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mine, judge = run(network, X).output, run_nir(path, X, told(**options))
    if network.answer == "potential":
        np.testing.assert_allclose(mine, right, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(judge, right, rtol=1e-4, atol=1e-6)
    else:
        assert np.argwhere(mine != right)[:1].tolist() == []
        assert np.argwhere(judge != right)[:1].tolist() == []
    if name not in LOSSY and weight is not EXACT:
        graph, report = quantise(network, weight_bits=16, membrane_bits=24, steps=T)
        fixed = golden.run(graph, X, record="spikes").spikes[report.nodes[network.output]]
        assert int((fixed != right).sum()) <= 0.002 * right.size


@pytest.mark.parametrize("mode, how", [("subtract", "delayed-soft"), ("zero", "delayed-hard"),
                                       ("subtract at once", "soft")])
def test_recurrent_snntorch(mode, how, tmp_path):
    node, _ = snntorch_leaky(0.9, 0.4, mode, True)
    inner = nir.NIRGraph({
        "input": nir.Input({"input": np.array([SIZE])}), "lif": node, "w_rec": nir.Linear(BACK),
        "output": nir.Output({"output": np.array([SIZE])})},
        [("input", "lif"), ("lif", "w_rec"), ("w_rec", "lif"), ("lif", "output")])
    path = written(tmp_path / "a.nir", affine(WEIGHT), inner)
    right = snntorch(X @ WEIGHT.T, 0.9, 0.4, mode.split()[0], "at" not in mode, back=BACK)
    options = {"dt": "snntorch", "reset": how}
    assert np.array_equal(run(read_nir(path, **options), X).output, right)
    assert np.array_equal(run_nir(path, X, told(**options)), right)


def test_a_current_lost_with_a_late_reset_is_no_integers(tmp_path):
    weight, (node, _), options = CASES["snnTorch Synaptic zero"]
    network = read_nir(written(tmp_path / "a.nir", affine(weight), node), **options)
    with pytest.raises(QuantiseError) as caught:
        quantise(network, steps=T)
    assert str(caught.value) == (
        "node '1': current must be taken in the step after a spike too, not lost with a late "
        "reset (snnTorch's 'zero' of Synaptic, RLeaky and RSynaptic); train the network with "
        "'subtract' or reset_delay=False")


def two(tmp_path):
    """Two layers of snnTorch's: subtract, then none."""
    first, layer = snntorch_leaky(0.9, 0.4, "subtract", True)
    second, last = snntorch_leaky(0.9, 0.4, "none", True)
    path = written(tmp_path / "a.nir", affine(WEIGHT), first, affine(BACK + 0.3), second)
    return path, last(layer(X @ WEIGHT.T) @ (BACK + 0.3).T)


@pytest.mark.parametrize("options", [
    {"dt": "snntorch", "reset": ("1=delayed-soft", "3=none")},
    {"dt": "snntorch", "reset": ("3=none", "delayed-soft")},
    {"dt": "snntorch", "reset": ("3=none",)},
    {"dt": ("3=snntorch", "1e-4"), "reset": ("3=none", "delayed-soft")},
    {"dt": ("3=snntorch", "1=1e-4"), "reset": ("none", "1=delayed-soft")},
])
def test_a_value_for_each_node(options, tmp_path):
    path, right = two(tmp_path)
    assert np.array_equal(run(read_nir(path, **options), X).output, right)
    assert np.array_equal(run_nir(path, X, told(**options)), right)


def test_the_command_line_takes_a_value_for_each_node(tmp_path, capsys):
    path, right = two(tmp_path)
    np.savez(tmp_path / "x.npz", x=X, spk=right)
    command = ["check", str(path), "--data", str(tmp_path / "x.npz"), "--dt", "snntorch"]
    assert qsnn.main([*command, "--reset", "delayed-soft"]) == 1
    assert qsnn.main([*command, "--reset", "3=none", "--reset", "delayed-soft"]) == 0
    assert "float normal form against spk of the data: 0 of 560 differ" in capsys.readouterr().out
    assert qsnnc.main([str(path), "--explain", "--dt", "snntorch", "--reset", "3=none"]) == 0
    shown = capsys.readouterr().out
    for note in ("dt = 0.0001 (snntorch's); NIR doesn't say it",
                 "1: reset delayed-soft, snntorch's default; libraries lose theirs when they write "
                 "NIR", "3: reset none; libraries lose theirs when they write NIR",
                 "it spikes at v > v_threshold"):
        assert f"assumed: {note}\n" in shown


@pytest.mark.parametrize("options, message", [
    ({"dt": "snntorch", "reset": ("lif9=none",)}, "--reset must name a node that has one, as "
     "--explain prints them (1, 3), not 'lif9'"),
    ({"dt": ("0=1", "snntorch")}, "--dt must name a node that has one, as --explain prints them "
     "(1, 3), not '0'"),
    ({"dt": "snntorch", "reset": ("1=none", "1=soft")}, "--reset must be given once for 1, not "
     "again as '1=soft'"),
    ({"dt": ("1", "snntorch")}, "--dt must be given once for the nodes without a name, not again "
     "as 'snntorch'"),
    ({"dt": ("1=snntorch",)}, "node '3': dt must be given for it or for all nodes, not only for 1; "
     "add --dt DT"),
    ({"dt": "snntorch", "reset": ("3=zero",)}, "reset must be one of hard, soft, none, "
     "delayed-soft, delayed-hard, not 'zero'"),
    ({"dt": "snntorch", "spikes": "0.5"}, "spikes must be a whole number from 1 on or many, not "
     "'0.5'"),
    ({"dt": "snntorch", "spikes": "few"}, "spikes must be a whole number from 1 on or many, not "
     "'few'"),
    ({"dt": "snntorch", "clamp": "nan"}, "clamp must be a number, the lowest membrane, not 'nan'"),
    ({"dt": "sinabs"}, "node '1': dt must be at most tau, 0.001, not 1.0: the membrane would "
     "swing; use the dt of the library that wrote the file, --dt snntorch or spikingjelly or "
     "sinabs or sinabs-normed or sinabs-unnormed or norse"),
])
def test_values_that_are_refused(options, message, tmp_path):
    path, _ = two(tmp_path)
    with pytest.raises(NirError) as caught:
        read_nir(path, **options)
    assert str(caught.value) == message


def test_what_an_exporter_loses_is_said(tmp_path):
    sinabs_lif = written(tmp_path / "a.nir", affine(WEIGHT), CASES["Sinabs LIF"][1][0])
    lost = read_nir(sinabs_lif, dt="sinabs").warnings
    assert [text.split(":")[0] for text in lost] == [
        f"sinabs doesn't write {name}" for name in ("spike_fn", "min_v_mem", "tau_syn",
                                                    "norm_input")]
    told_all = read_nir(sinabs_lif, dt="sinabs-unnormed", spikes=1, clamp=-1).warnings
    assert told_all == ("sinabs doesn't write tau_syn: none is taken, the default; export a "
                        "network with synapses as ONNX",)
    iaf = written(tmp_path / "b.nir", affine(EXACT), CASES["Sinabs IAF, ties"][1][0])
    assert not any("norm_input" in text for text in read_nir(iaf, dt="sinabs").warnings)
    leaky, _ = two(tmp_path)
    assert read_nir(leaky, dt="snntorch", reset="none").warnings == (
        "snntorch doesn't write graded_spikes_factor, inhibition and state_quant: 1 and none are "
        "taken, the defaults; export a network that has them as ONNX",)
    assert len(read_nir(leaky, dt="snntorch").warnings) == 2
    assert read_nir(leaky, dt=1e-4).warnings == ()


def test_warnings_are_printed(tmp_path, capsys):
    path = written(tmp_path / "a.nir", affine(WEIGHT), CASES["Sinabs LIF"][1][0])
    wanted = ("warning: sinabs doesn't write spike_fn: one spike a step is taken, Sinabs' default "
              "MultiSpike sends several; say --spikes many\n")
    assert qsnnc.main([str(path), "--dt", "sinabs", "--explain"]) == 0
    assert wanted in capsys.readouterr().out
    assert qsnnc.main([str(path), "--dt", "sinabs", "--nir", str(tmp_path / "b.nir")]) == 2
    assert f"qsnnc: {wanted}" in capsys.readouterr().err


def test_more_spikes_than_the_neurons_send(tmp_path, capsys):
    weight, (node, layer), _ = CASES["Sinabs IAF, many, clamp"]
    path = written(tmp_path / "a.nir", affine(weight), node)
    right = layer(X @ weight.T)
    np.savez(tmp_path / "x.npz", x=X, spk=right)
    command = ["check", str(path), "--data", str(tmp_path / "x.npz"), "--dt", "sinabs"]
    assert qsnn.main(command) == 1
    assert (f"warning: spk holds up to {right.max():g} spikes a step, but node '1' sends at most "
            "1; say --spikes many\n") in capsys.readouterr().out
    assert qsnn.main([*command, "--spikes", "many", "--clamp", "1=-0.5"]) == 0
    assert "say --spikes many" not in capsys.readouterr().out


def test_time_in_front_of_the_input(tmp_path):
    weight, (node, layer), options = CASES["Sinabs LIF"]
    path = tmp_path / "a.nir"
    graph = nir.NIRGraph({
        "input": nir.Input({"input": np.array([T, INPUTS])}), "0": affine(weight), "1": node,
        "output": nir.Output({"output": np.array([T, SIZE])})},
        [("input", "0"), ("0", "1"), ("1", "output")], type_check=False)
    nir.write(path, graph)
    network = read_nir(path, **options)
    assert network.input_shape == (INPUTS,)
    assert network.notes[-1] == (f"input [{T}, {INPUTS}]: the first axis is time, as its weights "
                                 f"are of {INPUTS} inputs")
    assert np.array_equal(run(network, X).output, layer(X @ weight.T))
