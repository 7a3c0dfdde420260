"""The iCEBreaker's top: crystal → PLL → core, with the byte link on the board's USB serial port."""

from dataclasses import dataclass

from amaranth.back import verilog
from amaranth.hdl import *
from amaranth.lib import wiring
from amaranth.lib.cdc import ResetSynchronizer
from amaranth.lib.wiring import In, Out

from . import frames
from .core import SpikingCore
from .link import Framer, UartRx, UartTx, uart_divisor
from .memory import SPRAM_VERILOG

__all__ = ["BoardTop", "LinkedCore", "Pll", "linked_verilog", "pcf", "pll_for", "top_verilog"]

CRYSTAL_MHZ = 12
VCO_MHZ = (533, 1066)           # the PLL's oscillator, iCE40 data sheet
PLL_MHZ = (16, 275)             # its output
FILTER_RANGE = 1                # of a phase detector below 17 MHz; it runs at the crystal's rate
CLOCK_MHZ = 30
PINS = {"clk12": 35, "uart_rx": 6, "uart_tx": 9, "led_red_n": 11, "led_green_n": 37}


@dataclass(frozen=True)
class Pll:
    """Settings of SB_PLL40: crystal · (divf + 1) / 2^divq."""

    divf: int
    divq: int

    @property
    def mhz(self):
        """The clock it makes."""
        return CRYSTAL_MHZ * (self.divf + 1) / 2 ** self.divq


def pll_for(clock_mhz):
    """The settings with the highest clock that is not above *clock_mhz*."""
    low, high = PLL_MHZ
    if not low <= clock_mhz <= high:
        raise ValueError(f"Clock must be between {low} and {high} MHz, not {clock_mhz!r}")
    possible = [Pll(divf, divq) for divf in range(128) for divq in range(1, 7)]
    allowed = [pll for pll in possible
               if VCO_MHZ[0] <= pll.mhz * 2 ** pll.divq <= VCO_MHZ[1] and pll.mhz <= clock_mhz]
    return max(allowed, key=lambda pll: pll.mhz)


class LinkedCore(wiring.Component):
    """A core behind the byte link, in one clock domain.

    A break on ``rx`` resets framer and core, so that a host can always start afresh.
    """

    def __init__(self, machine, image, *, divisor):
        self.machine, self.image, self.divisor = machine, image, divisor
        super().__init__({
            "rx": In(1, init=1),
            "tx": Out(1, init=1),
            "loaded": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.uart_rx = uart_rx = UartRx(divisor=self.divisor)
        m.submodules.uart_tx = uart_tx = UartTx(divisor=self.divisor)
        framer = Framer(self.machine)
        core = SpikingCore(self.machine, self.image)
        restart = Signal()
        m.submodules.framer = ResetInserter(restart)(framer)
        m.submodules.core = ResetInserter(restart)(core)
        m.d.sync += restart.eq(uart_rx.broken)
        m.d.comb += [
            uart_rx.rx.eq(self.rx),
            self.tx.eq(uart_tx.tx),
            self.loaded.eq(core.loaded),
        ]
        wiring.connect(m, uart_rx.bytes, framer.received)
        wiring.connect(m, framer.replies, uart_tx.bytes)
        wiring.connect(m, framer.weights, core.weights)
        wiring.connect(m, framer.inputs, core.inputs)
        wiring.connect(m, core.result, framer.result)
        return m


class BoardTop(wiring.Component):
    """`LinkedCore` on an iCEBreaker: red LED until the weights are loaded, then green.

    Held in reset until the PLL locks, which takes longer than the 3 µs that the UP5K's block RAMs
    need after configuration.
    """

    def __init__(self, machine, image, *, clock_mhz=CLOCK_MHZ, baud=frames.BAUD):
        self.machine, self.image = machine, image
        self.pll = pll_for(clock_mhz)
        self.divisor = uart_divisor(self.pll.mhz * 1e6, baud)
        super().__init__({
            "clk12": In(1),
            "uart_rx": In(1, init=1),
            "uart_tx": Out(1, init=1),
            "led_red_n": Out(1),
            "led_green_n": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        m.domains.sync = ClockDomain()
        locked = Signal()
        m.submodules.pll = Instance(
            "SB_PLL40_PAD",
            p_FEEDBACK_PATH="SIMPLE",
            p_DIVR=C(0, 4), p_DIVF=C(self.pll.divf, 7), p_DIVQ=C(self.pll.divq, 3),
            p_FILTER_RANGE=C(FILTER_RANGE, 3),
            i_PACKAGEPIN=self.clk12, i_RESETB=C(1), i_BYPASS=C(0),
            o_PLLOUTGLOBAL=ClockSignal(), o_LOCK=locked)
        m.submodules.reset = ResetSynchronizer(~locked)
        m.submodules.linked = linked = LinkedCore(self.machine, self.image, divisor=self.divisor)
        m.d.comb += [
            linked.rx.eq(self.uart_rx),
            self.uart_tx.eq(linked.tx),
            self.led_red_n.eq(linked.loaded),
            self.led_green_n.eq(~linked.loaded),
        ]
        return m


def top_verilog(machine, image, clock_mhz=CLOCK_MHZ, baud=frames.BAUD):
    """The board's design as Verilog text, module ``top``; `pcf` names its pins."""
    return _verilog(BoardTop(machine, image, clock_mhz=clock_mhz, baud=baud), "top", machine)


def linked_verilog(machine, image, divisor):
    """`LinkedCore` as Verilog text, module ``linked_core``, ports clk, rst, rx, tx, loaded."""
    return _verilog(LinkedCore(machine, image, divisor=divisor), "linked_core", machine)


def _verilog(component, name, machine):
    text = verilog.convert(component, name=name, emit_src=False, strip_internal_attrs=True)
    return text + (SPRAM_VERILOG if machine.weight_memory == "spram" else "")


def pcf():
    """Pin constraints of `BoardTop` on an iCEBreaker, for nextpnr-ice40."""
    pull_up = {"uart_rx": "-pullup yes "}       # an open line must not look like a break
    return "".join(f"set_io {pull_up.get(name, '')}{name} {pin}\n" for name, pin in PINS.items())
