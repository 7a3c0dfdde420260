"""Bytes in, bytes out: a linked core as the host at the other end of the UART sees it.

The environment names a JSON file, LINK_EXCHANGES: ``divisor`` (clocks of a bit) and
``exchanges``, a list of [bytes to send, bytes that must come back], both in hexadecimal; null
instead of the bytes is a break.
"""

import json
import os
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, with_timeout
from cocotbext.uart import UartSink, UartSource

CLOCK_NS = 10
PATIENCE_US = 200           # of simulated time, for one reply: 20,000 clocks


class Host:
    """Driver of ``rx`` and monitor of ``tx``."""

    def __init__(self, dut, divisor):
        self.dut, self.divisor = dut, divisor
        baud = 1e9 / (CLOCK_NS * divisor)
        self.source = UartSource(dut.rx, baud=baud)
        self.sink = UartSink(dut.tx, baud=baud)

    async def start(self):
        """Start the clock and leave reset."""
        Clock(self.dut.clk, CLOCK_NS, unit="ns").start()
        self.dut.rst.value = 1
        await ClockCycles(self.dut.clk, 4)
        self.dut.rst.value = 0

    async def send_break(self):
        """Hold the line low for two bytes' time, then leave it idle for one."""
        self.dut.rx.value = 0
        await ClockCycles(self.dut.clk, 20 * self.divisor)
        self.dut.rx.value = 1
        await ClockCycles(self.dut.clk, 10 * self.divisor)

    async def exchange(self, sent, count):
        """Send bytes; the next *count* bytes that come back."""
        await self.source.write(sent)
        await self.source.wait()
        got = bytearray()
        while len(got) < count:
            await with_timeout(self.sink.wait(), PATIENCE_US, "us")
            got += self.sink.read_nowait()
        return bytes(got)


@cocotb.test()
async def replies_as_expected(dut):
    """Each exchange gives exactly its reply, and nothing more follows the last."""
    plan = json.loads(Path(os.environ["LINK_EXCHANGES"]).read_text())
    host = Host(dut, plan["divisor"])
    await host.start()
    for number, (sent, expected) in enumerate(plan["exchanges"]):
        if sent is None:
            await host.send_break()
            continue
        got = await host.exchange(bytes.fromhex(sent), len(expected) // 2)
        assert got.hex() == expected, f"exchange {number}: sent {sent[:16]}..."
    await ClockCycles(dut.clk, 30 * host.divisor)
    assert host.sink.empty()
