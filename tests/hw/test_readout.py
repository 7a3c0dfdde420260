"""Argmax, potential score and the whole readout beside Python's ``max``, ``g · I + b`` and sums."""

import random

import pytest
from benches import FIELDS, Pins, compare, dense, machine, play, signed_width, simulate

from qsnn_hw.core.readout import Argmax, PotentialScore, Readout
from qsnn_hw.machine.arch import Image
from qsnn_hw.machine.fields import READOUT_FIELDS, Field
from qsnn_hw.machine.memories import inventory, within
from qsnn_hw.machine.parameters import Arithmetic

SCORE_BITS = 6
LEAST, MOST = -(1 << SCORE_BITS - 1), (1 << SCORE_BITS - 1) - 1


# -- argmax ---------------------------------------------------------------------------------------

def argmax(classes):
    return Argmax(classes=classes, score_bits=SCORE_BITS)


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
    dut = PotentialScore(score_fields(rng, stored, rows), score_bits=signed_width(*wanted),
                         current_bits=signed_width(-limit, limit - 1))
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


# -- the whole readout ----------------------------------------------------------------------------

CURRENT = 100                           # -CURRENT .. CURRENT
JOB_FLAGS = ("start", "opening", "final", "settled")


def readout(rng, classes, *, readout, steps, banks=1, order="layer", units=2, kind="spikes"):
    """A readout, its machine, and (flip, gain, bias) of each class."""
    rows, _ = random_rows(rng, READOUT_FIELDS, classes, (0, 0))
    m = machine(
        layers=(dense("out", 3, classes, kind=kind, banks=banks, fires=readout == "count"),),
        coding="direct" if kind == "list" else "spikes", readout=readout, steps=steps, banks=banks,
        order=order, units=units, arithmetic=Arithmetic(
            current_bits=signed_width(-CURRENT, CURRENT), score_bits=21, neuron_fields=FIELDS,
            readout_fields=score_fields(rng, READOUT_FIELDS, rows) if readout == "potential"
            else ()))
    used, groups = m.layout.used_slots[0], m.layout.groups[0]
    stored = [rows[c] if c < classes else (0, 0, 0) for c in range(groups * used)]
    tables = dict(zip(READOUT_FIELDS, zip(*stored, strict=True), strict=True))
    memories = inventory(m, Image(readout=tables))
    return Readout(m.timing, within(memories, "readout")), m, rows


def rotations(m):
    """Jobs of a sample in order, each with its group, its step and the step of its replay."""
    every = range(m.parameters.steps)
    turns = [(group, step, 0) for group in range(m.layout.groups[0]) for step in every]
    if m.parameters.order == "step":
        turns.sort(key=lambda turn: turn[1])
    elif m.parameters.readout == "potential":
        turns = [(group, m.parameters.steps - 1, 0) for group in range(m.layout.groups[0])]
    elif m.timing.replays[0] > 1:
        turns = [(group, 0, replay) for group in range(m.layout.groups[0]) for replay in every]
    for group, step, replay in turns:
        first = step == 0 or (m.parameters.readout == "potential" and m.parameters.order == "layer")
        job = {"slot": group * m.layout.used_slots[0], "start": first, "opening": group == 0,
               "final": group == m.layout.groups[0] - 1,
               "settled": m.timing.replays[0] > 1 or step == m.parameters.steps - 1}
        yield group, job, replay


class SlotBench:
    """The clocks of a readout: slots with what follows each of them clocks later."""

    def __init__(self, rng, m):
        self.rng, self.machine, self.clocks = rng, m, []
        self.last = 0                   # the slot of the last class

    def at(self, clock):
        while len(self.clocks) <= clock:
            self.clocks.append(self.noise())
        return self.clocks[clock]

    def noise(self):
        """What nobody looks at in a clock without a slot."""
        bits, rng = self.machine.arithmetic.current_bits, self.rng
        return {"slots.valid": 0, "slots.payload.last_layer": 1, "spike": rng.getrandbits(1),
                "currents": rng.getrandbits(bits * self.machine.parameters.banks)}

    def slot(self, clock, job, slot, replay, last_layer, currents, spike):
        bits = self.machine.arithmetic.current_bits
        shown = {"number": slot, "step": replay, "last_layer": last_layer,
                 **{f"job.{name}": int(value) for name, value in job.items()}}
        self.at(clock).update({"slots.valid": 1} | {
            f"slots.payload.{name}": value for name, value in shown.items()})
        self.at(clock + 1)["currents"] = sum(
            (value & (1 << bits) - 1) << bits * i for i, value in enumerate(currents))
        self.at(clock + self.machine.timing.spike_clock)["spike"] = spike


