import pytest
import torch
import torch.nn.functional as F
from torch import nn

from qsnn_models.errors import ModelsError
from qsnn_models.layers.membranes import MEMBRANES
from qsnn_models.layers.moments import moments
from qsnn_models.layers.neurons import IF, LIF, Current
from qsnn_models.layers.pooling import AvgPool, MaxPool, SumPool
from qsnn_models.layers.weighted import QConv2d, QDense, QRecurrent
from qsnn_models.layers.weights import WEIGHTS


def check_gradients(module):
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all() and parameter.grad.abs().sum() > 0, name


def test_layers_work_in_a_network_of_ones_own():
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.first = QConv2d(2, 4, 3, padding=1, bits=4), LIF(4, bits=3)
            self.pool, self.dense, self.last = MaxPool(2), QDense(4 * 9, 5, bits=2), IF(5)

        def forward(self, x):
            spikes = self.first(self.pool(self.conv(x)), 5)
            return self.last(self.dense(spikes.flatten(2)), 5, statistics=True)

    torch.manual_seed(0)
    net = Own()
    fired = net(torch.randint(0, 256, (1, 10, 2, 6, 6)).float())
    assert fired.spikes.shape == (5, 10, 5) and set(fired.spikes.unique().tolist()) == {0, 1}
    torch.testing.assert_close(fired.rate, fired.spikes.mean())
    assert 0 <= fired.saturation <= 1
    (fired.spikes * torch.randn_like(fired.spikes)).sum().backward()
    check_gradients(net)


@pytest.mark.parametrize("membrane", [*MEMBRANES])
@pytest.mark.parametrize("reset", ["hard", "soft"])
def test_every_parameter_has_a_gradient_whatever_the_membrane(membrane, reset):
    torch.manual_seed(0)
    bits = 0 if membrane == "none" else 4
    dense = QDense(20, 6, bits=4)
    neuron = LIF(6, bits, (11, 4), reset, membrane, learn_decay=True)
    spikes = neuron(dense(torch.randint(0, 256, (6, 30, 20)).float()), 6)
    (spikes * torch.randn_like(spikes)).sum().backward()
    check_gradients(dense)
    check_gradients(neuron)
    assert (neuron.leak is None) == (membrane == "none")


@pytest.mark.parametrize("weights", [*WEIGHTS])
def test_every_parameter_has_a_gradient_whatever_the_weights(weights):
    torch.manual_seed(0)
    bits = 2 if weights == "ternary" else 1
    layers = [QConv2d(3, 3, 3, padding=1, bits=bits, weights=weights, residual=True), LIF(3),
              QRecurrent(3 * 16, 7, LIF(7), bits=bits, weights=weights)]
    spikes = layers[1](layers[0](torch.randint(0, 8, (1, 30, 3, 4, 4)).float()), 4)
    spikes = layers[2](spikes, 4)
    (spikes * torch.randn_like(spikes)).sum().backward()
    for layer in layers:
        check_gradients(layer)


def normalised(current):
    return current.values * shaped(current.gain) + shaped(current.bias)


def shaped(channels):
    return channels[:, None, None]


@pytest.mark.parametrize("pool", [None, MaxPool(2), SumPool(2)])
def test_a_convolution_is_torchs_with_batch_norm(pool):
    torch.manual_seed(0)
    layer = QConv2d(4, 6, 3, stride=2, padding=1, groups=2, bits=4, pool=pool)
    norm = nn.BatchNorm2d(6, eps=layer.EPSILON)
    with torch.no_grad():
        layer.gamma.copy_(torch.randn(6))
        norm.weight.copy_(layer.gamma)
        layer.beta.copy_(torch.randn(6))
        norm.bias.copy_(layer.beta)
    x = torch.randint(0, 9, (3, 5, 4, 8, 9)).float()
    weight = layer.quantizer(layer.weight.flatten(1)).view_as(layer.weight)
    for mode in (True, False):
        layer.train(mode)
        norm.train(mode)
        plain = F.conv2d(x.flatten(0, 1), weight, None, 2, 1, 1, 2)
        if isinstance(pool, MaxPool):       # of what the neuron sees: its sign is that of γ
            sign = shaped(layer.gamma.sign())
            plain = F.max_pool2d(plain * sign, 2) * sign
        elif pool:
            plain = F.avg_pool2d(plain, 2, divisor_override=1)
        current = layer(x)
        assert current.values.shape[:2] == (3, 5) and (current.gain > 0).all()
        torch.testing.assert_close(normalised(current).flatten(0, 1), norm(plain),
                                   rtol=1e-4, atol=1e-3 if not mode else 1e-4)
        with torch.no_grad():       # torch's are of the unbiased variance, and not flipped
            norm.running_var.copy_(layer.var)
            norm.running_mean.copy_(layer.mean * layer.gamma.sign())


