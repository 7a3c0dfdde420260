"""Networks and machines at random, of all that the compiler can make: networks of all widths, steps
and modes, and what its search chooses from, on every device."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from core_graphs import random_graph
from image_graphs import image_graph
from states import stateful

from qsnn_compile.chips.targets import DEVICES, Device
from qsnn_compile.ir import Graph
from qsnn_compile.lower.mapping import WINDOW, Mode
from qsnn_compile.passes import pipeline, run_passes
from qsnn_compile.search.candidates import Candidate, candidates
from qsnn_compile.system.errors import Unsupported
from qsnn_hw.machine import schedule
from qsnn_hw.machine.arch import Image, Machine
from qsnn_hw.machine.layers import WORD

SAMPLES = 3                 # of a run
MOST_LANES = 256            # in all: more of them are more of the same, and slow to simulate
WEIGHT_BITS = (None, None, 1, 2, 3, 4, 6, 8)        # None: of each layer its own
MODES = (*[WINDOW] * 5, Mode(stream=True), Mode(margin=2), Mode(stream=True, margin=5))


@dataclass(frozen=True, eq=False)
class Draw:
    """A network, legalised, and a machine for it with its image."""

    graph: Graph
    machine: Machine
    image: Image


def draw(seed: int, clocks: float = 2000, modes: Sequence[Mode] = MODES,
         most_lanes: int = MOST_LANES) -> Draw:
    """The first network and machine from *seed* on whose weights load and whose samples run in
    about so many *clocks*, in one of *modes* on *most_lanes* lanes in all."""
    rng = random.Random(seed)
    while True:
        mode, device = rng.choice(modes), rng.choice(DEVICES)
        try:
            graph = run_passes(_network(rng), pipeline(mode.stream))
            tried = candidates(graph, device, _lanes(rng, device, most_lanes), mode)
        except (Unsupported, ValueError):
            continue
        quick = [one for one in tried if _clocks(one) <= clocks]
        if quick:
            return Draw(graph, *rng.choice(quick).complete())


def _lanes(rng: random.Random, device: Device, most: int) -> list[int]:
    """What a search tries: all lanes that there are, or those that --lanes asks for."""
    lanes = [lanes for lanes in device.lanes if lanes <= most]
    return rng.choice([lanes, [rng.choice(lanes)]])


def _network(rng: random.Random) -> Graph:
    """Dense layers of 1 to 80 channels, mostly narrow, or images; some with second states."""
    sizes = tuple(rng.randint(1, rng.choice([16, 40, 80])) for _ in range(rng.randint(2, 4)))
    bits, steps = rng.choice(WEIGHT_BITS), rng.choice([*range(1, 10), 13, 16])
    make, most = rng.choice([
        (lambda seed: random_graph(seed, bits, sizes=sizes), steps), (image_graph, 5)])
    make = rng.choice([make, make, stateful(make)])
    return replace(make(rng.randrange(1 << 32)), steps=min(steps, most))


def _clocks(one: Candidate) -> float:
    frame = one.frame
    inputs = SAMPLES * (frame.parameters.steps if frame.parameters.streaming else 1)
    return (frame.layout.rows * frame.layout.row_beats * frame.parameters.banks
            + inputs * (one.clocks + 2 * frame.layout.input_beats))


def active(machine: Machine, rng: np.random.Generator, samples: int) -> tuple[Any, list[Any]]:
    """Inputs and spikes of *samples* for the cycle model, active at random, a third of them all."""
    parameters = machine.parameters
    odds = np.where(np.arange(samples) % 3, rng.choice([0, 0.1, 0.5, 0.9], samples), 1)

    def train(*shape: int) -> Any:
        return rng.random((samples, *shape)) < odds.reshape(-1, *[1] * len(shape))

    source, steps = parameters.input_map, 2 if parameters.streaming else parameters.steps
    channels = source.words * (WORD if source.kind == "spikes" else 1)
    frames = [] if parameters.one_frame else [steps]
    x = train(*frames, channels, source.height, source.width)
    return x, [train(steps, layer.channels, layer.height, layer.width)
               for layer in parameters.layers if layer.fires]


def features(machine: Machine) -> set[str]:
    """What is special about a machine."""
    parameters, layout = machine.parameters, machine.layout
    banks = [schedule.items(machine.layout, bank) for bank in range(parameters.banks)]
    idle = {item.layer for items in banks for item in items if item.silent}
    first = parameters.layers[0].maps[0]
    given = {
        parameters.coding, parameters.readout, f"order {parameters.order}",
        parameters.small_memories,
        f"input of {parameters.input_map.kind}", f"weights in {parameters.weight_memory}",
        f"banks {parameters.banks}", f"units {parameters.units}", f"columns {parameters.columns}",
        *(f"{planes} planes" for planes, _, _ in parameters.formats),
        *(f"pooling {layer.pooling}" for layer in parameters.layers)}
    return given | {name for name, here in {
        "stream": parameters.streaming, "exits": parameters.exits,
        "two steps a pass": parameters.batch_bits,
        "one step": parameters.steps == 1, "many steps": parameters.steps > 4,
        "one beat": layout.input_beats == 1, "joined banks": parameters.joins,
        "steps beyond columns": parameters.steps % parameters.columns,
        "second states": machine.arithmetic.synapses, "wide banks": parameters.lanes > 16,
        "several groups": any(layout.groups[i] > 1 for i in range(len(parameters.layers))),
        "fewer channels than lanes": all(layer.channels < parameters.lanes
                                         for layer in parameters.layers),
        "recurrence": any(source.previous for layer in parameters.layers for source in layer.maps),
        "several places": any(layer.places > 1 for layer in parameters.layers),
        "banks without work": idle,
        "banks without work at a list": parameters.lists and 0 in idle,
        "banks without work at planes of a list":
            parameters.lists and 0 in idle and first.planes > 1,
    }.items() if here}
