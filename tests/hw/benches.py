"""What the block tests share: a bench that plays clocks into a block, a comparison that names the
first clock that differs, machines and their fields."""

from dataclasses import replace

import pytest
from amaranth.hdl import ClockDomain, Module, Value
from amaranth.sim import Simulator

from qsnn_hw.machine.arch import Machine
from qsnn_hw.machine.fields import NEURON_FIELDS, Field
from qsnn_hw.machine.layers import WORD, Layer, Map, Word
from qsnn_hw.machine.layout import Layout
from qsnn_hw.machine.memories import Memory, within
from qsnn_hw.machine.parameters import Arithmetic, Parameters
from qsnn_hw.machine.timing import Timing

UNSETTLED = Arithmetic()


def simulate(dut, bench):
    """Run *bench* (``async bench(ctx, reset)``) to its end; ``reset`` is the domain's."""
    top, domain = Module(), ClockDomain("sync")
    top.domains += domain
    top.submodules.dut = dut

    async def run(ctx):
        await bench(ctx, domain.rst)

    sim = Simulator(top)
    sim.add_clock(1e-6)
    sim.add_testbench(run)
    sim.run()


class Pins:
    """The ports of a block by name, as plain integers; sets only what changes."""

    def __init__(self, ctx, dut, reset=None):
        self._ctx, self._dut, self._now = ctx, dut, {}
        self._reset = reset

    def port(self, name):
        if name == "rst":
            return self._reset
        at = self._dut
        for part in name.split("."):
            at = at[int(part)] if part.isdigit() else getattr(at, part)
        return Value.cast(at)

    def set(self, **values):
        self.apply(values)

    def apply(self, values):
        for name, value in values.items():
            if self._now.get(name, 0) != value:
                self._ctx.set(self.port(name), value)
                self._now[name] = value

    def clear_others(self, values):
        self.apply({name: 0 for name in self._now if name not in values})

    def get(self, name):
        return self._ctx.get(self.port(name))


def play(dut, clocks, outputs):
    """What *outputs* are in each clock. ``clocks[t]`` (port: value) holds in clock t; a port that
    it does not name is 0; "rst" is the domain's."""
    seen = []

    async def bench(ctx, reset):
        pins = Pins(ctx, dut, reset)
        for clock in clocks:
            pins.clear_others(clock)
            pins.apply(clock)
            seen.append({name: pins.get(name) for name in outputs})
            await ctx.tick()

    simulate(dut, bench)
    return seen


def compare(got, expected, note=lambda clock: ""):
    """Fail at the first clock and port that is not as *expected*; None: whatever it is."""
    assert len(got) == len(expected)
    for clock, (have, want) in enumerate(zip(got, expected, strict=True)):
        for name, value in want.items():
            if value is not None and have[name] != value:
                pytest.fail(f"clock {clock}: {name} must be {value}, not {have[name]}{note(clock)}")


def compare_lists(got, expected, what):
    """Fail at the first element that differs; *what*(i) says what element i is."""
    for i, (have, want) in enumerate(zip(got, expected, strict=False)):
        if have != want:
            pytest.fail(f"{what(i)} must be {want}, not {have}")
    if len(got) != len(expected):
        pytest.fail(f"{what(min(len(got), len(expected)))}: {len(expected)} expected, "
                    f"{len(got)} seen")


def signed_width(*numbers):
    """Bits that hold every number in two's complement."""
    return max((n if n >= 0 else ~n).bit_length() for n in numbers) + 1


def dense(name, inputs, channels, *, source=-1, kind="spikes", bits=1, pad=0, banks=1, **changes):
    """A layer of one place that reads *inputs* channels of map *source*, a plane a weight bit."""
    words = -(-inputs // WORD) if kind == "spikes" else inputs
    step = WORD if kind == "spikes" else 1
    window = [Word(0, 0, 0, index, index * step * bits)
              for index in range(1 if kind == "list" else words)]
    window[-1] = replace(window[-1], ends=True, final=True)
    return Layer(name, channels, (Map(kind, source, words=words, pad=pad, planes=bits),),
                 (tuple(window),) * banks, bits * inputs, doubled=bits == 1,
                 **{"group_banks": banks} | changes)


def tiny():
    """The layers 3-16-3, from a list of pixels."""
    return (dense("hidden", 3, 16, kind="list"), dense("out", 16, 3, source=0))


def parameters(layers=None, **changes):
    """A small machine's parameters, some changed. A layer of one window is each bank's."""
    layers = tuple(replace(layer, windows=layer.windows * changes.get("banks", 1))
                   if len(layer.windows) == 1 else layer for layer in layers or tiny())
    given = dict(name="tiny", steps=2, coding="direct", input_bits=4, input_map=layers[0].maps[0],
                 layers=layers, readout="count", lanes=16)
    return Parameters(**given | changes)


def layout(layers=None, **changes):
    """The layout of `parameters`."""
    return Layout(parameters=parameters(layers, **changes))


def timing(layers=None, **changes):
    """The timing of `layout`, its neurons not settled."""
    return Timing(layout=layout(layers, **changes), arithmetic=UNSETTLED)


def entries(memories, block):
    """Those of *block* by their names in it."""
    return within({memory.name: memory for memory in memories}, block)


def machine(layers=None, *, arithmetic=UNSETTLED, digest="", **changes):
    """The machine of `parameters`."""
    return Machine(parameters=parameters(layers, **changes), arithmetic=arithmetic, digest=digest)


FIELDS = tuple(Field(name, 0, constant=2 if name == "bits" else 0) for name in NEURON_FIELDS)


def block_rams(lanes, rows):
    """The memories of a bank's weights, in block RAM."""
    return [Memory(name=f"ram{number}", width=WORD, depth=max(rows, 2), no_collision="")
            for number in range(lanes // WORD)]
