"""The RTL of random networks against the models, under all traffic."""

from itertools import product

import pytest
from core_graphs import random_graph
from cores import CALM, ROUGH, core, joined, needs, random_core

from qsnn_sim.plan import Traffic
from qsnn_sim.verify import build_core, run_plans

SHAPES = list(product((16, 32, 64), (1, 2, 4)))
WIDTHS = [(1, 4), (2, 2), (4, 3), (8, 16), (1, 2), (2, 8), (4, 12), (8, 5)]


def check(verdicts):
    assert [v.first for v in verdicts] == [None] * len(verdicts)
    assert all(v.equal and v.samples for v in verdicts)


def plans(cores, samples):
    return [core.plan(samples, traffic, seed) for seed, core in enumerate(cores)
            for traffic in (CALM, Traffic(**ROUGH, seed=seed))]


@pytest.mark.parametrize("half", (0, 1))
def test_verilator_equals_models(half, tmp_path):
    needs("verilator")
    cores = [random_core(seed, *SHAPES[seed % 9], f"k{seed}_", weight_bits=w, membrane_bits=u)
             for seed, (w, u) in list(enumerate(WIDTHS))[half::2]]
    built = build_core({"cores.v": joined(cores)}, tmp_path, toplevel="cores")
    check(run_plans(built, plans(cores, 16)))


@pytest.mark.parametrize("seed,sizes", [
    (40, (5, 15, 16, 2)), (41, (16, 17, 33, 9)), (42, (1, 1)), (43, (33, 1, 17))])
def test_icarus_equals_models(seed, sizes, tmp_path):
    needs("icarus")
    one = core(random_graph(seed, sizes=sizes), *SHAPES[seed % 9])
    built = build_core({"core.v": one.verilog()}, tmp_path, simulator="icarus")
    check(run_plans(built, plans([one], 6)))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 160))
def test_sweep(seed, tmp_path):
    needs("icarus")
    one = random_core(seed, *SHAPES[seed % 9])
    built = build_core({"core.v": one.verilog()}, tmp_path, simulator="icarus")
    check(run_plans(built, plans([one], 12)))
