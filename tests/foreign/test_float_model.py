"""The float model against its docstring: one neuron at a time, by hand."""

import numpy as np
import pytest

from qsnn_compile.reals.float_model import DataError, arranged, run
from qsnn_compile.reals.normal_form import (
    INPUT,
    Add,
    Delay,
    Linear,
    Network,
    Neuron,
    Node,
    StateGrid,
    SynapticCurrent,
    reals,
)
from qsnn_compile.reals.shapes import shapes


def alone(**parameters: object) -> Network:
    """A network of one neuron on the input."""
    fields = {name: reals(value) if name not in ("strict", "reset", "delayed", "amplitude",
                                                 "max_spikes", "synapse", "grid") else value
              for name, value in parameters.items()}
    return Network("one", (1,), "frames", None, (Node("n", Neuron(**fields), (INPUT,)),), "n")


def spikes(network: Network, currents: list[float]) -> list[float]:
    x = np.array(currents).reshape(1, -1, 1)
    return run(network, x, dtype=np.float64).output.ravel().tolist()


def test_a_strict_threshold_must_be_exceeded() -> None:
    assert spikes(alone(threshold=1, decay=0), [1, 1.5, 0.5]) == [0, 1, 0]
    assert spikes(alone(threshold=1, decay=0, strict=False), [1, 1.5, 0.5]) == [1, 1, 0]


def test_resets() -> None:
    soft = alone(threshold=1, reset="soft", reset_value=1)
    assert spikes(soft, [1.5, 0.6, 0, 0]) == [1, 1, 0, 0]
    hard = alone(threshold=1, reset="hard", reset_value=0.5)
    assert spikes(hard, [1.5, 0.6, 0.2, 0]) == [1, 1, 0, 0]
    assert spikes(alone(threshold=1, reset="none"), [1.5, 0, 0]) == [1, 1, 1]


def test_delayed_resets() -> None:
    soft = alone(threshold=1, decay=0.5, reset="soft", reset_value=1, delayed=True)
    assert spikes(soft, [2.5, 0.9, 0.9, 0.8]) == [1, 1, 0, 1]     # 2.5, 1.15, 0.475, 1.0375
    hard = alone(threshold=1, reset="hard", delayed=True)
    assert spikes(hard, [5, 0.9, 0.2]) == [1, 0, 1]               # 5, 0.9, 1.1


def test_a_raised_threshold() -> None:
    network = alone(threshold=1, reset="soft", reset_value=1, raised=1)
    assert spikes(network, [3.5, -0.6, 0]) == [1, 0, 0]           # 3.5, 1.9 under 2, 1.9 under 2


def test_several_spikes() -> None:
    network = alone(threshold=0.5, reset="soft", reset_value=0.5, max_spikes=float("inf"),
                    strict=False)
    assert spikes(network, [1.7, 0.4, -3, 1]) == [3, 1, 0, 0]
    capped = alone(threshold=0.5, reset="soft", reset_value=0.5, max_spikes=2, strict=False)
    assert spikes(capped, [1.7, 0, 0]) == [2, 1, 0]


def test_clamp_grid_and_amplitude() -> None:
    assert spikes(alone(threshold=1, clamp=-0.25, amplitude=3.0), [-5, 1.5]) == [0, 3]
    grid = alone(threshold=10, grid=StateGrid(reals([-1, 0, 1])), reset="none")
    network = Network("g", (1,), "frames", None, grid.nodes, "n", answer="potential")
    assert spikes(network, [0.5, 0.6, -0.5, 0]) == [0.5, 0.6, 0.5, 0]


def test_synapses() -> None:
    now = alone(threshold=0.9, decay=0, synapse=SynapticCurrent(reals(0.5)))
    assert spikes(now, [1, 0.5, 0.3]) == [1, 1, 0]
    late = alone(threshold=0.9, decay=0, synapse=SynapticCurrent(reals(0.5), delayed=True))
    assert spikes(late, [1, 0.5, 0.3]) == [0, 1, 1]


def test_a_delay_may_stand_before_its_source() -> None:
    nodes = (Node("late", Delay(), ("n",)), Node("sum", Add(), (INPUT, "late")),
             Node("n", Neuron(reals(0.5), decay=reals(0)), ("sum",)))
    network = Network("loop", (1,), "frames", None, nodes, "n")
    assert shapes(network) == {INPUT: (1,), "late": (1,), "sum": (1,), "n": (1,)}
    assert spikes(network, [1, 0, 0]) == [1, 1, 1]


def test_ties_are_counted() -> None:
    network = alone(threshold=1, decay=0)
    x = np.array([1, 1 + 2e-7, 1.1, 0.5], np.float32).reshape(1, 4, 1)
    assert run(network, x).tied["n"].ravel().tolist() == [True, True, False, False]


def test_the_data_s_order() -> None:
    linear = Node("l", Linear(reals(np.ones((2, 6))), reals(0)), (INPUT,))
    network = Network("x", (6,), "frames", 5, (linear,), "l")
    assert arranged(network, np.zeros((8, 5, 6))).shape == (8, 5, 6)
    assert arranged(network, np.zeros((8, 5, 1, 6))).shape == (8, 5, 6)
    assert arranged(network, np.zeros((8, 1, 5, 6))).shape == (8, 5, 6)
    with pytest.raises(DataError, match="seems to have the steps first"):
        arranged(network, np.zeros((5, 8, 6)))
    with pytest.raises(DataError, match="x must be .N, 5, 6., not"):
        arranged(network, np.zeros((8, 5, 7)))
    direct = Network("x", (6,), "direct", None, (linear,), "l")
    assert arranged(direct, np.zeros((8, 6)), 3).shape == (8, 3, 6)
    with pytest.raises(DataError, match="add --steps"):
        arranged(direct, np.zeros((8, 6)))
