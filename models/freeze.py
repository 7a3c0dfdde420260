"""A trained network as integers: a module with integer buffers, and the IR graph of the same.

Every function here works on the parameters that training itself computed with
(`layers.channel_units`), so freezing rounds nothing that evaluation had not rounded already.
"""

import torch
from torch import Tensor, nn

from qsnn_compile.ir import Dense, Graph, Input, Ints, Neuron, Node, Readout, ints, verify
from qsnn_models.layers import LIF, ChannelUnits, Current, QDense, channel_units
from qsnn_models.network import QSNN, NetworkConfig, only

DEAD = 2.0 ** -10       # all of a channel's input together, in thresholds: it can't matter


class FrozenDense(nn.Module):
    """``I[c] = Σ_i w[c, i] · x[i]`` in integers; int64 ``[..., N]`` -> int64 ``[..., C]``."""

    weight: Tensor

    def __init__(self, weight: Tensor, bits: int) -> None:
        super().__init__()
        self.bits = bits
        self.register_buffer("weight", weight.long())

    def forward(self, x: Tensor) -> Tensor:
        # torch has no fast integer product; below 2^53 a double sum is exact
        return (x.double() @ self.weight.double().T).long()


class FrozenLIF(nn.Module):
    """`qsnn_compile.ir.Neuron` with f = 0, in int64::

        v  = floor(u · 2^k · m / 2^q) + I + b
        s  = [v >= θ]
        v' = 0 (hard) | v - ρ (soft)         where s = 1
        u' = clip(floor((v' + 2^(k-1)) / 2^k), -2^(U-1), 2^(U-1) - 1)
    """

    bias: Tensor
    threshold: Tensor
    reset_value: Tensor
    step_shift: Tensor

    def __init__(self, units: ChannelUnits, neuron: LIF) -> None:
        super().__init__()
        self.bits, self.decay, self.reset = neuron.membrane.bits, neuron.decay, neuron.reset
        for name, value in (("bias", units.bias), ("threshold", units.threshold),
                            ("reset_value", units.reset), ("step_shift", units.shift)):
            self.register_buffer(name, value.detach().long())

    def forward(self, current: Tensor, steps: int) -> Tensor:
        """Spikes ``[T, N, C]`` for currents ``[T, N, C]``, or ``[1, N, C]`` if always the same."""
        u, spikes = torch.zeros_like(current[0]), []
        for now in current.expand(steps, *current.shape[1:]):
            s, u = self.step(now, u)
            spikes.append(s)
        return torch.stack(spikes)

    def step(self, current: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        """The spikes and the stored membrane of one step, each ``[N, C]``."""
        k, (m, q) = self.step_shift, self.decay
        v = ((u << k) * m >> q) + current + self.bias
        s = (v >= self.threshold).long()
        v = v * (1 - s) if self.reset == "hard" else v - s * self.reset_value
        u = (v + ((1 << k) >> 1)) >> k
        return s, u.clamp(-(1 << self.bits - 1), (1 << self.bits - 1) - 1)


class FrozenNetwork(nn.Module):
    """A network whose buffers are all integers; see `freeze`."""

    gain: Tensor
    bias: Tensor

    def __init__(self, config: NetworkConfig, dense: list[FrozenDense], neurons: list[FrozenLIF],
                 gain: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.config = config
        self.dense, self.neurons = nn.ModuleList(dense), nn.ModuleList(neurons)
        self.register_buffer("gain", gain.long())
        self.register_buffer("bias", bias.long())

    def forward(self, x: Tensor) -> Tensor:
        """Scores ``[N, classes]``, int64, for integers ``[N, I]`` (direct) or ``[N, T, I]``."""
        return self.trace(x)[0]

    def trace(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The scores, and each spiking layer's spikes ``[T, N, C]``."""
        steps, x = self.config.steps, x.long()
        values = x.unsqueeze(0) if self.config.coding == "direct" else x.transpose(0, 1)
        spikes = []
        for dense, neuron in zip(self.dense, self.neurons, strict=False):
            values = neuron(dense(values), steps)
            spikes.append(values)
        if self.config.readout == "potential":
            values = self.dense[-1](values).expand(steps, -1, -1)
        return values.sum(0) * self.gain + self.bias, spikes

    def graph(self) -> Graph:
        """The same network in the fixed-point IR: nodes dense1, lif1, dense2, …"""
        nodes, source = [], "x"
        neurons = only(FrozenLIF, self.neurons)
        for index, dense in enumerate(only(FrozenDense, self.dense)):
            nodes.append(Node(f"dense{index + 1}", Dense(_ints(dense.weight), dense.bits),
                              (source,)))
            source = nodes[-1].name
            if index < len(neurons):
                nodes.append(Node(f"lif{index + 1}", _neuron(neurons[index]), (source,)))
                source = nodes[-1].name
        config, plain = self.config, self.config.readout == "count"
        readout = Readout("count", source) if plain else Readout(
            "potential", source, _ints(self.gain), _ints(self.bias))
        entry = Input((config.sizes[0],), config.input_bits, config.coding, config.input_scale)
        graph = Graph(config.name, config.steps, entry, tuple(nodes), readout)
        verify(graph)
        return graph


def freeze(model: QSNN) -> FrozenNetwork:
    """The integers that *model* computes with in evaluation.

    - batch norm and gain: folded into θ, b and the sign of the weights, in channel units;
    - the membrane step: 2^k of that unit;
    - a channel whose gain is near zero becomes a constant train (`_constant`);
    - a potential readout's gains: 8-bit integers.
    """
    config = model.config
    dense: list[FrozenDense] = []
    neurons: list[FrozenLIF] = []
    layers = zip(only(QDense, model.dense), only(LIF, model.neurons), config.widths, strict=False)
    top = (1 << config.input_bits) - 1
    with torch.no_grad():
        for layer, neuron, bits in layers:
            folded = layer.frozen()
            dense.append(FrozenDense(folded.values, bits))
            neurons.append(FrozenLIF(_units(folded, neuron, top), neuron))
            top = 1
        if config.readout == "count":
            ones = torch.ones((), dtype=torch.int64)
            return FrozenNetwork(config, dense, neurons, ones, ones * 0)
        return _with_potential(model, dense, neurons)


def _with_potential(model: QSNN, dense: list[FrozenDense],
                    neurons: list[FrozenLIF]) -> FrozenNetwork:
    folded = only(QDense, model.dense)[-1].frozen()
    gain, bias, _ = model.readout.integers(folded)
    dense.append(FrozenDense(folded.values, model.config.widths[-1]))
    return FrozenNetwork(model.config, dense, neurons, gain, bias)


def _units(folded: Current, neuron: LIF, top: int) -> ChannelUnits:
    """Channel units, with constant trains where all of the input is worth less than `DEAD`."""
    units = channel_units(folded, neuron.membrane)
    reach = folded.values.abs().sum(1).double() * top
    dead = folded.gain * reach < DEAD
    if not dead.any():
        return units
    fixed = _constant(folded, neuron, int(reach.max()))
    return ChannelUnits(*(torch.where(dead, getattr(fixed, name), getattr(units, name))
                          for name in ("bias", "threshold", "reset", "shift")))


def _constant(folded: Current, neuron: LIF, reach: int) -> ChannelUnits:
    """Channel units in which no input of magnitude <= *reach* changes anything.

    Everything that is carried is made a multiple of h = 2^e > 2 · reach, and the bias lies half a
    h above one: I then never reaches the next multiple, neither for the threshold nor for the
    rounding of the membrane. In units of h the neuron is the trained one without input.
    """
    k = max(1, neuron.decay[1])
    step = torch.exp2(neuron.membrane.log_step.double())
    grid = channel_units(Current(folded.values, step / 2 ** k, folded.bias), neuron.membrane)
    e = reach.bit_length() + 1
    scale = 2.0 ** e
    return ChannelUnits(grid.bias * scale + scale / 2, grid.threshold * scale, grid.reset * scale,
                        torch.full_like(step, k + e))


def _neuron(frozen: FrozenLIF) -> Neuron:
    m, q = frozen.decay
    soft = frozen.reset == "soft"
    return Neuron(frozen.bits, _ints(frozen.threshold), _ints(frozen.bias),
                  _ints(frozen.step_shift), ints(m), q, reset="soft" if soft else "hard",
                  reset_value=_ints(frozen.reset_value) if soft else ints(0))


def _ints(buffer: Tensor) -> Ints:
    return ints(buffer.numpy())
