"""The weight memory beside a list of rows, a table of columns beside the columns."""

import random

import pytest
from amaranth.hdl import Elaboratable, Module, Signal
from benches import Pins, block_rams, compare, play, simulate

from qsnn_hw.core.memory import Rom, WeightMemory
from qsnn_hw.machine.layers import WORD
from qsnn_hw.machine.memories import read_only

SIZES = [(16, 1), (16, 2), (16, 3), (32, 1), (32, 4), (48, 5), (64, 7), (64, 9)]


def memory_of(lanes, rows):
    return WeightMemory(block_rams(lanes, rows), rows=rows)


class NaiveMemory:
    """Rows of 16-bit columns, one beat written at a time."""

    def __init__(self, lanes, rows):
        self.columns = lanes // WORD
        self.beats = [None] * (self.columns * rows)         # None: never loaded
        self.next, self.loaded, self.row = 0, 0, None

    def read(self, row):
        beats = self.beats[row * self.columns:(row + 1) * self.columns]
        return None if None in beats else sum(b << WORD * i for i, b in enumerate(beats))

    def clock(self, ports):
        if not ports["load"]:
            self.row = self.read(ports["address"])
        elif ports["beats.valid"]:
            self.beats[self.next] = ports["beats.payload"]
            self.loaded = int(self.next == len(self.beats) - 1)
            self.next = (self.next + 1) % len(self.beats)
            self.row = None                                 # a write does not read
        else:
            self.row = None


def random_clocks(rng, lanes, rows):
    """Loads of any number of beats, with idle beats and pauses of ``load``; reads between."""
    beats = lanes // WORD * rows
    clocks = []
    for _ in range(6):
        wanted = rng.choice([beats, beats, 1, rng.randint(0, 2 * beats)])
        while wanted:
            load, valid = int(rng.random() < 0.8), int(rng.random() < 0.6)
            wanted -= load & valid
            clocks.append({"load": load, "beats.valid": valid})
        clocks += [{"load": 0, "beats.valid": rng.randint(0, 1)} for _ in range(rows + 3)]
    return [clock | {"address": rng.randrange(rows), "beats.payload": rng.getrandbits(WORD)}
            for clock in clocks]


@pytest.mark.parametrize("lanes,rows", SIZES)
def test_memory_equals_naive_rows(lanes, rows):
    clocks = random_clocks(random.Random(lanes * rows), lanes, rows)
    model, expected = NaiveMemory(lanes, rows), []
    for clock in clocks:
        expected.append({"row": model.row, "loaded": model.loaded, "beats.ready": clock["load"]})
        model.clock(clock)
    compare(play(memory_of(lanes, rows), clocks,
                 ["row", "loaded", "beats.ready"]), expected)


def load(rng, rows, clocks, columns=2):
    """The beats of a full load, and *clocks* with them appended."""
    beats = [rng.getrandbits(WORD) for _ in range(rows * columns)]
    clocks += [{"load": 1, "beats.valid": 1, "beats.payload": beat} for beat in beats]
    return [sum(beats[row * columns + i] << WORD * i for i in range(columns))
            for row in range(rows)]


@pytest.mark.parametrize("rows", [1, 4, 5])
def test_a_second_load_replaces_the_first(rows):
    rng, clocks, expected = random.Random(rows), [], []
    for _ in range(2):
        held = load(rng, rows, clocks)
        clocks += [{"address": row} for row in range(rows)] + [{}]
        expected += [{"row": None}] * (2 * rows + 1) + [{"row": row} for row in held]
    compare(play(memory_of(32, rows), clocks, ["row"]), expected)


def test_reset_starts_the_load_anew():
    rng, clocks = random.Random(0), []
    load(rng, 3, clocks)
    clocks = [*clocks[:3], {"rst": 1}]
    held = load(rng, 3, clocks)
    clocks += [{"address": row} for row in range(3)] + [{}]
    got = play(memory_of(32, 3), clocks, ["row", "loaded"])
    loaded = [{"loaded": 0}] * 10
    compare(got, [*loaded, {"loaded": 1}, *({"row": row, "loaded": 1} for row in held)])


def test_beats_wait_while_the_core_runs():
    """A beat that meets a low ``load`` stays in its stream and is written when it may."""
    dut, taken = memory_of(16, 2), []

    async def bench(ctx, rst):
        pins = Pins(ctx, dut)
        pins.apply({"beats.valid": 1, "beats.payload": 7})
        for load in (0, 0, 1, 0, 1):
            pins.set(load=load)
            taken.append(pins.get("beats.ready"))
            await ctx.tick()
        assert pins.get("loaded") == 1

    simulate(dut, bench)
    assert taken == [0, 0, 1, 0, 1]


# -- columns --------------------------------------------------------------------------------------

class RomPorts(Elaboratable):
    """A `Rom` whose columns are ports, constant ones too."""

    def __init__(self, columns):
        self.rom = Rom(read_only("rom", columns))
        self.address = self.rom.address
        for name in columns:
            column = getattr(self.rom.word, name)
            port = Signal(column.shape(), name=name)
            setattr(self, name, port)

    def elaborate(self, platform):
        m = Module()
        m.submodules.rom = self.rom
        m.d.comb += [getattr(self, name).eq(getattr(self.rom.word, name))
                     for name in self.rom.columns]
        return m


@pytest.mark.parametrize("depth", [1, 2, 3, 8, 9, 31])
def test_a_rom_is_its_columns_a_clock_later(depth):
    rng = random.Random(depth)
    columns = {"same": [5] * depth, "none": [0] * depth, "below": [-3] * depth,
               "bits": [rng.randint(0, 1) for _ in range(depth)],
               "wide": [rng.randint(0, 1 << 20) for _ in range(depth)],
               "signed": [rng.randint(-9, 5) for _ in range(depth)]}
    addresses = [rng.randrange(depth) for _ in range(60)]
    got = play(RomPorts(columns), [{"address": address} for address in addresses], list(columns))
    expected = [{name: values[address] for name, values in columns.items()}
                for address in addresses[:-1]]
    compare(got[1:], expected)
