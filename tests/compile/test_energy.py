import pytest

from qsnn_compile.chips.energy import UP5K, describe, inference


def test_study_figures():
    # hardware study: 3,928 cells draw 426 pJ a clock: 2,840 clocks 1.2 uJ, 501 clocks 0.21 uJ
    assert inference(UP5K, 1, 1e9, 3928).total == pytest.approx(0.426, abs=5e-4)
    assert inference(UP5K, 2840, 32, 3928).total == pytest.approx(1200, rel=0.02)
    assert inference(UP5K, 501, 32, 3928).total == pytest.approx(214, rel=0.02)


def test_both_sources_agree():
    # SYNtzulu: 9.5 mW at 24 MHz, 3,473 cells
    assert inference(UP5K, 24e6, 24, 3473).total == pytest.approx(9.5e6, rel=0.03)


def test_static_power_counts_with_time():
    slow, fast = inference(UP5K, 1000, 1, 0), inference(UP5K, 1000, 10, 0)
    assert slow.total - fast.total == pytest.approx(0.10 * 900)


def test_factor_two_either_way():
    energy = inference(UP5K, 1000, 30, 4000)
    assert (energy.low, energy.high) == (energy.total / 2, energy.total * 2)


def test_report_names_constants_and_sources():
    told = describe(UP5K, 3690, placed=False)
    assert (told["clock_pj"], told["lc_pj"], told["static_mw"]) == (53.0, 0.095, 0.10)
    assert told["lc_from"] == "resource model"
    assert "SYNtzulu" in " ".join(told["sources"])
