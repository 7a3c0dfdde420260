"""The input memories beside a list of the beats."""

import random
from dataclasses import dataclass, field

import pytest
from benches import Pins, dense, entries, layout, simulate

from qsnn_hw.core.inputs import Inputs
from qsnn_hw.machine.layers import WORD
from qsnn_hw.machine.memories import inputs


def core(kind, pixels, *, steps=1, columns=1, banks=1, bits=4):
    layers = (dense("a", pixels, 3, kind=kind, banks=banks),
              dense("out", 3, 3, source=0, banks=banks))
    coding = "direct" if kind == "list" or (kind == "values" and steps == 1) else "spikes"
    return layout(layers=layers, coding=coding, steps=steps, columns=columns, banks=banks,
                   input_bits=1 if kind == "spikes" else bits)


@dataclass
class Seen:
    """A sample as it went in: what showed, clock by clock behind each beat."""

    pixels: list = field(default_factory=list)
    words: list = field(default_factory=list)


class Bench:
    """Puts samples in with gaps, and reads them with a random ``enable``."""

    def __init__(self, m, seed):
        self.layout, self.rng = m, random.Random(seed)
        self.dut = Inputs(m, entries(inputs(m), "inputs"))
        self.seen = Seen()

    def value(self):
        limit = 1 << self.layout.beat_bits
        return self.rng.choice([0, 0, limit - 1, self.rng.randrange(limit)])

    async def fill(self, ctx, pins, beats):
        self.seen = Seen()
        for number, beat in enumerate(beats):
            while self.rng.random() < 0.3:
                given = {"beats.valid": 0, "beats.payload": self.value()}
                await self.tick(ctx, pins, given, number)
            await self.tick(ctx, pins, {"beats.valid": 1, "beats.payload": beat}, number)
        pins.apply({"beats.valid": 0})
        assert pins.get("ready"), "not ready after the last beat"

    async def tick(self, ctx, pins, given, number):
        """A clock; *number* beats went before it."""
        pins.apply(given)
        begins = number == 0 and given["beats.valid"]
        assert pins.get("begin") == int(begins), f"beat {number}: begin"
        assert pins.get("filling") == int(number != 0), f"beat {number}: filling"
        assert not pins.get("ready"), f"beat {number}: ready before the last"
        if pins.get("words.valid"):
            self.seen.words.append(tuple(pins.get(f"words.payload.{name}")
                                         for name in ("line", "column", "spikes")))
        await ctx.tick()
        if pins.get("pixels.valid"):
            self.seen.pixels.append(tuple(pins.get(f"pixels.payload.{name}")
                                          for name in ("index", "value")))

    async def read(self, ctx, pins, expected):
        """*expected* (what a read of each address gives) in each bank, in random order."""
        banks, held = self.layout.parameters.banks, None
        for _ in range(2 * len(expected) + 4):
            enable = int(self.rng.random() < 0.7)
            addresses = [self.rng.randrange(len(expected)) for _ in range(banks)]
            if self.layout.parameters.lists:              # the banks read the list in step
                addresses = addresses[:1] * banks
            bits = len(self.dut.address[0])
            pins.apply({"enable": enable * ((1 << banks) - 1), "address": sum(
                address << bits * bank for bank, address in enumerate(addresses))})
            await ctx.tick()
            held = addresses if enable else held
            for bank, address in enumerate(held or ()):
                entry = ctx.get(self.dut.entries[bank])
                have = (entry.index, entry.value) if self.layout.parameters.lists else entry.value
                assert have == expected[address], f"bank {bank}, {address}: {have}"
        pins.apply({"enable": 0})

    async def finish(self, ctx, pins):
        pins.apply({"finished": 1})
        await ctx.tick()
        pins.apply({"finished": 0})
        assert not pins.get("ready") and not pins.get("filling")

    def run(self, testbench):
        async def bench(ctx, rst):
            await testbench(ctx, Pins(ctx, self.dut, rst))

        simulate(self.dut, bench)


