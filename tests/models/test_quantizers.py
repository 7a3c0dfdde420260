import pytest
import torch

from qsnn_models.errors import ModelsError
from qsnn_models.layers.membranes import MEMBRANES, membrane_quantizer
from qsnn_models.layers.weights import WEIGHTS, standardise, weight_quantizer

KINDS = [(name, bits) for name, kind in WEIGHTS.items() for bits in kind.widths
         if name != "float"]
INTEGER = [name for name, kind in MEMBRANES.items() if not kind.refusal and name != "none"]


def integers(name, bits, latent):
    return weight_quantizer(name, bits)(latent)


@pytest.mark.parametrize(("name", "bits"), KINDS)
def test_weights_are_integers_of_their_width_that_can_be_negated(name, bits):
    torch.manual_seed(0)
    codes = integers(name, bits, torch.randn(4, 100_000) / 100_000 ** 0.5).unique().tolist()
    top = {1: 1, 2: 1, 4: 7, 8: 120}[bits]
    assert set(codes) >= set(range(-top, top + 1)) - ({0} if bits == 1 else set())
    assert max(codes) == -min(codes) <= max(1, 2 ** (bits - 1) - 1)
    assert all(value == round(value) for value in codes) and (bits > 1 or 0 not in codes)


@pytest.mark.parametrize("name", ["standardised", "scheduled"])
def test_standardised_weights_are_balanced_and_ignore_scale(name):
    w = torch.randn(3, 1001)
    binary = integers(name, 1, w + 3)
    assert binary.mean(1).abs().max() < 0.1
    assert torch.equal(binary, integers(name, 1, w * 100 + 7))
    assert integers("plain", 1, w + 3).mean() > 0.9


def test_ternary_weights_are_zero_below_their_threshold():
    w = torch.tensor([[1.0, -1.0, 0.1, -0.1, 0.4]])        # mean |w| 0.52, threshold 0.364
    assert integers("ternary", 2, w).tolist() == [[1, -1, 0, 0, 1]]


@pytest.mark.parametrize(("name", "bits"), [*KINDS, ("float", 32)])
def test_every_weight_parameter_has_a_gradient(name, bits):
    torch.manual_seed(0)
    latent = (torch.randn(3, 40) / 40 ** 0.5).requires_grad_()
    quantizer = weight_quantizer(name, bits)
    (quantizer(latent) * torch.randn(3, 40)).sum().backward()
    for parameter in (latent, *quantizer.parameters()):
        assert parameter.grad.isfinite().all() and parameter.grad.abs().sum() > 0
    if name == "standardised":
        assert latent.grad.sum(1).abs().max() < 1e-3        # moving all weights changes nothing


def test_the_one_bit_gradient_is_that_of_standardising_within_the_window():
    latent, toward = torch.randn(3, 40, requires_grad=True), torch.randn(3, 40)
    (integers("standardised", 1, latent) * toward).sum().backward()
    again = latent.detach().clone().requires_grad_()
    w = standardise(again)
    (w * (w.detach().abs() < 1.5) * toward).sum().backward()
    torch.testing.assert_close(latent.grad, again.grad)


@pytest.mark.parametrize(("share", "t"), [(0, 0.1), (0.5, 1), (1, 10)])
def test_the_scheduled_gradient_sharpens_as_training_goes_on(share, t):
    quantizer, toward = weight_quantizer("scheduled", 1), torch.randn(3, 40)
    quantizer.progress(share)
    latent = torch.randn(3, 40, requires_grad=True)
    (quantizer(latent) * toward).sum().backward()
    again = latent.detach().clone().requires_grad_()
    w = standardise(again)
    slope = max(1 / t, 1) * t * (1 - torch.tanh(t * w.detach()) ** 2)
    (w * slope * toward).sum().backward()
    torch.testing.assert_close(latent.grad, again.grad)


@pytest.mark.parametrize(("name", "bits", "message"), [
    ("standardised", 3, "weight bits must be one of 1, 2, 4, 8 for 'standardised' weights, not 3"),
    ("plain", 16, "weight bits must be one of 1, 2, 4, 8 for 'plain' weights, not 16"),
    ("ternary", 1, "weight bits must be one of 2, 4, 8 for 'ternary' weights, not 1"),
    ("binary", 1, "weights must be one of standardised, plain, scheduled, ternary, float, not 'b"),
])
def test_weight_names_and_widths_are_checked(name, bits, message):
    with pytest.raises(ModelsError, match=message):
        weight_quantizer(name, bits)


@pytest.mark.parametrize(("name", "bits", "message"), [
    ("trainable", 1, "membrane bits must be 2 to 16 for a 'trainable' membrane, not 1"),
    ("centred", 17, "membrane bits must be 2 to 16 for a 'centred' membrane, not 17"),
    ("none", 4, "membrane bits must be 0 for a 'none' membrane, not 4"),
    ("fixed", 0, "membrane bits must be 2 to 16 for a 'fixed' membrane, not 0"),
    ("tanh", 4, "membrane must be one of trainable, fixed, mint, centred, released, float, none, "
                "not 'tanh'"),
])
def test_membrane_names_and_widths_are_checked(name, bits, message):
    with pytest.raises(ModelsError, match=message):
        membrane_quantizer(name, bits, 3)


@pytest.mark.parametrize("bits", [*range(2, 9), 12, 16])
@pytest.mark.parametrize("name", INTEGER)
def test_the_range_starts_near_the_threshold(name, bits):
    membrane = membrane_quantizer(name, bits, 1).train()
    gain = torch.tensor([2.0 ** -20 * 1.1], dtype=torch.double)
    k = membrane.shift(gain)
    assert k == k.round() > 0
    origin = membrane.origin(1 / gain, k)
    top = gain * (2.0 ** k * (membrane.high + 0.5) + (0 if origin is None else origin))
    assert 0.5 < top < 2


@pytest.mark.parametrize("bits", [*range(2, 9), 12, 16])
@pytest.mark.parametrize("name", ["centred", "trainable"])
def test_an_origin_can_be_counted_in_steps_and_zero_keeps_a_code(name, bits):
    membrane = membrane_quantizer(name, bits, 4)
    if name == "trainable" and bits > 2:
        with torch.no_grad():
            membrane.offset.copy_(torch.tensor([-1e5, -1.2, 0.6, 1e5]))
    gain = torch.tensor([2.0, 0.3, 0.004, 1e-5], dtype=torch.double)
    k = membrane.shift(gain)
    origin = membrane.origin(1 / gain, k)
    if name == "trainable" and bits == 2:
        assert origin is None
        return
    start = -origin / 2 ** k
    assert (start == start.round()).all()
    assert (start >= membrane.low).all() and (start <= membrane.high).all()
    if name == "trainable":
        assert start.tolist() == [membrane.high, 1, -1, membrane.low]


def test_the_shared_step_starts_at_the_first_batch_and_is_kept():
    membrane = membrane_quantizer("mint", 4, 3)
    assert membrane.eval().shift(torch.full((3,), 1e-3)).tolist() == [0, 0, 0]
    first = membrane.train().shift(torch.tensor([0.1, 1e-3, 1e-6]))
    assert first.tolist() == [7, 7, 7]          # 1000 / 7.5 is 2^7.06
    assert torch.equal(membrane.shift(torch.full((3,), 1e-9)), first)
    again = membrane_quantizer("mint", 4, 3)
    again.load_state_dict(membrane.state_dict())
    assert torch.equal(again.shift(torch.full((3,), 1e-9)), first)
