"""Parameter fields: a constant where every channel agrees, else the narrowest stored number.

Lanes and slots without a neuron (pads) take part in the machine's clocks, so they get parameters
too, ones with which they provably never fire.
"""

from itertools import count

import numpy as np

from qsnn_hw.machine.fields import NEURON_FIELDS, READOUT_FIELDS, Field

from .channels import Channels

# shifts and widths: a base costs wires only
FROM_BASE = ("gain_shift", "leak_shift", "step_shift", "bits", "synapse_bits")
Pad = dict[str, int]


def stored_limits(field: Field) -> tuple[int, int]:
    """The least and the largest value that *field* can take, base included."""
    if field.constant is not None:
        return field.constant, field.constant
    half = 1 << field.width - 1
    low, high = (-half, half - 1) if field.signed else (0, 2 * half - 1)
    return field.base + low, field.base + high


def neuron_fields(layers: list[Channels], steps: int | None, shift: int, pads: bool,
                  clamps: bool = False) -> tuple[tuple[Field, ...], Pad]:
    """The neuron fields of *layers* (those that fire), and the parameters of a pad. They run for
    *steps* steps, None: for ever; *clamps* as in the machine.

    Proof that a pad never fires: its stored weights and its flip are 0, so y ≤ 0, and v and u'
    rise with y and u (with synapses i ≤ 0, as it is 0 at first, and v rises with it); hence it
    fires never if it doesn't with y = 0. Where that takes a higher threshold than the fields would
    hold, the threshold's field is widened.
    """
    if not layers:
        idle = {name: 2 if name == "bits" else 0 for name in NEURON_FIELDS}
        return tuple(Field(name, 0, constant=value) for name, value in idle.items()), idle
    values = {name: _joined(layers, name) for name in NEURON_FIELDS}
    if pads and values["flip"].all():
        values["flip"] = np.append(values["flip"], 0)
    fields = {name: _field(name, values[name]) for name in NEURON_FIELDS}
    pad = _pad(fields)
    top = _highest(pad, steps, shift, clamps)
    if pads and top >= pad["threshold"]:
        fields["threshold"] = _field("threshold", np.append(values["threshold"], top + 1))
        pad["threshold"] = stored_limits(fields["threshold"])[1]
    return tuple(fields.values()), pad


def readout_fields(layers: list[Channels]) -> tuple[tuple[Field, ...], Pad]:
    """The readout fields of *layers* (the one that doesn't fire, or none), and a pad's, which any
    will do for: no class is in its slot."""
    if not layers:
        return (), {}
    fields = {name: _field(name, _joined(layers, name)) for name in READOUT_FIELDS}
    return tuple(fields.values()), {name: _nearest(field, 0) for name, field in fields.items()}


def _joined(layers: list[Channels], name: str) -> np.ndarray:
    return np.concatenate([layer.parameters[name].ravel() for layer in layers])


def _field(name: str, values: np.ndarray) -> Field:
    low, high = int(values.min()), int(values.max())
    if low == high:
        return Field(name, 0, signed=low < 0, constant=low)
    base = low if name in FROM_BASE else 0
    signed = low - base < 0
    width = max((high - base).bit_length(), (~low).bit_length() if signed else 0) + signed
    return Field(name, width, signed, base)


def _pad(fields: dict[str, Field]) -> Pad:
    pad = {name: _nearest(field, 0) for name, field in fields.items()}
    for name in ("threshold", "step_shift"):        # a coarse step needs few bits
        pad[name] = stored_limits(fields[name])[1]
    pad["lowest"] = stored_limits(fields["lowest"])[0]
    return pad


def _nearest(field: Field, value: int) -> int:
    low, high = stored_limits(field)
    return min(max(value, low), high)


def _highest(pad: Pad, steps: int | None, shift: int, clamps: bool) -> int:
    """The highest v of a pad in *steps* steps (None: ever), y = 0 in each, before it first fires.
    """
    u, top, limit = pad["initial"], None, 1 << pad["bits"] - 1
    before = set[int]()
    for _ in count() if steps is None else range(steps):
        if u in before:
            break                       # from here on it repeats
        before.add(u)
        v = ((u * pad["decay"] << pad["leak_shift"]) >> shift) + pad["bias"]
        top = v if top is None else max(top, v)
        u = ((v << 1 >> pad["step_shift"]) + 1) >> 1
        u = min(max(u, pad["lowest"] if clamps else -limit), limit - 1)
    return top if top is not None else 0

