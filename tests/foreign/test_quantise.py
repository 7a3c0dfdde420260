"""Post-training quantisation: the float network against its integers in the golden model."""

from dataclasses import replace

import numpy as np
import pytest

from qsnn_compile import ir
from qsnn_compile.quantise.linear import quantise_weights
from qsnn_compile.quantise.network import Settings, quantise
from qsnn_compile.reals import float_model
from qsnn_compile.reals.normal_form import (
    Add,
    Convolution,
    Delay,
    Flatten,
    Grid,
    Linear,
    Network,
    Neuron,
    Node,
    Pool,
    Scale,
    StateGrid,
    SynapticCurrent,
    reals,
)
from qsnn_compile.reals.units import Activation, QuantiseError
from qsnn_sim.golden import golden

STEPS = 8
ONE = reals(1)
EVERY_THIRD = np.where(np.arange(12) % 3 == 0, 1.0, 0.0)

NEURONS = {
    "IF": Neuron(ONE, reset_value=ONE),
    "delayed subtract": Neuron(ONE, decay=reals(0.9), reset_value=ONE, delayed=True),
    "delayed zero": Neuron(ONE, decay=reals(0.9), reset="hard", delayed=True),
    "delayed to a value": Neuron(ONE, decay=reals(0.9), reset="hard", reset_value=reals(-0.2),
                                 delayed=True),
    "no reset": Neuron(ONE, decay=reals(0.9), reset="none"),
    "hard, to a value": Neuron(reals(0.3), decay=reals(0.5), gain=reals(0.5), offset=reals(-0.05),
                               strict=False, reset="hard", reset_value=reals(-0.1)),
    "negative gain": Neuron(ONE, decay=reals(0.7), gain=reals(1 - 2 * EVERY_THIRD),
                            reset_value=ONE),
    "no gain": Neuron(ONE, decay=reals(0.7), gain=reals(EVERY_THIRD), offset=reals(0.4),
                      reset_value=ONE),
    "synapse": Neuron(ONE, decay=reals(0.8), synapse=SynapticCurrent(reals(0.7)), reset_value=ONE),
    "late synapse": Neuron(ONE, decay=reals(0.8), reset="hard",
                           synapse=SynapticCurrent(reals(0.7), reals(0.5), delayed=True)),
    "many spikes": Neuron(ONE, reset_value=ONE, max_spikes=float("inf")),
    "three spikes": Neuron(reals(0.4), decay=reals(0.9), reset_value=reals(0.4), max_spikes=3),
    "clamp": Neuron(ONE, decay=reals(0.9), reset_value=ONE, clamp=reals(-0.3)),
    "levels": Neuron(ONE, decay=reals(0.9), reset_value=ONE, delayed=True,
                     grid=StateGrid(reals(np.linspace(-1.5, 1.5, 16)))),
    "levels, no reset": Neuron(ONE, decay=reals(0.9), reset="none",
                               grid=StateGrid(reals(np.linspace(-1, 2, 13)))),
    "first membrane": Neuron(ONE, decay=reals(0.9), reset_value=ONE, initial=reals(0.3)),
    "graded": Neuron(ONE, decay=reals(0.9), reset_value=ONE, amplitude=2.5),
    "per neuron": Neuron(reals(np.linspace(0.5, 2, 12)), decay=reals(np.linspace(0.5, 0.99, 12)),
                         reset_value=reals(np.linspace(0.5, 2, 12))),
}


def dense(neuron, seed=0):
    """16 - 12 - 4; a neuron with parameters for 12 stands in the first layer only."""
    rng = np.random.default_rng(seed)
    wide = neuron.threshold.size > 1 or neuron.gain.size > 1
    return Network("net", (16,), "frames", None, (
        Node("fc1", Linear(reals(rng.uniform(-0.5, 0.5, (12, 16))),
                           reals(rng.uniform(-0.1, 0.1, 12))), ("x",)),
        Node("n1", neuron, ("fc1",)),
        Node("fc2", Linear(reals(rng.uniform(-0.9, 0.9, (4, 12))),
                           reals(rng.uniform(-0.1, 0.1, 4))), ("n1",)),
        Node("n2", NEURONS["delayed subtract"] if wide else neuron, ("fc2",))), "n2")


