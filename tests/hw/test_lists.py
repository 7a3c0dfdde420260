"""The event lists beside naive ones, read while they are written."""

import random
from dataclasses import dataclass
from itertools import pairwise

import pytest
from benches import Pins, machine, simulate

from qsnn_hw.arch import WORD, Layer
from qsnn_hw.lists import EventLists


@dataclass(frozen=True)
class Sample:
    """What goes in, and the naive lists: ``lists[l][step]`` is [(index, value)], one step if
    direct. ``words`` are (layer, step, word) in the order of the neuron array."""

    beats: list
    words: list
    lists: list


def packed(spikes, count):
    """*count* words of *spikes*, spike 0 in the lowest bit of the first."""
    bits = sum(spike << i for i, spike in enumerate(spikes))
    return [bits >> WORD * i & (1 << WORD) - 1 for i in range(count)]


def random_train(rng, steps, size):
    density = rng.choice([0, 0.05, 0.3, 1])
    return [[int(rng.random() < density) for _ in range(size)] for _ in range(steps)]


def events(frame):
    return [(index, value) for index, value in enumerate(frame) if value]


def random_sample(rng, m):
    fan_in = m.layers[0].fan_in
    if m.coding == "direct":
        top = rng.choice([0, 1, (1 << m.input_bits) - 1])
        frames = [[rng.choice([0, top, rng.randint(0, top)]) for _ in range(fan_in)]]
        beats = frames[0]
    else:
        frames = random_train(rng, m.steps, fan_in)
        beats = [word for frame in frames for word in packed(frame, -(-fan_in // WORD))]
    lists, words = [[events(frame) for frame in frames]], []
    for number, layer in enumerate(m.layers[:-1]):
        train = random_train(rng, m.lists(number + 1), layer.neurons)
        lists.append([events(frame) for frame in train])
        for group in range(m.groups(number)):
            for step, frame in enumerate(train):
                mine = frame[group * m.lanes:(group + 1) * m.lanes]
                words += [(number, step, word) for word in packed(mine, m.lanes // WORD)]
    return Sample(beats, words, lists)


class Bench:
    """Drives samples in and reads complete lists meanwhile, a clock at a time."""

    def __init__(self, ctx, rst, dut, rng):
        self.ctx, self.m, self.rng = ctx, dut.machine, rng
        self.pins = Pins(ctx, dut, rst)
        self.clock, self.wanted = 0, {}
        self.start(None)

    def start(self, sample):
        self.sample, self.oldest, self.begun = sample, 0, None
        self.beats = list(sample.beats) if sample else []
        self.words = list(sample.words) if sample else []

    def is_direct(self, number):
        return number == 0 and self.m.coding == "direct"

    def done_before(self, number):
        """Lists that the encoder completes before the first of list *number*."""
        return (number - (self.m.coding == "direct")) * self.m.steps

    def complete(self):
        """(list, step) of those that can be read in this clock."""
        if self.begun is None or self.clock == self.begun:
            return []
        done = self.pins.get("lists_done")
        every = [(number, step) for number in range(self.oldest, len(self.sample.lists))
                 for step in range(len(self.sample.lists[number]))]
        return [(number, step) for number, step in every
                if (self.clock > self.begun + 1 if self.is_direct(number)
                    else done > self.done_before(number) + step)]

    def stimulus(self, busy):
        """The next beat, or the next word of the layer whose list is complete, or neither."""
        if self.rng.random() >= busy:
            return {}
        if self.beats:
            return {"beat_valid": 1, "beat": self.beats.pop(0)}
        if self.words:
            layer, step, word = self.words[0]
            steps = len(self.sample.lists[layer])
            same = len(self.sample.lists[layer + 1]) == steps       # else made of all of them
            if (layer, step if same else steps - 1) in self.complete():
                self.words.pop(0)
                self.oldest = layer                     # the one before it is overwritten
                return {"word_valid": 1, "word": word}
        return {}

    def read(self, number, step, at):
        """Ports that read entry *at*, and what they give a clock later."""
        entries = self.sample.lists[number][step]
        where = f"list {number} step {step}"
        fan_in = self.m.layers[number].fan_in
        wanted = {} if self.is_direct(number) else {"count": (len(entries), where)}
        if at < len(entries):
            index, value = entries[at]
            wanted |= {"index": (index, f"{where} entry {at}"),
                       "value": (value, f"{where} entry {at}")}
        return {"buffer": number % 2, "direct": int(self.is_direct(number)),
                "count_step": step, "list_address": step * fan_in + at}, wanted

    async def tick(self, ports, wanted):
        begins = ports.get("beat_valid", 0) and not self.beats
        noise = {"beat": 1, "word": 0xffff}
        self.pins.apply({"beat_valid": 0, "word_valid": 0} | noise | ports)
        self.expect({"begin": (int(begins), "last beat")} | self.wanted)
        if begins:
            self.begun = self.clock
        await self.ctx.tick()
        self.clock, self.wanted = self.clock + 1, wanted | self.arriving(ports)

    def arriving(self, ports):
        """A pixel on its way past the lists."""
        pixel = ports["beat"] if "beat_valid" in ports and self.m.coding == "direct" else 0
        if not pixel:
            return {"arriving": (0, "no pixel")}
        where = f"pixel {len(self.sample.beats) - len(self.beats) - 1}"
        return {"arriving": (1, where), "value": (pixel, where),
                "index": (len(self.sample.beats) - len(self.beats) - 1, where)}

    def expect(self, wanted):
        for name, (value, where) in wanted.items():
            got = self.pins.get(name)
            if got != value:
                pytest.fail(f"clock {self.clock}: {name} must be {value}, not {got}: {where}")

    async def step(self, busy):
        """One clock: what comes in, and a read of any list that is complete."""
        ports = self.stimulus(busy)
        known, wanted = self.complete(), {}
        if known:
            number, step = self.rng.choice(known)
            count = len(self.sample.lists[number][step])
            reads, wanted = self.read(number, step, self.rng.randrange(max(count, 1)))
            ports |= reads
        await self.tick(ports, wanted)

    async def run(self, sample, busy):
        self.start(sample)
        limit = self.clock + 400 + 60 * len(sample.words + sample.beats)
        total = sum(len(made) for number, made in enumerate(sample.lists)
                    if not self.is_direct(number))
        while self.beats or self.words or self.pins.get("lists_done") < total:
            assert self.clock < limit, f"clock {self.clock}: {self.pins.get('lists_done')} lists"
            await self.step(busy)
        for _ in range(2):
            await self.tick({}, {})
        self.check_sums()
        for number, step in self.complete():
            for at in range(max(len(sample.lists[number][step]), 1)):
                await self.tick(*self.read(number, step, at))
        await self.tick({}, {})

    def check_sums(self):
        if self.m.coding == "direct":
            values = [value for _, value in self.sample.lists[0][0]]
            self.expect({"direct_count": (len(values), "pixels"),
                         "direct_sum": (sum(values), "pixels")})

    async def reset_within(self, sample, count):
        """Reset *count* clocks into *sample*."""
        self.start(sample)
        for _ in range(count):
            await self.step(1)
        self.start(None)
        await self.tick({"rst": 1}, {})
        self.pins.set(rst=0)


def check(m, seed, *, resets=0):
    rng = random.Random(seed)
    dut = EventLists(m, index_bits=max(5, *((layer.fan_in - 1).bit_length() for layer in m.layers)),
                     list_bits=max(5, *((m.list_depth(i) - 1).bit_length() for i in range(2))))

    async def bench(ctx, rst):
        drive = Bench(ctx, rst, dut, rng)
        for _ in range(resets):
            await drive.reset_within(random_sample(rng, m), rng.randrange(1, 60))
        for busy in (1, 0.5, 0.1 if len(m.layers) < 3 else 1):
            await drive.run(random_sample(rng, m), busy)

    simulate(dut, bench)


def chain(*sizes, readout="count"):
    """Layers from one size to the next."""
    last = len(sizes) - 2
    return tuple(Layer(f"l{i}", a, b, 1, fires=readout == "count" or i < last)
                 for i, (a, b) in enumerate(pairwise(sizes)))


@pytest.mark.parametrize("coding", ["direct", "spikes"])
@pytest.mark.parametrize("steps", [1, 2, 5])
@pytest.mark.parametrize("sizes", [(1, 3), (17, 2), (2, 1, 3), (15, 16, 3), (33, 40, 3),
                                   (16, 17, 15, 2)])
def test_lists_equal_naive_lists(coding, steps, sizes):
    m = machine(coding=coding, steps=steps, layers=chain(*sizes), lanes=16,
                input_bits=4 if coding == "direct" else 1)
    check(m, f"{coding} {steps} {sizes}")


@pytest.mark.parametrize("coding", ["direct", "spikes"])
def test_wide_groups_of_several_words(coding):
    m = machine(coding=coding, steps=3, layers=chain(20, 70, 33, 4), lanes=32,
                input_bits=8 if coding == "direct" else 1, sum_bits=14)
    check(m, coding)


@pytest.mark.parametrize("coding", ["direct", "spikes"])
@pytest.mark.parametrize("sizes", [(9, 3), (9, 17, 3), (5, 9, 33, 3), (5, 9, 17, 18, 3)])
def test_a_potential_readout_has_one_list(coding, sizes):
    m = machine(coding=coding, steps=3, layers=chain(*sizes, readout="potential"), lanes=16,
                readout="potential", input_bits=2 if coding == "direct" else 1)
    check(m, f"{coding} {sizes}")


@pytest.mark.parametrize("coding", ["direct", "spikes"])
def test_reset_forgets_a_sample_half_in(coding):
    m = machine(coding=coding, steps=2, layers=chain(12, 20, 17, 4), lanes=16,
                input_bits=1)
    check(m, coding, resets=6)
