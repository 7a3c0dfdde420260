"""The smallest bench: a counter counts. It shows that a simulator is set up."""

import os

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge


@cocotb.test()
async def counts(dut):
    """After n clocks the counter holds n; the environment says which n."""
    Clock(dut.clk, 10, unit="ns").start()
    await RisingEdge(dut.clk)
    before = int(dut.count.value)
    clocks = int(os.environ.get("CLOCKS", "5"))
    for _ in range(clocks):
        await RisingEdge(dut.clk)
    assert int(dut.count.value) - before == clocks + int(os.environ.get("WRONG", "0"))
