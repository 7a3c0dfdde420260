"""The reader beside a loop over the spikes of each word."""

import random
from dataclasses import dataclass, field, replace

import pytest
from benches import Pins, dense, layout, simulate

from qsnn_hw.core.reader import Reader
from qsnn_hw.machine.layers import WORD

ROW_CLOCK, X_CLOCK, SUM_CLOCK = 1, 3, 4         # behind an event, behind a transfer
PAD = 5
PATIENCE = 100                                  # clocks a word and plane
ROWS = 150                                      # of the first layer
BATCH_BITS = 3
SUM_BITS = 24


def core(kind, columns=1, bits=(4, 1), pad=0, batch_bits=0, shift=0,
         sum_shift=0):
    """The layout of a machine whose readers see *kind*: values, a list or words of spikes. Two
    layers of weights of *bits*, *shift* and *sum_shift* those of the second."""
    direct = kind != "spikes"
    layers = (dense("a", ROWS // bits[0], 16, kind=kind, bits=bits[0], pad=pad),
              dense("out", 16, 3, source=0, bits=bits[1], fires=False))
    shifted = tuple(replace(source, shift=shift, sum_shift=sum_shift) for source in layers[1].maps)
    layers = (layers[0], replace(layers[1], maps=shifted))
    return layout(layers=layers, coding="direct" if direct else "spikes", steps=4,
                   input_bits=4 if direct else 1, columns=columns, readout="potential",
                  batch_bits=batch_bits)


@dataclass
class Word:
    """A request, and what the memories say of it."""

    request: dict[str, int]
    line: int
    value: int
    index: int
    columns: int
    planes: int
    shift: int
    sum_shift: int

    def column(self, number):
        return self.line >> WORD * number & (1 << WORD) - 1

    def events(self):
        """(row, x) of its spikes, lowest first, plane 0 first."""
        ask = self.request
        first = ask["row"] + (self.index * self.planes if ask["listed"] else 0)
        return [(first + bit * self.planes + plane, amount << plane + self.shift)
                for bit, amount in self.spikes()
                for plane in range(ask["begun"], self.planes)]

    def total(self):
        """Its part of Σx."""
        return sum(amount for _, amount in self.spikes()) << self.planes - 1 + self.sum_shift

    def spikes(self):
        return [(bit, amount) for bit in range(WORD) if (amount := self.amount(bit))]

    def amount(self, bit):
        ask = self.request
        single = ask["value"] or ask["listed"]
        if ask["skip"] or (single and bit):
            return 0
        if single:
            return PAD if ask["pad"] else self.value
        columns = [self.column(c) >> bit & 1 | ask["pad"] for c in range(self.columns)]
        if ask["paired"]:
            return columns[0] + (columns[1] << BATCH_BITS)
        return sum(columns) if ask["merged"] else columns[ask["column"]]


@dataclass
class Draw:
    """Random words for a reader."""

    layout: object
    rng: random.Random
    density: float = 0.3
    ends: float = 0.2

    def word(self, kind):
        m, rng = self.layout, self.rng
        direct = m.parameters.coding == "direct" and rng.random() < 0.6
        pads = any(source.pad for layer in m.parameters.layers for source in layer.maps)
        flags = {"listed": int(direct and kind == "list"),
                 "value": int(direct and kind == "values"),
                 "merged": int(m.parameters.columns > 1 and not direct and rng.random() < 0.4),
                 "paired": 0, "pad": 0, "skip": int(rng.random() < 0.1),
                 "ends": int(rng.random() < self.ends)}
        if m.parameters.batch_bits and not direct and rng.random() < 0.7:
            flags |= {"merged": 1, "paired": 1}
        if pads:
            flags["pad"] = int(rng.random() < 0.2)
        given = rng.randrange(len(m.parameters.formats))
        if flags["listed"]:
            given = m.parameters.formats.index(m.parameters.layers[0].maps[0].format)
        planes, shift, sum_shift = m.parameters.formats[given]
        begun = int(flags["listed"] and planes > 1 and rng.random() < 0.5)
        columns = m.parameters.columns
        request = flags | {"column": rng.randrange(columns), "format": given, "begun": begun,
                           "row": rng.randrange(ROWS // 2)}
        line = sum((rng.random() < self.density) << bit for bit in range(WORD * columns))
        value = rng.choice([0, rng.randrange(16)])
        return Word(request, line, value, rng.randrange(max(m.value_words, 1)), columns,
                    planes, shift, sum_shift)

    def full(self, kind):
        """A word with spikes."""
        while True:
            word = self.word(kind)
            if word.events():
                return word


@dataclass
class Bench:
    """Walker, memories and shadow around a reader; what came out, by clock."""

    layout: object
    rng: random.Random
    eager: bool = False
    events: list = field(default_factory=list)          # clocks
    transfers: list = field(default_factory=list)
    rows: list = field(default_factory=list)            # of every clock
    xs: list = field(default_factory=list)
    sums: list = field(default_factory=list)
    arrivals: list = field(default_factory=list)        # clocks of pixels

    def chance(self, odds):
        return int(self.eager or self.rng.random() < odds)

    def run(self, words, pixels=()):
        dut = Reader(self.layout, sum_bits=SUM_BITS)

        async def testbench(ctx, rst):
            pins = Pins(ctx, dut)
            for pixel in pixels:
                await self.pixel(ctx, pins, pixel)
            await self.words(ctx, pins, words)

        simulate(dut, testbench)

    async def pixel(self, ctx, pins, pixel):
        while not self.chance(0.6):
            await self.tick(ctx, pins, {"pixels.valid": 0, "pixels.payload.value": 3})
        index, value = pixel
        self.arrivals.append(len(self.rows))
        await self.tick(ctx, pins, {"pixels.valid": 1, "pixels.payload.index": index,
                                    "pixels.payload.value": value})

    async def words(self, ctx, pins, words):
        """Offer the words in order; then wait for what is left of them."""
        at, left, late = 0, 0, 0
        patience = PATIENCE * self.layout.parameters.planes * len(words)
        while late < 4 * WORD * self.layout.parameters.planes:
            late = late + 1 if at == len(words) else 0
            assert len(self.rows) < patience, f"word {at} is never taken"
            offered = words[at] if at < len(words) and self.chance(0.8) else None
            given = {"requests.valid": int(offered is not None), "pixels.valid": 0,
                     "transfers.ready": 1 if late else self.chance(0.4)}
            if offered:
                given |= {f"requests.payload.{name}": value
                          for name, value in offered.request.items()}
            pins.apply(given)
            assert not (left and pins.get("quiet")), f"quiet, and {left} of word {at - 1} to come"
            advance = pins.get("requests.ready")
            before = len(self.events) + len(self.transfers)
            await self.tick(ctx, pins, {})
            left -= len(self.events) + len(self.transfers) - before
            if advance:
                pins.apply(self.memories(offered))
                if offered:
                    at, left = at + 1, left + len(offered.events()) + offered.request["ends"]
        assert pins.get("quiet"), "not quiet at the end"

    def memories(self, word):
        """What they hold from the clock after a request on, until the next."""
        m, rng = self.layout, self.rng
        if word is None:
            return {"line": rng.getrandbits(WORD * m.parameters.columns)}
        return {"line": word.line, "entry.value": word.value, "entry.index": word.index}

    async def tick(self, ctx, pins, given):
        pins.apply(given)
        clock = len(self.rows)
        event = pins.get("event")
        transfer = pins.get("transfers.valid") and pins.get("transfers.ready")
        assert not (event and transfer), f"clock {clock}: an event and a transfer"
        self.events += [clock] * event
        self.transfers += [clock] * transfer
        self.rows.append(pins.get("row"))
        self.xs.append(pins.get("x"))
        self.sums.append(pins.get("sum_x"))
        await ctx.tick()


def check(bench, words, pixels=()):
    """Events, rows, amounts and Σx are those of the words, in order."""
    planes = bench.layout.parameters.layers[0].maps[0].planes
    bench.run(words, pixels)
    total, events, transfers = 0, 0, 0
    if planes == 1:                             # else with their last plane
        total = sum(value for _, value in pixels)
    clock = -1
    for number, word in enumerate(words):
        for row, x in word.events():
            what = f"word {number} {word}, event {events}"
            assert events < len(bench.events), f"{what} never comes"
            clock, events = bench.events[events], events + 1
            assert bench.rows[clock + ROW_CLOCK] == row, f"{what}: row must be {row}"
            assert bench.xs[clock + X_CLOCK] == x, f"{what}: x must be {x}"
        total += word.total()
        if word.request["ends"]:
            assert transfers < len(bench.transfers), f"word {number}: no transfer {transfers}"
            assert bench.transfers[transfers] > clock, f"word {number}: transfer before its events"
            clock, transfers = bench.transfers[transfers], transfers + 1
            have = bench.sums[clock + SUM_CLOCK]
            assert have == total, f"word {number}: Σx must be {total}, not {have}"
            total = 0
    assert (len(bench.events), len(bench.transfers)) == (events, transfers)


KINDS = [("spikes", 1, 0), ("spikes", 2, 1), ("spikes", 4, 0), ("values", 1, 0), ("values", 2, PAD),
         ("list", 1, 0), ("list", 4, 0)]
BITS = [(1, 1), (2, 2), (4, 4), (8, 8), (4, 1), (1, 8), (2, 8)]


@pytest.mark.parametrize("density", [0.05, 0.3, 1])
@pytest.mark.parametrize("kind,columns,pad", KINDS)
def test_events_are_the_spikes_of_each_word(kind, columns, pad, density):
    rng, m = random.Random(f"{kind} {columns} {density}"), core(kind, columns, pad=pad)
    draw = Draw(m, rng, density)
    check(Bench(m, rng), [draw.word(kind) for _ in range(60)])


@pytest.mark.parametrize("kind", ["spikes", "values", "list"])
@pytest.mark.parametrize("bits", BITS)
def test_a_spike_meets_each_plane(kind, bits):
    rng, m = random.Random(f"{kind} {bits}"), core(kind, bits=bits)
    draw = Draw(m, rng, 0.2)
    check(Bench(m, rng), [draw.word(kind) for _ in range(60)])


@pytest.mark.parametrize("density", [0.1, 1])
@pytest.mark.parametrize("bits,shift,sum_shift", [((4, 1), 1, 0), ((2, 4), 3, 3)])
def test_weights_of_one_bit_beside_wider_ones_count_twice(density, bits, shift, sum_shift):
    """And wider ones whose lowest planes are left out."""
    rng = random.Random(f"shift {density}")
    m = core("spikes", bits=bits, shift=shift, sum_shift=sum_shift)
    draw = Draw(m, rng, density)
    check(Bench(m, rng), [draw.word("spikes") for _ in range(60)])


@pytest.mark.parametrize("bits", [(1, 1), (2, 2), (4, 1), (1, 8)])
@pytest.mark.parametrize("kind,columns,pad", KINDS)
def test_nothing_stands_between_words_with_spikes(kind, columns, pad, bits):
    """A clock an event, and one a transfer."""
    rng, m = random.Random(f"full {kind} {columns}"), core(kind, columns, bits, pad)
    bench, draw = Bench(m, rng, eager=True), Draw(m, rng, 0.2)
    check(bench, [draw.full(kind) for _ in range(60)])
    busy = sorted(bench.events + bench.transfers)
    assert busy == list(range(busy[0], busy[0] + len(busy)))


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("count", [0, 1, 8])
def test_pixels_on_their_way_count_as_events_of_the_clock_before(bits, count):
    rng, m = random.Random(f"{bits} {count}"), core("list", bits=bits)
    draw, bench = Draw(m, rng), Bench(m, rng)
    pixels = [(rng.randrange(ROWS // bits[0]), rng.randint(1, 15)) for _ in range(count)]
    words = [draw.word("list") for _ in range(20)]
    words[0].request |= {"skip": 1, "ends": 1}
    check(bench, words, pixels)
    for clock, (index, value) in zip(bench.arrivals, pixels, strict=True):
        have = (bench.rows[clock - 1 + ROW_CLOCK], bench.xs[clock - 1 + X_CLOCK])
        want = (index * bits[0], value)
        assert have == want, f"pixel of clock {clock}: {have} must be {want}"


@pytest.mark.parametrize("kind,pad", [("spikes", 0), ("spikes", 1), ("values", 0), ("values", PAD)])
@pytest.mark.parametrize("density", [0.1, 0.6])
def test_two_steps_count_in_one_x(kind, pad, density):
    rng, m = random.Random(f"pairs {density}"), core(kind, 2, pad=pad, batch_bits=BATCH_BITS)
    draw = Draw(m, rng, density)
    check(Bench(m, rng), [draw.word(kind) for _ in range(60)])


@pytest.mark.parametrize("ends", [0.5, 1])
def test_short_passes_wait_for_the_shadow(ends):
    rng, m = random.Random(f"{ends}"), core("spikes")
    draw = Draw(m, rng, 0.1, ends)
    check(Bench(m, rng), [draw.word("spikes") for _ in range(80)])
