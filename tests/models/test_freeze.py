import numpy as np
import onnxruntime as ort
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qsnn_compile.ir import Add, Conv2d, Delay, MaxPool, SumPool
from qsnn_models.errors import ExportError
from qsnn_models.export.freeze import freeze
from qsnn_models.export.onnx_export import export
from qsnn_models.layers.weighted import QRecurrent, WeightLayer
from qsnn_models.network.qsnn import QSNN, NetworkConfig, stacked
from qsnn_sim.golden.golden import run

LAYERS = ["20-12-7-4", "20-9R-6R-4", "2x7x6-3C3-4", "1x8x8-4C3s2-4C3g2+-6C2g2-5R-4",
          "2x8x8-4C3-P2-4C3+-A3-4", "3x6x6-3C5p2g3+-P3-4C2-4", "2x5x4-6-4", "12-4",
          "2x7x6-3C3x1s2x1p0x2-P1x3-4C2x1p0-4", "3x20-4C5s2-P2-4C3+-5"]
WIDTHS = [*range(2, 9), 12, 16]
GRIDS = ["trainable", "fixed", "mint", "centred"]
WEIGHTS = [("standardised", 1), ("standardised", 2), ("standardised", 4), ("standardised", 8),
           ("plain", 1), ("plain", 4), ("scheduled", 1), ("ternary", 2)]


def network(seed=0, settle=True, **config):
    """A network of random weights, batch norms of both signs, of settled statistics. Doubles, so
    that evaluation is exact however large a threshold is."""
    torch.manual_seed(seed)
    model = QSNN(NetworkConfig("net", **{"layers": "20-12-7-4", **config})).double()
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, WeightLayer):
                sign = torch.randn_like(module.gamma).sign()
                module.gamma.copy_(sign * (0.1 + torch.rand_like(module.gamma) * 2))
                module.beta.copy_(torch.randn_like(module.beta) / 2 + 0.5)
        for _ in range(8 if settle else 0):
            model.train()(samples(model.config, 24, seed))
        for name, parameter in model.named_parameters():
            if name.endswith(("log_step", "offset", "skip", "leak")):
                parameter.add_(torch.randn_like(parameter))
    return model.eval()


def samples(config, count, seed=0):
    steps = () if config.coding == "direct" else (config.steps,)
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 2 ** config.input_bits, (count, *steps, *config.structure.shape),
                         generator=generator).double()


def evaluated(model, x):
    """Scores and spikes ``[T, N, ...]`` of the module in evaluation, as integers."""
    values, spikes = stacked(model.config, x), []
    with torch.no_grad():
        for block in model.blocks:
            values = block(values, model.config.steps)
            spikes.append(values.expand(model.config.steps, *values.shape[1:]).long())
        unit = model.COUNT_TEMPERATURE
        if model.classifier is not None:
            unit = model.readout.integers(*model.classifier.units())[2]
        scores = model(x).logits / unit
    return scores.round().long(), spikes


def check_chain(model, count=20):
    """Evaluation, frozen module, onnxruntime and golden say the same, bit for bit."""
    frozen, x = freeze(model), samples(model.config, count, 99)
    scores, spikes = frozen.trace(x)
    ours, our_spikes = evaluated(model, x)
    assert torch.equal(ours, scores)
    golden = run(frozen.graph(), x.numpy().astype(np.uint8), record="spikes")
    assert scores.tolist() == golden.scores.tolist()
    assert len(golden.spikes) == len(spikes)
    for name, layer, our in zip(golden.spikes, spikes, our_spikes, strict=True):
        assert np.array_equal(layer.transpose(0, 1), golden.spikes[name])
        assert torch.equal(layer, our)
    engine = ort.InferenceSession(export(frozen.graph()).SerializeToString(),
                                  providers=["CPUExecutionProvider"])
    assert engine.run(None, {"x": x.float().numpy()})[0].tolist() == scores.tolist()
    return frozen


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from(LAYERS), st.sampled_from(WEIGHTS),
       st.sampled_from([*((name, u) for name in GRIDS for u in WIDTHS), ("none", 0)]),
       st.sampled_from(["hard", "soft"]), st.sampled_from(["count", "potential"]),
       st.sampled_from([("direct", 8), ("direct", 4), ("spikes", 1), ("spikes", 3)]),
       st.integers(1, 5), st.sampled_from([(1, 1), (1, 0), (7, 3), (3, 2), (13, 4)]),
       st.booleans())
