"""What a machine must be: each condition by its message, and that those of a search keep it."""

import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from benches import FIELDS, dense, parameters
from core_graphs import random_graph, recurrent

from qsnn_compile.chips.targets import target
from qsnn_compile.lower.mapping import map_graph
from qsnn_compile.passes import PASSES, run_passes
from qsnn_compile.search.candidates import candidates
from qsnn_hw.machine.arch import Machine
from qsnn_hw.machine.layers import WORD
from qsnn_hw.machine.layout import Layout
from qsnn_hw.machine.parameters import Arithmetic, Parameters
from qsnn_hw.machine.timing import Timing
from qsnn_hw.machine.validity import MachineError
from qsnn_sim.cycle import cycle

A, OUT = dense("a", 3, 16), dense("out", 16, 3, source=0)
SPIKES = {"coding": "spikes", "input_bits": 1, "layers": (A, OUT)}
SUM = dense("out", 16, 3, source=0, fires=False)


def again(one, **changes):
    """Layer *one* with its map changed."""
    return replace(one, maps=(replace(one.maps[0], **changes),))


@pytest.mark.parametrize("changes,message", [
    ({"banks": 3}, "banks must be a power of two, not 3; take 1, 2, 4 or more of them"),
    ({"banks": 0}, "banks must be a power of two, not 0; "),
    ({"lanes": 8}, "lanes of a bank must be a power of two from 16 on, not 8; take 16 or more"),
    ({"lanes": 48}, "lanes of a bank must be a power of two from 16 on, not 48; "),
    ({"lanes": 16.0}, "lanes of a bank must be a power of two from 16 on, not 16.0; "),
    ({"units": 3}, "neuron units of a bank must be 1, 2, 4 or 8, not 3; take one of them"),
    ({"units": 16}, "neuron units of a bank must be 1, 2, 4 or 8, not 16; "),
    ({"banks": 4, "units": 8}, "neuron units of all banks must be at most 16, not 32; 4 banks take "
     "turns to write their spikes, and 8 units each would send faster than that: take fewer of "
     "either"),
    ({"banks": 32, "units": 1}, "neuron units of all banks must be at most 16, not 32; "),
    ({"columns": 3}, "columns must be 1, 2, 4 or 8, not 3; take one of them as steps a line"),
    ({"columns": 16}, "columns must be 1, 2, 4 or 8, not 16; take one of them as steps a line"),
    ({"columns": 2, "order": "step"}, "columns must be 1 where layers take turns in every step, "
     "not 2; "),
    ({"steps": 0}, "steps must be 1 or more, not 0; "),
    ({"streaming": True}, "order of a stream must be 'step', not 'layer'; "),
    ({"exit_margin": 3}, "order with an exit margin must be 'step', not 'layer'; "),
    ({"exit_margin": -1, "order": "step"}, "exit margin must be 0 or more, not -1; "),
    ({"batch_bits": 4}, "columns must be 2 where a pass serves two steps, not 1; "),
    ({"batch_bits": 4, "columns": 2, "steps": 3}, "steps must be even where a pass serves two, "
     "not 3; take one step a pass"),
    ({"order": "time"}, "order must be one of layer, step, not 'time'; take one of them"),
    ({"weight_memory": "flash"}, "weight_memory must be one of spram, ebr, not 'flash'; "),
    ({"input_bits": 9}, "input_bits must be 1 to 8, not 9; "),
    ({"layers": (A, replace(OUT, windows=OUT.windows * 2))},
     "layer 'out': windows must be 1, one a bank, not 2; "),
    ({"layers": (A, replace(OUT, windows=((),)))}, "layer 'out': window must be words, the last of "
     "which ends the last pass, not 0; "),
    ({"layers": (replace(A, fires=False), OUT)}, "layer 'a': fires must be True, as it is not read "
     "out, not False; "),
    ({"layers": (A, SUM)}, "layer 'out': readout must be 'count' for spikes, 'potential' for "
     "currents, not 'count'; "),
    ({"layers": (A, replace(OUT, pooling="or"))}, "layer 'out': pooling must be 'none', as it is "
     "read out, not 'or'; "),
    ({"layers": (replace(A, channels=0), OUT)}, "layer 'a': channels and places must be 1 or more, "
     "not (0, 1); "),
    ({"layers": (A, replace(OUT, channels=65537))}, "layer 'out': channels must be at most 65,536, "
     "as they are classes, not 65537; "),
    ({"layers": (A, replace(OUT, group_banks=2))}, "layer 'out': group_banks must be a power of "
     "two up to 1 banks, not 2; "),
    ({"layers": (A, replace(OUT, maps=OUT.maps * 3))}, "layer 'out': maps must be 1 to 2, not 3; "),
    ({"layers": (A, again(OUT, layer=1))}, "layer 'out': the layer it reads must be an earlier "
     "one, or of the step before any but the last, not 1; "),
    ({"layers": (again(A, layer=1, previous=True), OUT), "order": "step"}, "layer 'a': the layer "
     "it reads must be an earlier one, or of the step before any but the last, not 1; "),
    ({"layers": (again(A, layer=0, previous=True), OUT)}, "layer 'a': order must be 'step' for "
     "what is read of the step before, not 'layer'; "),
    ({"layers": (A, again(OUT, layer=-1, kind="list"))}, "layer 'out': map must be values or "
     "spikes, as only the first layer reads a list, not 'list'; "),
    ({"layers": (A, again(SUM, layer=-1, kind="values")), "readout": "potential", "columns": 2},
     "columns must be 1 where the readout reads values step by step, not 2; "),
    ({"layers": (dense("out", 3, 3, kind="list", fires=False),), "coding": "direct", "banks": 2,
      "readout": "potential"}, "Banks must be 1 for a readout of the input itself, not 2"),
])
def test_a_machine_that_could_not_work_is_not_made(changes, message):
    with pytest.raises(MachineError, match=re.escape(message)):
        parameters(**SPIKES | changes)


