"""The lanes beside a list of sums."""

import random

import pytest
from benches import compare, play

from qsnn_hw.core.lanes import Lanes

ACC_BITS, X_BITS = 12, 4
MASK = (1 << ACC_BITS) - 1


class NaiveLanes:
    """Sums per lane. The row (or transfer) of a clock takes effect with the next clock's x. Behind
    the ring that a rotation goes round is whatever (None), until the next transfer."""

    def __init__(self, lanes, units, rings):
        self.lanes, self.units, self.rings = lanes, units, rings
        self.reset()

    def reset(self):
        self.sums = [0] * self.lanes
        self.shadow = None                  # whatever, until the first transfer
        self.pending = None

    def heads(self):
        return [None] * self.units if self.shadow is None else self.shadow[:self.units]

    def rotate(self, size):
        ring = self.shadow[:size]
        self.shadow = ring[self.units:] + ring[:self.units] + [None] * (self.lanes - size)

    def clock(self, *, row=0, valid=0, transfer=0, x=0, rotate=0, ring=0, rst=0):
        if rst:
            return self.reset()
        if self.pending == "transfer":
            self.shadow, self.sums = self.sums, [0] * self.lanes
        else:
            if rotate and self.shadow:
                self.rotate(self.rings[ring])
            if self.pending is not None:
                self.sums = [(total + x * (self.pending >> lane & 1)) & MASK
                             for lane, total in enumerate(self.sums)]
        self.pending = "transfer" if transfer else row if valid else None
        return None


def random_clocks(rng, lanes, units, count, resets):
    """Passes of rows with gaps, transfers with none to many rows between, resets anywhere."""
    clocks = []
    busy, turn = 0.5, 0.5
    for clock in range(count):
        if clock % 40 == 0:
            busy, turn = rng.choice([0, 0.5, 1]), rng.choice([0, 0.7, 1])
        transfer = rng.random() < units / (lanes + 8)
        clocks.append({
            "row": rng.choice([rng.getrandbits(lanes), rng.getrandbits(lanes), 0, -1 % 2**lanes]),
            "valid": int(not transfer and rng.random() < busy), "transfer": int(transfer),
            "x": rng.getrandbits(X_BITS), "rotate": int(rng.random() < turn),
            "rst": int(clock in resets)})
    return clocks


def expected(lanes, units, clocks, rings):
    model, heads = NaiveLanes(lanes, units, rings), []
    for clock in clocks:
        heads.append({f"heads[{i}]": value for i, value in enumerate(model.heads())})
        model.clock(**clock)
    return heads


def check(lanes, units, clocks, rings=None):
    dut = Lanes(lanes=lanes, units=units, acc_bits=ACC_BITS, x_bits=X_BITS, rings=rings)
    got = play(dut, clocks, ["heads"])
    for clock in got:                       # one entry a unit, to name the lane
        heads = clock.pop("heads")
        clock.update({f"heads[{i}]": heads >> ACC_BITS * i & MASK for i in range(units)})
    compare(got, expected(lanes, units, clocks, rings or (lanes,)))


@pytest.mark.parametrize("units", [1, 2, 4])
@pytest.mark.parametrize("lanes,count", [(16, 300), (32, 150), (64, 200)])
def test_lanes_equal_naive_sums(lanes, units, count):
    rng = random.Random(f"{lanes} {units}")
    check(lanes, units, random_clocks(rng, lanes, units, count, resets=()))


@pytest.mark.parametrize("length", [1, 3])
def test_reset_clears_sums_whenever_it_comes(length):
    rng = random.Random(length)
    resets = {at + i for at in rng.sample(range(10, 290), 12) for i in range(length)}
    check(16, 2, random_clocks(rng, 16, 2, 300, resets))


@pytest.mark.parametrize("lanes,units", [(16, 1), (32, 4), (64, 2)])
def test_a_rotation_passes_every_lane_and_returns(lanes, units):
    """Each lane's own sum, at its unit and slot, twice round, while the next group adds."""
    rng = random.Random(lanes)
    rows = [{"row": rng.getrandbits(lanes), "valid": 1, "x": 0} for _ in range(20)]
    for row in rows[1:]:
        row["x"] = rng.getrandbits(X_BITS)
    turns = [{"row": -1 % 2**lanes, "valid": 1, "x": 1, "rotate": 1}
             for _ in range(2 * lanes // units + 1)]
    check(lanes, units, [*rows, {"transfer": 1, "x": 5}, {}, *turns])


@pytest.mark.parametrize("lanes,units,rings", [
    (16, 1, (1, 16)), (16, 2, (2, 6, 16)), (32, 4, (16, 32)), (32, 2, (16,)),
    (64, 4, (16, 48, 64))])
def test_a_rotation_goes_round_its_ring(lanes, units, rings):
    rng, clocks = random.Random(f"{lanes} {units}"), []
    for ring in rng.choices(range(len(rings)), k=5):
        rows = [{"row": rng.getrandbits(lanes), "valid": 1, "x": rng.getrandbits(X_BITS)}
                for _ in range(6)]
        turns = [{"rotate": int(rng.random() < 0.8), "ring": ring}
                 for _ in range(4 * rings[ring] // units + 2)]
        clocks += [*rows, {"transfer": 1, "x": 1}, {}, *turns]
    check(lanes, units, clocks, rings)


def test_a_row_right_after_power_up_counts():
    row = {"row": 0x8001, "valid": 1, "x": 9}
    check(16, 1, [row, row, {"transfer": 1, "x": 9}, {}, *[{"rotate": 1}] * 17])


def test_transfers_back_to_back_empty_the_shadow():
    row, move = {"row": 0xffff, "valid": 1, "x": 3}, {"transfer": 1, "x": 3}
    check(16, 4, [row, row, move, move, {"rotate": 1}, {}, move, {}, {}])
