"""The walker asks for words and weight rows that are there, whenever it may go on."""

import pytest
from benches import dense, entries, timing
from prover import Setting, bound

from qsnn_hw.core.walker import Walker
from qsnn_hw.machine.memories import programs

CLOCKS = 36


def core(kind, **changes):
    """20 neurons take two groups, and two words of the readout."""
    layers = (dense("a", 5 if kind != "spikes" else 40, 20, kind=kind),
              dense("out", 20, 3, source=0))
    return timing(layers=layers, coding="spikes" if kind == "spikes" else "direct", **changes)


CORES = {"list": core("list"), "values": core("values"),
         "spikes": core("spikes", steps=3, columns=2), "step by step": core("spikes", order="step")}


@pytest.mark.parametrize("when", CORES.values(), ids=list(CORES))
def test_requests_are_in_range(when):
    """Bounded: CLOCKS clocks from power-up."""
    setting, m = Setting(), when.layout
    dut = setting.block(Walker(when, entries(programs(m), "bank0.walker")))
    setting.assume(dut.list_count <= m.value_words)
    if m.parameters.lists:                             # the list is complete when it is read
        setting.assume(setting.first | (dut.list_count == setting.past(dut.list_count)))
    bound(setting, CLOCKS)
