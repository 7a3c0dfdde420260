"""The whole core in Amaranth's simulator beside golden and cycle model, with gaps in its input."""

import itertools
import random
from dataclasses import replace

import pytest
from amaranth.sim import Simulator
from core_graphs import random_data, random_graph

from qsnn_compile.mapping import map_graph
from qsnn_compile.passes import PASSES, run_passes
from qsnn_hw.arch import WORD
from qsnn_hw.core import SpikingCore
from qsnn_sim import cycle, golden
from qsnn_sim.plan import layer_spikes

SHAPES = list(itertools.product((16, 32), (1, 2, 4)))
PATIENCE = 20_000


class Bench:
    """Drives one core; ``clock`` is the number of the present cycle."""

    def __init__(self, machine, image, gaps):
        self.machine, self.image, self.gaps = machine, image, gaps
        self.core, self.clock = SpikingCore(machine, image), 0
        self.random = random.Random(gaps)

    async def tick(self, ctx, count=1):
        for _ in range(count):
            await ctx.tick()
            self.clock += 1

    async def put(self, ctx, port, payload):
        """Offer a beat; the clock in which it is taken."""
        ctx.set(port.payload, payload)
        ctx.set(port.valid, 1)
        while not ctx.get(port.ready):
            await self.tick(ctx)
        taken = self.clock
        await self.tick(ctx)
        ctx.set(port.valid, 0)
        return taken

    async def load(self, ctx):
        for row in self.image.weights:
            for column in range(self.machine.row_beats):
                await self.put(ctx, self.core.weights, row >> WORD * column & 0xFFFF)

    async def sample(self, ctx, x):
        """The clocks of the beats, the result and its clock."""
        taken = []
        for beat in beats(self.machine, x):
            await self.tick(ctx, self.random.randrange(self.gaps + 1))
            taken.append(await self.put(ctx, self.core.inputs, beat))
        result, began = self.core.result, self.clock
        while not ctx.get(result.valid):
            await self.tick(ctx)
            assert self.clock < began + PATIENCE, "no result"
        found = (ctx.get(result.payload.index), ctx.get(result.payload.score), self.clock)
        ctx.set(result.ready, 1)
        await self.tick(ctx)
        ctx.set(result.ready, 0)
        return taken, found

    def run(self, testbench):
        simulator = Simulator(self.core)
        simulator.add_clock(1e-6)
        simulator.add_testbench(testbench)
        simulator.run()


def beats(machine, x):
    frames = x.reshape(-1, machine.layers[0].fan_in).tolist()
    if machine.coding == "direct":
        return frames[0]
    return [sum(spike << i for i, spike in enumerate(frame[at:at + WORD]))
            for frame in frames for at in range(0, len(frame), WORD)]


def mapped(graph, lanes, units):
    machine, image = map_graph(run_passes(graph, PASSES), lanes=lanes, units=units)
    return replace(machine, weight_memory="ebr"), image


def check(graph, lanes, units, seed, gaps=0, samples=2):
    machine, image = mapped(graph, lanes, units)
    data = random_data(graph, samples, seed)
    answer = golden.run(graph, data, record="spikes")
    spikes, bench = layer_spikes(machine, answer), Bench(machine, image, gaps)

    async def testbench(ctx):
        await bench.load(ctx)
        for index, x in enumerate(data):
            taken, found = await bench.sample(ctx, x)
            one = slice(index, index + 1)
            timing = cycle.run(machine, data[one], [train[one] for train in spikes],
                               arrivals=[taken])
            best = int(answer.classes[index])
            wanted = (best, int(answer.scores[index, best]), int(timing.result[0]))
            assert found == wanted, f"sample {index}: (class, score, clock) {wanted}, RTL {found}"

    bench.run(testbench)


@pytest.mark.parametrize("seed", range(12))
def test_core_equals_golden_and_cycle_model(seed):
    check(random_graph(seed), *SHAPES[seed % len(SHAPES)], seed)


@pytest.mark.parametrize("seed", (2, 4, 13, 23, 31))
def test_input_slower_than_the_layers(seed):
    check(random_graph(seed), *SHAPES[seed % len(SHAPES)], seed, gaps=130)


def test_weights_go_before_an_input_in_the_same_clock():
    graph = random_graph(3)
    bench = Bench(*mapped(graph, 32, 1), gaps=0)

    async def testbench(ctx):
        await bench.load(ctx)
        ctx.set(bench.core.inputs.valid, 1)
        ctx.set(bench.core.weights.valid, 1)
        assert (ctx.get(bench.core.weights.ready), ctx.get(bench.core.inputs.ready)) == (1, 0)
        ctx.set(bench.core.inputs.valid, 0)
        await bench.load(ctx)
        await bench.sample(ctx, random_data(graph, 1, 0)[0])

    bench.run(testbench)
