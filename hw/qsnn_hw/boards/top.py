"""A board's top: oscillator → PLL → core, with the byte link on the board's USB serial port."""

from dataclasses import dataclass

from amaranth.hdl import *
from amaranth.lib import wiring
from amaranth.lib.cdc import ResetSynchronizer
from amaranth.lib.wiring import In, Out

from qsnn_hw.core.core import SpikingCore
from qsnn_hw.core.verilog import CoreCell, converted, core_verilog
from qsnn_hw.link import frames
from qsnn_hw.link.uart_link import Framer, UartRx, UartTx, keeps_baud, uart_divisor

from .plls import pll_for, pll_steps

__all__ = ["BoardTop", "Clocking", "LinkedCore", "linked_verilog", "top_verilog"]

POWER_ON = 16               # clocks of reset where there is no PLL to wait for


class LinkedCore(wiring.Component):
    """A core behind the byte link, in one clock domain.

    A break on ``rx`` resets framer and core, so that a host can always start afresh. With *cell*
    the core is a cell, whose module is in another text (`core_verilog`).

    Members
    -------
    ========== === = ======================
    ``rx``     In  1 the line from the host
    ``tx``     Out 1 the line to the host
    ``loaded`` Out 1 all weights are there
    ========== === = ======================
    """

    def __init__(self, machine, image, *, divisor, cell=False):
        self.machine, self.image, self.divisor, self.cell = machine, image, divisor, cell
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
        restart = Signal()
        m.submodules.framer = ResetInserter(restart)(framer)
        core = self._core(m, restart)
        m.d.sync += restart.eq(uart_rx.broken)
        if self.machine.parameters.streaming:
            m.d.comb += core.restart.eq(framer.restart)
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

    def _core(self, m, restart):
        if self.cell:
            m.submodules.core = core = CoreCell(self.machine, restart)
            return core
        core = SpikingCore(self.machine, self.image)
        m.submodules.core = ResetInserter(restart)(core)
        return core


@dataclass(frozen=True)
class Clocking:
    """How a board's clock is made: by the cell ``pll``, or the oscillator's own where the two are
    equal."""

    clock_mhz: float = 30.0
    oscillator_mhz: float = 12.0
    pll: str = "SB_PLL40_PAD"

    def settings(self):
        """The PLL's, or None where there is no need of one."""
        if self.clock_mhz == self.oscillator_mhz:
            return None
        return pll_for(self.clock_mhz, self.pll, self.oscillator_mhz)

    def steps(self, baud=frames.BAUD):
        """Every clock that the board can have and whose divisor keeps *baud*, MHz, ascending."""
        made = pll_steps(self.pll, self.oscillator_mhz) if self.pll else []
        return [mhz for mhz in sorted({self.oscillator_mhz, *made}) if keeps_baud(mhz * 1e6, baud)]


class BoardTop(wiring.Component):
    """`LinkedCore` on a board: one LED until the weights are loaded, then the other.

    Held in reset until the PLL locks, which takes longer than the 3 µs that iCE40's block RAMs
    need after configuration; without one, for POWER_ON clocks.

    Members
    -------
    =============== === = =============================================
    ``clk``         In  1 the oscillator
    ``uart_rx``     In  1 the line from the host
    ``uart_tx``     Out 1 the line to the host
    ``led_waiting`` Out 1 weights are to come; lit by a 0 if *leds_low*
    ``led_loaded``  Out 1 they are there; lit likewise
    =============== === = =============================================
    """

    def __init__(self, machine, image, *, clocking=Clocking(), leds_low=True, baud=frames.BAUD,
                 cell=False):
        self.machine, self.image, self.leds_low, self.cell = machine, image, leds_low, cell
        self.pll = clocking.settings()
        mhz = clocking.clock_mhz if self.pll is None else self.pll.mhz
        self.divisor = uart_divisor(mhz * 1e6, baud)
        super().__init__({
            "clk": In(1),
            "uart_rx": In(1, init=1),
            "uart_tx": Out(1, init=1),
            "led_waiting": Out(1),
            "led_loaded": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        m.domains.sync = ClockDomain()
        self._clock(m)
        m.submodules.linked = linked = LinkedCore(
            self.machine, self.image, divisor=self.divisor, cell=self.cell)
        m.d.comb += [
            linked.rx.eq(self.uart_rx),
            self.uart_tx.eq(linked.tx),
            self.led_waiting.eq(linked.loaded ^ (not self.leds_low)),
            self.led_loaded.eq(linked.loaded ^ self.leds_low),
        ]
        return m

    def _clock(self, m):
        if self.pll is not None:
            locked = Signal()
            m.submodules.pll = self.pll.instance(self.clk, ClockSignal(), locked)
            m.submodules.reset = ResetSynchronizer(~locked)
            return
        count = Signal(range(POWER_ON), reset_less=True)
        with m.If(count != POWER_ON - 1):
            m.d.sync += count.eq(count + 1)
        m.d.comb += [ClockSignal().eq(self.clk), ResetSignal().eq(count != POWER_ON - 1)]


def top_verilog(machine, image, *, clocking=Clocking(), leds_low=True, baud=frames.BAUD, core=None):
    """A board's design as Verilog text, module ``top``. By default an iCEBreaker's. *core*: the
    text of `core_verilog`, where it is there already."""
    top = BoardTop(machine, image, clocking=clocking, leds_low=leds_low, baud=baud, cell=True)
    return converted(top, "top") + (core_verilog(machine, image) if core is None else core)


def linked_verilog(machine, image, divisor):
    """`LinkedCore` as Verilog text, module ``linked_core``, ports clk, rst, rx, tx, loaded."""
    linked = LinkedCore(machine, image, divisor=divisor, cell=True)
    return converted(linked, "linked_core") + core_verilog(machine, image)