def inputs(shape=(16,), low=0.0, seed=1):
    """Whole 8-bit codes, so that what differs is the network's quantisation."""
    rng = np.random.default_rng(seed)
    x = np.rint(rng.random((64, STEPS, *shape)) * 255) / 255
    return (low + (1 - low) * x * (rng.random(x.shape) > 0.4)).astype(np.float32)


def mismatch(network, x, **settings):
    """The share of the output's spikes that differ, and the graph."""
    graph, report = quantise(network, steps=STEPS, **settings)
    source = graph.input
    codes = np.clip(np.rint(x / source.scale) + source.zero_point, 0, (1 << source.bits) - 1)
    real = ((codes - source.zero_point) * source.scale).astype(np.float32)
    expected = float_model.run(network, real)
    result = golden.run(graph, codes.astype(np.int64), record="spikes")
    spikes = expected.spikes[network.output]
    assert 0.01 < (spikes != 0).mean() < 0.99
    size = next(node.op.amplitude for node in network.nodes if node.name == network.output)
    return (spikes / size != result.spikes[report.nodes[network.output]]).mean(), graph


@pytest.mark.parametrize("name", NEURONS)
def test_wide_integers_are_the_float_network(name):
    share, _ = mismatch(dense(NEURONS[name]), inputs(), weight_bits=16, membrane_bits=24)
    assert share <= 0.001


@pytest.mark.parametrize("name", NEURONS)
@pytest.mark.parametrize("known", [True, False], ids=["calibrated", "no data"])
def test_narrow_integers_are_near_it(name, known):
    share, _ = mismatch(dense(NEURONS[name]), inputs(), calibrate=inputs() if known else None)
    assert share <= 0.04


def image(order, bias=0.05):
    """A convolution, *order* of what follows it, and a dense layer."""
    rng = np.random.default_rng(3)
    leaky = NEURONS["delayed subtract"]
    turned = Neuron(reals(0.3), decay=reals(0.8), gain=reals([[[1]], [[-1]], [[0.6]], [[-2]]]),
                    reset="hard")
    parts = {"max": Pool("max", (2, 2), (2, 2)), "average": Pool("average", (2, 2), (2, 2)),
             "leaky": leaky, "turned": turned, "sum": Pool("sum", (2, 2), (2, 2)),
             "half": Scale(reals(0.5)), "synapse": NEURONS["synapse"]}
    nodes = [Node("conv", Convolution(reals(rng.uniform(-0.6, 0.6, (4, 1, 3, 3))),
                                      reals(rng.uniform(-bias, bias, 4)), padding=(1, 1, 1, 1)),
                  ("x",))]
    for part in [*order, "flat"]:
        nodes.append(Node(part, parts.get(part, Flatten()), (nodes[-1].name,)))
    size = 4 * (64 if set(order).isdisjoint({"max", "average", "sum"}) else 16)
    nodes.append(Node("fc", Linear(reals(rng.uniform(-0.9, 0.9, (4, size))), reals(0)), ("flat",)))
    nodes.append(Node("out", leaky, ("fc",)))
    return Network("image", (1, 8, 8), "frames", None, tuple(nodes), "out")


@pytest.mark.parametrize("order", [
    ("leaky", "max"), ("leaky", "average"), ("max", "leaky"), ("max", "turned"),
    ("average", "turned"), ("half", "sum", "turned"), ("turned", "max"), ("max", "synapse"),
], ids="-".join)
@pytest.mark.parametrize("low", [0.0, -0.7], ids=["unsigned", "signed"])
def test_images(order, low):
    network, x = image(order), inputs((1, 8, 8), low)
    share, graph = mismatch(network, x, weight_bits=16, membrane_bits=24, calibrate=x)
    assert share <= 0.002
    if order == ("max", "turned"):
        assert graph["max"].op.flipped.ravel().tolist() == [0, 1, 0, 1]
    if low:
        assert graph["conv"].op.pad_value == graph.input.zero_point if order[-1] != "synapse" \
            else graph["conv/weights"].op.pad_value == graph.input.zero_point


def test_recurrent_layers_share_a_unit():
    rng = np.random.default_rng(5)
    plain = dense(NEURONS["IF"])
    recurrent = (Node("before", Delay(), ("n1",)),
                 Node("rec", Linear(reals(rng.uniform(-0.2, 0.2, (12, 12))), reals(0)),
                      ("before",)),
                 Node("sum", Add(), ("fc1", "rec")))
    first, neuron, *rest = plain.nodes
    network = Network("recurrent", (16,), "frames", None, (
        first, *recurrent, Node("n1", neuron.op, ("sum",)), *rest), "n2")
    share, _ = mismatch(network, inputs(), weight_bits=16, membrane_bits=24)
    assert share <= 0.002


