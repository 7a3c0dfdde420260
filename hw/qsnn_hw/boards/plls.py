"""Phase-locked loops: settings that make a clock of a board's oscillator, and the cells."""

from dataclasses import dataclass
from itertools import product

from amaranth.hdl import *

__all__ = ["EhxPll", "RPll", "SbPll", "pll_for", "pll_steps"]


@dataclass(frozen=True)
class SbPll:
    """SB_PLL40_PAD and SB_PLL40_CORE of iCE40: oscillator · (divf + 1) / 2^divq / (divr + 1)."""

    cell: str
    oscillator_mhz: float
    divr: int
    divf: int
    divq: int

    @property
    def phase_mhz(self):
        """The rate of its phase detector."""
        return self.oscillator_mhz / (self.divr + 1)

    @property
    def vco_mhz(self):
        """Its inner oscillator."""
        return self.oscillator_mhz * (self.divf + 1) / (self.divr + 1)

    @property
    def mhz(self):
        """The clock that it makes."""
        return self.vco_mhz / 2 ** self.divq

    @property
    def filter_range(self):
        """For the phase detector's rate."""
        return 1 + sum(self.phase_mhz >= limit for limit in (17, 26, 44, 66, 101))

    @staticmethod
    def settings(cell, oscillator_mhz):
        """All that the data sheet allows, the highest rate of the phase detector first."""
        every = (SbPll(cell, oscillator_mhz, *dividers)
                 for dividers in product(range(16), range(128), range(1, 7)))
        return [pll for pll in every if 10 <= pll.phase_mhz <= 133
                and 533 <= pll.vco_mhz <= 1066 and 16 <= pll.mhz <= 275]

    def instance(self, source, clock, locked):
        """The cell; *source* is the pin of the oscillator."""
        pin = "PACKAGEPIN" if self.cell == "SB_PLL40_PAD" else "REFERENCECLK"
        return Instance(
            self.cell, p_FEEDBACK_PATH="SIMPLE", p_DIVR=C(self.divr, 4), p_DIVF=C(self.divf, 7),
            p_DIVQ=C(self.divq, 3), p_FILTER_RANGE=C(self.filter_range, 3), i_RESETB=C(1),
            i_BYPASS=C(0), o_PLLOUTGLOBAL=clock, o_LOCK=locked, **{f"i_{pin}": source})


@dataclass(frozen=True)
class EhxPll:
    """EHXPLLL of ECP5: oscillator · feedback / input, its inner oscillator output times that."""

    cell: str
    oscillator_mhz: float
    input: int
    feedback: int

    @property
    def phase_mhz(self):
        """The rate of its phase detector."""
        return self.oscillator_mhz / self.input

    @property
    def mhz(self):
        """The clock that it makes."""
        return self.oscillator_mhz * self.feedback / self.input

    @property
    def output(self):
        """The divider of the inner oscillator that brings it nearest to 600 MHz."""
        return min(max(round(600 / self.mhz), 1), 128)

    @property
    def vco_mhz(self):
        """Its inner oscillator."""
        return self.mhz * self.output

    @staticmethod
    def settings(cell, oscillator_mhz):
        """All that the data sheet allows, the highest rate of the phase detector first."""
        every = (EhxPll(cell, oscillator_mhz, *dividers)
                 for dividers in product(range(1, 129), range(1, 129)))
        return [pll for pll in every if 3.125 <= pll.phase_mhz <= 400
                and 400 <= pll.vco_mhz <= 800 and 3.125 <= pll.mhz <= 400]

    def instance(self, source, clock, locked):
        """The cell; *source* is the pin of the oscillator."""
        return Instance(
            self.cell, a_ICP_CURRENT="12", a_LPF_RESISTOR="8", a_MFG_ENABLE_FILTEROPAMP="1",
            a_MFG_GMCREF_SEL="2", p_FEEDBK_PATH="CLKOP", p_CLKI_DIV=self.input,
            p_CLKFB_DIV=self.feedback, p_CLKOP_DIV=self.output, p_CLKOP_ENABLE="ENABLED",
            p_CLKOP_CPHASE=self.output // 2, p_CLKOP_FPHASE=0, p_OUTDIVIDER_MUXA="DIVA",
            i_CLKI=source, i_CLKFB=clock, i_RST=C(0), i_STDBY=C(0), i_PHASESEL0=C(0),
            i_PHASESEL1=C(0), i_PHASEDIR=C(1), i_PHASESTEP=C(1), i_PHASELOADREG=C(1),
            i_PLLWAKESYNC=C(0), i_ENCLKOP=C(0), o_CLKOP=clock, o_LOCK=locked)


