"""What a machine must be to work: every condition on it in one place, plain Python, no HDL.

A machine outside of them would never answer, or be wrong in silence. `Parameters` and `Arithmetic`
check themselves when they are made.
"""

from collections.abc import Hashable
from functools import cache
from typing import Any, get_args, get_type_hints

from .fields import NEURON_FIELDS, READOUT_FIELDS, Field
from .layers import WORD, Layer

Parameters = Any                # both are of `parameters`, which imports this file
Arithmetic = Any

UNITS = (1, 2, 4, 8)            # neuron units of a bank: a word of spikes takes two slots or more
COLUMNS = (1, 2, 4, 8)         # of which the search takes 1, 2 or 4; 16 are slow to write
MAPS = 2                        # that a layer reads
CLASSES = 1 << 16               # an answer's two bytes


class MachineError(ValueError):
    """A machine that could not work."""


def takes_turns(banks: int, units: int) -> bool:
    """Whether each bank's words find their turn: one comes every WORD / *units* clocks, and one in
    *banks* clocks is written."""
    return banks * units <= WORD


def check_parameters(chosen: Parameters) -> None:
    """Raise MachineError for the first thing that *chosen* must be and isn't."""
    _check_choices(chosen)
    _check_shape(chosen)
    _check_time(chosen)
    _check_layers(chosen)
    _must(1 <= chosen.input_bits <= 8, "input_bits", "1 to 8", chosen.input_bits,
          "quantise the input to so many")


def check_arithmetic(arithmetic: Arithmetic) -> None:
    """Raise MachineError for the first field or width that *arithmetic* can't have."""
    _check_fields(arithmetic)
    _check_widths(arithmetic)


def _must(holds: bool, subject: str, wanted: str, value: Any, cure: str) -> None:
    if not holds:
        raise MachineError(f"{subject} must be {wanted}, not {value!r}; {cure}")


def _is_power(value: Any) -> bool:
    return isinstance(value, int) and value > 0 and value & (value - 1) == 0


def _check_choices(chosen: Parameters) -> None:
    for name, choices in _choices(chosen.__class__).items():
        value = getattr(chosen, name)
        _must(value in choices, name, "one of " + ", ".join(choices), value, "take one of them")


@cache
def _choices(kind: Hashable) -> dict[str, tuple[str, ...]]:
    """What each field of names may be."""
    hints = {name: get_args(hint) for name, hint in get_type_hints(kind).items()}
    return {name: choices for name, choices in hints.items()
            if choices and all(isinstance(choice, str) for choice in choices)}


def _check_shape(chosen: Parameters) -> None:
    banks, lanes, units = chosen.banks, chosen.lanes, chosen.units
    _must(_is_power(banks), "banks", "a power of two", banks, "take 1, 2, 4 or more of them")
    _must(_is_power(lanes) and lanes >= WORD, "lanes of a bank",
          f"a power of two from {WORD} on", lanes, f"take {WORD} or more of them")
    _must(units in UNITS, "neuron units of a bank", "1, 2, 4 or 8", units, "take one of them")
    _must(takes_turns(banks, units), "neuron units of all banks", f"at most {WORD}", banks * units,
          f"{banks} banks take turns to write their spikes, and {units} units each would send "
          "faster than that: take fewer of either")
    _must(chosen.columns in COLUMNS, "columns", "1, 2, 4 or 8", chosen.columns,
          "take one of them as steps a line")


def _check_time(chosen: Parameters) -> None:
    steps, order, margin = chosen.steps, chosen.order, chosen.exit_margin
    _must(isinstance(steps, int) and steps > 0, "steps", "1 or more", steps, "give the number of T")
    _must(order == "step" or not chosen.streaming, "order of a stream", "'step'", order,
          "a stream answers after every step: map it step by step")
    _must(order == "step" or margin is None, "order with an exit margin", "'step'", order,
          "a window can end after every step: map it step by step")
    _must(margin is None or margin >= 0, "exit margin", "0 or more", margin,
          "it is how far the best score must lead the next")
    _must(order == "layer" or chosen.columns == 1, "columns", "1 where layers take turns in every "
          "step", chosen.columns, "one step alone is kept: leave the columns out")
    if chosen.batch_bits:
        _must(chosen.columns == 2, "columns", "2 where a pass serves two steps", chosen.columns,
              "take 2, or one step a pass")
        _must(steps % 2 == 0, "steps", "even where a pass serves two", steps,
              "take one step a pass")


