"""The trainable membrane's learnt range: what it stores, its gradients, its learning rates."""

from dataclasses import replace

import pytest
import torch
from blobs import CONFIG, NETWORK, X, Y

from qsnn_models.export.frozen import FrozenLIF
from qsnn_models.layers.neurons import LIF, Current, channel_units
from qsnn_models.layers.rounding import round_ste
from qsnn_models.network.parameter_groups import parameter_groups
from qsnn_models.network.qsnn import QSNN, NetworkConfig
from qsnn_models.training.checkpoint import path_of
from qsnn_models.training.loop import Run
from qsnn_models.training.train import train

GAIN, BIAS = [0.004, 0.011, 0.03], [0.3, -0.1, 0.05]


def neuron(bits=4, decay=(1, 1), offset=None, **options):
    layer = LIF(3, bits, decay, **options).double()
    if offset is not None:
        with torch.no_grad():
            layer.membrane.offset.copy_(torch.as_tensor(offset))
    return layer


def currents(steps, seed=0):
    torch.manual_seed(seed)
    values = torch.randint(-150, 200, (steps, 40, 3)).double()
    return Current(values, *(torch.tensor(row).double() for row in (GAIN, BIAS)))


@pytest.mark.parametrize("bits", range(3, 9))
def test_the_range_starts_with_three_quarters_below_zero_and_ends_at_the_threshold(bits):
    membrane = neuron(bits).membrane
    first, last = membrane.low + membrane.offset, membrane.high + membrane.offset
    assert (first == -3 * 2 ** (bits - 2)).all() and (last == 2 ** (bits - 2) - 1).all()
    torch.testing.assert_close((last + 0.5) * membrane.step(torch.ones(3)), torch.ones(3).double())


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("decay", [(13, 4), (7, 3), (1, 1), (1, 0)])
@pytest.mark.parametrize("reset", ["hard", "soft"])
def test_what_is_trained_is_the_shifted_integers(seed, decay, reset):
    """Steps from 1 unit on, so that the origin's own decay has to be rounded."""
    torch.manual_seed(seed)
    layer = neuron(3 + seed, decay, torch.randn(3) * 4, reset=reset)
    with torch.no_grad():
        layer.membrane.log_step.copy_(torch.tensor(GAIN).log2() + torch.randint(0, 5, (3,)))
    current = currents(7, seed)
    frozen = FrozenLIF(channel_units(current, layer), layer)
    u, spikes = frozen.start(current.values[0].long()), []
    for now in current.values.long():
        s, u = frozen.step(now, u)
        spikes.append(s)
    assert torch.equal(layer(current, 7).long(), torch.stack(spikes))
    single = Current(*(x.float() for x in vars(current).values()))
    assert torch.equal(layer.float()(single, 7).long(), torch.stack(spikes))
    code = round_ste(layer.membrane.offset).clamp(-layer.membrane.high, -layer.membrane.low)
    assert torch.equal(frozen.initial, -code.long()) and code.any()


@pytest.mark.parametrize("decay", [(13, 4), (7, 3), (1, 1), (1, 0)])
@pytest.mark.parametrize("offset", [-7, -3, 2, 8])
def test_no_offset_moves_a_first_spike(decay, offset):
    current = currents(1)
    plain = neuron(decay=decay, offset=[0, 0, 0])(current, 1)
    assert torch.equal(plain, neuron(decay=decay, offset=[offset] * 3)(current, 1))
    assert 0.1 < plain.mean() < 0.9


def test_an_offset_changes_only_what_is_clipped():
    """Steps of 4 units, decay 1/2: no floor. 8 bits hold every potential, 3 bits don't."""
    current, spikes = currents(6), {}
    for bits in (8, 3):
        for offset in (0, -2):
            layer = neuron(bits, offset=[offset] * 3)
            with torch.no_grad():
                layer.membrane.log_step.copy_(torch.tensor(GAIN).log2() + 2)
            spikes[bits, offset] = layer(current, 6)
    assert torch.equal(spikes[8, 0], spikes[8, -2])
    assert not torch.equal(spikes[3, 0], spikes[3, -2])


# -- gradients ------------------------------------------------------------------------------------

