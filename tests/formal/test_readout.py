"""The argmax: the highest score, the lowest class on a tie, and an answer that stays."""

import pytest
from amaranth.hdl import Assert, Mux, Signal, signed
from prover import Setting, bound, prove

from qsnn_hw.core.readout import Argmax

SCORE_BITS = 6


class Watched(Argmax):
    """An argmax whose index is the number of scores beside it, ``count``."""

    def _claim(self, m, index):
        super()._claim(m, index)
        m.d.comb += Assert(index == self.count)


class Scores:
    """An argmax, the number of classes it took since the last first one, and the score of any one
    class of them."""

    def __init__(self, classes, **mode):
        self.setting = setting = Setting()
        self.dut = dut = setting.block(Watched(classes=classes, score_bits=SCORE_BITS, **mode))
        self.count, self.score = Signal(range(classes + 1)), Signal(signed(SCORE_BITS))
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
    case = Scores(classes)
    setting, best, one = case.setting, case.dut.result.payload, case.one
    ahead = (best.score > case.score) | ((best.score == case.score) & (best.index <= one))
    setting.claim(~case.there | ahead, (case.count == 0) | (best.index < case.count),
                  ~case.there | (best.index != one) | (best.score == case.score))
    prove(setting, 2)


@pytest.mark.parametrize("classes", [1, 3])
def test_answer_stays_until_taken(classes):
    case = Scores(classes)
    setting, dut = case.setting, case.dut
    # samples never touch: no score comes before the answer is taken
    setting.assume(~(dut.valid & dut.result.valid))
    setting.claim(setting.holds(dut.result))
    prove(setting, 2)


@pytest.mark.parametrize("classes", [1, 2, 3])
def test_margin_is_that_of_the_next_best(classes):
    """Bounded: two samples of each number of classes."""
    case = Scores(classes, exit_margin=3)
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
