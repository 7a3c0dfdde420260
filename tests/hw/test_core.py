"""The whole core in Amaranth's simulator beside golden and cycle model, with gaps in its input."""

import itertools
import random
from dataclasses import replace

import pytest
from amaranth.sim import Simulator
from core_graphs import random_graph
from image_graphs import image_graph

from qsnn_compile.mapping import map_graph
from qsnn_compile.passes import PASSES, run_passes
from qsnn_hw.core import SpikingCore
from qsnn_sim import cycle, golden
from qsnn_sim.plan import input_beats, layer_spikes, random_samples, weight_beats

SHAPES = [{"lanes": lanes, "units": units}
          for lanes, units in itertools.product((16, 32), (1, 2, 4))]
TWO, FOUR = {"lanes": 16, "units": 2, "banks": 2}, {"lanes": 16, "units": 1, "banks": 4}
ONE, STEPWISE = {"lanes": 16, "units": 1}, {"lanes": 16, "units": 1, "banks": 2, "stepwise": True}
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
        for beat in weight_beats(self.machine, self.image):
            await self.put(ctx, self.core.weights, beat)

    async def sample(self, ctx, x):
        """The clocks of the beats, the result and its clock."""
        taken = []
        for beat in input_beats(self.machine, x[None])[0].tolist():
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


def mapped(graph, shape):
    machine, image = map_graph(graph, **shape)
    return replace(machine, weight_memory="ebr"), image


def check(graph, shape, seed=0, gaps=0, samples=3):
    """The result and its clock are what the models say, the input beats up to *gaps* clocks
    apart."""
    graph = run_passes(graph, PASSES)
    machine, image = mapped(graph, shape)
    data = random_samples(graph, samples, seed)
    answer = golden.run(graph, data, record="spikes")
    spikes, bench = layer_spikes(graph, answer), Bench(machine, image, gaps)

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


@pytest.mark.parametrize("seed", range(6))
def test_dense(seed):
    check(random_graph(seed), SHAPES[seed], seed)


@pytest.mark.parametrize("seed,shape", [(2, TWO), (8, STEPWISE)])
def test_dense_on_banks(seed, shape):
    check(random_graph(seed), shape, seed)


@pytest.mark.parametrize("seed,shape", [
    (30, ONE), (25, TWO), (20, FOUR), (35, ONE), (36, STEPWISE), (28, TWO)])
def test_images(seed, shape):
    check(image_graph(seed), shape, seed, samples=2)


@pytest.mark.parametrize("graph,shape,gaps", [
    (random_graph(4), SHAPES[4], 60), (random_graph(23), SHAPES[5], 3), (random_graph(13), TWO, 60),
    (image_graph(30), TWO, 3), (image_graph(27), ONE, 60), (image_graph(28), STEPWISE, 3)])
def test_input_slower_than_the_layers(graph, shape, gaps):
    check(graph, shape, gaps=gaps, samples=2)


def test_weights_go_before_an_input_in_the_same_clock():
    graph = random_graph(3)
    bench = Bench(*mapped(graph, TWO), gaps=0)

    async def testbench(ctx):
        await bench.load(ctx)
        await bench.tick(ctx, 2)            # until the next load may begin
        ctx.set(bench.core.inputs.valid, 1)
        ctx.set(bench.core.weights.valid, 1)
        assert (ctx.get(bench.core.weights.ready), ctx.get(bench.core.inputs.ready)) == (1, 0)
        ctx.set(bench.core.inputs.valid, 0)
        await bench.load(ctx)
        await bench.sample(ctx, random_samples(graph, 1)[0])

    bench.run(testbench)
