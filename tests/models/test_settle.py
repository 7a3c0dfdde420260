"""What is exported is what was printed: batch statistics are those of the weights."""

import pytest
import torch
import torch.nn.functional as F
from blobs import CONFIG, NETWORK, X, Y
from gestures import STEPS, gestures

from qsnn_models.errors import ExportError
from qsnn_models.export.freeze import freeze, freeze_layer
from qsnn_models.layers.neurons import LIF
from qsnn_models.layers.weighted import QDense, QRecurrent
from qsnn_models.network.from_layers import network_of
from qsnn_models.network.qsnn import QSNN, NetworkConfig, Spiking
from qsnn_models.network.settle import settle, weight_layers
from qsnn_models.training.loop import Epoch, accuracy_of
from qsnn_models.training.progress import warnings_of
from qsnn_models.training.train import TrainConfig, train

SENSOR = NetworkConfig("sensor", "6-64-32-5", steps=STEPS, coding="spikes", decay=(15, 4),
                       learn_decay=True)
STALE = (r"weight layer 1 \(QDense\) must have the batch statistics of its weights, but in the "
         r"latest batches they parted by \d+\.\d deviations; settle\(model, x\) or "
         r"freeze\(model, x\) measures them anew, x training inputs \[N, \.\.\.\]")


def exported(model, x, y):
    return float((freeze(model)(torch.from_numpy(x)).argmax(1).numpy() == y).mean())


@pytest.mark.parametrize("seed", (1, 2, 3, 4))
def test_what_is_exported_is_what_was_printed(seed):
    x, y = gestures(1500, 1)
    epochs = []
    config = TrainConfig("gestures", epochs=12, learning_rate=5e-3, seed=seed, device="cpu")
    model = train(SENSOR, config, x, y, report=epochs.append)
    printed = epochs[-1].evaluated
    assert exported(model, x, y) == printed and exported(model, *gestures(1000, 2)) >= 0.97
    assert abs(printed - epochs[-1].accuracy) < 0.01


def loop(model, x, y, epochs=1, batch=32, rate=1e-2):
    """A training loop of one's own."""
    optimizer = torch.optim.Adam(model.parameters(), rate)
    model.train()
    for _ in range(epochs):
        for part in torch.randperm(len(x)).split(batch):
            optimizer.zero_grad()
            F.cross_entropy(model(x[part]).logits, y[part]).backward()
            optimizer.step()
    return model.eval()


def own():
    return network_of([QDense(6, 24), LIF(24, decay=(15, 4)), QDense(24, 5)], (6,), steps=STEPS,
                      coding="spikes")


def test_a_loop_of_one_s_own_is_settled_or_told():
    torch.manual_seed(1)
    x, y = map(torch.from_numpy, gestures(512, 1))
    model = loop(own(), x.float(), y, epochs=3)
    stale = accuracy_of(model, x, y)
    with pytest.raises(ExportError, match=STALE):
        freeze(model)
    with pytest.raises(ExportError, match="the QDense must have the batch statistics of its"):
        freeze_layer(model.blocks[0], 255)
    frozen = freeze(model, x)
    assert float((frozen(x).argmax(1) == y).float().mean()) == accuracy_of(model, x, y) > stale


def test_what_was_stale_is_stale_in_another_process(tmp_path):
    x, y = map(torch.from_numpy, gestures(256, 1))
    torch.save(loop(own(), x.float(), y, epochs=3).state_dict(), tmp_path / "own.pt")
    again = own()
    again.load_state_dict(torch.load(tmp_path / "own.pt"))
    with pytest.raises(ExportError, match=STALE):
        freeze(again.eval())
    freeze(again, x)


def test_settling_changes_the_statistics_alone_and_repeats_itself():
    x = torch.from_numpy(X)
    model = QSNN(NetworkConfig("n", "16-24-4", weights="scheduled"), dropout=0.5).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    random = torch.get_rng_state()
    settle(model, x)
    first = {name: value.clone() for name, value in model.state_dict().items()}
    settle(model.eval(), x)
    assert all(torch.equal(first[name], value) for name, value in model.state_dict().items())
    changed = {name.rpartition(".")[2] for name, value in first.items()
               if not torch.equal(value, before[name])}
    assert changed == {"mean", "var"} and torch.equal(random, torch.get_rng_state())
    assert not any(module.training for module in model.modules())


