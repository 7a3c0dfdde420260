"""The spike memory beside a dictionary of words, its progress beside the rounds of every bank."""

import random

import pytest
from benches import Pins, dense, entries, simulate, timing

from qsnn_hw.core.spikes import SpikeMemory
from qsnn_hw.machine.layers import WORD
from qsnn_hw.machine.memories import spikes

SHAPES = [(1, 1), (1, 4), (2, 1), (2, 2), (4, 1), (4, 4)]
LAST = 40                           # lines of the largest memory


def core(banks, columns, steps=4):
    layers = (dense("a", 64, 64, banks=banks), dense("b", 64, 64, source=0, banks=banks),
              dense("out", 64, 3, source=1, banks=banks))
    return timing(layers=layers, coding="spikes", steps=steps, banks=banks, columns=columns)


def turn_of(bank, banks, begin, clock):
    """The first clock behind *clock* in which *bank* writes."""
    if banks == 1:
        return clock
    return clock + 1 + (begin + bank - clock) % banks


class Bench:
    """Banks that send words, and read what is visible; ``lines`` is what was written, with its
    clock."""

    def __init__(self, m, seed):
        self.layout, self.parameters = m.layout, m.layout.parameters
        parameters, self.rng = self.parameters, random.Random(seed)
        self.dut = SpikeMemory(m, entries(spikes(m.layout), "spikes"))
        self.clock, self.begin = 0, 0
        self.lines, self.pending = {}, []
        self.free = [0] * parameters.banks
        self.rounds = [[] for _ in range(parameters.banks)]      # clocks in which they are written
        self.held = [None] * parameters.banks

    async def start(self, ctx, pins):
        pins.apply({"begin": 1, "enable": 0} | self.words(()))
        await self.tick(ctx)
        pins.apply({"begin": 0})
        self.begin, self.free = self.clock - 1, [self.clock] * self.parameters.banks
        self.rounds = [[] for _ in range(self.parameters.banks)]

    async def tick(self, ctx):
        await ctx.tick()
        self.clock += 1

    async def beats(self, ctx, pins, count):
        """Words of the input, a clock each or with gaps; no bank has any."""
        for _ in range(count):
            line, column = self.rng.randrange(self.layout.lines), self.column()
            spikes = self.rng.getrandbits(WORD)
            pins.apply({"beats.valid": 1, "beats.payload.line": line,
                        "beats.payload.column": column, "beats.payload.spikes": spikes})
            self.lines[line, column] = spikes
            await self.tick(ctx)
            pins.apply({"beats.valid": 0})
            if self.rng.random() < 0.3:
                await self.tick(ctx)

    def column(self):
        return self.rng.randrange(self.parameters.columns)

    def word(self, bank, last):
        """A word to one of the bank's own lines."""
        m, rng = self, self.rng
        line = rng.randrange(m.layout.lines // m.parameters.banks) * m.parameters.banks + bank
        return {"line": line, "column": self.column(), "spikes": rng.getrandbits(WORD),
                "stored": int(rng.random() < 0.8), "round": int(last)}

    def send(self, bank, quota):
        """A word of *bank* in this clock, or None."""
        if self.clock < self.free[bank] or len(self.rounds[bank]) == quota:
            return None
        if self.rng.random() < 0.5:
            return None
        word = self.word(bank, self.rng.random() < 0.4)
        self.free[bank] = self.clock + self.parameters.banks + self.rng.choice([0, 0, 3])
        at = turn_of(bank, self.parameters.banks, self.begin, self.clock)
        if word["stored"]:
            self.pending.append((at, word))
        if word["round"]:
            self.rounds[bank].append(at)
        return word

    def words(self, sent):
        """The ports with the words *sent* by the banks, None or no more: none."""
        given = {f"words.{bank}.valid": 0 for bank in range(self.parameters.banks)}
        for bank, word in enumerate(sent):
            if word:
                given[f"words.{bank}.valid"] = 1
                given |= {f"words.{bank}.payload.{name}": value for name, value in word.items()}
        return given

    def progress(self):
        """Rounds that all banks have behind them, each counted on its own."""
        several, shown = self.parameters.banks > 1, 0
        for clocks in zip(*self.rounds, strict=False):
            shown = max(shown + several, max(clocks) + 1 + several)
            if shown > self.clock:
                return self.counted
            self.counted += 1
        return self.counted

    async def rest(self, ctx, pins, quota):
        """Clocks until all banks have *quota* rounds behind them, and words read meanwhile."""
        while any(len(done) < quota for done in self.rounds) or self.pending:
            sent = [self.send(bank, quota) for bank in range(self.parameters.banks)]
            pins.apply(self.words(sent))
            await self.look(ctx, pins)
            pins.apply(self.words(()))
        for _ in range(3 * self.parameters.banks):
            await self.look(ctx, pins)
        assert pins.get("progress") == quota

    async def look(self, ctx, pins):
        """A clock in which the banks read lines that no word is on its way to."""
        m, rng = self, self.rng
        self.counted = 0
        have, want = pins.get("progress"), self.progress()
        assert have == want, f"clock {self.clock}: progress must be {want}, not {have}"
        busy = {word["line"] for _, word in self.pending}
        quiet = [line for line in range(m.layout.lines) if line not in busy]
        asked = [rng.choice(quiet) if rng.random() < 0.7 else None
                 for _ in range(m.parameters.banks)]
        bits = len(self.dut.address[0])
        pins.apply({"enable": sum((line is not None) << i for i, line in enumerate(asked)),
                    "address": sum((line or 0) << bits * i for i, line in enumerate(asked))})
        for bank, line in enumerate(asked):
            if line is not None:
                columns = range(m.parameters.columns)
                self.held[bank] = (line, [self.lines.get((line, c)) for c in columns])
        for at, word in self.pending:
            if at <= self.clock:
                self.lines[word["line"], word["column"]] = word["spikes"]
        self.pending = [(at, word) for at, word in self.pending if at > self.clock]
        await self.tick(ctx)
        self.check_lines(ctx)

    def check_lines(self, ctx):
        """What was read stays until the next read."""
        for bank, held in enumerate(self.held):
            if held is None:
                continue
            line, columns = held
            have = ctx.get(self.dut.lines[bank])
            for column, value in enumerate(columns):
                word_there = have >> WORD * column & (1 << WORD) - 1
                assert value is None or word_there == value, (
                    f"clock {self.clock}: bank {bank}, line {line}, column {column} must be "
                    f"{value:#x}, not {word_there:#x}")

    def run(self, samples, quota):
        async def testbench(ctx, rst):
            pins = Pins(ctx, self.dut, rst)
            for _ in range(samples):
                await self.start(ctx, pins)
                await self.beats(ctx, pins, 12)
                await self.rest(ctx, pins, quota)

        simulate(self.dut, testbench)


@pytest.mark.parametrize("banks,columns", SHAPES)
@pytest.mark.parametrize("seed", range(3))
def test_words_are_where_they_were_sent_and_rounds_counted(banks, columns, seed):
    Bench(core(banks, columns), f"{banks} {columns} {seed}").run(samples=3, quota=10)


@pytest.mark.parametrize("banks", [2, 4])
def test_a_bank_ahead_does_not_count_alone(banks):
    """One bank has all its rounds before the others begin."""
    bench = Bench(core(banks, 1), banks)

    async def testbench(ctx, rst):
        pins = Pins(ctx, bench.dut, rst)
        await bench.start(ctx, pins)
        for bank in range(banks):
            for _ in range(5):
                pins.apply({f"words.{bank}.valid": 1, f"words.{bank}.payload.round": 1})
                await bench.tick(ctx)
                pins.apply({f"words.{bank}.valid": 0})
                await ctx.tick().repeat(2 * banks + 2)
            assert pins.get("progress") == (0 if bank < banks - 1 else 5), f"bank {bank} is done"

    simulate(bench.dut, testbench)
