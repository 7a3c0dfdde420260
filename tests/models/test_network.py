import pytest
import torch

from qsnn_models.errors import ModelsError
from qsnn_models.layers import LIF, Current, QDense
from qsnn_models.membrane import Dynamics, run_membrane
from qsnn_models.network import QSNN, NetworkConfig
from qsnn_models.quantizers import MembraneQuantizer, WeightQuantizer, floor_ste, round_ste


@pytest.mark.parametrize(("bits", "levels"), [(1, {-1, 1}), (2, {-1, 0, 1}),
                                              (4, set(range(-7, 8))),
                                              (8, set(range(-120, 121)))])
def test_weights_are_integers_that_use_their_range(bits, levels):
    torch.manual_seed(0)
    found = set(WeightQuantizer(bits)(torch.randn(4, 200_000) * 0.01 + 5).unique().tolist())
    assert found >= levels and max(found) == -min(found) == 2 ** (bits - 1) - 1 + (bits == 1)


def test_one_bit_weights_are_balanced_and_ignore_scale():
    w = torch.randn(3, 1001)
    binary = WeightQuantizer(1)(w)
    assert binary.mean(1).abs().max() < 0.1
    assert torch.equal(binary, WeightQuantizer(1)(w * 100 + 7))


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_weight_gradients_are_those_of_standardising(bits):
    torch.manual_seed(0)
    latent = torch.randn(3, 40, requires_grad=True)
    quantizer, toward = WeightQuantizer(bits), torch.randn(3, 40)
    (quantizer(latent) * toward).sum().backward()
    assert latent.grad.isfinite().all() and latent.grad.abs().sum() > 0
    assert latent.grad.sum(1).abs().max() < 1e-4            # moving all weights changes nothing
    if bits == 1:
        with torch.no_grad():
            centred = latent - latent.mean(1, keepdim=True)
            window = centred.abs() < 1.5 * centred.square().mean(1, keepdim=True).sqrt()
        again = latent.detach().requires_grad_()
        w = again - again.mean(1, keepdim=True)
        w = w / w.square().mean(1, keepdim=True).sqrt()
        (w * window * toward).sum().backward()
        torch.testing.assert_close(latent.grad, again.grad)
    else:
        assert quantizer.log_step.grad.abs() > 0


@pytest.mark.parametrize("bits", [0, 3, 16])
def test_weight_widths_are_checked(bits):
    with pytest.raises(ModelsError, match=f"weight bits must be one of 1, 2, 4, 8, not {bits}"):
        WeightQuantizer(bits)


@pytest.mark.parametrize("bits", [1, 9])
def test_membrane_widths_are_checked(bits):
    with pytest.raises(ModelsError, match=f"membrane bits must be 2 to 8, not {bits}"):
        MembraneQuantizer(bits, 3)


@pytest.mark.parametrize("bits", range(2, 9))
def test_the_first_step_reaches_the_threshold_and_is_a_power_of_two(bits):
    membrane = MembraneQuantizer(bits, 1)
    step = 2.0 ** membrane.shift(torch.tensor([2.0 ** -12]))
    assert step * 2 ** -12 * membrane.high <= 1 < step * 2 ** -12 * (membrane.high + 1) * 1.5


@pytest.mark.parametrize(("field", "value", "message"), [
    ("sizes", (3,), "sizes must be at least inputs and classes"),
    ("steps", 0, "steps must be at least 1, not 0"),
    ("coding", "rate", "coding must be direct or spikes, not 'rate'"),
    ("reset", "none", "reset must be hard or soft, not 'none'"),
    ("readout", "last", "readout must be count or potential, not 'last'"),
    ("input_bits", 1, "input bits must be 4 or 8 for direct coding, not 1"),
    ("decay", (3, 1), r"decay must be \(m, q\) with 0 < m <= 2\^q, not \(3, 1\)"),
    ("weight_bits", (1, 8), r"weight bits must be one width or 1, not \(1, 8\)"),
    ("weight_bits", 3, "weight bits must be one of 1, 2, 4, 8, not 3"),
    ("membrane_bits", 1, "membrane bits must be 2 to 8, not 1"),
])
def test_configurations_are_checked(field, value, message):
    with pytest.raises(ModelsError, match=message):
        QSNN(NetworkConfig(**{"name": "n", "sizes": (3, 2), "readout": "count", field: value}))


def plain_membrane(drive, gain, threshold, reset, step, dynamics, steps):
    """`run_membrane` written with autograd."""
    spikes, kept = [], 0.0
    for now in drive.expand(steps, -1, -1):
        v = now + kept
        h = (v - threshold) * gain
        s = torch.atan(torch.pi * h) / torch.pi         # its derivative is 1 / (1 + (π·h)²)
        s = s + ((v >= threshold).to(s.dtype) - s).detach()
        spikes.append(s)
        fired = (v >= threshold).to(v.dtype)
        after = v * (1 - fired) if dynamics.hard else v - fired * reset
        u = round_ste((after / step).clamp(dynamics.low, dynamics.high))
        kept = floor_ste(u * (step * dynamics.decay))
    return torch.stack(spikes)


@pytest.mark.parametrize("hard", [True, False])
@pytest.mark.parametrize("shared", [True, False])
def test_the_membrane_function_and_its_gradient_equal_autograd(hard, shared):
    torch.manual_seed(1)
    dynamics = Dynamics(0.5, -8, 7, hard)
    drive = torch.randint(-300, 400, (1 if shared else 5, 9, 3)).double()
    channel = [torch.tensor(x).double() for x in
               ([.01, .005, .02], [100, 200, 50], [90, 200, 60], [16, 32, 8])]
    results = []
    for function in (lambda *a: run_membrane(*a)[0], plain_membrane):
        leaves = [x.clone().requires_grad_() for x in (drive, *channel)]
        spikes = function(*leaves, dynamics, 5)
        (spikes * torch.linspace(-1, 1, spikes.numel()).reshape(spikes.shape)).sum().backward()
        results.append([spikes.detach(), *(x.grad if x.grad is not None else torch.zeros_like(x)
                                           for x in leaves)])
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_layers_work_in_a_network_of_ones_own():
    dense, neuron = QDense(6, 4, bits=2), LIF(4, bits=3, reset="soft")
    current = dense(torch.randint(0, 256, (1, 10, 6)).float())
    assert isinstance(current, Current)
    spikes, saturation = neuron(current, 5)
    assert spikes.shape == (5, 10, 4) and set(spikes.unique().tolist()) <= {0, 1}
    assert 0 <= saturation <= 1
    spikes.sum().backward()
    assert all(p.grad is not None for p in [*dense.parameters(), *neuron.parameters()])