def test_a_residual_adds_the_input_times_an_integer():
    torch.manual_seed(0)
    layer = QConv2d(4, 4, 3, padding=1, groups=2, bits=2, residual=True).eval()
    with torch.no_grad():
        layer.skip.copy_(torch.tensor([1.0, -0.6, 0.0, 1e9]))
        layer.gamma[1] = -1
    gain = layer.skip_gain()
    assert gain[0] > 1 and gain[1] > 0 and gain[2] == 0 and gain[3] == 127
    x = torch.randint(0, 2, (2, 3, 4, 5, 5)).float()
    plain = F.conv2d(x.flatten(0, 1), layer.integers(), None, 1, 1, 1, 2).view_as(x)
    assert torch.equal(layer(x).values, plain + shaped(gain) * x)


@pytest.mark.parametrize("change", [{"stride": 2}, {"kernel": 2}, {"padding": 0}, {"outputs": 8}])
def test_a_residual_must_keep_the_shape(change):
    settings = {"inputs": 4, "outputs": 4, "kernel": 3, "padding": 1, "residual": True}
    with pytest.raises(ModelsError, match="a residual convolution must keep its input's shape"):
        QConv2d(**{**settings, **change})


def test_pools():
    x = torch.tensor([[5.0, 1, 0, 7], [2, -3, 4, 0]]).view(1, 1, 1, 2, 4)
    current = Current(x, torch.tensor([0.5]), torch.tensor([0.25]))
    assert MaxPool(2)(x).flatten().tolist() == [5, 7]
    assert SumPool(2)(x).flatten().tolist() == [5, 11]
    average = AvgPool(2)(current)
    torch.testing.assert_close(normalised(average), F.avg_pool2d(normalised(current)[0], 2)[None])
    assert MaxPool(2)(current).gain is current.gain
    with pytest.raises(TypeError, match="AvgPool must pool a Current, not spikes; use SumPool"):
        AvgPool(2)(x)


def test_recurrence_is_the_step_by_step_sum():
    torch.manual_seed(0)
    layer = QRecurrent(6, 5, LIF(5, 8, (1, 0), "soft"), bits=4)
    x = torch.randint(0, 2, (7, 30, 6)).float()
    for _ in range(300):
        layer.train()(x, 7)
    layer.eval()
    fired, spikes = layer(x, 7, statistics=True), torch.zeros(30, 5)
    gain, bias = layer.units()
    sums = []
    for now, expected in zip(x, fired.spikes, strict=True):
        sums.append(F.linear(now, layer.integers()) + F.linear(spikes, layer.feedback()))
        spikes = expected
    alone = layer.neuron(Current(torch.stack(sums), gain, bias), 7)
    assert torch.equal(alone, fired.spikes) and 0.05 < fired.rate < 0.95
    flat = torch.stack(sums).flatten(0, 1)          # the statistics settled at those of the sum
    torch.testing.assert_close(layer.mean, flat.mean(0), rtol=0.1, atol=0.3)
    torch.testing.assert_close(layer.var, flat.var(0), rtol=0.1, atol=0.3)


def test_learnt_decays_start_at_the_given_one_and_stay_on_the_grid():
    assert LIF(3, decay=(13, 4), learn_decay=True).decay().tolist() == [13] * 3
    assert LIF(3, decay=(1, 0), learn_decay=True).decay().tolist() == [1] * 3
    neuron = LIF(2, decay=(3, 3), learn_decay=True)
    with torch.no_grad():
        neuron.leak.copy_(torch.tensor([-50.0, 50.0]))
    assert neuron.decay().tolist() == [0, 8]


def test_nothing_carried_runs_a_still_input_once():
    current = Current(torch.randn(1, 4, 3), torch.ones(3), torch.zeros(3))
    assert LIF(3, 0, membrane="none")(current, 5).shape == (1, 4, 3)


@pytest.mark.parametrize(("settings", "message"), [
    ({"decay": (3, 1)}, r"decay must be \(m, q\) with 0 < m <= 2\^q, q <= 8, not \(3, 1\)"),
    ({"reset": "none"}, "reset must be hard or soft, not 'none'"),
])
def test_neurons_are_checked(settings, message):
    with pytest.raises(ModelsError, match=message):
        LIF(3, **settings)


def test_moments_and_their_gradient():
    torch.manual_seed(0)
    x, toward = torch.randn(2000, 40, requires_grad=True), torch.randn(2000, 40)
    results = []
    for function in (moments, lambda rows: (rows, rows.mean(0), rows.var(0, correction=0))):
        rows, mean, var = function(x)
        (grad,) = torch.autograd.grad((rows * toward).sum() + (mean.sin() + var ** 3).sum(), x)
        results.append((mean.detach(), var.detach(), grad))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("frames, steps", [(3, 4), (5, 4), (2, 1), (1, 0)])
def test_a_neuron_wants_a_current_for_every_step(frames, steps):
    current = Current(torch.ones(frames, 2, 4), torch.ones(4), torch.zeros(4))
    with pytest.raises(ModelsError, match=f"currents must be of {steps} steps, at least 1, or of "
                                          f"one that stands for all, not of {frames}"):
        LIF(4)(current, steps)