def test_evaluation_frozen_onnxruntime_and_golden_are_equal(
        seed, layers, weights, membrane, reset, readout, coding, steps, decay, learn):
    check_chain(network(
        seed, layers=layers, weights=weights[0], weight_bits=weights[1], membrane=membrane[0],
        membrane_bits=membrane[1], reset=reset, readout=readout, coding=coding[0],
        input_bits=coding[1], steps=steps, decay=decay, learn_decay=learn))


def test_weights_of_mixed_widths():
    frozen = check_chain(network(weight_bits=(8, 1, 2)))
    assert [layer.weights.bits for layer in frozen.layers] == [8, 1]
    assert frozen.classifier.bits == 2


def test_names_of_the_graph():
    layers = "1x8x8-4C3-P2-4C3+-A2-5R-4"
    graph = freeze(network(layers=layers, learn_decay=True, decay=(3, 2))).graph()
    assert [node.name for node in graph.nodes] == [
        "conv1", "pool1", "lif1", "conv2", "skip2", "add2", "pool2", "lif2", "flatten3", "dense3",
        "delay3", "recurrent3", "add3", "lif3", "dense4"]
    kinds = {node.name: type(node.op) for node in graph.nodes}
    assert [kinds[name] for name in ("pool1", "pool2", "add2", "delay3")] == [
        MaxPool, SumPool, Add, Delay]
    skip, lif = graph["skip2"].op, graph["lif1"].op
    assert (kinds["skip2"], skip.weight.shape, skip.groups, skip.bits) == (Conv2d, (4, 1, 1, 1),
                                                                           4, 8)
    assert lif.threshold.shape == lif.decay.shape == (4, 1, 1) and lif.decay_shift == 2


def test_nothing_is_carried_in_the_graph_of_a_membrane_of_no_bits():
    graph = freeze(network(membrane="none", membrane_bits=0)).graph()
    assert (graph["lif1"].op.decay, graph["lif1"].op.bits) == (0, 2)


def test_the_centred_grid_shifts_the_axis():
    frozen = freeze(network(membrane="centred", membrane_bits=2)).layers[0].neuron
    assert frozen.reset_value.any() and frozen.initial.any()
    assert torch.equal(frozen.initial << frozen.step_shift, frozen.reset_value)


def test_the_shared_grid_has_one_step():
    frozen = freeze(network(membrane="mint")).layers[0].neuron
    assert len(frozen.step_shift.unique()) == 1 and frozen.step_shift[0] > 0


def test_a_residual_has_gains_of_its_own():
    skip = freeze(network(layers="3x6x6-3C3+-4")).layers[0].skip
    assert skip.weight.abs().max() > 1 and len(skip.weight.unique()) > 1


def test_negative_gain_flips_the_weights_and_leaves_the_gain_positive():
    model = network()
    first = model.blocks[0].layer
    sign = torch.where(first.gamma < 0, -1, 1)
    assert (sign == -1).any() and (first.units()[0] > 0).all()
    weight = first.quantizer(first.weight)
    assert torch.equal(freeze(model).layers[0].weights.weight, (weight * sign[:, None]).long())


@pytest.mark.parametrize(("config", "message"), [
    ({"weights": "float"}, "weights 'float' are no integers; train with weights='standardised' to"),
    ({"membrane": "float"}, "the 'float' membrane has no integer form: it is carried unrounded; "
                            "train with membrane='trainable' to export"),
    ({"membrane": "released"}, "the 'released' membrane has no integer form: its scale is the "
                               "largest tanh of each batch; train with membrane='trainable' to"),
])
def test_what_has_no_integer_form_is_refused_with_the_reason(config, message):
    model = network(**config)
    assert model(samples(model.config, 3)).logits.isfinite().all()
    with pytest.raises(ExportError, match=message):
        freeze(model)