def sample_of(bench, m, rows, other):
    """The clocks of a sample, gaps between its rotations, those of an *other* layer among them;
    what its scores must be."""
    parameters, layout = m.parameters, m.layout
    rng, clock, totals = bench.rng, 1, [0] * parameters.classes
    for group, job, replay in rotations(m):
        clock += rng.choice([0, 0, 1, 5]) + max(0, m.timing.unit_latency - layout.used_slots[0])
        for last_layer in [0] * (other and rng.random() < 0.3) + [1]:
            for slot in range(layout.used_slots[0]):
                currents = [rng.randint(-CURRENT // parameters.banks, CURRENT // parameters.banks)
                            for _ in range(parameters.banks)]
                spike, number = rng.getrandbits(1), group * layout.used_slots[0] + slot
                bench.slot(clock, job, slot, replay, last_layer, currents, spike)
                if last_layer and number < parameters.classes:
                    bench.last = clock
                    totals[number] += spike if parameters.readout == "count" else sum(currents)
                clock += 1
    if parameters.readout == "count":
        return totals
    return [gain * (-total if flip else total) + bias - flip * gain
            for total, (flip, gain, bias) in zip(totals, rows, strict=True)]


async def take(ctx, pins, bench, wait):
    """The result of a sample: it must come, and stay until it is taken."""
    for number, clock in enumerate(bench.clocks):
        pins.clear_others(clock)
        pins.apply(clock)
        assert number > bench.last or not pins.get("result.valid"), "result before its last class"
        await ctx.tick()
    pins.clear_others(())
    for _ in range(12):
        if pins.get("result.valid"):
            break
        await ctx.tick()
    await ctx.tick().repeat(wait + 1)
    assert pins.get("result.valid"), "no result"
    payload = ctx.get(pins._dut.result.payload)
    pins.set(**{"result.ready": 1})
    await ctx.tick()
    pins.set(**{"result.ready": 0})
    return payload.index, payload.score


def check_readout(seed, classes, samples=6, other=True, **shape):
    rng = random.Random(f"{seed} {classes} {shape}")
    dut, m, rows = readout(rng, classes, **shape)

    async def run_samples(ctx, rst):
        pins = Pins(ctx, dut)
        for number in range(samples):
            bench = SlotBench(rng, m)
            scores = sample_of(bench, m, rows, other)
            seen = await take(ctx, pins, bench, rng.choice([0, 0, 7]))
            want = (scores.index(max(scores)), max(scores))
            assert seen == want, f"sample {number}: {scores} gives {want}, not {seen}"

    simulate(dut, run_samples)


CLASSES = [1, 7, 8, 9, 17]              # in slots of 8


@pytest.mark.parametrize("classes", CLASSES)
@pytest.mark.parametrize("steps,kind,order", [
    (1, "spikes", "layer"), (3, "spikes", "layer"), (4, "list", "layer"), (3, "spikes", "step")])
def test_counts_are_sums_of_spikes(classes, steps, kind, order):
    check_readout(0, classes, readout="count", steps=steps, kind=kind, order=order)


@pytest.mark.parametrize("classes", CLASSES)
@pytest.mark.parametrize("banks,order,steps", [
    (1, "layer", 3), (2, "layer", 1), (4, "layer", 2), (1, "step", 3), (2, "step", 2)])
def test_potentials_are_sums_of_all_banks_and_steps(classes, banks, order, steps):
    if banks > 1 and classes > 8:
        classes = 8                     # banks share a readout of one group
    check_readout(1, classes, readout="potential", steps=steps, banks=banks, order=order)


@pytest.mark.parametrize("units", [1, 2, 4])
@pytest.mark.parametrize("kind", ["count", "potential"])
def test_a_class_a_slot_whatever_the_units(units, kind):
    check_readout(2, 16 // units + 1, readout=kind, steps=2, units=units)