def test_settled_statistics_are_those_of_the_whole():
    x = torch.from_numpy(X)
    model = QSNN(NETWORK)
    settle(model, x)
    layer = model.blocks[0].layer
    current = layer.eval()(x.float()).values
    assert torch.allclose(layer.mean, current.mean(0), rtol=1e-3, atol=1)
    assert torch.allclose(layer.var, current.var(0), rtol=0.02)


def test_deeper_statistics_are_those_behind_layers_in_evaluation():
    torch.manual_seed(0)
    model = QSNN(NetworkConfig("n", "16-24-12-4", membrane_bits=2, steps=8))
    with torch.no_grad():
        for layer in weight_layers(model).values():
            layer.beta += torch.randn_like(layer.beta)
    x = torch.from_numpy(X)
    settle(model.eval(), x)
    values = x[None].float()
    for block in model.blocks:
        current = block.layer(values).values.flatten(0, -2)
        deviation = block.layer.var.sqrt() + 1e-3
        assert ((current.mean(0) - block.layer.mean) / deviation).abs().max() < 1e-2
        values = block(values, 8)


def test_a_recurrent_layer_settles_too():
    torch.manual_seed(0)
    model = network_of([QRecurrent(16, 12, LIF(12)), QDense(12, 4)], (16,), steps=4)
    x = torch.from_numpy(X)
    settle(model, x)
    layer = model.blocks[0]
    sums = layer.eval()(x[None].float(), 4) @ layer.feedback().T
    whole = F.linear(x.float(), layer.integers()) + torch.cat([0 * sums[:1], sums[:-1]])
    deviation = (whole.flatten(0, 1).mean(0) - layer.mean).abs() / layer.var.sqrt()
    assert deviation.max() < 0.1


def test_the_layer_that_parted_is_named_with_its_deviations():
    x = torch.from_numpy(X)
    model = QSNN(NetworkConfig("n", "16-24-12-4")).eval()
    settle(model, x)
    model.blocks[1].layer.mean += 3 * model.blocks[1].layer.var.sqrt()
    parted = settle(model, x)
    assert list(parted) == list(weight_layers(model)) == [
        "weight layer 1 (QDense)", "weight layer 2 (QDense)", "weight layer 3 (QDense)"]
    assert parted["weight layer 2 (QDense)"] == pytest.approx(3, abs=0.5)
    assert max(parted["weight layer 1 (QDense)"], parted["weight layer 3 (QDense)"]) < 1


def test_an_average_is_settled_and_measured():
    x, y = gestures(500, 1)
    epochs = []
    config = TrainConfig("gestures", epochs=3, ema=0.9, learning_rate=5e-3, seed=1, device="cpu")
    model = train(SENSOR, config, x, y, report=epochs.append)
    assert exported(model, x, y) == epochs[-1].evaluated


def epoch(evaluated):
    return Epoch(1, 0.5, 0.9, (0.2,), (0.1,), None, "n", evaluated,
                 ("weight layer 2 (QDense)", 2.4))


def test_evaluation_that_falls_behind_is_told_with_its_layer():
    assert warnings_of(epoch(0.85)) == [
        "evaluation is 5.0% below training: the batch statistics of weight layer 2 (QDense) part "
        "most, by 2.4 deviations; lower learning_rate, or raise batch"]
    assert warnings_of(epoch(0.89)) == warnings_of(epoch(0.95)) == []


def test_every_epoch_is_evaluated():
    epochs = []
    model = train(NETWORK, CONFIG, X, Y, report=epochs.append)
    assert len(epochs) == CONFIG.epochs and all(e.evaluated is not None for e in epochs)
    assert epochs[-1].evaluated == exported(model, X, Y)
    assert epochs[-1].parted[0].startswith("weight layer ")


def test_a_layer_that_holds_no_numbers_is_named():
    model = QSNN(NETWORK).eval()
    with torch.no_grad():
        model.classifier.gamma[1] = torch.nan
    with pytest.raises(ExportError, match=r"weight layer 2 \(QDense\) must hold numbers, but its "
                                          "gamma has some that are none; train again with a lower "
                                          "learning rate"):
        freeze(model)
    block = Spiking(QDense(4, 3), LIF(3)).eval()
    block.layer.var[0] = torch.inf
    with pytest.raises(ExportError, match="the QDense must hold numbers, but its var"):
        freeze_layer(block, 255)