@pytest.mark.parametrize("reset", ["hard", "soft"])
@pytest.mark.parametrize("decay", [(1, 1), (1, 0), (7, 3)])
@pytest.mark.parametrize("membrane", [*GRIDS, "none"])
def test_channels_without_gain_become_constant_trains(reset, decay, membrane):
    bits = 0 if membrane == "none" else 4
    model = network(reset=reset, decay=decay, steps=8, membrane=membrane, membrane_bits=bits)
    make_dead(model)
    trains = dead_trains(model)
    assert trains[:, 3].all() and not trains[:, 4].any() and trains[:, 5].all()
    assert torch.equal(trains[:, 1], trains[:, 2])
    if membrane in ("none", "mint"):    # mint's step is worth nothing there: nothing is carried
        assert not trains[:, :2].any()
    elif decay == (1, 1) and reset == "hard":       # .6, .9, 1.05: fires every third step
        assert trains[:, 1].tolist() == [0, 0, 1, 0, 0, 1, 0, 0]
        assert not trains[:, 0].any()


@pytest.mark.parametrize("layers", ["2x7x7-7C3-4", "2x7x7-7C3-A2-4", "2x7x7-7C3-P2-4",
                                    "7x5x5-7C3+-4", "20-7R-4"])
def test_padding_pools_residuals_and_recurrence_change_no_constant_train(layers):
    model = network(layers=layers, steps=8, weight_bits=4)
    make_dead(model)
    trains = dead_trains(model)
    assert trains[:, 3].all() and not trains[:, 4].any()
    assert trains[:, 1].tolist() == [0, 0, 1, 0, 0, 1, 0, 0]


def make_dead(model):
    block = model.blocks[0]
    layer = block if isinstance(block, QRecurrent) else block.layer
    with torch.no_grad():
        layer.gamma[:6] = torch.tensor([0, 1e-9, -1e-9, 0, 0, 1e-20])
        layer.beta[:6] = torch.tensor([0.3, 0.6, 0.6, 1.0, -1.0, 5.0])
        if hasattr(block.neuron.membrane, "log_step") and block.neuron.membrane.log_step.ndim:
            block.neuron.membrane.log_step[:6] = -3
        if hasattr(block.neuron.membrane, "offset"):
            block.neuron.membrane.offset[:6] = 0


def dead_trains(model):
    """The first six channels' spikes ``[T, 6]``, the same for all samples and positions, in the
    frozen network and in golden."""
    frozen, x = freeze(model), samples(model.config, 30)
    _, spikes = frozen.trace(x)
    golden = run(frozen.graph(), x.numpy().astype(np.uint8), record="spikes")
    assert np.array_equal(golden.spikes["lif1"], spikes[0].transpose(0, 1))
    trains = spikes[0][:, :, :6].reshape(model.config.steps, 30, 6, -1)
    assert (trains == trains[:, :1, :, :1]).all()
    return trains[:, 0, :, 0]


def test_thresholds_that_are_integers_but_for_rounding_stay_so():
    model = network(settle=False, membrane="fixed").float()
    with torch.no_grad():
        model.blocks[0].layer.gamma.fill_(0.1 * (1 + 1e-5) ** 0.5)      # epsilon of the variance
        model.blocks[0].layer.beta.zero_()
    assert freeze(model).layers[0].neuron.threshold.tolist() == [10] * 12


def test_buffers_are_integers():
    frozen = freeze(network(layers="3x7x6-3C3+-P2-5R-4", decay=(3, 2),
                            learn_decay=True))
    assert {b.dtype for b in frozen.buffers()} == {torch.int64}
    assert not list(frozen.parameters())
