"""How the network's answer is read in the fixed-point network."""

from typing import get_args

import numpy as np

from qsnn_compile import ir
from qsnn_compile.reals.normal_form import Network, Neuron, Reals
from qsnn_compile.reals.units import Current, QuantiseError, flat

from .layers import Layers

GAIN_BITS = 8
Nodes = tuple[ir.Node, ...]


def readout_of(layers: Layers, network: Network, kind: str | None, steps: int
               ) -> tuple[ir.Readout, Nodes]:
    """The readout, *kind* or what suits the output, and the nodes that stay.

    Spikes are counted, the currents of a last layer added up, a membrane that never fires is read
    after the last step. Raises QuantiseError.
    """
    if kind is not None and kind not in get_args(ir.ReadoutKind):
        raise QuantiseError(f"readout must be one of {get_args(ir.ReadoutKind)}, not {kind!r}")
    name, nodes = network.output, tuple(layers.nodes)
    op = layers.by_name[name].op
    silent = isinstance(op, Neuron) and bool(np.isposinf(op.threshold).all())
    if silent or (network.answer == "potential" and isinstance(op, Neuron)):
        return _membrane(layers, name, kind), nodes
    if isinstance(layers.values[name], Current):
        return _potential(layers, name, kind, steps), nodes
    if kind == "potential":
        raise QuantiseError(f"node {name!r}: readout must be count or last where the network ends "
                            f"in spikes, not {kind!r}; leave --readout out")
    return ir.Readout("last" if kind == "last" else "count", layers.names[name]), nodes


def _potential(layers: Layers, name: str, kind: str | None, steps: int) -> ir.Readout:
    if kind == "count":
        raise QuantiseError(f"node {name!r}: readout must be potential or last where the network "
                            f"ends in a current, not {kind!r}; leave --readout out")
    value, shape = layers.values[name], layers.plan.shapes[name]
    assert isinstance(value, Current)
    times = 1 if kind == "last" else steps
    gain, bias = _gain(flat(value.unit, shape), flat(value.offset, shape) * times)
    return ir.Readout("last" if kind == "last" else "potential", layers.names[name], gain, bias)


def _membrane(layers: Layers, name: str, kind: str | None) -> ir.Readout:
    if kind in ("count", "potential"):
        raise QuantiseError(f"node {name!r}: readout must be last where the network ends in a "
                            f"membrane, not {kind!r}; leave --readout out")
    made = next(node.op for node in layers.nodes if node.name == layers.names[name])
    assert isinstance(made, ir.Neuron)
    unit = layers.units[name] * 2.0 ** made.step_shift
    gain, bias = _gain(flat(unit, layers.plan.shapes[name]), np.zeros(1))
    return ir.Readout("last", f"{layers.names[name]}.u", gain, bias)


def _gain(unit: Reals, offset: Reals) -> tuple[ir.Ints, ir.Ints]:
    """Small integers in the proportion of *unit*, and *offset* in the same unit."""
    if np.ptp(unit) <= 1e-9 * np.abs(unit).max():
        every = float(unit.flat[0])
        return ir.ints(1 if every > 0 else -1), ir.ints(np.rint(offset / abs(every)))
    one = float(np.abs(unit).max()) / ((1 << GAIN_BITS - 1) - 1)
    return ir.ints(np.rint(unit / one)), ir.ints(np.rint(offset / one))
