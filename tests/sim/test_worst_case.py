"""The proven worst case: no activity, no gaps between beats and no early end take longer."""

import draws
import numpy as np

from qsnn_sim.cycle import cycle

SAMPLES = 24
DRAWS = 50


def run(machine, rng, arrivals):
    """The latencies of random activity."""
    x, spikes = draws.active(machine, rng, SAMPLES)
    parameters = machine.parameters
    exits = rng.integers(0, parameters.steps, SAMPLES) if parameters.exits else None
    return cycle.run(machine, x, spikes, arrivals=arrivals, exits=exits).latency


def random_arrivals(machine, rng):
    """Beats one a clock, with few gaps, with many; short ones and long ones."""
    odds, longest = rng.choice([0, 0.05, 0.5, 1], SAMPLES), rng.choice([1, 3, 40], SAMPLES)
    shape = (SAMPLES, machine.layout.input_beats)
    gaps = rng.integers(1, longest[:, None] + 1, shape) * (rng.random(shape) < odds[:, None])
    return np.cumsum(1 + gaps, axis=1)


def test_nothing_takes_longer():
    for seed in range(DRAWS):
        machine, rng = draws.draw(seed).machine, np.random.default_rng(seed)
        latency = run(machine, rng, random_arrivals(machine, rng))
        banks = machine.parameters.banks
        assert latency.max() <= cycle.worst_case(machine), f"draw {seed}, {banks} banks"
