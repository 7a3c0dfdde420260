"""The word queue beside a list, the spike encoder beside lists of spikes."""

import random
from dataclasses import dataclass
from itertools import pairwise

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from benches import Pins, compare, compare_lists, play, simulate

from qsnn_hw.arch import WORD
from qsnn_hw.events import SpikeEncoder, WordQueue

FULL = (1 << WORD) - 1


# -- queue ----------------------------------------------------------------------------------------

def queue_clocks(rng, depth, count):
    """Bursts of pushes to full, drains, both at once; takes only a head that is there."""
    clocks, expected, words, have = [], [], [], False
    filling = True
    for _ in range(count):
        filling = filling if rng.random() < 0.9 else rng.random() < 0.5
        push = len(words) < depth and (filling or rng.random() < 0.3)
        take = have and (not filling or rng.random() < 0.2)
        data = rng.getrandbits(WORD)
        clocks.append({"data": data, "push": int(push), "take": int(take)})
        expected.append({"have": int(have), "head": words[0] if have else None})
        have = bool(words) and not take
        words = words[1:] if take else words
        words = [*words, data] if push else words
    return clocks, expected


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5, 16, 17])
def test_queue_equals_a_list(depth):
    clocks, expected = queue_clocks(random.Random(depth), depth, 400)
    compare(play(WordQueue(depth=depth), clocks, ["have", "head"]), expected)


# -- encoder --------------------------------------------------------------------------------------

class QueuedEncoder(wiring.Component):
    """The encoder behind its queue, joined as `EventLists` does."""

    TOLD = ("words", "groups", "last", "stride", "restart")
    SHOWN = ("entry_valid", "entry_address", "entry", "counted", "count_step", "count",
             "layer_done", "done")

    def __init__(self, *, depth, **sizes):
        self.queue, self.encoder = WordQueue(depth=depth), SpikeEncoder(**sizes)
        shapes = {name: getattr(self.encoder, name).shape() for name in self.TOLD + self.SHOWN}
        super().__init__({"data": In(WORD), "push": In(1),
                          **{name: In(shapes[name]) for name in self.TOLD},
                          **{name: Out(shapes[name]) for name in self.SHOWN}})

    def elaborate(self, platform):
        m = Module()
        m.submodules.queue, m.submodules.encoder = queue, encoder = self.queue, self.encoder
        m.d.comb += [queue.data.eq(self.data), queue.push.eq(self.push),
                     encoder.head.eq(queue.head), encoder.have.eq(queue.have),
                     queue.take.eq(encoder.take)]
        m.d.comb += [getattr(encoder, name).eq(getattr(self, name)) for name in self.TOLD]
        m.d.comb += [getattr(self, name).eq(getattr(encoder, name)) for name in self.SHOWN]
        return m


@dataclass(frozen=True)
class Job:
    """A layer's words, ``blocks[group][step][word]``."""

    words: int
    groups: int
    blocks: list

    @property
    def told(self):
        return {"words": self.words, "groups": self.groups, "last": len(self.blocks[0]) - 1,
                "stride": self.groups * self.words * WORD}

    @property
    def stream(self):
        return [word for group in self.blocks for step in group for word in step]


IDLE = {"words": 1, "groups": 0, "last": 0, "stride": 0}     # behind the last job


def random_job(rng, steps, words, groups):
    kinds = rng.choice([(0,), (FULL,), (0, 1 << rng.randrange(WORD)), (0, FULL, None), (None,)])

    def word():
        kind = rng.choice(kinds)
        return rng.getrandbits(WORD) & rng.getrandbits(WORD) if kind is None else kind

    return Job(words, groups, [[[word() for _ in range(words)] for _ in range(steps)]
                               for _ in range(groups)])


def naive_entries(job):
    """(address, entry) in the order of the words, the lowest spike first."""
    entries, filled = [], [0] * len(job.blocks[0])
    for group, steps in enumerate(job.blocks):
        for step, words in enumerate(steps):
            spikes = [i * WORD + bit for i, word in enumerate(words)
                      for bit in range(WORD) if word >> bit & 1]
            for spike in spikes:
                entries.append((step * job.told["stride"] + filled[step],
                                group * job.words * WORD + spike))
                filled[step] += 1
    return entries


def naive_counts(job):
    """(step, spikes so far) behind each block."""
    counts, filled = [], [0] * len(job.blocks[0])
    for steps in job.blocks:
        for step, words in enumerate(steps):
            filled[step] += sum(word.bit_count() for word in words)
            counts.append((step, filled[step]))
    return counts


def pushes(rng, kind):
    """For each clock whether the next word may come in it."""
    while True:
        length, push = rng.randrange(1, 30), kind == "burst" or rng.random() < 0.5
        for _ in range(length):
            yield push and (kind != "sparse" or rng.random() < 0.1)