def test_weights_on_a_grid_are_kept():
    rng = np.random.default_rng(6)
    codes = rng.choice([-1.0, 1.0], (4, 16))
    scale = reals(rng.uniform(0.05, 0.2, (4, 1)))
    network = Network("binary", (16,), "direct", 4, (
        Node("fc", Linear(reals(codes * scale), reals(0), Grid(1, scale, "QONNX BipolarQuant")),
             ("x",)),
        Node("n", NEURONS["IF"], ("fc",))), "n")
    graph, report = quantise(network, weight_bits=8)
    assert graph["fc"].op.bits == 1
    assert np.array_equal(graph["fc"].op.weight, codes)
    assert report.layers[0].notes == ("QONNX BipolarQuant, 1 bits, kept",)
    turned = [*network.nodes[:1], Node("n", Neuron(ONE, gain=reals([-1, 1, 1, -1]), reset="hard"),
                                       ("fc",))]
    graph, _ = quantise(Network("binary", (16,), "direct", 4, tuple(turned), "n"))
    assert np.array_equal(graph["fc"].op.weight, codes * [[-1], [1], [1], [-1]])


def test_a_channel_of_little_gain_fires_as_its_input_says():
    """Its membrane has far coarser steps than its current, which alone decides."""
    first = np.where(np.arange(12) == 0, 1.0, 0.0)
    neuron = Neuron(reals(1 - first), gain=reals(np.where(first, 2.0 ** -30, 1.0)),
                    decay=reals(0), reset="none", initial=reals(first))
    network, x = dense(neuron), inputs()
    graph, report = quantise(network, steps=STEPS, weight_bits=16)
    codes = np.rint(x * 255).astype(np.int64)
    expected = float_model.run(network, x).spikes["n1"][..., 0]
    train = golden.run(graph, codes, record="spikes").spikes[report.nodes["n1"]][..., 0]
    assert 0.1 < expected.mean() < 0.9
    assert (expected != train).mean() < 0.06


def test_strict_thresholds_and_ties_are_exact():
    scale = reals(0.1)
    for strict, expected in ((True, 11), (False, 10)):
        network = Network("tie", (3,), "direct", 4, (
            Node("fc", Linear(reals([[0.1, 0.2, 0.3]]), reals(0), Grid(4, scale, "INT4")), ("x",)),
            Node("n", Neuron(ONE, strict=strict, reset_value=ONE), ("fc",))), "n")
        graph, _ = quantise(network, calibrate=np.array([[0, 1, 1]]))
        assert graph["n"].op.threshold.tolist() == [expected]
        assert graph["n"].op.reset_value.tolist() == [10]


def test_readouts():
    rng = np.random.default_rng(7)
    weight = reals(rng.uniform(-1, 1, (4, 12)) * [[1], [0.5], [2], [0.1]])
    body = dense(NEURONS["IF"]).nodes[:2]
    linear = Node("out", Linear(weight, reals([0.1, -0.1, 0.2, 0.0])), ("n1",))
    x = inputs()
    network = Network("potential", (16,), "frames", None, (*body, linear), "out")
    graph, _ = quantise(network, weight_bits=16, membrane_bits=24, steps=STEPS)
    assert graph.readout.kind == "potential"
    scores = float_model.run(network, x).output.sum(axis=1)
    assert (golden.run(graph, x).classes == scores.argmax(axis=1)).mean() > 0.96
    leaky = Neuron(reals(np.inf), decay=reals(0.9), reset="none")
    network = Network("leaky", (16,), "frames", None, (*body, linear, Node("li", leaky, ("out",))),
                      "li", answer="potential")
    graph, _ = quantise(network, weight_bits=16, membrane_bits=24, steps=STEPS)
    assert (graph.readout.kind, graph.readout.source) == ("last", "li.u")
    scores = float_model.run(network, x).output[:, -1]
    assert (golden.run(graph, x).classes == scores.argmax(axis=1)).mean() > 0.96


