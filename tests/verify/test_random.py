from itertools import product

import pytest
from cores import CALM, ROUGH, joined, needs, random_core

from qsnn_sim.plan import Traffic
from qsnn_sim.verify import build_core, run_plans

SHAPES = list(product((16, 32, 64), (1, 2, 4)))
WIDTHS = [(1, 4), (2, 2), (4, 3), (8, 16), (1, 2), (2, 8), (4, 12), (8, 5)]


def check(verdicts):
    assert [v.first for v in verdicts] == [None] * len(verdicts)
    assert all(v.equal and v.samples for v in verdicts)


@pytest.mark.parametrize("half", (0, 1))
def test_verilator_equals_models(half, tmp_path):
    needs("verilator")
    cores = [random_core(seed, *SHAPES[seed % 9], f"k{seed}_", weight_bits=w, membrane_bits=u)
             for seed, (w, u) in list(enumerate(WIDTHS))[half::2]]
    built = build_core({"cores.v": joined(cores)}, tmp_path, toplevel="cores")
    plans = [core.plan(16, traffic, seed) for seed, core in enumerate(cores)
             for traffic in (CALM, Traffic(**ROUGH, seed=seed))]
    check(run_plans(built, plans))
