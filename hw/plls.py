"""Phase-locked loops: settings that make a clock of a board's oscillator, and the cells."""

from dataclasses import dataclass

from amaranth.hdl import *

__all__ = ["EhxPll", "SbPll", "pll_for"]


@dataclass(frozen=True)
class SbPll:
    """SB_PLL40_PAD and SB_PLL40_CORE of iCE40: oscillator · (divf + 1) / 2^divq."""

    cell: str
    oscillator_mhz: float
    divf: int
    divq: int

    @property
    def mhz(self):
        """The clock that it makes."""
        return self.vco_mhz / 2 ** self.divq

    @property
    def vco_mhz(self):
        """Its inner oscillator."""
        return self.oscillator_mhz * (self.divf + 1)

    @property
    def filter_range(self):
        """For the phase detector, which runs at the oscillator's rate."""
        return 1 + sum(self.oscillator_mhz >= limit for limit in (17, 26, 44, 66, 101))

    @staticmethod
    def settings(cell, oscillator_mhz):
        """All that the data sheet allows."""
        every = (SbPll(cell, oscillator_mhz, divf, divq)
                 for divf in range(128) for divq in range(1, 7))
        return [pll for pll in every if 533 <= pll.vco_mhz <= 1066]

    def instance(self, source, clock, locked):
        """The cell; *source* is the pin of the oscillator."""
        pin = "PACKAGEPIN" if self.cell == "SB_PLL40_PAD" else "REFERENCECLK"
        return Instance(
            self.cell, p_FEEDBACK_PATH="SIMPLE", p_DIVR=C(0, 4), p_DIVF=C(self.divf, 7),
            p_DIVQ=C(self.divq, 3), p_FILTER_RANGE=C(self.filter_range, 3), i_RESETB=C(1),
            i_BYPASS=C(0), o_PLLOUTGLOBAL=clock, o_LOCK=locked, **{f"i_{pin}": source})


@dataclass(frozen=True)
class EhxPll:
    """EHXPLLL of ECP5: oscillator · feedback / input, its inner oscillator output times that."""

    cell: str
    oscillator_mhz: float
    input: int
    feedback: int
    output: int

    @property
    def mhz(self):
        """The clock that it makes."""
        return self.oscillator_mhz * self.feedback / self.input

    @property
    def vco_mhz(self):
        """Its inner oscillator."""
        return self.mhz * self.output

    @staticmethod
    def settings(cell, oscillator_mhz):
        """All that the data sheet allows, of small dividers, those nearest 600 MHz first."""
        every = (EhxPll(cell, oscillator_mhz, divider, feedback, output)
                 for divider in range(1, 9) if oscillator_mhz / divider >= 3.125
                 for feedback in range(1, 81) for output in range(1, 129))
        allowed = [pll for pll in every if 400 <= pll.vco_mhz <= 800]
        return sorted(allowed, key=lambda pll: (abs(pll.vco_mhz - 600), pll.input))

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


CELLS = {"SB_PLL40_PAD": SbPll, "SB_PLL40_CORE": SbPll, "EHXPLLL": EhxPll}
CLOCKS_MHZ = {"SB_PLL40_PAD": (16, 275), "SB_PLL40_CORE": (16, 275), "EHXPLLL": (3.125, 400)}


def pll_for(clock_mhz, cell="SB_PLL40_PAD", oscillator_mhz=12.0):
    """The settings of *cell* with the highest clock that is not above *clock_mhz*."""
    low, high = CLOCKS_MHZ[cell]
    if not low <= clock_mhz <= high:
        raise ValueError(f"Clock must be between {low} and {high} MHz, not {clock_mhz!r}")
    allowed = [pll for pll in CELLS[cell].settings(cell, oscillator_mhz) if pll.mhz <= clock_mhz]
    return max(allowed, key=lambda pll: pll.mhz)
