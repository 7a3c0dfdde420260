"""Networks that users put together of the layers themselves."""

import numpy as np
import onnxruntime as ort
import pytest
import torch
from torch import nn

from qsnn_models.errors import ModelsError
from qsnn_models.export.freeze import freeze
from qsnn_models.export.onnx_export import export
from qsnn_models.layers.neurons import LIF
from qsnn_models.layers.pooling import AvgPool, MaxPool, SumPool
from qsnn_models.layers.weighted import QConv1d, QConv2d, QDense, QRecurrent
from qsnn_models.network.from_layers import network_of
from qsnn_sim.golden import golden

STEPS = 3


def dense():
    return [QDense(12, 9), LIF(9), QDense(9, 8, bits=4), LIF(8, 2, reset="soft"),
            QDense(8, 5, bits=8)], (12,)


def counted():
    return [QDense(12, 9, weights="ternary", bits=2), LIF(9, decay=(3, 2)), QDense(9, 4),
            LIF(4)], (12,)


def image():
    return [QConv2d(1, 4, 3, padding=1), LIF(4), QConv2d(4, 4, 3, padding=1, residual=True,
                                                         pool=MaxPool(2)), LIF(4),
            QConv2d(4, 6, 3, stride=2, groups=2, pool=AvgPool(1)), LIF(6), QDense(6, 3)], (1, 8, 8)


def rectangles():
    return [QConv2d(2, 4, (3, 1), (2, 1), (0, 1), pool=MaxPool((1, 2))), LIF(4),
            QConv2d(4, 4, (1, 3), padding=(0, 1), residual=True), LIF(4, 12), nn.Flatten(2),
            QDense(4 * 3 * 4, 3)], (2, 7, 6)


def line():
    return nn.Sequential(QConv1d(3, 4, 5, stride=2, padding=2, pool=SumPool((1, 2))), LIF(4),
                         QConv1d(4, 4, 3, padding=1, groups=2), LIF(4, 16, decay=0.9),
                         QDense(4 * 5, 3)), (3, 20)


def recurrent():
    return [QRecurrent(12, 7, LIF(7)), QDense(7, 3)], (12,)


@pytest.mark.parametrize("coding", ("direct", "spikes"))
@pytest.mark.parametrize("made", (dense, counted, image, rectangles, line, recurrent))
def test_they_are_exported_bit_for_bit(made, coding):
    torch.manual_seed(0)
    layers, shape = made()
    model = network_of(layers, shape, steps=STEPS, coding=coding, input_bits=4)
    frames = () if coding == "direct" else (STEPS,)
    x = np.random.default_rng(1).integers(0, 16, (20, *frames, *shape), dtype=np.uint8)
    for _ in range(3):
        model.train()(torch.from_numpy(x).float())       # settles the statistics
    assert all(module.training for module in layers)
    graph = freeze(model.eval()).graph()
    expected = golden.run(graph, x).scores
    session = ort.InferenceSession(export(graph).SerializeToString(),
                                   providers=["CPUExecutionProvider"])
    codes = x.astype(np.float32).reshape(20, *frames, *graph.input.shape)
    assert np.array_equal(session.run(None, {"x": codes})[0], expected)
    with torch.no_grad():
        logits = model(torch.from_numpy(x).float()).logits
    assert np.array_equal(expected.argmax(1), logits.argmax(1).numpy())
    assert len(set(map(tuple, expected))) > 2


@pytest.mark.parametrize("layers, shape, message", (
    ([QDense(12, 9), QDense(9, 4)], (12,), "module 2 must be an LIF, not QDense; weight layers"),
    ([LIF(4)], (4,), "module 1 must be a QDense, QConv1d, QConv2d or QRecurrent, not LIF"),
    ([QDense(12, 9), LIF(8), QDense(9, 4)], (12,),
     r"module 2 \(LIF\) must have the 9 channels of its current, not 8"),
    ([QDense(12, 9), LIF(9), QDense(8, 4)], (12,),
     r"weight layer 2 \(QDense\) must take the 9 inputs before it, not 8"),
    ([QConv2d(1, 4, 3)], (1, 8, 8), "the last layer must be a QDense, alone or with an LIF, not "
                                    "QConv2d"),
    ([QConv1d(1, 4, 3), LIF(4), QDense(24, 3)], (1, 8, 8),
     r"weight layer 1 \(QConv1d\) must follow a line, \(C, L\), not an image \(1, 8, 8\); use a"),
    ([], (4,), "the last layer must be a QDense, alone or with an LIF, not nothing"),
))
def test_what_does_not_fit_is_named(layers, shape, message):
    with pytest.raises(ModelsError, match=message):
        network_of(layers, shape, steps=STEPS)