def test_inputs_become_codes():
    network = dense(NEURONS["IF"])
    for data, expected in (
            (None, (8, 1 / 255, 0)), (np.array([0.0, 1.0]), (1, 1.0, 0)),
            (np.array([0.0, 7.0]), (3, 1.0, 0)), (np.array([0.0, 0.98]), (8, 1 / 255, 0)),
            (np.array([0.0, 5.1]), (8, 0.02, 0)), (np.array([-1.0, 1.55]), (8, 0.01, 100))):
        x = None if data is None else np.resize(data, (2, STEPS, 16))
        graph, report = quantise(network, calibrate=x, steps=STEPS)
        source = graph.input
        assert (source.bits, source.zero_point) == expected[::2]
        assert source.scale == pytest.approx(expected[1])
        assert ("no data" in report.input) == (data is None)


def test_names_become_names_of_the_ir():
    nodes = dense(NEURONS["IF"]).nodes
    renamed = tuple(Node(new, old.op, ("x" if i == 0 else ["0", "a b", "a+b"][i - 1],))
                    for i, (new, old) in enumerate(zip(["0", "a b", "a+b", "n"], nodes,
                                                       strict=True)))
    graph, report = quantise(Network("a net", (16,), "frames", 3, renamed, "n"))
    assert [report.nodes[name] for name in ("0", "a b", "a+b")] == ["n0", "a_b", "a_b_"]
    assert ir.equal(ir.parse(ir.to_text(graph)), graph)


def levels(values):
    return Neuron(ONE, decay=reals(0.9), grid=StateGrid(reals(values)))


@pytest.mark.parametrize("network, settings, message", [
    (dense(NEURONS["IF"]), {}, "network 'net': steps must be given where the file does not say "
     "them, not left out; add --steps 16"),
    (dense(NEURONS["IF"]), {"weight_bits": 17, "steps": 2},
     "weight bits must be in 1..16, not 17"),
    (dense(NEURONS["IF"]), {"readout": "potential", "steps": 2},
     "node 'n2': readout must be count or last where the network ends in spikes, not 'potential'; "
     "leave --readout out"),
    (dense(levels([0, 1, 3])), {"steps": 2},
     "node 'n1': levels of its quantised state must be evenly spaced, not 1 to 2 apart; use a "
     "uniform quantiser"),
    (dense(Neuron(ONE, max_spikes=2, reset="hard")), {"steps": 2},
     "node 'n1': reset must be soft or none where a neuron sends several spikes a step, not "
     "'hard'; use a soft reset"),
    (dense(Neuron(ONE, decay=reals(-0.5))), {"steps": 2},
     "node 'n1': decay must not be negative, not -0.5; use one in 0 … 1"),
    (dense(Neuron(ONE, decay=reals(0), reset_value=ONE, delayed=True)), {"steps": 2},
     "node 'n1': decay must not be 0 with a delayed reset, not 0.0: what it subtracts would be "
     "lost; reset at once"),
], ids=["steps", "weight bits", "readout", "levels", "hard", "negative decay", "no decay"])
def test_what_is_refused(network, settings, message):
    with pytest.raises(QuantiseError) as caught:
        quantise(network, **settings)
    assert str(caught.value) == message


def test_layers_without_a_neuron_between_are_refused():
    first, *_ = dense(NEURONS["IF"]).nodes
    second = Node("fc2", Linear(reals(np.ones((4, 12))), reals(0)), ("fc1",))
    with pytest.raises(QuantiseError) as caught:
        quantise(Network("net", (16,), "direct", 2, (first, second), "fc2"))
    assert str(caught.value) == (
        "node 'fc2': its input must be spikes, counts or the network's input, not the current "
        "'fc1'; put a neuron between the two layers, or join their weights")


@pytest.mark.parametrize("synapse", [None, SynapticCurrent(reals(0.6), reals(0.5))])
def test_a_threshold_raised_behind_a_spike(synapse):
    """snnTorch's reset_delay=False: what is left above the threshold must pass it twice."""
    rng = np.random.default_rng(3)
    neuron = Neuron(reals(0.5), decay=reals(0.9), reset_value=reals(0.5), raised=reals(0.5),
                    synapse=synapse, amplitude=2.0)
    weight = rng.uniform(-1, 1.5, (5, 4))
    nodes = (Node("fc", Linear(reals(weight), reals(0)), ("x",)), Node("lif", neuron, ("fc",)))
    network = Network("raised", (4,), "frames", 20, nodes, "lif")
    x = rng.integers(0, 2, (8, 20, 4)).astype(np.float32)
    floats = float_model.run(network, x).output / 2
    plain = replace(network, nodes=(nodes[0], Node("lif", replace(neuron, raised=None), ("fc",))))
    assert (float_model.run(plain, x).output / 2 != floats).mean() > 0.02
    graph, report = quantise(network, weight_bits=16, membrane_bits=24)
    fixed = golden.run(graph, x, record="spikes").spikes[report.nodes["lif"]]
    assert np.argwhere(fixed != floats)[:1].tolist() == []


