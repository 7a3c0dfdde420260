"""qsnn_models.from_torch on spiking modules of plain torch: every way of keeping a state."""

import copy

import numpy as np
import onnx
import pytest

pytest.importorskip("torch")
import torch
from torch import nn

from qsnn_compile.foreign.onnx.front import read_onnx
from qsnn_compile.reals.float_model import run
from qsnn_models import from_torch
from qsnn_models.errors import ExportError, ModelsError
from qsnn_models.export import library_export

STEPS = 4
ort = pytest.importorskip("onnxruntime")


class Lif(nn.Module):
    """Keeps its membrane in itself, as snnTorch with init_hidden and SpikingJelly do."""

    def __init__(self):
        super().__init__()
        self.v = None

    def reset(self):
        self.v = None

    def forward(self, current):
        v = 0.5 * (torch.zeros_like(current) if self.v is None else self.v) + current
        spikes = (v >= 1.0).float()
        self.v = v - spikes
        return spikes


class Stepped(nn.Module):
    """Takes and returns its states."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x, v1=None, v2=None):
        state, states = [v1, v2], []
        for linear, v in zip((self.net[0], self.net[2]), state, strict=True):
            current = linear(x)
            v = current if v is None else 0.5 * v + current
            x = (v >= 1.0).float()
            states.append(v - x)
        return x, *states


class Looped(nn.Module):
    """Runs its steps itself, as the snnTorch tutorials do; *direct* on one x."""

    def __init__(self, net, direct):
        super().__init__()
        self.net, self.direct = net, direct

    def forward(self, x):
        return torch.stack([self.net(x if self.direct else x[t]) for t in range(STEPS)])


def network():
    torch.manual_seed(3)
    net = nn.Sequential(nn.Linear(8, 6), Lif(), nn.Linear(6, 3), Lif())
    with torch.no_grad():
        net[2].weight.mul_(4)           # so that both layers spike
    return net


@pytest.fixture(scope="module")
def x():
    torch.manual_seed(0)
    return 4 * torch.rand(STEPS, 5, 8)


def expected(x):
    net = network()
    with torch.no_grad():
        return torch.stack([net(frame) for frame in x]).numpy()


def answers(path, x):
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(None, {"x": x[:, n:n + 1].numpy()})[0]
                           for n in range(x.shape[1])], axis=1)


@pytest.mark.parametrize("make, loops", [
    (network, None), (lambda: Stepped(network()), None),
    (lambda: Looped(network(), False), True),
])
def test_frames(make, loops, x, tmp_path):
    path = from_torch(make(), x, STEPS, tmp_path / "net.onnx", frames=True, loops=loops)
    want = expected(x)
    assert 0.05 < want.mean() < 0.95
    assert np.array_equal(answers(path, x), want)
    result = run(read_onnx(path), x.transpose(0, 1).numpy())
    assert np.array_equal(result.output, want.transpose(1, 0, 2))


@pytest.mark.parametrize("make", [network, lambda: Looped(network(), True)])
def test_the_same_input_at_each_step(make, x, tmp_path):
    path = from_torch(make(), x[0, :1], STEPS, tmp_path / "net.onnx")
    want = expected(torch.stack([x[0, :1]] * STEPS))
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    assert np.array_equal(session.run(None, {"x": x[0, :1].numpy()})[0], want)
    assert read_onnx(path).coding == "direct"


def test_a_trained_and_warm_module_is_reset_and_left_alone(x, tmp_path):
    net = network()
    net(x[0])[0, 0].item()                  # membranes, and how they came about
    warm = net[1].v.clone()
    path = from_torch(net, x, STEPS, tmp_path / "net.onnx", frames=True)
    assert np.array_equal(answers(path, x), expected(x))
    assert torch.equal(net[1].v, warm)
    assert net[1].v.grad_fn is not None
    assert net.training
    assert all(weight.requires_grad for weight in net.parameters())


def test_nothing_of_the_machine_is_in_the_file(x, tmp_path):
    model = onnx.load(from_torch(network(), x, STEPS, tmp_path / "net.onnx", frames=True))
    assert not any(node.doc_string or node.metadata_props for node in model.graph.node)
    assert [path.name for path in tmp_path.iterdir()] == ["net.onnx"]


def test_the_file_is_named_after_the_class(x, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert from_torch(Stepped(network()), x, STEPS, frames=True).name == "stepped.onnx"


X = torch.ones(STEPS, 2, 8)


@pytest.mark.parametrize("module, example, steps, options, message", [
    ("net.pt", X, 4, {}, "module must be a torch.nn.Module, not 'net.pt'"),
    (network(), X, 0, {}, "steps must be a whole number from 1 up, not 0"),
    (network(), X, True, {}, "steps must be a whole number from 1 up, not True"),
    (network(), [1.0], 4, {}, r"example must be a tensor \[N, ...\], not \[1.0\]"),
    (network(), X[0], 4, {"frames": True}, r"\[T, N, ...\], not \(2, 8\)"),
    (network(), X.transpose(0, 1), 4, {"frames": True},
     r"with T = 4, not \(2, 4, 8\); its second axis is: give example.transpose"),
    (network(), torch.ones(1, 9), 4, {}, "must take the example, not raise RuntimeError"),
    (nn.Sequential(nn.Linear(8, 3), nn.ReLU()), X[0], 4, {}, "must carry a state from step"),
    (Looped(network(), True), X[0], 3, {}, r"\[3, 1, ...\] when it runs its steps itself"),
    (Looped(network(), True), X[0], 3, {"loops": True}, r"must answer \[3, 1, ...\], not \(4, 1,"),
])
def test_what_is_refused(module, example, steps, options, message, tmp_path):
    with pytest.raises(ModelsError, match=message):
        from_torch(module, example, steps, tmp_path / "net.onnx", **options)
    assert not list(tmp_path.iterdir())


class Unfaithful(nn.Module):
    """A branch on data, which the tracer bakes in: right on its own example only."""

    def __init__(self):
        super().__init__()
        self.lif = Lif()

    def forward(self, x):
        return self.lif(x if float(x.sum()) == float(X[0, 0].sum()) else -x + 2)


def test_a_file_that_answers_otherwise_is_refused(tmp_path):
    with pytest.raises(ExportError, match="of the file's answers are not the module's") as caught:
        from_torch(Unfaithful(), X[0, :1], STEPS, tmp_path / "net.onnx")
    assert "dynamo=True" in str(caught.value)
    assert "dynamo=False" in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_without_onnxruntime_the_reference_checks(x, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    path = from_torch(network(), x, STEPS, tmp_path / "net.onnx", frames=True)
    monkeypatch.undo()
    assert np.array_equal(answers(path, x), expected(x))


def test_copies_share_nothing():
    net = network()
    copied = library_export._plain_copy(net)
    before = copy.deepcopy(net.state_dict())
    with torch.no_grad():
        copied[0].weight.zero_()
    assert torch.equal(net[0].weight, before["0.weight"])
