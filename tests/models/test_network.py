import json
from dataclasses import asdict

import pytest
import torch

from qsnn_models.errors import ModelsError
from qsnn_models.network.qsnn import QSNN, NetworkConfig
from qsnn_models.training.recipes import RECIPES


@pytest.mark.parametrize(("field", "value", "message"), [
    ("layers", "3", "layers '3': the last must be N, the number of classes, not '3'"),
    ("steps", 0, "steps must be at least 1, not 0"),
    ("coding", "rate", "coding must be direct or spikes, not 'rate'"),
    ("reset", "none", "reset must be hard or soft, not 'none'"),
    ("readout", "last", "readout must be count or potential, not 'last'"),
    ("input_bits", 9, "input bits must be 1 to 8, not 9"),
    ("input_scale", 0, "input scale must be a number above 0, not 0"),
    ("decay", (3, 1), r"decay must be \(m, q\) with 0 < m <= 2\^q, q <= 8, not \(3, 1\)"),
    ("decay", (1,), r"decay must be \(m, q\) .*, not \(1,\)"),
    ("weight_bits", (1, 8), r"weight bits must be one width or 1, not \(1, 8\)"),
    ("weight_bits", 3, "weight bits must be one of 1, 2, 4, 8 for 'standardised' weights, not 3"),
    ("weights", "binary", "weights must be one of standardised, .*, not 'binary'"),
    ("membrane", "tanh", "membrane must be one of trainable, .*, not 'tanh'"),
    ("membrane_bits", 1, "membrane bits must be 2 to 16 for a 'trainable' membrane, not 1"),
])
def test_configurations_are_checked(field, value, message):
    with pytest.raises(ModelsError, match=message):
        NetworkConfig(**{"name": "n", "layers": "3-2", field: value})


def test_configurations_survive_json():
    config = NetworkConfig("n", "1x8x8-4C3-6", weight_bits=(8, 1), decay=(3, 2))
    assert NetworkConfig(**json.loads(json.dumps(asdict(config)))) == config
    assert config.widths == (8, 1) and config.structure.shape == (1, 8, 8)


def forward(layers, batch=12, dropout=0.0, **settings):
    torch.manual_seed(0)
    config = NetworkConfig("n", layers, **settings)
    model = QSNN(config, dropout)
    steps = () if config.coding == "direct" else (config.steps,)
    x = torch.randint(0, 2 ** config.input_bits, (batch, *steps, *config.structure.shape))
    return model, x.float(), model(x.float())


@pytest.mark.parametrize("layers", ["20-16-5", "2x6x6-4C3-P2-4C3+-5", "6-8R-8-5", "9-5"])
@pytest.mark.parametrize("coding", ["direct", "spikes"])
@pytest.mark.parametrize("readout", ["count", "potential"])
def test_a_network_trains(layers, coding, readout):
    model, _, output = forward(layers, coding=coding, readout=readout, dropout=0.1)
    layered = len(model.neurons)
    assert output.logits.shape == (12, 5)
    assert output.rates.shape == output.saturation.shape == (layered,)
    (output.logits.square().sum() + output.rates.sum()).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name


def test_flat_inputs_are_taken_too():
    for coding in ("direct", "spikes"):
        model, x, _ = forward("2x6x6-4C3-5", coding=coding)
        flat = x.flatten(1 if coding == "direct" else 2)
        assert torch.equal(model.eval()(x).logits, model(flat).logits)


def test_a_still_network_counts_as_all_its_steps():
    model, x, _ = forward("20-16-5", membrane="none", membrane_bits=0)
    frames = x[:, None].expand(-1, 4, -1)
    moving = QSNN(NetworkConfig("n", "20-16-5", membrane="none", membrane_bits=0,
                                coding="spikes", input_bits=8))
    moving.load_state_dict(model.state_dict())
    assert torch.equal(model.eval()(x).logits, moving.eval()(frames).logits)


def test_dropout_is_one_mask_for_all_steps():
    model, spikes = forward("20-400-5", dropout=0.5)[0], torch.ones(4, 3, 400)
    dropped = model._drop(spikes)
    assert (dropped == dropped[:1]).all() and set(dropped.unique().tolist()) == {0, 2}
    assert 0.4 < dropped.mean() / 2 < 0.6
    assert model.eval()._drop(spikes) is spikes


def test_the_schedule_reaches_every_quantiser():
    model, _, _ = forward("4-5R-6-3", weights="scheduled")
    model.progress(1.0)
    quantizers = [model.blocks[0].quantizer, model.blocks[0].recurrent_quantizer,
                  model.blocks[1].layer.quantizer, model.classifier.quantizer]
    assert [quantizer.sharpness for quantizer in quantizers] == [10.0] * 4


def test_what_has_no_integer_form_says_so():
    model, _, output = forward("20-16-5", weights="float", membrane="released")
    assert len(model.refusals()) == 2 and output.logits.isfinite().all()
    assert forward("20-16-5")[0].refusals() == []


def test_the_recipes_are_networks():
    for recipe in RECIPES.values():
        model = QSNN(recipe.network)
        assert sum(p.numel() for p in model.parameters()) > 20_000


def test_a_decay_may_be_a_share():
    assert NetworkConfig("n", "4-3", decay=0.9).decay == (115, 7)
