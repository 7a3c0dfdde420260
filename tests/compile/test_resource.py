import sys
from collections import Counter
from pathlib import Path

import pytest
from image_graphs import image_graph
from states import with_states

from qsnn_compile.chips.memories import Memory, memories, spram
from qsnn_compile.chips.resources import predict
from qsnn_compile.dialect.reader import import_onnx
from qsnn_compile.lower.mapping import map_graph
from qsnn_compile.passes import PASSES, run_passes

sys.path.insert(0, str(Path(__file__).parents[1] / "bench"))

from fit_resources import WITHIN, measured, show
from machine_shapes import CHECKED, FITTED


@pytest.mark.parametrize("width, depth, rom, blocks", (
    (16, 256, False, 1), (17, 256, False, 2), (18, 1024, False, 5), (10, 1024, False, 3),
    (2, 2048, False, 1), (8, 32, False, 1), (11, 4, False, 0), (2, 256, True, 0),
    (8, 256, True, 1), (38, 256, True, 3), (10, 600, False, 2), (18, 1200, False, 6),
    (9, 2400, False, 6)))
def test_block_rams_of_a_memory(width, depth, rom, blocks):
    assert Memory("m", width, depth, rom).ebr == blocks


@pytest.mark.parametrize("shape, blocks", (
    (dict(lanes=64), {"list": 5, "copy": 4, "parameters": 5, "membranes": 1}),
    (dict(lanes=32, units=1, banks=2), {"list": 5, "copy": 8, "parameters": 6, "membranes": 2})))
def test_the_zoo_machine(shape, blocks):
    """As yosys maps the core: 15 and 21 block RAMs."""
    machine, image = map_graph(zoo("fashion_mnist_mlp"), **shape)
    counted = Counter()
    for memory in memories(machine, image):
        counted[memory.kind] += memory.ebr
    assert +counted == blocks
    assert spram(machine) == 4


def test_every_memory_of_an_image_network():
    names = Counter()
    for seed in range(30):
        graph = run_passes(image_graph(seed), PASSES)
        names.update(one.kind for one in memories(*map_graph(graph, lanes=16)))
    assert names.keys() == {"list", "values", "copy", "totals", "readout", "windows", "items",
                            "parameters", "membranes", "pool", "sent"}


def test_a_synapse_takes_cells_and_a_memory():
    graphs = image_graph(9), with_states(image_graph(9), 9)
    plain, slow = (map_graph(run_passes(graph, PASSES), lanes=16) for graph in graphs)
    assert predict(*slow).lc > predict(*plain).lc
    assert [m.name for m in memories(*slow) if m.kind == "synapses"] == ["bank0.neurons.synapses"]


def zoo(name):
    return run_passes(import_onnx(f"models/zoo/{name}.onnx"), PASSES)


def test_more_lanes_take_more_cells():
    cells = [predict(*map_graph(zoo("mnist_mlp"), lanes=lanes)).lc for lanes in (16, 32, 64)]
    assert cells == sorted(cells)


def test_checked_shapes_were_not_fitted_to():
    assert len(CHECKED) >= 8 and not set(CHECKED) & set(FITTED)


@pytest.mark.slow
def test_prediction_within_fifteen_percent_of_nextpnr():
    assert show(list(measured(CHECKED, None))) <= WITHIN