def test_a_raised_threshold_with_a_clamp_is_refused():
    neuron = Neuron(reals(1), reset_value=reals(1), raised=reals(1), clamp=reals(-1))
    nodes = (Node("fc", Linear(reals(np.eye(3)), reals(0)), ("x",)), Node("lif", neuron, ("fc",)))
    with pytest.raises(QuantiseError, match="threshold must be the same at every step, not raised"):
        quantise(Network("raised", (3,), "direct", 4, nodes, "lif"))


@pytest.mark.parametrize("bits", [2, 3, 4])
def test_few_bits_take_the_scale_of_least_error(bits):
    """Against a search of its own over every scale down to 0.4 of the largest weight's."""
    rng = np.random.default_rng(bits)
    weight = rng.normal(0, 1, (12, 40)) * rng.choice([1, 1, 1, 3], (12, 40))
    top = (1 << bits - 1) - 1

    def error(unit):
        codes = np.clip(np.rint(weight / unit[:, None]), -top, top)
        return ((codes * unit[:, None] - weight) ** 2).sum(axis=1)

    op = Linear(reals(weight), reals(0))
    made = quantise_weights("fc", op, Activation(reals(1).reshape(1), 0, 1), (40,), bits, None)
    largest = np.abs(weight).max(axis=1) / top
    best = np.min([error(largest * share) for share in np.linspace(0.4, 1, 200)], axis=0)
    assert (error(made.unit) <= 1.02 * best).all()
    assert (error(made.unit) < 0.9 * error(largest)).any()
    assert np.array_equal(made.codes, np.clip(np.rint(weight / made.unit[:, None]), -top, top))


@pytest.mark.parametrize("decay, alpha", [(0.9, None), (0, 0.8)], ids=["membrane", "synapse"])
def test_floors_do_not_drag_the_membrane_down(decay, alpha):
    """The floors of decays lose half a unit a step, several in the long run: on average they are
    given back. The judge: the same integers in real numbers, with the real offset and no floors.
    The membrane is so wide that little else is rounded."""
    rng, channels, steps = np.random.default_rng(5), 400, 60
    synapse = None if alpha is None else SynapticCurrent(reals(alpha))
    offset = rng.uniform(-0.1, 0.1, channels)
    leaky = Neuron(reals(1000), decay=reals(decay), offset=reals(offset), synapse=synapse,
                   reset="none")
    weight = np.ones((channels, 3)) + rng.uniform(-0.01, 0, (channels, 3))
    network = Network("net", (3,), "direct", steps, (
        Node("fc", Linear(reals(weight), reals(0)), ("x",)), Node("lif", leaky, ("fc",))), "lif")
    x = np.array([[0.2, 0.7, 1.0]], np.float32)
    graph, report = quantise(network, calibrate=x, membrane_bits=32)
    op, result = graph[report.nodes["lif"]].op, golden.run(graph, x, record="all")
    unit, left = 1000 / op.threshold, op.decay / 2 ** op.decay_shift
    keeps = 0.0 if op.synapse is None else op.synapse.decay / 2 ** op.synapse.decay_shift
    v = i = np.zeros(channels)
    for t in range(steps):
        i = keeps * i + result.values[report.nodes["fc"]][0, t]
        v = left * v + i * 2 ** op.gain_shift + offset / unit
    membrane = result.membranes[report.nodes["lif"]][0, -1] * 2.0 ** op.step_shift
    loss = 0.5 / (1 - decay) if alpha is None else 0.5 / (1 - alpha) * 2 ** op.gain_shift
    assert abs((membrane - v).mean()) < 0.2 * loss


@pytest.mark.parametrize("membrane, fraction", [(7, 8), (8, 8), (9, 9), (16, 16), (17, 16)])
def test_a_decay_has_the_bits_of_the_membrane_between_8_and_16(membrane: int,
                                                               fraction: int) -> None:
    assert Settings(membrane_bits=membrane).q == fraction
    assert Settings(membrane_bits=membrane, decay_bits=10).q == 10
