"""The clock of a build: the board's table's, asked for, or chosen from what was placed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from qsnn_compile.chips.targets import Board, TargetError
from qsnn_compile.system.errors import DoesNotFit

from .tools import SEEDS, Implementation

MARGIN = 0.05           # of Fmax over a chosen clock, at least: a PLL's edges waver
SPARE = 1 + MARGIN
FIRST = SEEDS[:2]       # placed to choose a clock by: two run side by side
ROUNDS = 3              # placements for a chosen clock, at most

Source = Literal["board's table", "asked", "placed"]
Place = Callable[[float, Sequence[int]], Implementation]    # for a clock, with these seeds


@dataclass(frozen=True)
class Round:
    """A design placed for ``clock_mhz``."""

    clock_mhz: float
    made: Implementation


@dataclass(frozen=True)
class Clocked:
    """How a build's clock came about: the MHz that were ``asked``, if any, and the placements, of
    which the last one is the bitstream's; none without one."""

    asked: float | None = None
    rounds: tuple[Round, ...] = ()

    @property
    def source(self) -> Source:
        """Where the clock is from."""
        if self.asked is not None:
            return "asked"
        return "placed" if len(self.rounds) > 1 else "board's table"

    @property
    def made(self) -> Implementation | None:
        """What the bitstream is made of."""
        return self.rounds[-1].made if self.rounds else None

    @property
    def margin(self) -> float | None:
        """By how much the bitstream's seed is faster than its clock: 0.05 is 5 %."""
        return self.made.best_mhz / self.rounds[-1].clock_mhz - 1 if self.made else None


NOT_PLACED = Clocked()


def steps(board: Board) -> list[float]:
    """Every clock that *board* can run the core at, MHz, ascending."""
    from qsnn_hw.boards.top import Clocking
    return list(Clocking(board.clock_mhz, board.oscillator_mhz, board.pll).steps())


def clock_of(board: Board, asked: float | None) -> float:
    """The fastest clock of *board* that is not above what was *asked*, or else its table's. Raises
    TargetError."""
    every, mhz = steps(board), board.clock_mhz if asked is None else asked
    if not every[0] <= mhz <= every[-1]:
        there = f"{every[0]:g} to {every[-1]:g}" if len(every) > 1 else f"{every[0]:g}"
        raise TargetError(f"--clock must be {there} MHz on {board.name}, not {mhz!r}; leave it out "
                          "for the fastest that is reached")
    return _fastest(every, mhz)


def settle(board: Board, asked: float | None, place: Place) -> list[Round]:
    """Placements of which the last one reaches its clock.

    What was *asked*, or the only clock that *board* has, is placed once. Else the first one is for
    the board's table, and each of the others for the fastest clock that leaves MARGIN to the median
    of the one before. Raises DoesNotFit where no clock is reached.
    """
    every, clock = steps(board), clock_of(board, asked)
    if asked is not None or len(every) == 1:
        why = f"{board.name}'s only clock" if asked is None else f"as --clock {asked:g} asks"
        last = Round(clock, place(clock, SEEDS))
        if last.made.best_mhz >= clock:
            return [last]
        raise DoesNotFit(_missed(every, last, why, "lower --clock to"))
    rounds = [_first(clock, place)]
    for _ in range(ROUNDS):
        clock = _chosen(board, every, rounds[-1])
        rounds.append(Round(clock, place(clock, SEEDS)))
        if rounds[-1].made.best_mhz / SPARE >= clock:
            return rounds
    raise DoesNotFit(_missed(every, rounds[-1], f"with {MARGIN:.0%} to spare, the slowest of "
                             f"{ROUNDS} tries", "use --clock"))


def _first(clock: float, place: Place) -> Round:
    try:
        return Round(clock, place(clock, FIRST))
    except DoesNotFit:                      # another seed may find a placement
        return Round(clock, place(clock, SEEDS))


def _chosen(board: Board, every: list[float], last: Round) -> float:
    """The fastest clock that leaves MARGIN to the median of the *last* placement."""
    limit = last.made.fmax_mhz / SPARE
    if limit >= every[0]:
        return _fastest(every, limit)
    why = f"{board.name}'s slowest clock, with {MARGIN:.0%} to spare"
    raise DoesNotFit(_missed(every, Round(every[0], last.made), why, "use --clock"))


def _missed(every: list[float], last: Round, why: str, cure: str) -> str:
    reached = last.made.best_mhz
    slower = f"{cure} {_fastest(every, reached):g}, or " if every[0] <= reached else ""
    return (f"the placed design must reach {last.clock_mhz:g} MHz, {why}, not {reached:.2f} MHz; "
            f"{slower}use fewer --lanes")


def _fastest(every: list[float], mhz: float) -> float:
    return max(step for step in every if step <= mhz)
