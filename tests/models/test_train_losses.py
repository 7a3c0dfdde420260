"""Optimisers, weight decay, losses and the surrogate's width, as fields of a recipe."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from blobs import CONFIG, NETWORK, X, Y

from qsnn_models.errors import ModelsError
from qsnn_models.layers.stepwise import _Fire
from qsnn_models.network.qsnn import QSNN, Output
from qsnn_models.training.augment import Wanted
from qsnn_models.training.losses import cross_entropy
from qsnn_models.training.optimizers import optimizer_of
from qsnn_models.training.train import accuracy_of, train

SPIKES = replace(NETWORK, coding="spikes", input_bits=8, steps=3)
FRAMES = torch.from_numpy(X)[:, None].repeat(1, 3, 1)


@pytest.mark.parametrize("fields", [
    {"optimizer": "adamw", "weight_decay": 0.05}, {"optimizer": "sgd", "learning_rate": 0.3},
    {"weight_decay": 1e-3}, {"loss": "tet"}, {"loss": "potential"}, {"surrogate_width": 2.0}])
def test_every_field_trains_and_matters(fields):
    plain = train(NETWORK, CONFIG, X, Y)
    model = train(NETWORK, replace(CONFIG, **fields), X, Y)
    assert accuracy_of(model, torch.from_numpy(X), torch.from_numpy(Y)) > 0.85
    same = all(torch.equal(a, b) for a, b in zip(model.parameters(), plain.parameters(),
                                                 strict=True))
    assert same == (fields == {"loss": "potential"})    # that is what auto is here


def test_weights_alone_decay():
    model = QSNN(replace(NETWORK, learn_decay=True))
    optimizer = optimizer_of(model, replace(CONFIG, weight_decay=0.1))
    assert {values.ndim > 1: group["weight_decay"] for group in optimizer.param_groups
            for values in group["params"]} == {True: 0.1, False: 0.0}
    counted = sum(len(group["params"]) for group in optimizer.param_groups)
    assert counted == len(list(model.parameters()))
    assert len({group["lr"] for group in optimizer.param_groups}) == 3


@pytest.mark.parametrize("name, kind", [("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW),
                                        ("sgd", torch.optim.SGD)])
def test_the_optimiser_is_the_one_named(name, kind):
    assert type(optimizer_of(QSNN(NETWORK), replace(CONFIG, optimizer=name))) is kind


@pytest.mark.parametrize("readout", ["potential", "count"])
@pytest.mark.parametrize("training", [True, False])
def test_a_step_s_logits_have_the_whole_s_as_mean(readout, training):
    torch.manual_seed(0)
    model = QSNN(replace(SPIKES, readout=readout)).train(training)
    x = (FRAMES[:50].float() * torch.tensor([1.0, 0.5, 0.2])[:, None]).round()
    assert model(x).each is None
    model.tells_each = True
    output = model(x)
    assert output.each.shape == (3, 50, 4)
    assert torch.allclose(output.each.mean(0), output.logits, atol=1e-3, rtol=1e-5)
    assert not torch.equal(output.each[0], output.each[2])


def test_tet_is_the_mean_of_the_steps_losses():
    torch.manual_seed(0)
    each, y, other = torch.randn(3, 8, 4), torch.randint(4, (8,)), torch.randint(4, (8,))
    output = Output(each.mean(0), torch.zeros(0), torch.zeros(0), each)
    wanted = torch.stack([F.cross_entropy(own, y, label_smoothing=0.1) for own in each]).mean()
    assert torch.allclose(cross_entropy(output, Wanted(y), 0.1), wanted)
    mixed = torch.stack([0.3 * F.cross_entropy(logits, y) + 0.7 * F.cross_entropy(logits, other)
                         for logits in each]).mean()
    assert torch.allclose(cross_entropy(output, Wanted(y, other, 0.3), 0.0), mixed)


def test_a_step_alone_has_the_same_surrogate():
    h = torch.linspace(-2, 2, 9, dtype=torch.float64, requires_grad=True)
    _Fire.apply(h, 2.0).sum().backward()
    assert torch.allclose(h.grad, 1 / (1 + (torch.pi * h.detach() / 2) ** 2))


@pytest.mark.parametrize("fields, message", [
    ({"loss": "count"}, r'loss must be auto, tet or, as the network.s readout is, potential, not '
                        r"'count'; or set network.readout = \"count\""),
    ({"loss": "hinge"}, "loss must be auto or count or potential or tet, not 'hinge'"),
    ({"optimizer": "lion"}, "optimizer must be adam or adamw or sgd, not 'lion'"),
    ({"weight_decay": -1.0}, "weight_decay must be at least 0, not -1.0"),
    ({"surrogate_width": 0.0}, "surrogate_width must be above 0, not 0.0"),
])
def test_what_does_not_go_together_is_refused(fields, message):
    with pytest.raises(ModelsError, match=f"^{message}"):
        train(NETWORK, replace(CONFIG, **fields), X, Y)
