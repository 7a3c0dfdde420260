"""Argmax and potential score beside Python's ``max`` and ``g · I + b``."""

import random

import pytest
from benches import Pins, compare, machine, play, signed_width, simulate

from qsnn_hw.arch import READOUT_FIELDS, Field, Layer
from qsnn_hw.readout import Argmax, PotentialScore

SCORE_BITS = 6
LEAST, MOST = -(1 << SCORE_BITS - 1), (1 << SCORE_BITS - 1) - 1


# -- argmax ---------------------------------------------------------------------------------------

def argmax(classes):
    return Argmax(machine(layers=(Layer("out", 3, classes, 1),), score_bits=SCORE_BITS))


def scores_of(rng, classes):
    """Ties, all equal, all negative, extremes, and any."""
    few = rng.sample(range(LEAST, MOST + 1), 2)
    pools = [few, [rng.choice([LEAST, MOST, -1, 0])], range(LEAST, 0), [LEAST, MOST],
             range(LEAST, MOST + 1)]
    pool = rng.choice(pools)
    return [rng.choice(pool) for _ in range(classes)]


def clocks_of(rng, scores, beyond, gap):
    """A score a clock with noise between; *beyond* more behind the last class."""
    clocks, count = [], len(scores) + beyond
    extra = [rng.choice([MOST, LEAST, 0]) for _ in range(beyond)]
    for i, score in enumerate([*scores, *extra]):
        while rng.random() < gap:
            clocks.append({"valid": 0, "score": rng.randint(LEAST, MOST)})
        clocks.append({"valid": 1, "score": score, "first": int(i == 0),
                       "last": int(i == count - 1)})
    return clocks


def run(dut, samples, waits):
    """(index, score) of each sample, taken after *waits* clocks of back-pressure."""
    results = []

    async def bench(ctx, rst):
        pins = Pins(ctx, dut)
        for number, (clocks, wait) in enumerate(zip(samples, waits, strict=True)):
            for clock in clocks:
                pins.clear_others(clock)
                pins.apply(clock)
                assert not pins.get("result.valid"), f"sample {number}: result before its last"
                await ctx.tick()
            pins.clear_others(())
            held = [ctx.get(dut.result.payload)]
            for _ in range(wait):
                assert pins.get("result.valid"), f"sample {number}: result not held"
                held.append(ctx.get(dut.result.payload))
                await ctx.tick()
            assert len({(h.index, h.score) for h in held}) == 1, f"sample {number}: {held}"
            pins.apply({"result.ready": 1})
            assert pins.get("result.valid"), f"sample {number}: no result"
            results.append((held[0].index, held[0].score))
            await ctx.tick()

    simulate(dut, bench)
    return results


@pytest.mark.parametrize("classes", [1, 2, 3, 4, 5, 7, 8, 9, 10, 15, 16, 17])
def test_argmax_is_the_lowest_index_of_the_highest_score(classes):
    rng = random.Random(classes)
    scores = [scores_of(rng, classes) for _ in range(25)]
    samples = [clocks_of(rng, s, rng.choice([0, 0, 1, 3]), rng.choice([0, 0.4])) for s in scores]
    got = run(argmax(classes), samples, [rng.choice([0, 1, 6]) for _ in scores])
    for number, (have, sample) in enumerate(zip(got, scores, strict=True)):
        want = (sample.index(max(sample)), max(sample))
        assert have == want, f"sample {number}: {sample} gives {want}, not {have}"


# -- potential ------------------------------------------------------------------------------------

def score_fields(rng, stored, rows):
    """Fields for *rows* of (flip, gain, bias): stored ones narrow, others what row 0 has."""
    fields = []
    for name, column in zip(READOUT_FIELDS, zip(*rows, strict=True), strict=True):
        if name not in stored:
            fields.append(Field(name, 0, constant=column[0]))
        elif min(column) < 0:
            fields.append(Field(name, signed_width(*column), signed=True))
        else:
            fields.append(Field(name, max(max(column).bit_length(), 1)))
    return tuple(fields)


def random_rows(rng, stored, count, currents):
    rows = []
    for _ in range(count):
        flip, gain, bias = rng.randint(0, 1), rng.randint(0, 200), rng.randint(-5000, 5000)
        rows.append([flip, gain, bias + flip * gain])
    for column, name in enumerate(READOUT_FIELDS):
        if name not in stored:
            for row in rows:
                row[column] = rows[0][column]
    return rows, [rng.randint(*currents) for _ in range(count)]


@pytest.mark.parametrize("stored", [(), ("flip",), ("gain",), ("bias",), READOUT_FIELDS])
@pytest.mark.parametrize("seed", range(4))
def test_score_is_gain_times_current_plus_bias(stored, seed):
    rng = random.Random(f"{stored} {seed}")
    limit = 2 ** rng.randint(1, 9)
    rows, currents = random_rows(rng, stored, 40, (-limit, limit - 1))
    wanted = [gain * (-i if flip else i) + (bias - flip * gain)     # bias holds b + flip · g
              for (flip, gain, bias), i in zip(rows, currents, strict=True)]
    dut = PotentialScore(machine(
        readout="potential", readout_fields=score_fields(rng, stored, rows),
        current_bits=signed_width(-limit, limit - 1), score_bits=signed_width(*wanted)))
    offsets = {name: clock for name, clock in (("flip", 0), ("gain", 0), ("bias", 2))
               if name in stored} | {"current": 0}
    clocks = [{name: rng.getrandbits(len(getattr(dut, name))) for name in offsets}
              for _ in range(len(rows) + 3)]
    for start, (row, current) in enumerate(zip(rows, currents, strict=True)):
        values = dict(zip(READOUT_FIELDS, row, strict=True)) | {"current": current}
        for name, offset in offsets.items():
            clocks[start + offset][name] = values[name]
    expected = [{}] * 3 + [{"score": score} for score in wanted]
    compare(play(dut, clocks, ["score"]), expected)
