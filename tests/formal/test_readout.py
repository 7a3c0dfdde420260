"""The argmax: the highest score, the lowest class on a tie, and an answer that stays."""

import pytest
from amaranth.hdl import Assert, Mux, Signal, signed
from benches import dense, machine
from prover import Setting, bound, prove

from qsnn_hw.core.readout import Argmax


def with_classes(classes, **changes):
    """A machine that reads out so many."""
    layers = (dense("hidden", 3, 16, kind="list"), dense("out", 16, classes, source=0))
    return machine(layers=layers, **changes)


class Watched(Argmax):
    """An argmax whose index is the number of scores beside it, ``count``."""

    def _claim(self, m, index):
        super()._claim(m, index)
        m.d.comb += Assert(index == self.count)


class Scores:
    """An argmax, the number of classes it took since the last first one, and the score of any one
    class of them."""

    def __init__(self, m):
        self.machine, self.setting = m, Setting()
        self.dut = dut = self.setting.block(Watched(m))
        setting, classes = self.setting, m.parameters.classes
        self.count, self.score = Signal(range(classes + 1)), Signal(signed(m.arithmetic.score_bits))
        dut.count = self.count
        self.one = setting.fixed(range(max(classes, 2)), "class")
        place = Mux(dut.first, 0, self.count)
        setting.assume(self.one < classes, ~dut.valid | dut.first | (self.count != 0))
        with setting.m.If(dut.valid & (place != classes)):
            setting.m.d.sync += self.count.eq(place + 1)
        with setting.m.If(dut.valid & (place == self.one)):
            setting.m.d.sync += self.score.eq(dut.score)

    @property
    def there(self):
        """Whether the one class has its score."""
        return self.one < self.count


@pytest.mark.parametrize("classes", [1, 2, 3, 10])
def test_best_of_all_scores(classes):
    case = Scores(with_classes(classes))
    setting, best, one = case.setting, case.dut.result.payload, case.one
    ahead = (best.score > case.score) | ((best.score == case.score) & (best.index <= one))
    setting.claim(~case.there | ahead, (case.count == 0) | (best.index < case.count),
                  ~case.there | (best.index != one) | (best.score == case.score))
    prove(setting, 2)


@pytest.mark.parametrize("classes", [1, 3])
def test_answer_stays_until_taken(classes):
    case = Scores(with_classes(classes))
    setting, dut = case.setting, case.dut
    # samples never touch: no score comes before the answer is taken
    setting.assume(~(dut.valid & dut.result.valid))
    setting.claim(setting.holds(dut.result))
    prove(setting, 2)


@pytest.mark.parametrize("classes", [1, 2, 3])
def test_margin_is_that_of_the_next_best(classes):
    """Bounded: two samples of each number of classes."""
    case = Scores(with_classes(classes, exit_margin=3, order="step"))
    setting, dut, one = case.setting, case.dut, case.one
    answer = dut.result.payload
    complete = dut.valid & dut.last
    setting.assume(~complete | (Mux(dut.first, 0, case.count) == classes - 1),
                   ~(dut.valid & dut.result.valid), ~setting.past(complete) | ~dut.valid)
    lead = answer.score - case.score
    setting.claim(setting.holds(dut.result), ~dut.result.valid | (answer.index < classes),
                  ~(dut.result.valid & answer.settled) | (one == answer.index) | (lead >= 3),
                  ~dut.result.valid | (lead >= 0))
    bound(setting, 2 * classes + 5)