def encode(jobs, may_push, abandoned=(), wait=4):
    """The encoder's ports in each clock from the third after a restart on, which comes *wait*
    clocks behind the last of the *abandoned* words; until then entries of those may come out."""
    words = [word for job in jobs for word in job.stream]
    steps = max(len(job.blocks[0]) for job in jobs)
    dut = QueuedEncoder(steps=steps, index_bits=8, address_bits=11, max_words=4,
                        max_groups=3, jobs=len(jobs), depth=len(words))
    seen, limit = [], 60 * len(words) + 200

    async def bench(ctx, rst):
        pins, todo = Pins(ctx, dut), list(jobs)
        pins.apply(jobs[-1].told)
        for word in abandoned:
            pins.set(data=word, push=1)
            await ctx.tick()
        pins.set(push=0)
        await ctx.tick().repeat(wait)
        clock = 0
        while todo or not seen or seen[-1]["layer_done"]:
            if len(seen) > limit:
                pytest.fail(f"clock {len(seen)}: {len(todo)} layers not done")
            push = bool(words) and next(may_push)
            pins.set(restart=int(clock == 0), push=int(push),
                     data=words.pop(0) if push else 0x5a5a)
            if clock > 2:
                seen.append({name: pins.get(name) for name in dut.SHOWN})
            clock += 1
            await ctx.tick()
            if seen and seen[-1]["layer_done"]:
                todo.pop(0)
            pins.apply(todo[0].told if todo else IDLE)

    simulate(dut, bench)
    return seen


def check_job(job, spans, name):
    """Entries and counts of one job, in order; the clocks of the counts that complete a list."""
    entries = [(ports["entry_address"], ports["entry"]) for _, ports in spans
               if ports["entry_valid"]]
    compare_lists(entries, naive_entries(job), lambda i: f"{name}: entry {i} (at, index)")
    counts = [(ports["count_step"], ports["count"]) for _, ports in spans if ports["counted"]]
    compare_lists(counts, naive_counts(job), lambda i: f"{name}: count {i} (step, spikes)")
    return [clock for clock, ports in spans if ports["counted"]][-len(job.blocks[0]):]


def check(jobs, seen):
    """Every job, and that ``done`` rises behind each last count of a step: no entry is late."""
    clocked = list(enumerate(seen))
    ends = [-1, *(clock for clock, ports in clocked if ports["layer_done"])]
    rises = [clock for number, (job, (before, end)) in enumerate(
                 zip(jobs, pairwise(ends), strict=True))
             for clock in check_job(job, clocked[before + 1:end + 1], f"job {number}")]
    done = [{"done": sum(rise < clock for rise in rises)} for clock in range(1, len(seen))]
    compare([{}, *seen[1:]], [{}, *done])


@pytest.mark.parametrize("steps", [1, 2, 4, 5])
@pytest.mark.parametrize("words", [1, 2, 4])
def test_lists_equal_naive_lists(steps, words):
    rng = random.Random(f"{steps} {words}")
    for groups in (1, 2, 3):
        other = random_job(rng, rng.randint(1, steps), rng.choice([1, 2, 4]), rng.randint(1, 3))
        jobs = [random_job(rng, steps, words, groups), other]
        kind = rng.choice(["burst", "gaps", "sparse"])
        check(jobs, encode(jobs, pushes(rng, kind)))


@pytest.mark.parametrize("steps", [1, 2, 5])
@pytest.mark.parametrize("word", [0, 1, 1 << 15, 3, FULL])
def test_shortest_blocks_back_to_back(steps, word):
    """One word a block: each count is stored and wanted again soonest."""
    job = Job(1, 3, [[[word]] * steps] * 3)
    check([job, job], encode([job, job], pushes(random.Random(1), "burst")))


@pytest.mark.parametrize("steps,count", [(1, 1), (2, 3), (4, 5), (4, 9)])
def test_restart_forgets_half_a_layer(steps, count):
    rng = random.Random(count)
    jobs = [random_job(rng, steps, 2, 2), random_job(rng, steps, 1, 3)]
    abandoned = [rng.getrandbits(WORD) for _ in range(count)]
    check(jobs, encode(jobs, pushes(rng, "burst"), abandoned, wait=20 * count))


@pytest.mark.parametrize("steps", [1, 2])
@pytest.mark.parametrize("wait", range(1, 10))
def test_restart_comes_in_any_clock_of_a_word(steps, wait):
    rng = random.Random(wait)
    jobs = [random_job(rng, steps, 1, groups) for groups in (1, 2)]
    for abandoned in (0, 0x8001, 0x1f):
        check(jobs, encode(jobs, pushes(rng, "burst"), [abandoned], wait))


@pytest.mark.parametrize("lists", [(5, 1, 5), (1, 5, 1), (2, 1, 4)])
def test_layers_differ_in_their_number_of_lists(lists):
    rng = random.Random(0)
    jobs = [random_job(rng, steps, 1, groups) for groups, steps in enumerate(lists, 1)]
    check(jobs, encode(jobs, pushes(rng, "burst")))


def test_a_block_gives_a_spike_a_clock():
    rng = random.Random(3)
    words = [rng.getrandbits(WORD) | 3 << rng.randrange(WORD - 1) for _ in range(4)]
    seen = encode([Job(4, 1, [[words]])], pushes(rng, "burst"))
    clocks = [clock for clock, ports in enumerate(seen) if ports["entry_valid"]]
    assert clocks == list(range(clocks[0], clocks[0] + sum(word.bit_count() for word in words)))
