"""What is no integer in range is refused, by name and with the cure."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from blobs import CONFIG, NETWORK, X, Y

from qsnn_models.errors import ExportError, ModelsError
from qsnn_models.freeze import freeze, freeze_layer
from qsnn_models.layers import QConv2d, QDense, QRecurrent
from qsnn_models.loop import accuracy_of
from qsnn_models.network import QSNN, NetworkConfig, Spiking
from qsnn_models.neurons import LIF
from qsnn_models.own import network_of
from qsnn_models.settle import settle
from qsnn_models.train import train
from qsnn_models.weights import progress, weight_quantizer

CODES = "give the integer codes: round(x * 255), where x was divided by 255"
UNSIGNED = "give unsigned codes: take the lowest value off, scale, and round"
LOST = "find where the numbers are lost, in the data or on their way here"
ROUND = "round to integer codes; pool spikes by SumPool, which counts them"
RANGE = "scale to the range, or take more input_bits"
LIMIT = "x must be integers from 0 to 255 (input_bits is 8), not "


def with_value(value):
    x = X.astype(np.float32)
    x[7, 3] = value
    return x


NO_CODES = [
    (np.where(X == 128, 0, 128) / 255, f"{LIMIT}{128 / 255}; {CODES}"),
    (X - 300.0, f"{LIMIT}{int(X[0, 0]) - 300}; {UNSIGNED}"),
    (X.astype(np.int16) - 300, f"{LIMIT}{int(X[0, 0]) - 300}; {UNSIGNED}"),
    (with_value(np.nan), f"{LIMIT}nan; {LOST}"), (with_value(np.inf), f"{LIMIT}inf; {LOST}"),
    (with_value(40.5), f"{LIMIT}40.5; {ROUND}"), (with_value(256), f"{LIMIT}256; {RANGE}"),
]


def said(message):
    return pytest.raises(ModelsError, match=f"^{re_escape(message)}$")


def re_escape(text):
    return "".join(f"\\{letter}" if letter in "()[].*+^$?{}|\\" else letter for letter in text)


@pytest.mark.parametrize(("x", "message"), NO_CODES)
def test_training_and_networks_refuse_what_are_no_codes(x, message):
    with said(message):
        train(NETWORK, CONFIG, x, Y)
    model = QSNN(NETWORK).double()
    for call in (model, model.eval(), freeze(model), lambda x: freeze(model, x)):
        with said(message):
            call(torch.from_numpy(x))


@pytest.mark.parametrize(("x", "message"), (
    (X.astype(str), "x must be an array of integers, not of type <U3"),
    (X.astype(complex), "x must be an array of integers, not of type complex128"),
    (X[:0], "x must be an array of integers, not empty, of shape (0, 16)"),
    (X.reshape(-1, 8), "x must be [N, 16], the inputs of '16-24-4', not [1280, 8]; move its axes, "
                       "or name other layers"),
    (X.ravel(), "x must be [N, 16], the inputs of '16-24-4', not [10240]; move its axes, or name "
                "other layers"),
))
def test_training_refuses_other_arrays(x, message):
    with said(message):
        train(NETWORK, CONFIG, x, Y)


@pytest.mark.parametrize(("y", "message"), (
    (Y[:-1], "y must be one label for each of 640 inputs, (640,), not (639,); of one-hot rows take "
             "y.argmax(1)"),
    (np.eye(4)[Y], "y must be one label for each of 640 inputs, (640,), not (640, 4); of one-hot "
                   "rows take y.argmax(1)"),
    (Y - 1.0, "y must be integers from 0, the numbers of classes, not -1.0; number the classes "
              "from 0"),
    (Y.astype(int) - 1, "y must be integers from 0, the numbers of classes, not -1; number the "
                        "classes from 0"),
    (Y + 0.5, "y must be integers from 0, the numbers of classes, not {y0}; number the classes "
              "from 0"),
    (np.where(Y == 2, np.nan, Y), "y must be integers from 0, the numbers of classes, not nan; "
                                  "number the classes from 0"),
    (Y + 1, "layers must end in 5 or more, the classes of the data, not 4"),
))
def test_training_refuses_other_labels(y, message):
    with said(message.format(y0=Y[0] + 0.5)):
        train(NETWORK, CONFIG, X, y)


def test_integers_of_any_type_train_alike():
    kinds = (X, X.astype(np.float32), X.astype(np.int64), torch.from_numpy(X), X.tolist(),
             torch.from_numpy(X).bfloat16())
    config = replace(CONFIG, epochs=1)
    first, *others = (train(NETWORK, config, x, Y.astype(float)).state_dict() for x in kinds)
    for other in others:
        assert all(torch.equal(first[name], value) for name, value in other.items())


@pytest.mark.parametrize(("shape", "fits"), (
    ((5, 3, 4, 6), True), ((5, 72), True), ((5, 4, 6, 3), False), ((5, 6, 12), False)))
def test_images_of_other_axes_are_not_reshaped(shape, fits):
    model = QSNN(NetworkConfig("n", "3x4x6-4C3-5")).eval()
    if fits:
        assert model(torch.zeros(shape)).logits.shape == (5, 5)
        return
    with said(f"x must be [N, 3, 4, 6], the inputs of '3x4x6-4C3-5', not {list(shape)}; move its "
              "axes, or name other layers"):
        model(torch.zeros(shape))


def test_frames_come_a_step_each():
    model = QSNN(NetworkConfig("n", "6-5", steps=4, coding="spikes")).eval()
    with said("x must be [N, 4, 6], the inputs of '6-5' at each step, not [4, 9, 6]; move its "
              "axes, or name other layers"):
        model(torch.zeros(4, 9, 6))


LAYERS = [(QDense(6, 3), (1, 5, 6), "QDense of weights [3, 6]", "..., 6"),
          (QConv2d(2, 3, 3), (1, 5, 2, 4, 4), "QConv2d of weights [3, 2, 3, 3]", "..., 2, H, W"),
          (QRecurrent(6, 3, LIF(3)), (1, 5, 6), "QRecurrent of weights [3, 6]", "T or 1, B, 6")]


def called(layer, x):
    return layer(x, 2) if isinstance(layer, QRecurrent) else layer(x)


@pytest.mark.parametrize("training", (True, False))
@pytest.mark.parametrize(("layer", "shape", "name", "form"), LAYERS)
def test_layers_refuse_what_are_no_integers(layer, shape, name, form, training):
    layer.train(training)
    codes = torch.randint(0, 256, shape).float()
    codes.flatten()[:3] = torch.tensor([0.0, 1.0, 255.0])
    called(layer, codes)
    limit = f"the inputs of {name} must be integers from 0 to 16777216, not "
    for x, message in ((codes / 255, f"{(codes / 255).flatten()[1]:.16g}; {CODES}"),
                       (codes - 1, f"-1; {UNSIGNED}"), (codes + 0.5, f"0.5; {ROUND}"),
                       (codes * torch.nan, f"nan; {LOST}")):
        with said(limit + message):
            called(layer, x)


@pytest.mark.parametrize(("layer", "shape", "name", "form"), LAYERS)
def test_layers_refuse_other_shapes(layer, shape, name, form):
    axis = -3 if isinstance(layer, QConv2d) else -1
    x = torch.zeros(shape).movedim(axis, 0)
    with said(f"the inputs of {name} must be [{form}], not {list(x.shape)}; move the axes, or make "
              "a layer of other inputs"):
        called(layer, x)
    with pytest.raises(ModelsError, match="must be"):
        called(layer, torch.zeros(shape[-1]))


def test_layers_take_what_dropout_leaves_in_training():
    layer, x = QDense(40, 3), torch.randint(0, 4, (5, 40)).float()
    dropped = torch.nn.functional.dropout(x, 0.3)
    layer.train()(dropped)
    with pytest.raises(ModelsError, match="must be integers from 0 to 16777216, not "):
        layer.train()(dropped / 2)
    with pytest.raises(ModelsError, match="must be integers"):
        layer.eval()(dropped)
    with pytest.raises(ModelsError, match="must be integers"):
        layer.train()(x + 1.25 + torch.rand(5, 40) / 2)


def test_frozen_layers_refuse_floats():
    block = Spiking(QDense(6, 3), LIF(3)).eval()
    with pytest.raises(ModelsError, match="the inputs of a frozen layer must be integers from 0 to "
                                          "16777216, not 0.5; "):
        freeze_layer(block, 255)(torch.full((1, 2, 6), 0.5), 4)


def test_freezing_refuses_narrower_inputs_than_the_training_s():
    layers = [QDense(6, 8), LIF(8), QDense(8, 3)]
    network_of(layers, (6,), steps=2).train()(torch.full((4, 6), 200.0))
    with pytest.raises(ExportError, match=r"weight layer 1 \(QDense\) must be trained on integers "
                                          "from 0 to 15, as it is frozen for, not 200; give it the "
                                          "input_bits and steps of the training"):
        freeze(network_of(layers, (6,), steps=2, input_bits=4))
    freeze(network_of(layers, (6,), steps=2))


def test_accuracy_is_of_one_label_an_input():
    with pytest.raises(ModelsError, match=r"y must be one label for each of 640 inputs, \(640,\), "
                                          r"not \(640, 1\)"):
        accuracy_of(QSNN(NETWORK), torch.from_numpy(X), torch.from_numpy(Y)[:, None])


# -- schedules ------------------------------------------------------------------------------------

TOLD = ("weights 'scheduled' must hear how far the training is, but never did: their backward "
        r"stays as at the beginning; call qsnn_models.weights.progress\(model, share\), share from "
        "0 to 1, before each batch, or take weights='standardised'")


def backwards(layer, count):
    for _ in range(count):
        layer(torch.ones(4, 6)).values.sum().backward()


def test_a_loop_that_never_tells_its_progress_is_told():
    layer = QDense(6, 3, weights="scheduled")
    backwards(layer, 1)
    with pytest.warns(UserWarning, match=TOLD) as told:
        backwards(layer, 3)
    assert len(told) == 1


def test_a_loop_that_tells_its_progress_is_not_told():
    layer = QDense(6, 3, weights="scheduled")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        progress(torch.nn.Sequential(layer), 0.0)
        backwards(layer, 3)
    assert layer.quantizer.sharpness == 0.1
    progress(torch.nn.Sequential(layer), 1.0)
    assert layer.quantizer.sharpness == 10.0
    weight_quantizer("scheduled", 4)(torch.randn(3, 5, requires_grad=True)).sum().backward()


@pytest.mark.parametrize("top", (0, -1, 1.5, None, "255", 1 << 25))
def test_a_layer_is_frozen_for_a_largest_input(top):
    with pytest.raises(ExportError, match=re_escape(
            f"top must be an integer from 1 to 16777216, not {top!r}; give the largest x of the "
            "layer, 1 for spikes")):
        freeze_layer(Spiking(QDense(6, 4, bits=1), LIF(4, bits=4, decay=(1, 1))), top)


@pytest.mark.parametrize(("x", "what"), (
    (torch.zeros(0, 16), "empty, of shape [0, 16]"), (X, "ndarray")))
def test_a_network_settles_on_inputs(x, what):
    with said(f"x must be a tensor of training inputs [N, ...], not {what}; give those that the "
              "network was trained on"):
        settle(QSNN(NETWORK), x)