def _check_layers(chosen: Parameters) -> None:
    _must(len(chosen.layers) > 0, "layers", "1 or more", 0, "give the layer that is read out")
    for index, layer in enumerate(chosen.layers):
        _check_layer(chosen, index, layer)
        for number, source in enumerate(layer.maps):
            reads = f"layer {layer.name!r}: the layer it reads"
            last = len(chosen.layers) - 1
            _must(-1 <= source.layer < (last if source.previous else index), reads,
                  "an earlier one, or of the step before any but the last", source.layer,
                  "put a layer between")
            _must(not source.previous or chosen.order == "step", f"layer {layer.name!r}: order",
                  "'step' for what is read of the step before", chosen.order,
                  "map it step by step")
            _must(source.kind != "list" or index == number == 0, f"layer {layer.name!r}: map",
                  "values or spikes, as only the first layer reads a list", source.kind,
                  "keep the values")
    if chosen.columns > 1 and not chosen.layers[-1].fires:
        kinds = {source.kind for source in chosen.layers[-1].maps}
        _must(kinds == {"spikes"} or chosen.is_direct(len(chosen.layers) - 1), "columns",
              "1 where the readout reads values step by step", chosen.columns,
              "values have no columns: leave the columns out")
    alone = chosen.joins and len(chosen.layers) == 1 and chosen.coding == "direct"
    if alone:
        raise MachineError(
            f"Banks must be 1 for a readout of the input itself, not {chosen.banks!r}")


def _check_layer(chosen: Parameters, index: int, layer: Layer) -> None:
    name, last = f"layer {layer.name!r}: ", chosen.is_last(index)
    _must(layer.fires or last, f"{name}fires", "True, as it is not read out", layer.fires,
          "put a neuron behind it")
    if last:
        _must(layer.fires == (chosen.readout == "count"), f"{name}readout",
              "'count' for spikes, 'potential' for currents", chosen.readout, "take the other one")
        _must(layer.pooling == "none", f"{name}pooling", "'none', as it is read out", layer.pooling,
              "put a layer behind the pool")
        _must(layer.channels <= CLASSES, f"{name}channels", f"at most {CLASSES:,}, as they are "
              "classes", layer.channels, "read fewer of them out")
    _must(layer.channels > 0 and layer.places > 0, f"{name}channels and places", "1 or more",
          (layer.channels, layer.places), "leave the layer out")
    _must(_is_power(layer.group_banks) and layer.group_banks <= chosen.banks,
          f"{name}group_banks", f"a power of two up to {chosen.banks} banks", layer.group_banks,
          "all places need as many banks")
    _must(1 <= len(layer.maps) <= MAPS, f"{name}maps", f"1 to {MAPS}", len(layer.maps),
          "add the others up before")
    _must(len(layer.windows) == chosen.banks, f"{name}windows", f"{chosen.banks}, one a bank",
          len(layer.windows), "lay the layer out for as many banks")
    for window in layer.windows:
        _must(len(window) > 0 and window[-1].ends and window[-1].final, f"{name}window",
              "words, the last of which ends the last pass", len(window), "mark it ``final``")


def _check_fields(arithmetic: Arithmetic) -> None:
    """Names as they must be; none where they are not settled yet."""
    for fields, names in ((arithmetic.neuron_fields, NEURON_FIELDS),
                          (arithmetic.readout_fields, READOUT_FIELDS)):
        given = tuple(field.name for field in fields)
        _must(given in ((), names), "fields", "none or " + ", ".join(names), given,
              "give each of them once, in that order")


def _check_widths(arithmetic: Arithmetic) -> None:
    kept = {"bits": arithmetic.membrane_bits, "synapse_bits": arithmetic.synapse_bits}
    for field in arithmetic.neuron_fields:
        if field.name in kept:
            _must(_least(field) <= kept[field.name], f"{field.name} of a neuron",
                  f"at most the {kept[field.name]} that are stored", _least(field),
                  "widen the memory")


def _least(field: Field) -> int:
    return field.base if field.constant is None else field.constant
