"""The sequencer beside the nested loop that it unrolls."""

import random
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from benches import Pins, compare_lists, machine, simulate
from schedule import schedule

from qsnn_hw.arch import Layer
from qsnn_hw.sequencer import Sequencer, job_layout

EVENT = "clock, buffer, direct, list address, row base, plane, counts"


@dataclass
class Sample:
    counts: list
    direct_sum: int
    fired_sum: int


@dataclass
class Seen:
    """What a sample showed, clock by clock; ``issued``: each event's clock, buffer, direct and
    address; ``bases``: row base, plane and ``counts`` in each clock."""

    lists_done: dict = field(default_factory=dict)
    issued: list = field(default_factory=list)
    bases: dict = field(default_factory=dict)
    transfers: list = field(default_factory=list)
    jobs: dict = field(default_factory=dict)


def random_sample(rng, m):
    def count(fan_in):
        return rng.choice([0, 1, fan_in, rng.randint(0, fan_in)])

    counts = [[count(layer.fan_in) for _ in range(m.steps)] for layer in m.layers]
    top = (1 << m.input_bits) - 1
    active = counts[0][0] if m.coding == "direct" else 0
    fired = sum(rng.randint(1, m.steps) for _ in range(counts[-1][0]))
    return Sample(counts, sum(rng.randint(1, top) for _ in range(active)), fired)


class Bench:
    """Stands for the lists (counts, and when each is complete) and the result's taker."""

    def __init__(self, ctx, rst, dut, rng):
        self.m, self.rng, self.ctx, self.pins = dut.machine, rng, ctx, Pins(ctx, dut, rst)
        self.clock, self.table, self.done = 0, {}, 0

    def plan(self, sample, transfers):
        """Lists in the order in which they complete, each with the transfers it waits for."""
        order, waits, issued = [], [], -1
        if self.m.coding == "spikes":
            order, waits = [(0, t) for t in range(self.m.steps)], [-1] * self.m.steps
        for number in range(len(self.m.layers) - 1):
            steps, groups = self.m.list_steps(number), self.m.groups(number)
            lists = self.m.lists(number + 1)
            for t in range(lists):
                order.append((number + 1, t))
                before = min(t, steps - 1) if lists == self.m.steps else steps - 1
                waits.append(issued + (groups - 1) * steps + before + 1)
            issued += groups * steps
        return order, waits

    async def tick(self, seen, **values):
        """One clock; counts follow the list that is asked for a clock later."""
        pins = self.pins
        pins.apply({"begin": 0, "finished": 0} | values | {"lists_done": self.done})
        wanted = (pins.get("buffer"), pins.get("count_step"))
        seen.lists_done[self.clock] = self.done
        seen.bases[self.clock] = tuple(
            pins.get(name) for name in ("row_base", "plane", "counts"))
        seen.jobs[self.clock] = pins.get("job")
        if pins.get("event"):
            seen.issued.append((self.clock, pins.get("buffer"), pins.get("direct"),
                                pins.get("list_address")))
        if pins.get("transfer"):
            seen.transfers.append(self.clock)
        await self.ctx.tick()
        self.clock += 1
        pins.apply({"count": self.table.get(wanted, 1)})

    async def run(self, sample, stop=None):
        """Run *sample* to its last transfer, or for *stop* clocks; its first clock, what was seen.
        """
        m, seen, begin = self.m, Seen(), self.clock
        order, waits = self.plan(sample, seen)
        total = sum(m.groups(i) * (m.list_steps(i) if layer.fires else 1)
                    for i, layer in enumerate(m.layers))
        if m.coding == "direct":
            self.pins.apply({"direct_count": sample.counts[0][0], "direct_sum": sample.direct_sum})
        assert self.pins.get("idle"), f"clock {self.clock}: not idle"
        await self.tick(seen, begin=1)
        self.done = 0
        self.pins.apply({"fired_sum": 1})
        while len(seen.transfers) < total and self.clock - begin != stop:
            assert self.clock - begin < 20_000, f"clock {self.clock}: {seen.transfers} of {total}"
            assert not self.pins.get("idle"), f"clock {self.clock}: idle in a sample"
            if (self.done < len(order) and len(seen.transfers) > waits[self.done]
                    and self.rng.random() < 0.3):
                number, step = order[self.done]
                self.table[number % 2, step] = sample.counts[number][step]
                self.done += 1
                if m.is_last(number):
                    self.pins.apply({"fired_sum": sample.fired_sum})
            await self.tick(seen)
        return begin, seen

    async def finish(self, last_transfer):
        """The result is taken sooner or later; idle once the last rotation is over."""
        seen = Seen()
        for _ in range(self.rng.choice([1, 3, 2 * self.m.rotation * self.m.steps])):
            assert not self.pins.get("idle"), f"clock {self.clock}: idle, no result taken"
            await self.tick(seen)
        await self.tick(seen, finished=1)
        taken = self.clock
        while not self.pins.get("idle"):
            assert self.clock < taken + 3 + self.m.rotation * self.m.steps
            await self.tick(seen)
        replays = self.m.replays(len(self.m.layers) - 1)
        assert self.clock >= last_transfer + self.m.rotation * replays
        assert not seen.issued and not seen.transfers