SIZES = [1, 2, 3, 15, 16, 17]


@pytest.mark.parametrize("count", SIZES)
@pytest.mark.parametrize("banks", [1, 2])
def test_the_list_holds_the_pixels_that_are_not_0(count, banks):
    bench = Bench(core("list", count, banks=banks), f"{count} {banks}")

    async def testbench(ctx, pins):
        for number in range(5):
            beats = [bench.value() if number else 0 for _ in range(count)]
            await bench.fill(ctx, pins, beats)
            wanted = [(i, value) for i, value in enumerate(beats) if value]
            assert (bench.seen.pixels, pins.get("count")) == (wanted, len(wanted)), beats
            await ctx.tick()
            if wanted:
                await bench.read(ctx, pins, wanted)
            await bench.finish(ctx, pins)

    bench.run(testbench)


@pytest.mark.parametrize("count", SIZES)
@pytest.mark.parametrize("steps,banks,bits", [(1, 1, 8), (3, 1, 3), (2, 4, 4)])
def test_values_are_kept_in_order(count, steps, banks, bits):
    m = core("values", count, steps=steps, banks=banks, bits=bits)
    bench = Bench(m, f"{count} {steps}")

    async def testbench(ctx, pins):
        for _ in range(3):
            beats = [bench.value() for _ in range(count * steps)]
            await bench.fill(ctx, pins, beats)
            await bench.read(ctx, pins, beats)
            await bench.finish(ctx, pins)

    bench.run(testbench)


@pytest.mark.parametrize("count", [1, 16, 17, 40])
@pytest.mark.parametrize("steps,columns", [(1, 1), (2, 1), (4, 2), (3, 2), (5, 4), (8, 4)])
def test_words_of_spikes_fill_column_by_column(count, steps, columns):
    m, words = core("spikes", count, steps=steps, columns=columns), -(-count // WORD)
    bench = Bench(m, f"{count} {steps} {columns}")

    async def testbench(ctx, pins):
        for number in range(3):
            beats = [bench.value() for _ in range(words * steps)]
            await bench.fill(ctx, pins, beats)
            wanted = [(step // columns * words + word, step % columns, beats[step * words + word])
                      for step in range(steps) for word in range(words)]
            assert bench.seen.words == wanted, f"sample {number}"
            await bench.finish(ctx, pins)

    bench.run(testbench)


@pytest.mark.parametrize("kind,steps,columns", [
    ("list", 1, 1), ("values", 1, 1), ("values", 3, 1), ("spikes", 1, 1), ("spikes", 5, 2)])
def test_reset_forgets_a_sample_and_any_part_of_it(kind, steps, columns):
    m = core(kind, 40, steps=steps, columns=columns)
    bench, words = Bench(m, kind), m.frame_words
    count = m.input_beats

    async def testbench(ctx, pins):
        for cut in range(1, count + 1, max(1, count // 11)):
            for _ in range(cut):
                pins.apply({"beats.valid": 1, "beats.payload": 1})
                await ctx.tick()
            pins.apply({"beats.valid": 0, "rst": 1})
            await ctx.tick()
            pins.apply({"rst": 0})
            left = {name: pins.get(name) for name in ("ready", "filling", "begin", "pixels.valid")}
            assert not any(left.values()), f"after {cut} of {count} beats: {left}"
            beats = [bench.value() for _ in range(count)]
            await bench.fill(ctx, pins, beats)
            await ctx.tick()
            kept = [(i, beat) for i, beat in enumerate(beats) if beat]
            if kind == "spikes":
                assert bench.seen.words == [
                    (i // words // columns * words + i % words, i // words % columns, beat)
                    for i, beat in enumerate(beats)]
            else:
                await bench.read(ctx, pins, kept if kind == "list" else beats)
            await bench.finish(ctx, pins)

    bench.run(testbench)
