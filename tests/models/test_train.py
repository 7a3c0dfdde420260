import zipfile
from dataclasses import replace

import numpy as np
import pytest
import torch
from blobs import CONFIG, NETWORK, X, Y, blobs

from qsnn_models.errors import CheckpointError, ModelsError
from qsnn_models.export.freeze import freeze
from qsnn_models.network.qsnn import Output
from qsnn_models.training import checkpoint
from qsnn_models.training.loop import Run
from qsnn_models.training.train import accuracy_of, train

SHORT = replace(CONFIG, epochs=1)
CPU = torch.device("cpu")


def same(a, b):
    return all(torch.equal(p, q) for p, q in zip(a.state_dict().values(), b.state_dict().values(),
                                                 strict=True))


def test_training_learns_and_reports():
    epochs, ticks = [], []
    model = train(NETWORK, replace(CONFIG, holdout=140), X, Y, report=epochs.append,
                  tick=ticks.append)
    x, y = blobs(400, 1)
    assert accuracy_of(model, torch.from_numpy(x), torch.from_numpy(y)) > 0.9
    assert (freeze(model)(torch.from_numpy(x)).argmax(1).numpy() == y).mean() > 0.9
    assert [e.number for e in epochs] == [1, 2, 3, 4] and epochs[-1].holdout > 0.9
    assert 0.05 < epochs[-1].rates[0] < 0.4 and 0 <= epochs[-1].saturation[0] <= 1
    assert len(ticks) == 4 * (500 // 64) and ticks[-1].share == 1
    assert ticks[-1].rates.shape == ticks[-1].saturation.shape == (1,)


def test_seeds_decide_and_the_global_random_state_is_left_alone():
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    first, again = (train(NETWORK, CONFIG, X, Y) for _ in range(2))
    assert same(first, again)
    assert not same(first, train(NETWORK, replace(CONFIG, seed=5), X, Y))
    assert torch.equal(state, torch.get_rng_state()) and threads == torch.get_num_threads()


class Killed(Exception):
    pass


def killed_at(number):
    def report(epoch):
        if epoch.number == number:
            raise Killed
    return report


@pytest.mark.parametrize("fields", (
    {}, {"ema": 0.9, "augment": "shift", "holdout": 40}))
def test_a_training_that_was_ended_resumes_to_the_same_bits(tmp_path, fields):
    config = replace(CONFIG, epochs=3, **fields)
    whole = train(NETWORK, config, X, Y)
    with pytest.raises(Killed):
        train(NETWORK, config, X, Y, folder=tmp_path, report=killed_at(1))
    seen = []
    resumed = train(NETWORK, config, X, Y, folder=tmp_path, resume=True, report=seen.append)
    assert [e.number for e in seen] == [2, 3]
    assert same(whole, resumed)
    assert [p.name for p in tmp_path.iterdir()] == ["tiny.checkpoint.pt"]


def test_held_out_images_are_of_all_kinds_and_the_same_for_every_seed():
    order = np.argsort(Y, kind="stable")        # a data set sorted by class
    runs = [Run(NETWORK, replace(SHORT, holdout=100, seed=seed), X[order], Y[order], None, CPU)
            for seed in (1, 2)]
    assert torch.equal(runs[0].held_x, runs[1].held_x)
    assert runs[0].held_y.unique().tolist() == [0, 1, 2, 3]
    both = torch.cat([runs[0].x, runs[0].held_x])
    assert sorted(both.tolist()) == sorted(X.tolist()) and len(runs[0].held_x) == 100


def test_a_loss_that_is_no_number_ends_the_training(tmp_path):
    with pytest.raises(ModelsError, match="the loss must stay a number, but is nan after epoch 1; "
                                          "lower learning_rate"):
        train(NETWORK, replace(SHORT, learning_rate=1e38, epochs=2), X, Y, folder=tmp_path)
    assert not list(tmp_path.iterdir())


def test_parameters_that_are_no_numbers_end_the_training():
    run = Run(NETWORK, SHORT, X, Y, None, CPU)
    with torch.no_grad():
        next(run.model.parameters())[0, 0] = torch.nan          # a sign quantiser hides it
    with pytest.raises(ModelsError, match="the parameters must stay numbers, but some are none "
                                          "after epoch 1; lower learning_rate"):
        run._report(1, [0.5, 0.5, 0.2, 0.1])


def test_a_checkpoint_with_other_bytes_is_refused(tmp_path):
    train(NETWORK, SHORT, X, Y, folder=tmp_path)
    path = checkpoint.path_of(tmp_path, "tiny")
    with zipfile.ZipFile(path) as archive:
        name = max(archive.infolist(), key=lambda entry: entry.file_size).filename
        stored = archive.read(name)
    path.write_bytes(path.read_bytes().replace(stored, bytes([stored[0] ^ 0x80, *stored[1:]])))
    with pytest.raises(CheckpointError, match=r"can't be read \(ValueError\)"):
        checkpoint.read(path)


# -- the rate regulariser -------------------------------------------------------------------------

@pytest.mark.parametrize("target, weight, wanted", (
    (0.5, 5e-3, 5e-3 * (0.4 ** 2 + 0.2 ** 2) / 2),         # Q-SNN's form: a mean over the layers
    ((0.1, 0.2), 2.0, 2.0 * (0.0 + 0.1 ** 2) / 2),         # a target a layer
    (0.5, 0.0, 0.0),
))
def test_rate_regulariser(target, weight, wanted):
    config = replace(SHORT, target_rate=target, rate_weight=weight)
    run = Run(replace(NETWORK, layers="16-24-8-4"), config, X, Y, None, CPU)
    rates = torch.tensor([0.1, 0.3])
    penalty = run._regulariser(Output(torch.zeros(1, 4), rates, torch.zeros(2)))
    assert float(penalty) == pytest.approx(wanted)


def test_rates_follow_their_targets():
    rates = []
    for target in (0.1, 0.5):
        config = replace(CONFIG, target_rate=target, rate_weight=10.0)
        train(NETWORK, config, X, Y, report=rates.append)
    assert rates[3].rates[0] + 0.1 < rates[7].rates[0]


def test_a_target_a_layer_fits_the_layers():
    with pytest.raises(ModelsError, match=r"target_rate must be one rate, or one for each of 1 "
                                          r"spiking layers, not \(0.1, 0.2\)"):
        train(NETWORK, replace(SHORT, target_rate=(0.1, 0.2)), X, Y)


# -- moving average, warm start -------------------------------------------------------------------

def test_the_moving_average_is_the_result():
    plain = train(NETWORK, CONFIG, X, Y)
    average = train(NETWORK, replace(CONFIG, ema=0.95), X, Y)
    assert not same(plain, average)
    x, y = map(torch.from_numpy, blobs(400, 1))
    assert accuracy_of(average, x, y) > 0.9
    assert (freeze(average)(x).argmax(1) == y).float().mean() > 0.9


def test_the_moving_average_follows_the_weights():
    run = Run(NETWORK, replace(SHORT, ema=0.5), X, Y, None, CPU)
    before = [p.clone() for p in run.model.parameters()]
    run.epoch(0, lambda batch: None)
    for start, mean, now in zip(before, run.average.model.parameters(), run.model.parameters(),
                                strict=True):
        moved = (now - start).norm()
        assert (mean - now).norm() < 0.5 * moved or moved == 0


def test_a_warm_start_begins_where_the_other_ended(tmp_path):
    first = []
    train(NETWORK, replace(CONFIG, ema=0.9), X, Y, folder=tmp_path)
    path = str(checkpoint.path_of(tmp_path, "tiny"))
    train(NETWORK, SHORT, X, Y, report=first.append)
    train(replace(NETWORK, membrane_bits=2), replace(SHORT, start=path), X, Y,
          report=first.append)
    assert first[1].loss < 0.8 * first[0].loss


def test_a_start_of_another_network_is_refused(tmp_path):
    train(NETWORK, SHORT, X, Y, folder=tmp_path)
    path = checkpoint.path_of(tmp_path, "tiny")
    with pytest.raises(CheckpointError, match=r"start must be a checkpoint of the same layers: "
                                              r".* is \(24.*\) in .*tiny.checkpoint.pt, not \(8"):
        train(replace(NETWORK, layers="16-8-4"), replace(SHORT, start=str(path)), X, Y)
    with pytest.raises(CheckpointError, match="start must be a checkpoint of qsnn train, but "
                                              "nowhere.pt is not there; train that network first"):
        train(NETWORK, replace(SHORT, start="nowhere.pt"), X, Y)


# -- checkpoints ----------------------------------------------------------------------------------

@pytest.mark.parametrize(("fields", "config", "message"), [
    ({"membrane_bits": 2}, SHORT,
     r"must be a checkpoint of this network: its membrane_bits is 4, not 2"),
    ({}, replace(SHORT, seed=9),
     r"must be a checkpoint of this training recipe: its seed is 1, not 9. Give the same options, "
     r"another --out, or drop --resume"),
])
def test_a_checkpoint_of_another_network_is_refused(tmp_path, fields, config, message):
    train(NETWORK, SHORT, X, Y, folder=tmp_path)
    with pytest.raises(CheckpointError, match=message):
        train(replace(NETWORK, **fields), config, X, Y, folder=tmp_path, resume=True)


@pytest.mark.parametrize("content", [None, b"", b"not a checkpoint", "other pickle", "truncated",
                                     "a bare list", "a wrong state"])
def test_what_is_no_checkpoint_is_refused(tmp_path, content):
    path = tmp_path / "tiny.checkpoint.pt"
    if content in ("other pickle", "a bare list"):
        torch.save({"some": "thing"} if content == "other pickle" else [1], path)
    elif content == "truncated":
        train(NETWORK, SHORT, X, Y, folder=tmp_path)
        path.write_bytes(path.read_bytes()[:3000])
    elif content == "a wrong state":
        checkpoint.save(path, NETWORK, CONFIG, 1, {"model": {}, "optimizer": {}})
    elif content is not None:
        path.write_bytes(content)
    message = "no checkpoint there" if content is None else "must be a checkpoint of qsnn train"
    with pytest.raises(CheckpointError, match=message):
        train(NETWORK, CONFIG, X, Y, folder=tmp_path, resume=True)


def test_a_checkpoint_that_is_not_written_whole_leaves_the_last_one(tmp_path, monkeypatch):
    path = tmp_path / "tiny.checkpoint.pt"
    checkpoint.save(path, NETWORK, CONFIG, 1, {"value": 1})

    def half(content, file):
        file.write(b"half")
        raise OSError("no space left")
    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(OSError, match="no space"):
        checkpoint.save(path, NETWORK, CONFIG, 2, {"value": 2})
    assert checkpoint.load(path, NETWORK, CONFIG) == (1, {"value": 1})


# -- devices and precision ------------------------------------------------------------------------

def test_products_in_half_precision_leave_the_rest_in_float32():
    from qsnn_models.network.device import HalfProducts
    x = torch.tensor([[257.0, 1.0]])
    weight = torch.ones(1, 2, requires_grad=True)
    with HalfProducts():
        product = torch.nn.functional.linear(x, weight)
        total = product + torch.tensor(0.125)
    total.sum().backward()
    assert product.dtype == total.dtype == weight.grad.dtype == torch.float32
    assert product.item() == 256.0 and total.item() == 256.125      # 257 is not a bfloat16
    assert torch.nn.functional.linear(x, weight).item() == 258.0


def test_precision_has_no_effect_on_the_cpu_and_is_put_back():
    before = torch.backends.cudnn.allow_tf32
    assert same(train(NETWORK, SHORT, X, Y), train(NETWORK, replace(SHORT, amp="bf16"), X, Y))
    train(NETWORK, replace(SHORT, amp="tf32"), X, Y)
    assert torch.backends.cudnn.allow_tf32 == before


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_device_that_is_not_there():
    with pytest.raises(ModelsError, match="device must be one that torch finds here, not 'cuda'; "
                                          "use cpu or auto"):
        train(NETWORK, replace(SHORT, device="cuda"), X, Y)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("amp", ("off", "tf32", "bf16"))
def test_training_on_a_gpu_is_as_good(amp):
    model = train(NETWORK, replace(CONFIG, device="cuda", amp=amp, ema=0.9), X, Y)
    x, y = map(torch.from_numpy, blobs(400, 1))
    assert next(model.parameters()).device.type == "cpu"
    assert accuracy_of(model, x, y) > 0.9


def test_scheduled_quantisers_hear_of_every_batch(monkeypatch):
    from qsnn_models.training import loop
    told = []

    class Scheduled(loop.QSNN):
        def progress(self, share):
            told.append(share)
    monkeypatch.setattr(loop, "QSNN", Scheduled)
    train(NETWORK, replace(SHORT, epochs=2), X, Y)
    assert told == pytest.approx([n / 20 for n in range(20)])


def test_inputs_need_not_be_writable():
    x = X.copy()
    x.flags.writeable = False
    assert isinstance(train(NETWORK, SHORT, x, Y), torch.nn.Module)
    assert np.array_equal(x, X)
