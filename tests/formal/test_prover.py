"""The prover refuses what is false, and says which line of which block at which step."""

import pytest
from amaranth.hdl import Assert, Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from prover import Setting, bound, prove


class Counter(wiring.Component):
    """Counts 0 .. 5; ``late`` is 1 from the third clock on."""

    count: Out(3)
    go: In(1)

    def elaborate(self, platform):
        m = Module()
        with m.If(self.go):
            m.d.sync += self.count.eq(self.count + 1)
            with m.If(self.count == 5):
                m.d.sync += self.count.eq(0)
        if platform == "formal":
            m.d.comb += Assert(self.count != 3)     # false
        return m


def test_false_assertion_in_the_block():
    setting = Setting()
    setting.block(Counter())
    with pytest.raises(AssertionError, match=r"^test_prover.py:\d+ fails at step 3, in dut: .*!= 3"):
        bound(setting, 6)