@dataclass(frozen=True)
class RPll:
    """rPLL of GW1NR-9C: oscillator · (fbdiv + 1) / (idiv + 1), its inner oscillator odiv times
    that."""

    cell: str
    oscillator_mhz: float
    idiv: int
    fbdiv: int
    odiv: int

    @property
    def phase_mhz(self):
        """The rate of its phase detector."""
        return self.oscillator_mhz / (self.idiv + 1)

    @property
    def mhz(self):
        """The clock that it makes."""
        return self.oscillator_mhz * (self.fbdiv + 1) / (self.idiv + 1)

    @property
    def vco_mhz(self):
        """Its inner oscillator."""
        return self.mhz * self.odiv

    @staticmethod
    def settings(cell, oscillator_mhz):
        """All that the data sheet allows (C6/I5), the highest rate of the phase detector first."""
        every = (RPll(cell, oscillator_mhz, *dividers) for dividers in product(
            range(64), range(64), (2, 4, 8, 16, 32, 48, 64, 80, 96, 112, 128)))
        return [pll for pll in every if 3 <= pll.phase_mhz <= 400
                and 400 < pll.vco_mhz < 1200 and 3.125 < pll.mhz < 600]

    def instance(self, source, clock, locked):
        """The cell; *source* is the pin of the oscillator."""
        return Instance(
            self.cell, p_FCLKIN=f"{self.oscillator_mhz:g}", p_DEVICE="GW1NR-9C",
            p_IDIV_SEL=self.idiv, p_FBDIV_SEL=self.fbdiv, p_ODIV_SEL=self.odiv,
            p_CLKFB_SEL="internal", p_DYN_IDIV_SEL="false", p_DYN_FBDIV_SEL="false",
            p_DYN_ODIV_SEL="false", p_DYN_SDIV_SEL=2, p_PSDA_SEL="0000", p_DYN_DA_EN="false",
            p_DUTYDA_SEL="1000", p_CLKOUT_BYPASS="false", p_CLKOUTP_BYPASS="false",
            p_CLKOUTD_BYPASS="false", i_CLKIN=source, i_CLKFB=C(0), i_RESET=C(0), i_RESET_P=C(0),
            i_FBDSEL=C(0, 6), i_IDSEL=C(0, 6), i_ODSEL=C(0, 6), i_PSDA=C(0, 4), i_DUTYDA=C(0, 4),
            i_FDLY=C(0, 4), o_CLKOUT=clock, o_LOCK=locked)


CELLS = {"SB_PLL40_PAD": SbPll, "SB_PLL40_CORE": SbPll, "EHXPLLL": EhxPll, "rPLL": RPll}


def pll_steps(cell, oscillator_mhz):
    """Every clock that *cell* makes of the oscillator's, MHz, ascending."""
    return sorted({pll.mhz for pll in CELLS[cell].settings(cell, oscillator_mhz)})


def pll_for(clock_mhz, cell="SB_PLL40_PAD", oscillator_mhz=12.0):
    """The settings of *cell* with the highest clock that is not above *clock_mhz*."""
    settings = CELLS[cell].settings(cell, oscillator_mhz)
    low, high = min(pll.mhz for pll in settings), max(pll.mhz for pll in settings)
    if not low <= clock_mhz <= high:
        raise ValueError(f"Clock must be between {low:g} and {high:g} MHz, not {clock_mhz!r}")
    allowed = [pll for pll in settings if pll.mhz <= clock_mhz]
    return max(allowed, key=lambda pll: pll.mhz)
