"""Which machine fits a target: the most lanes that do, and what would help where none does."""

from collections.abc import Iterator
from dataclasses import asdict, replace

from qsnn_hw.arch import Image, Machine

from .errors import DoesNotFit
from .ir import Graph
from .mapping import map_graph
from .resource import Resources, predict
from .targets import LANES, Device, TargetError

FULL = 0.9                      # of the logic cells: above it one seed in three finds no placement
NAMES = {"lc": "logic cells", "ebr": "block RAMs", "spram": "SPRAMs", "dsp": "multipliers"}


def choose(graph: Graph, device: Device, lanes: int | None) -> tuple[Machine, Image]:
    """The machine with *lanes* lanes, or with as many as fit *device*.

    Raises TargetError for a number of lanes that there isn't, DoesNotFit where none fits.
    """
    if lanes is not None and lanes not in LANES:
        raise TargetError(f"lanes must be one of {', '.join(map(str, sorted(LANES)))}, "
                          f"not {lanes!r}; leave --lanes out for as many as fit")
    tried = {count: map_graph(graph, lanes=count) for count in ([lanes] if lanes else LANES)}
    for machine, image in tried.values():
        if not excess(predict(machine, image), device):
            return machine, image
    nearest = min((machine for machine, _ in tried.values()),
                  key=lambda machine: _overload(predict(machine), device))
    raise DoesNotFit(_refusal(graph, nearest, device))


def available(device: Device) -> dict[str, int]:
    """What a design may use of each resource."""
    return {"lc": int(device.lc * FULL), "ebr": device.ebr, "spram": device.spram,
            "dsp": device.dsp}


def excess(needed: Resources, device: Device) -> dict[str, tuple[int, int]]:
    """Each resource of which *device* has too little: (needed, what a design may use)."""
    return {key: (count, available(device)[key]) for key, count in asdict(needed).items()
            if count > available(device)[key]}


def _overload(needed: Resources, device: Device) -> float:
    return max((count / limit for count, limit in excess(needed, device).values()), default=0.0)


def _refusal(graph: Graph, machine: Machine, device: Device) -> str:
    wants = "; ".join(f"{needed:,} {NAMES[key]}, where {limit:,} of {getattr(device, key):,} may "
                      "be used" if limit < getattr(device, key) else
                      f"{needed:,} {NAMES[key]}, where there are {limit:,}"
                      for key, (needed, limit) in excess(predict(machine), device).items())
    lines = [f"network {graph.name!r} must fit {device.name}, and with {machine.lanes} lanes it "
             f"needs {wants}.", "What would help:"]
    lines += [f"- {change}" for change in _changes(machine, device)] or ["- a larger target"]
    return "\n".join(lines)


def _changes(machine: Machine, device: Device) -> Iterator[str]:
    """Changes that bring an exceeded resource down, with what they cost and whether they do."""
    for text, smaller, cost in _candidates(machine):
        before, after = predict(machine), predict(smaller)
        over = excess(before, device)
        gains = [f"{getattr(after, key):,} {NAMES[key]}" for key in over
                 if getattr(after, key) < getattr(before, key)]
        if gains:
            verdict = "fits" if not excess(after, device) else "not enough alone"
            yield f"{text}: {', '.join(gains)} ({verdict}); costs {cost}"


def _candidates(machine: Machine) -> Iterator[tuple[str, Machine, str]]:
    for lanes in LANES:
        if lanes < machine.lanes:
            yield (f"--lanes {lanes}", replace(machine, lanes=lanes),
                   f"{machine.lanes // lanes} times the clocks of the accumulation")
    steps = machine.steps // 2
    if steps:
        yield (f"--steps {steps}", replace(machine, steps=steps),
               "accuracy, unless the network is trained again with as many steps")
    if machine.coding == "direct" and machine.input_bits > 4:
        less = machine.input_bits - 4
        yield ("a 4-bit input", replace(machine, input_bits=4, acc_bits=machine.acc_bits - less,
                                        sum_bits=machine.sum_bits - less,
                                        current_bits=machine.current_bits - less,
                                        potential_bits=machine.potential_bits - less),
               "training again with coarser pixels")
    widest = max(layer.weight_bits for layer in machine.layers)
    if widest > 1:
        layers = tuple(replace(layer, weight_bits=min(layer.weight_bits, widest // 2))
                       for layer in machine.layers)
        yield (f"{widest // 2}-bit weights", replace(
            machine, layers=layers, acc_bits=machine.acc_bits - widest // 2),
            "training again with narrower weights")
    if len(machine.layers) > 1:
        half = tuple(replace(layer, neurons=layer.neurons if machine.is_last(i)
                             else -(-layer.neurons // 2),
                             fan_in=layer.fan_in if i == 0 else -(-layer.fan_in // 2))
                     for i, layer in enumerate(machine.layers))
        yield ("half the neurons in the hidden layers", replace(machine, layers=half),
               "training a smaller network")