@pytest.mark.parametrize("changes,message", [
    ({"membrane_bits": 1}, "bits of a neuron must be at most the 1 that are stored, not 2; "),
    ({"neuron_fields": FIELDS[1:]}, "fields must be none or minimum, flip, ")])
def test_arithmetic_that_could_not_work_is_not_made(changes, message):
    with pytest.raises(MachineError, match=re.escape(message)):
        Arithmetic(**{"neuron_fields": FIELDS} | changes)


@pytest.mark.parametrize("part", [Parameters, Arithmetic, Machine, Layout, Timing])
def test_the_parts_of_a_machine_take_keywords_alone(part):
    with pytest.raises(TypeError, match="takes 1 positional argument but 2 were given"):
        part("tiny")


def test_a_machine_has_layers():
    with pytest.raises(MachineError, match="layers must be 1 or more, not 0; give the layer that"):
        replace(parameters(), layers=())


def test_mapping_refuses_banks_that_would_never_answer():
    graph = run_passes(random_graph(3, sizes=(31, 7, 33)), PASSES)
    with pytest.raises(MachineError, match="neuron units of all banks must be at most 16, not 32"):
        map_graph(graph, lanes=16, banks=4, units=8)


# -- a word's turn --------------------------------------------------------------------------------

NETWORKS = {
    "recurrent": recurrent(0), "one class": recurrent(1, classes=1, steps=2),
    "dense": random_graph(5, 1, 4, (4, 20, 3)), "classes": random_graph(8, 1, 4, (4, 17, 20)),
}


def words(m):
    """Bank by bank the clocks in which words leave its neurons, and whether each ends a round, of
    a sample without a spike: so they come as close together as they can."""
    chosen, used_slots = m.parameters, m.layout.used_slots
    frames = () if chosen.one_frame else (chosen.steps,)
    source = chosen.input_map
    shape = (source.words * (WORD if source.kind == "spikes" else 1), 1, 1)
    spikes = [np.zeros((1, chosen.steps, layer.channels, 1, 1), np.uint8)
              for layer in chosen.layers if layer.fires]
    rotations = cycle.run(m, np.zeros((1, *frames, *shape), np.uint8), spikes).rotations
    pace = WORD // chosen.units
    for bank in range(chosen.banks):
        yield sorted((int(clock) + slot, slot == used - 1)
                     for index, (layer, clocks) in enumerate(
                         zip(chosen.layers, rotations, strict=True))
                     if layer.fires and (used := used_slots[index])
                     for clock in clocks[0, bank]
                     for slot in sorted({*range(pace - 1, used, pace), used - 1}))


@pytest.mark.parametrize("network", NETWORKS)
def test_every_word_has_its_turn_in_all_machines_of_a_search(network):
    """A bank keeps one word until its turn comes, at most a clock a bank later."""
    graph = run_passes(NETWORKS[network], PASSES)
    shapes = set()
    for one in candidates(graph, target("ulx3s-85f").device, (256, 128, 64)):
        m, chosen = one.frame, one.frame.parameters
        shapes.add((chosen.banks, chosen.units))
        for sent in words(m):
            for (clock, ends), (after, _) in pairwise(sent):
                assert not ends or after - clock >= chosen.banks, (
                    f"{chosen.banks} banks of {chosen.units} units, {chosen.order}: a round ends "
                    f"in clock {clock}, and the next word comes in {after}")
    assert shapes >= {(16, 1), (8, 2), (4, 4)}