def unshifted(layer, current, steps):
    """The spikes by autograd, in codes a of the unshifted grid; the decay floors nothing."""
    units = channel_units(current, layer)
    step, decay = torch.exp2(units.shift), units.decay / 2 ** layer.q
    n, low, high = round_ste(layer.membrane.offset), layer.membrane.low, layer.membrane.high
    origin = n * step
    bias = units.bias + (origin * (1 - decay))
    theta = units.threshold + origin
    fired_at, kept = [], 0.0
    for now in current.values:
        v = now + bias + kept
        h = (v - theta) * current.gain
        s = torch.atan(torch.pi * h) / torch.pi
        fired = (v >= theta).double()
        fired_at.append(s + (fired - s).detach())
        after = v if layer.reset == "hard" else v - fired * units.reset
        x = after / step
        near = round_ste(x)
        inside = (near.detach() >= (low + n).detach()) & (near.detach() <= (high + n).detach())
        clipped = torch.where(x.detach() < 0, low + n, high + n)
        stored = torch.where(inside, near, clipped) * step
        kept = (stored * (1 - fired) if layer.reset == "hard" else stored) * decay
    return torch.stack(fired_at)


@pytest.mark.parametrize("reset", ["hard", "soft"])
@pytest.mark.parametrize("decay", [(1, 1), (3, 2), (1, 0)])
@pytest.mark.parametrize("offset", [[-3, -3, -3], [-1.2, 3.4, 0.4], [0, 0, 0]])
def test_gradients_are_those_of_the_unshifted_grid(reset, decay, offset):
    """e·decay·2^k for j where it is clipped, e·decay·(a - x·inside) for the step."""
    gradients = []
    for function in (lambda *args: args[0](args[1], args[2]), unshifted):
        layer = neuron(3, decay, offset, reset=reset, learn_decay=decay != (1, 0))
        with torch.no_grad():
            layer.membrane.log_step.copy_(torch.tensor([-2.0, -1.6, -1.2]))
        current = currents(5)
        leaves = [x.requires_grad_() for x in vars(current).values()]
        spikes = function(layer, current, 5)
        (spikes * torch.randn(spikes.shape, generator=torch.Generator().manual_seed(1)).double()
         ).sum().backward()
        gradients.append([spikes.detach()] + [x.grad for x in (*leaves, *layer.parameters())])
    assert gradients[0][0].sum() > 50
    for ours, theirs in zip(*gradients, strict=True):
        assert theirs.abs().max() > 0
        torch.testing.assert_close(ours, theirs)


def test_an_offset_beyond_its_codes_is_held_and_can_come_back():
    layer = neuron(offset=[-30, 30, 0])
    layer(currents(5), 5).sum().backward()
    units = channel_units(currents(5), layer)
    assert units.initial.tolist() == [7, -8, 0]
    assert (layer.membrane.offset.grad != 0).any()


# -- learning rates -------------------------------------------------------------------------------

def test_a_module_names_the_learning_rates_of_its_parameters():
    model = QSNN(NetworkConfig("net", "20-12-7-4", learn_decay=True, weight_bits=(1, 8, 1)))
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    groups = {group["factor"]: {names[id(p)] for p in group["params"]}
              for group in parameter_groups(model, 1.0)}
    neurons = ("blocks.0.neuron", "blocks.1.neuron")
    assert groups[5.0] == {f"{neuron}.leak" for neuron in neurons}
    assert groups[10.0] == {f"{neuron}.membrane.{name}" for neuron in neurons
                           for name in ("log_step", "offset")}
    assert groups[1.0] == set(names.values()) - groups[5.0] - groups[10.0]
    assert "blocks.1.layer.quantizer.log_step" in groups[1.0]


def test_the_step_of_two_bits_learns_as_weights_do():
    model = QSNN(NetworkConfig("net", "20-12-7-4", membrane_bits=2))
    assert [group["factor"] for group in parameter_groups(model, 1.0)] == [1.0]


LEARNING = replace(NETWORK, learn_decay=True, decay=(7, 3))


def test_the_cosine_scales_every_learning_rate():
    run = Run(LEARNING, CONFIG, X, Y, None, torch.device("cpu"))
    run._advance(CONFIG.epochs / 2)
    assert [group["lr"] for group in run.optimizer.param_groups] == pytest.approx(
        [CONFIG.learning_rate / 2 * factor for factor in (1, 5, 10)])


def test_learning_rates_of_all_groups_resume_to_the_same_bits(tmp_path):
    class Ended(Exception):
        pass

    def ended(epoch):
        raise Ended

    whole = train(LEARNING, CONFIG, X, Y)
    with pytest.raises(Ended):
        train(LEARNING, CONFIG, X, Y, folder=tmp_path, report=ended)
    saved = torch.load(path_of(tmp_path, LEARNING.name), weights_only=True)["state"]
    assert [group["factor"] for group in saved["optimizer"]["param_groups"]] == [1, 5, 10]
    resumed = train(LEARNING, CONFIG, X, Y, folder=tmp_path, resume=True)
    for ours, theirs in zip(whole.state_dict().values(), resumed.state_dict().values(),
                            strict=True):
        assert torch.equal(ours, theirs)
    moved = whole.blocks[0].neuron.membrane.offset.detach() + 4
    assert moved.abs().max() > 0.05
