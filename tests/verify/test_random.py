"""The RTL of random networks against the models, under all traffic."""

from itertools import product

import pytest
from core_graphs import random_graph
from cores import CALM, ROUGH, core, image_core, joined, needs, random_core

from qsnn_sim.measure.verify import build_core, run_plans
from qsnn_sim.rtl.plan import Traffic

SHAPES = list(product((16, 32, 64), (1, 2, 4)))
WIDTHS = [(1, 4), (2, 2), (4, 3), (8, 16), (1, 2), (2, 8)]
ONE, WIDE = {"lanes": 16, "units": 1}, {"lanes": 32, "units": 2, "columns": 2}
TWO, FOUR = {"lanes": 16, "units": 2, "banks": 2}, {"lanes": 16, "units": 1, "banks": 4}
PAIRS = {"lanes": 16, "units": 2, "columns": 2, "batch": True}       # two steps a pass
STEPWISE = {"lanes": 16, "units": 1, "banks": 2, "stepwise": True}
IMAGES = {
    # pools of currents and spikes, groups, parameters a neuron, residual sums
    "layer by layer": ((24, ONE), (17, TWO), (9, FOUR), (14, WIDE)),
    # recurrence, and what else runs in this order
    "step by step": ((35, ONE), (6, TWO), (27, FOUR), (33, STEPWISE)),
}
# pools of currents and spikes, a direct input, recurrence
STATES = ((36, ONE), (5, FOUR), (11, WIDE), (13, TWO), (17, PAIRS))


def check(verdicts):
    assert [v.first for v in verdicts] == [None] * len(verdicts)
    assert all(v.equal and v.samples for v in verdicts)


def plans(cores, samples):
    return [core.plan(samples, traffic, seed) for seed, core in enumerate(cores)
            for traffic in (CALM, Traffic(**ROUGH, seed=seed))]


def test_dense_in_verilator(tmp_path):
    needs("verilator")
    shapes = [{}, {"banks": 2}, {"stepwise": True}]
    cores = [random_core(seed, *SHAPES[seed % 9], f"k{seed}_", shapes[seed % 3], weight_bits=w,
                         membrane_bits=u) for seed, (w, u) in enumerate(WIDTHS)]
    built = build_core({"cores.v": joined(cores)}, tmp_path, toplevel="cores")
    check(run_plans(built, plans(cores, 16)))


def test_second_states_in_verilator(tmp_path):
    needs("verilator")
    cores = [image_core(seed, shape, f"k{seed}_", states=True) for seed, shape in STATES]
    built = build_core({"cores.v": joined(cores)}, tmp_path, toplevel="cores")
    check(run_plans(built, plans(cores, 6)))


@pytest.mark.parametrize("order", IMAGES)
def test_images_in_verilator(order, tmp_path):
    needs("verilator")
    cores = [image_core(seed, shape, prefix=f"k{seed}_") for seed, shape in IMAGES[order]]
    built = build_core({"cores.v": joined(cores)}, tmp_path, toplevel="cores")
    check(run_plans(built, plans(cores, 6)))


@pytest.mark.parametrize("seed,sizes", [(40, (5, 15, 16, 2)), (42, (1, 1)), (43, (33, 1, 17))])
def test_dense_in_icarus(seed, sizes, tmp_path):
    needs("icarus")
    one = core(random_graph(seed, sizes=sizes), *SHAPES[seed % 9])
    built = build_core({"core.v": one.verilog()}, tmp_path, simulator="icarus")
    check(run_plans(built, plans([one], 6)))


@pytest.mark.parametrize("seed,shape", [(30, ONE), (25, TWO), (28, STEPWISE), (17, PAIRS)])
def test_images_in_icarus(seed, shape, tmp_path):
    needs("icarus")
    one = image_core(seed, shape)
    built = build_core({"core.v": one.verilog()}, tmp_path, simulator="icarus")
    check(run_plans(built, plans([one], 4)))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(50, 80))
def test_sweep_of_images(seed, tmp_path):
    needs("verilator")
    one = image_core(seed, (ONE, WIDE, TWO, FOUR, STEPWISE, PAIRS)[seed % 6], states=seed % 5 > 2)
    built = build_core({"core.v": one.verilog()}, tmp_path)
    check(run_plans(built, plans([one], 6)))
