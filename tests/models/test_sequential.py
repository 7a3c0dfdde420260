"""The layers in torch's own containers, a window at a time and a step at a time."""

import pytest
import torch
from torch import nn

import qsnn_models as qm
from qsnn_models.errors import ModelsError
from qsnn_models.layers.neurons import fraction

STEPS = 6


def made(*, reset="hard", membrane="trainable", bits=4):
    """A network of every weight layer, and inputs that settled its statistics."""
    torch.manual_seed(0)
    options = {"reset": reset, "membrane": membrane, "bits": bits}
    net = nn.Sequential(qm.QConv1d(2, 4, 3, padding=1, bits=4), qm.LIF(4, decay=0.9, **options),
                        nn.Flatten(2), qm.QDense(4 * 9, 6, bits=4), qm.LIF(6, **options),
                        qm.QDense(6, 5, bits=8), qm.IF(5))
    x = torch.randint(0, 16, (STEPS, 10, 2, 9)).float()
    for _ in range(60):
        net(x)
    return net.eval(), x


def by_steps(net, x):
    """The spikes of *x* ``[T, ...]``, each neuron's state carried from step to step."""
    states, spikes = {}, []
    for values in x:
        for module in net:
            if isinstance(module, qm.LIF):
                values, states[module] = module.step(values, states.get(module))
            else:
                values = values.flatten(1) if isinstance(module, nn.Flatten) else module(values)
        spikes.append(values)
    return torch.stack(spikes)


@pytest.mark.parametrize("reset", ["hard", "soft"])
@pytest.mark.parametrize(("membrane", "bits"), [("trainable", 2), ("trainable", 4),
                                                ("trainable", 16), ("centred", 4), ("fixed", 3),
                                                ("mint", 8), ("float", 8), ("none", 0)])
def test_a_sequential_s_window_is_its_steps_and_so_are_the_gradients(reset, membrane, bits):
    net, x = made(reset=reset, membrane=membrane, bits=bits)
    net, x = net.double(), x.double()
    toward, gradients = torch.randn(STEPS, 10, 5).double(), []
    whole, single = net(x), by_steps(net, x)
    assert torch.equal(whole, single) and 0.05 < whole.mean() < 0.95
    for spikes in (whole, single):
        net.zero_grad()
        (spikes * toward).sum().backward()
        gradients.append({name: parameter.grad for name, parameter in net.named_parameters()
                          if parameter.grad is not None})
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("shape", [(10, 6), (1, 6), (0, 6)])
def test_a_recurrent_layer_carries_its_own_spikes(shape):
    torch.manual_seed(0)
    layer = qm.QRecurrent(6, 5, qm.LIF(5), bits=4)
    for _ in range(60):
        layer(torch.randint(0, 2, (STEPS, 10, 6)).float())
    x = torch.randint(0, 2, (STEPS, *shape)).float()
    state, spikes = None, []
    for now in x:
        fired, state = layer.eval().step(now, state)
        spikes.append(fired)
    assert torch.equal(torch.stack(spikes), layer(x))


def test_one_frame_stands_for_as_many_steps_as_are_asked_for():
    dense, neuron = qm.QDense(6, 5), qm.LIF(5)
    x = torch.randint(0, 16, (1, 10, 6)).float()
    dense(x)
    current = dense.eval()(x)
    assert torch.equal(neuron(current, 4), neuron(dense(x.expand(4, -1, -1))))
    assert neuron(current).shape == (1, 10, 5)


def test_statistics_come_with_the_spikes_where_they_are_asked_for():
    net, x = made()
    spikes, rate, saturation = net[1](net[0](x), statistics=True)
    assert torch.equal(spikes, net[1](net[0](x))) and 0 <= saturation <= 1
    torch.testing.assert_close(rate, spikes.mean())


@pytest.mark.parametrize(("decay", "expected"), [
    (0.9, (115, 7)), (0.5, (1, 1)), (1, (1, 0)), (1.0, (1, 0)), (0.001, (1, 8)), (0.9999, (1, 0)),
    ((13, 4), (13, 4)), ([2, 1], (2, 1))])
def test_a_decay_is_the_nearest_fraction_of_256(decay, expected):
    assert fraction(decay) == expected
    neuron = qm.LIF(3, decay=decay)
    assert (neuron.m, neuron.q) == expected


@pytest.mark.parametrize(("decay", "message"), [
    (0, "decay must be a share of the membrane that is kept, above 0 and at most 1, or"),
    (1.5, r"decay must be a share .* not 1.5"), (float("nan"), "decay must be a share .* not nan"),
    (True, r"decay must be a share .* not True"),
    ((3, 1), r"decay must be \(m, q\) with 0 < m <= 2\^q, q <= 8, not \(3, 1\)"),
    ((0.5, 1), r"decay must be \(m, q\) .* not \(0.5, 1\)"),
    ("0.9", r"decay must be \(m, q\) .* not '0.9'")])
def test_a_decay_that_is_none_is_refused(decay, message):
    with pytest.raises(ModelsError, match=message):
        qm.LIF(3, decay=decay)


@pytest.mark.parametrize(("net", "message"), [
    (nn.Sequential(qm.LIF(4)), "a neuron layer must be given the current of a QDense, QConv1d or "
                               "QConv2d, not Tensor; put one before it"),
    (nn.Sequential(qm.QConv1d(3, 2, 3)), r"the inputs of QConv1d of weights \[2, 3, 1, 3\] must be "
                                         r"\[..., 3, L\], not \[2, 5, 4\]")])
def test_what_does_not_go_together_is_told(net, message):
    with pytest.raises(ModelsError, match=message):
        net(torch.zeros(2, 5, 4))


def test_a_released_membrane_has_no_single_step():
    dense, neuron = qm.QDense(4, 3), qm.LIF(3, membrane="released")
    with pytest.raises(ModelsError, match="a 'released' membrane must run all its steps in one"):
        neuron.step(dense(torch.ones(2, 4)))


def test_a_pool_along_a_line_is_one_high():
    with pytest.raises(ModelsError, match=r"a QConv1d must have a kernel \(1, k\), not \(2, 2"):
        qm.QConv1d(2, 4, 3, pool=qm.MaxPool(2))


def test_a_network_prints_what_its_layers_are():
    text = repr(nn.Sequential(qm.QConv2d(1, 4, 3), qm.LIF(4, decay=0.9), qm.MaxPool((1, 2))))
    assert "QConv2d(\n    1, 4, bits=1, weights='standardised'" in text
    assert "LIF(\n    4, bits=4, decay=115/128, reset='hard', membrane='trainable'" in text
    assert "MaxPool(1x2)" in text