def check_sample(m, sample, begin, seen):
    events, transfers = schedule(m, sample, begin, seen.lists_done)
    if m.coding == "direct":
        assert seen.bases[begin + 1][:2] == (0, 0), "the last pixel meets its row of plane 0"
    got = [(*issued, *seen.bases.get(issued[0] + 1, (None,) * 3)) for issued in seen.issued]
    compare_lists(got, events, lambda i: f"event {i} ({EVENT})")
    compare_lists(seen.transfers, [clock for clock, _ in transfers],
                  lambda i: f"transfer {i} ({transfers[i:i + 1]}): clock")
    layout = job_layout(m)
    ends = [clock for clock, _ in transfers[1:]] + [max(seen.jobs)]
    for (clock, job), end in zip(transfers, ends, strict=True):
        for at in range(clock + 1, end + 1):
            got = layout.from_bits(seen.jobs[at])
            for name, value in job.items():
                assert got[name] == value, f"clock {at}: job.{name} must be {value}, not {got}"


def check(m, seed, *, samples=2, resets=0):
    rng = random.Random(seed)
    index_bits = max(5, *((layer.fan_in - 1).bit_length() for layer in m.layers))
    list_bits = max(5, *((m.list_depth(i) - 1).bit_length() for i in range(2)))
    dut = Sequencer(m, list_bits=list_bits, count_bits=index_bits + 1)

    async def bench(ctx, rst):
        drive = Bench(ctx, rst, dut, rng)
        for _ in range(resets):
            await drive.run(random_sample(rng, m), stop=rng.randrange(1, 80))
            await drive.tick(Seen(), rst=1)
            drive.pins.set(rst=0)
        for _ in range(samples):
            sample = random_sample(rng, m)
            begin, seen = await drive.run(sample)
            await drive.tick(seen)
            check_sample(m, sample, begin, seen)
            await drive.finish(seen.transfers[-1])

    simulate(dut, bench)


def random_machine(seed):
    rng = random.Random(f"machine {seed}")
    coding, readout = [(c, r) for c in ("direct", "spikes") for r in ("count", "potential")][
        seed % 4]
    count, steps = rng.randint(1, 3), rng.randint(1, 3)
    sizes = [rng.choice([1, 15, 16, 17]) for _ in range(count)] + [rng.choice([1, 8, 9, 17])]
    layers = tuple(Layer(f"l{i}", a, b, rng.choice([1, 1, 2, 4]),
                         fires=readout == "count" or i < count - 1)
                   for i, (a, b) in enumerate(pairwise(sizes)))
    input_bits = rng.choice([1, 4]) if coding == "direct" else 1
    most = max(layer.fan_in << layer.weight_bits - 1 for layer in layers) * steps
    return machine(coding=coding, readout=readout, steps=steps, layers=layers,
                   input_bits=input_bits, units=rng.choice([1, 2, 4]),
                   sum_bits=(most * (2**input_bits - 1)).bit_length())


@pytest.mark.parametrize("seed", range(32))
def test_schedule_equals_the_nested_loop(seed):
    check(random_machine(seed), seed)


@pytest.mark.parametrize("coding", ["direct", "spikes"])
@pytest.mark.parametrize("readout", ["count", "potential"])
def test_three_layers_of_every_weight_width(coding, readout):
    widths = [(17, 33, 8), (33, 1, 1), (1, 9, 2)]
    layers = tuple(Layer(f"l{i}", *shape, fires=readout == "count" or i < 2)
                   for i, shape in enumerate(widths))
    check(machine(coding=coding, readout=readout, layers=layers, sum_bits=16,
                  input_bits=4 if coding == "direct" else 1), readout, samples=1)


@pytest.mark.parametrize("coding", ["direct", "spikes"])
def test_reset_in_a_sample_starts_over(coding):
    layers = (Layer("a", 15, 17, 2), Layer("b", 17, 9, 1))
    check(machine(coding=coding, layers=layers, sum_bits=12,
                  input_bits=4 if coding == "direct" else 1), coding, resets=6)
