"""The machine's widths, proved from the weights and parameters it will hold.

Sums that wrap in between are no matter: two's complement is exact modulo 2^n.
"""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from qsnn_compile.ir import Bounds, Interval, NeuronBounds, width
from qsnn_hw.machine.arch import Machine

from .channels import Channels
from .parameter_fields import Pad


def with_widths(machine: Machine, layers: list[Channels], pad: Pad, proved: Bounds) -> Machine:
    """*machine*, whose fields are settled, with its proven ``*_bits``. Pads count as neurons: an
    overflow must not make one fire."""
    currents = [_currents(layer) for layer in layers]
    pads = [_pad_potential(machine, pad, layer.summed) for layer in layers if layer.fires]
    potentials = [part for part, _ in pads]
    potentials += [_potential(neuron) for neuron in proved.neurons.values()]
    scaled = [own for _, own in pads]
    scaled += [Interval(2 * n.unclamped.lo - 1, 2 * n.unclamped.hi)
               for n in proved.neurons.values()]
    both = [layer for index, layer in enumerate(layers) if machine.parameters.paired(index)]
    batch = max((max(layer.accumulated, layer.summed) for layer in both), default=0).bit_length()
    arithmetic = replace(
        machine.arithmetic,
        acc_bits=max([layer.accumulated for layer in layers]
                     + [layer.accumulated << batch for layer in both]).bit_length() or 1,
        sum_bits=max([layer.summed for layer in layers]
                     + [layer.summed << batch for layer in both]).bit_length(),
        current_bits=_width(currents),
        potential_bits=_width(potentials) if potentials else 1,
        scaled_bits=_width(scaled) if scaled else 1,
        score_bits=max(proved.scores.width, 2),     # a count of no bits would have no memory
    )
    return replace(machine.with_parameters(batch_bits=batch), arithmetic=arithmetic)


def _currents(layer: Channels) -> Interval:
    """y before and after the flip, of the neurons and of pads (stored weights 0)."""
    low, high = layer.currents()
    return _around([low, high, ~low, ~high, np.array([-layer.summed, 0])])


def _potential(neuron: NeuronBounds) -> Interval:
    """All that a neuron adds up: the leak, v, v - θ, v - ρ, v'."""
    parts = (neuron.leak, neuron.v, neuron.compared, neuron.reduced, neuron.after)
    return _around([end for part in parts for end in (part.lo, part.hi)])


def _pad_potential(machine: Machine, pad: Pad, summed: int) -> tuple[Interval, Interval]:
    """The same for a pad, whose y lies in -summed..0 and i in its bits, and 2·v' / 2^k."""
    half = 1 << pad["bits"] - 1
    summed = 1 << pad["synapse_bits"] - 1 if machine.arithmetic.synapses else summed
    leak = [(u * pad["decay"] << pad["leak_shift"]) >> machine.arithmetic.decay_shift
            for u in (-half, half - 1)]
    v = [leak[0] - (summed << pad["gain_shift"]) + pad["bias"], leak[1] + pad["bias"]]
    beyond = [end - pad[name] for end in v for name in ("threshold", "reduction")]
    scaled = [end << 1 >> pad["step_shift"] for end in v]
    return (_around([np.array([*leak, *v, *beyond, pad["threshold"]])]),
            _around([np.array(scaled)]))


def _around(arrays: Iterable[np.ndarray]) -> Interval:
    listed = list(arrays)
    return Interval(np.array(min(int(array.min()) for array in listed)),
                    np.array(max(int(array.max()) for array in listed)))


def _width(intervals: list[Interval]) -> int:
    return width(min(interval.lowest for interval in intervals),
                 max(interval.highest for interval in intervals))
