"""A network fitted to real data: the input's scale and the classes' names, up to the ONNX file."""

from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
import torch

from qsnn_compile.dialect.reader import import_onnx
from qsnn_models import data
from qsnn_models.errors import ModelsError
from qsnn_models.export.freeze import freeze
from qsnn_models.export.onnx_export import save
from qsnn_models.network.inputs import samples
from qsnn_models.network.qsnn import NetworkConfig, logits_of
from qsnn_models.training.fitting import fitted, inputs
from qsnn_models.training.train import TrainConfig, train
from qsnn_sim.golden.golden import run

NETWORK = NetworkConfig("own", "3-8-2", steps=6, coding="spikes", weight_bits=8)
CONFIG = TrainConfig("own", epochs=2, batch=16, dropout=0.0)


def series(count=120):
    """Two classes: the second channel rises or falls; the third is of another size."""
    rng = np.random.default_rng(0)
    y = np.arange(count) % 2
    x = rng.normal(size=(count, 6, 3)) * [0.1, 1, 50] + [9.8, 0, 1000]
    x[:, :, 1] += np.linspace(-4, 4, 6) * (1 - 2 * y)[:, None]
    return x.astype(np.float32), np.array(["up", "down"])[y]


def own_data(**options):
    return data.from_arrays(*series(), **options)


def test_each_channel_is_standardised_by_the_training_part():
    own = own_data()
    network = fitted(NETWORK, own)
    assert network.input_takes == "reals" and network.class_names == ("down", "up")
    scale, zero = map(np.array, (network.input_scale, network.input_zero_point))
    x = own.train_x.reshape(-1, 3).astype(float)
    assert np.allclose(scale * 255, 6 * x.std(0))
    assert np.allclose(scale * (127.5 - zero), x.mean(0), atol=scale.max())
    assert zero[0] < -1000                              # far from 0, its range is all used
    codes = inputs(network, own.train_x)
    assert codes.dtype == np.uint8 and (np.ptp(codes, axis=(0, 1)) > 150).all()
    assert not np.array_equal(fitted(NETWORK, replace(own, train_x=own.test_x)).input_scale, scale)


def test_the_range_goes_from_end_to_end():
    own = own_data(scaling="range")
    codes = inputs(fitted(NETWORK, own), own.train_x)
    assert (codes.min((0, 1)) <= 1).all() and (codes.max((0, 1)) >= 254).all()


def test_the_codes_have_the_network_s_bits():
    own = own_data()
    network = fitted(replace(NETWORK, input_bits=3), own)
    assert inputs(network, own.train_x).max() == 7


def test_a_channel_that_never_changes():
    own = own_data()
    own.train_x[:, :, 0] = own.test_x[:, :, 0] = 7.0
    network = fitted(NETWORK, own)
    assert not inputs(network, own.test_x)[:, :, 0].any()


def test_vectors_have_a_scale_a_value_and_maps_one_a_map():
    x, y = series()
    own = data.from_arrays(x.reshape(120, 18), y)
    network = fitted(NetworkConfig("own", "18-2"), own)
    assert len(network.input_scale) == 18
    assert inputs(network, own.test_x).shape == (24, 18)
    maps = data.from_arrays(x.transpose(0, 2, 1).reshape(120, 3, 3, 2), y)
    assert len(fitted(NetworkConfig("own", "3x3x2-4C3-2"), maps).input_scale) == 3
    one = data.from_arrays(x[:, :, 1:2], y)
    assert isinstance(fitted(replace(NETWORK, layers="1-8-2"), one).input_scale, float)


def test_what_is_told_is_not_learnt():
    told = replace(NETWORK, input_takes="reals", input_scale=0.5, input_zero_point=3)
    assert fitted(told, own_data()).input_scale == 0.5


def test_bytes_keep_the_network_s_scale():
    x = np.random.default_rng(0).integers(0, 256, (20, 4), np.uint8)
    network = NetworkConfig("own", "4-2")
    assert fitted(network, data.from_arrays(x, np.arange(20) % 2)) == network


