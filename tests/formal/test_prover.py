"""The prover refuses what is false, and says which line of which block at which step."""

import pytest
from amaranth.hdl import Assert, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from prover import Setting, bound, prove


class Counter(wiring.Component):
    """Counts 0 .. 5 while ``go``; asserts of itself that it is never *never*."""

    count: Out(3)
    go: In(1)

    def __init__(self, never):
        self.never = never
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        with m.If(self.go):
            m.d.sync += self.count.eq(self.count + 1)
            with m.If(self.count == 5):
                m.d.sync += self.count.eq(0)
        if platform == "formal":
            m.d.comb += Assert(self.count != self.never)
        return m


def counter(never):
    setting = Setting()
    return setting, setting.block(Counter(never))


def test_false_assertion_in_the_block():
    setting, _ = counter(never=3)
    with pytest.raises(AssertionError, match=r"^test_prover.py:\d+ fails in step 3, in dut: m\.d"):
        bound(setting, 6)


def test_false_only_beyond_the_bound():
    setting, _ = counter(never=3)
    bound(setting, 3)


def test_false_claim():
    setting, dut = counter(never=7)
    setting.claim(dut.count < 5)
    with pytest.raises(AssertionError, match=r"fails in step 5, in the claims: setting.claim\("):
        prove(setting, 8)


def test_true_but_not_inductive():
    setting, _ = counter(never=7)           # 7 follows 6, which is never reached
    with pytest.raises(AssertionError, match=r"fails in induction, in dut: m\.d\.comb"):
        prove(setting, 1)


def test_true_for_ever():
    setting, dut = counter(never=7)
    setting.claim(dut.count < 6)
    prove(setting, 1)
