import numpy as np
import onnxruntime as ort
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qsnn_models.freeze import freeze
from qsnn_models.network import QSNN, NetworkConfig
from qsnn_models.onnx_export import export
from qsnn_sim.golden import run

CODINGS = {"direct 8": ("direct", 8), "direct 4": ("direct", 4), "spikes": ("spikes", 1)}


def network(seed=0, settle=True, **config):
    """A network with random weights and batch norms of both signs, its statistics settled."""
    torch.manual_seed(seed)
    config = NetworkConfig("net", **{"sizes": (20, 12, 7, 4), **config})
    model = QSNN(config)
    with torch.no_grad():
        for layer in model.dense:
            layer.gamma.copy_(torch.randn_like(layer.gamma))
            layer.beta.copy_(torch.randn_like(layer.beta) / 2 + 0.5)
        for neuron in model.neurons:
            neuron.membrane.log_step.add_(torch.randn_like(neuron.membrane.log_step))
        for _ in range(20 if settle else 0):
            model.train()(samples(config, 50, seed))
    return model.eval()


def samples(config, count, seed=0):
    shape = (count, config.sizes[0])
    if config.coding == "spikes":
        shape = (count, config.steps, config.sizes[0])
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 2 ** config.input_bits, shape, generator=generator).float()


def check_chain(model, count=40):
    """Evaluation, frozen module, onnxruntime and golden say the same, bit for bit."""
    frozen, x = freeze(model), samples(model.config, count, 99)
    scores, spikes = frozen.trace(x)
    golden = run(frozen.graph(), x.numpy().astype(np.uint8), record="spikes")
    assert scores.tolist() == golden.scores.tolist()
    for name, layer in zip(golden.spikes, spikes, strict=True):
        assert layer.transpose(0, 1).tolist() == golden.spikes[name].astype(int).tolist()
    engine = ort.InferenceSession(export(frozen.graph()).SerializeToString(),
                                  providers=["CPUExecutionProvider"])
    assert engine.run(None, {"x": x.numpy()})[0].tolist() == scores.tolist()
    with torch.no_grad():
        logits = model(x).logits.double()
    return scores.double(), logits


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([1, 2, 4, 8]), st.integers(2, 8),
       st.sampled_from(["hard", "soft"]), st.sampled_from(["count", "potential"]),
       st.sampled_from(sorted(CODINGS)), st.integers(1, 5),
       st.sampled_from([(1, 1), (1, 0), (7, 3), (3, 2)]))
def test_frozen_equals_onnxruntime_and_golden(seed, w, u, reset, readout, coding, steps, decay):
    kind, bits = CODINGS[coding]
    model = network(seed, weight_bits=w, membrane_bits=u, reset=reset, readout=readout,
                    coding=kind, input_bits=bits, steps=steps, decay=decay)
    scores, logits = check_chain(model)
    # evaluation computes with the same integers, in floats
    scale = model.COUNT_TEMPERATURE if readout == "count" else \
        float(model.dense[-1].frozen().gain.double().max() / model.readout.LIMIT)
    np.testing.assert_allclose(logits / scale, scores, rtol=1e-5, atol=1e-2)


def test_weights_of_mixed_widths():
    check_chain(network(weight_bits=(8, 1, 2)))


def test_negative_gain_flips_the_weights_and_leaves_the_gain_positive():
    model = network()
    first = model.dense[0]
    weight = first.quantizer(first.weight)
    sign = torch.where(first.gamma < 0, -1, 1)
    assert (sign == -1).any()
    assert torch.equal(freeze(model).dense[0].weight, (weight * sign[:, None]).long())


@pytest.mark.parametrize("reset", ["hard", "soft"])
@pytest.mark.parametrize("decay", [(1, 1), (1, 0), (7, 3)])
def test_channels_without_gain_become_constant_trains(reset, decay):
    model = network(reset=reset, decay=decay, steps=8)
    with torch.no_grad():
        model.dense[0].gamma[:6] = torch.tensor([0, 1e-9, -1e-9, 0, 0, 1e-20])
        model.dense[0].beta[:6] = torch.tensor([0.3, 0.6, 0.6, 1.0, -1.0, 5.0])
        model.neurons[0].membrane.log_step[:6] = -3
    check_chain(model)
    _, spikes = freeze(model).trace(samples(model.config, 30))
    trains = spikes[0][:, :, :6]
    assert (trains == trains[:, :1]).all()
    assert trains[:, 0, 3].all() and not trains[:, 0, 4].any() and trains[:, 0, 5].all()
    assert torch.equal(trains[:, :, 1], trains[:, :, 2])
    if decay == (1, 1) and reset == "hard":     # .6, .9, 1.05: fires every third step
        assert trains[:, 0, 1].tolist() == [0, 0, 1, 0, 0, 1, 0, 0]
        assert not trains[:, 0, 0].any()


def test_thresholds_that_are_integers_but_for_rounding_stay_so():
    model = network(settle=False)
    with torch.no_grad():
        model.dense[0].gamma.fill_(0.1 * (1 + 1e-5) ** 0.5)     # epsilon of the variance
        model.dense[0].beta.zero_()
    assert freeze(model).neurons[0].threshold.tolist() == [10] * 12


def test_buffers_are_integers():
    frozen = freeze(network())
    assert {b.dtype for b in frozen.buffers()} == {torch.int64}
    assert not list(frozen.parameters())