@pytest.mark.parametrize("network, message", [
    (replace(NETWORK, layers="3-8-4"),
     r"layers must end in 2, the classes of the data \(down, up\), not 4"),
    (replace(NETWORK, layers="4-8-2"), r"x must be \[N, 6, 4\], the inputs of '4-8-2' at each "),
    (replace(NETWORK, steps=5), r"x must be \[N, 5, 3\]"),
])
def test_data_that_do_not_fit(network, message):
    with pytest.raises(ModelsError, match=message):
        train(network, CONFIG, own_data())


@pytest.mark.parametrize("coding, layers", [("spikes", "3-8-2"), ("direct", "18-8-2")])
def test_raw_numbers_all_the_way(tmp_path, coding, layers):
    """torch on the codes, the golden model and onnxruntime on the raw numbers: the same answers."""
    own = own_data()
    network = replace(NETWORK, coding=coding, layers=layers)
    model = train(network, CONFIG, own)
    assert model.config == fitted(network, own)
    save(freeze(model).graph(), tmp_path / "own.onnx")
    graph = import_onnx(tmp_path / "own.onnx")
    assert graph.readout.names == ("down", "up")
    x = own.test_x * 1.5 if coding == "spikes" else own.test_x.reshape(-1, 18) * 1.5
    scores = run(graph, x).scores
    engine = onnxruntime.InferenceSession(tmp_path / "own.onnx",
                                          providers=["CPUExecutionProvider"])
    assert np.array_equal(engine.run(None, {"x": x})[0], scores)
    codes = torch.from_numpy(inputs(model.config, x))
    assert np.array_equal(logits_of(model, codes).numpy().argmax(1), scores.argmax(1))
    assert np.array_equal(freeze(model)(codes), scores)


def test_a_fitted_network_is_trained_on_raw_arrays_too():
    own = own_data()
    network = fitted(NETWORK, own)
    x, _ = samples(network, own.train_x, own.train_y)
    assert np.array_equal(x, inputs(network, own.train_x))
    one, other = train(NETWORK, CONFIG, own), train(network, CONFIG, own.train_x, own.train_y)
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(),
                                                 other.state_dict().values(), strict=True))
    with pytest.raises(ModelsError, match="^x must be finite, not nan$"):
        train(network, CONFIG, np.where(own.train_x > 1100, np.nan, own.train_x), own.train_y)
    with pytest.raises(ModelsError, match="^x must be integers"):
        train(NETWORK, CONFIG, own.train_x, own.train_y)


def test_a_torch_data_set():
    from torch.utils.data import TensorDataset
    x = torch.randint(0, 256, (40, 5), dtype=torch.uint8)
    y = torch.arange(40) % 2
    network = NetworkConfig("own", "5-4-2")
    one, other = train(network, CONFIG, x, y), train(network, CONFIG, TensorDataset(x, y))
    assert torch.equal(one.blocks[0].layer.weight, other.blocks[0].layer.weight)
    with pytest.raises(ModelsError, match="^data must be x and y, or a Dataset of samples"):
        train(network, CONFIG, 7)


@pytest.mark.parametrize("fields, message", [
    ({"input_scale": (1.0, 2.0, 3.0)}, r"input_scale must be one number where input_takes is "
                                       r'"codes", not \(1.0, 2.0, 3.0\)'),
    ({"input_scale": (1.0, 2.0), "input_takes": "reals"},
     r"input_scale must be one number, or one for each of 3 channels, not \(1.0, 2.0\)"),
    ({"input_zero_point": 256}, "input zero point must be in 0..255, not 256"),
    ({"input_takes": "volts"}, "input_takes must be codes or reals, not 'volts'"),
    ({"class_names": ("a",)}, r"class names must be those of 2 classes, each once, not \('a',\)"),
    ({"class_names": ("a", "a")}, "class names must be those of 2 classes, each once"),
    ({"class_names": ("a", "")}, "class names must be 1 to 100 characters that print each"),
])
def test_fields_are_checked(fields, message):
    with pytest.raises(ModelsError, match=f"^{message}"):
        replace(NETWORK, **fields)
