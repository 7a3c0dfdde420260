"""Drives a whole core in Amaranth's simulator, and keeps what it did beside what the models say."""

import random

import numpy as np
from benches import simulate

from qsnn_compile.lower.mapping import WINDOW, map_graph
from qsnn_compile.lower.program import Program
from qsnn_compile.passes import pipeline, run_passes
from qsnn_hw.core.core import SpikingCore
from qsnn_hw.link.beats import input_beats, weight_beats
from qsnn_hw.machine.layers import WORD
from qsnn_sim.cycle import cycle
from qsnn_sim.rtl import plan
from qsnn_sim.rtl.compare import ABSENT, Trace, compare
from qsnn_sim.rtl.probe import views

PATIENCE = 100                  # clocks beyond the proven worst case


class Bench:
    """One core; ``clock`` is the number of the present cycle. Beats come up to *gaps* clocks
    apart, results are taken up to *stall* clocks late."""

    def __init__(self, graph, shape, *, samples=3, seed=0, gaps=0, stall=0, mode=WINDOW):
        graph = run_passes(graph, pipeline(mode.stream))
        self.machine, self.image = map_graph(graph, mode=mode, **shape)
        program = Program(self.machine, self.image, graph.input, "sim", "", 0.0)
        self.plan = plan.plan(program, graph, plan.random_samples(graph, samples, seed))
        self.gaps, self.stall, self.rng = gaps, stall, random.Random(seed)
        self.core = SpikingCore(self.machine.with_parameters(weight_memory="ebr"), self.image)
        self.weights = weight_beats(self.machine, self.image)
        self.beats = input_beats(self.machine, self.plan.x).tolist()
        self.worst, self.latencies = cycle.worst_case(self.machine), []
        self.patience = self.worst + PATIENCE
        self.clock, self.reset = 0, None
        self.shown = [[] for _ in range(self.machine.parameters.banks)]

    def run(self, testbench):
        """Run *testbench* (``async testbench(ctx)``)."""
        async def bench(ctx, reset):
            self.reset = reset
            await testbench(ctx)

        simulate(self.core, bench)

    async def tick(self, ctx, count=1):
        for _ in range(count):
            probe = self.core.probe
            valid = ctx.get(probe.valid)
            if valid:
                spikes, units = ctx.get(probe.spikes), self.machine.parameters.units
                for bank, shown in enumerate(self.shown):
                    if valid >> bank & 1:
                        own = spikes >> units * bank
                        shown.append((self.clock, [own >> i & 1 for i in range(units)]))
            await ctx.tick()
            self.clock += 1

    async def pause(self, ctx, most):
        await self.tick(ctx, self.rng.randrange(most + 1) if most else 0)

    async def until(self, ctx, signal, what):
        """Clocks until *signal* is 1."""
        began = self.clock
        while not ctx.get(signal):
            await self.tick(ctx)
            assert self.clock - began < self.patience, what

    async def put(self, ctx, port, payload):
        """Offer a beat; the clock in which it is taken."""
        ctx.set(port.payload, payload)
        ctx.set(port.valid, 1)
        await self.until(ctx, port.ready, "a beat is never taken")
        taken = self.clock
        await self.tick(ctx)
        ctx.set(port.valid, 0)
        return taken

    async def load(self, ctx, beats=None):
        for beat in self.weights if beats is None else beats:
            await self.pause(ctx, min(self.gaps, 2))
            await self.put(ctx, self.core.weights, beat)

    async def garbage(self, ctx):
        """As many weights, others."""
        await self.load(ctx, [self.rng.getrandbits(WORD) for _ in self.weights])

    async def restart(self, ctx):
        for port in (self.core.weights, self.core.inputs):
            ctx.set(port.valid, 0)
        ctx.set(self.reset, 1)
        await self.tick(ctx, self.rng.randint(1, 2))
        ctx.set(self.reset, 0)

    async def send(self, ctx, number, count=None):
        """A sample's beats (the first *count*), the clocks in which they are taken."""
        taken = []
        for beat in self.beats[number][:count]:
            await self.pause(ctx, self.gaps)
            taken.append(await self.put(ctx, self.core.inputs, beat))
            if len(taken) == 1:
                self.shown = [[] for _ in self.shown]
        return taken

    async def sample(self, ctx, number):
        """A sample's traces: what the models say, and what the core did."""
        if self.machine.parameters.streaming and self.plan.firsts[number]:
            await self.pulse(ctx, self.core.restart)
        taken, result = await self.send(ctx, number), self.core.result
        await self.until(ctx, result.valid, f"sample {number}: no result")
        came, answer = self.clock, self.answer(ctx)
        self.latencies.append(came - taken[-1])
        assert self.latencies[-1] <= self.worst, f"sample {number} exceeds the worst case"
        await self.hold(ctx, answer)
        ctx.set(result.ready, 1)
        await self.tick(ctx)
        ctx.set(result.ready, 0)
        await self.until(ctx, self.core.inputs.ready, f"sample {number}: core never free")
        return self.expected(number, taken), self.actual(answer, came)

    async def hold(self, ctx, answer):
        """A result stays until it is taken, and no beat of the next sample is."""
        core = self.core
        ctx.set(core.inputs.valid, 1)
        for _ in range(self.rng.randrange(self.stall + 1)):
            assert ctx.get(core.result.valid) and self.answer(ctx) == answer
            assert not ctx.get(core.inputs.ready), "a beat before the result is taken"
            await self.tick(ctx)
        ctx.set(core.inputs.valid, 0)

    def answer(self, ctx):
        payload = ctx.get(self.core.result.payload)
        settled = () if self.machine.parameters.exit_margin is None else (payload.settled,)
        return (payload.index, payload.score, *settled)

    async def pulse(self, ctx, signal):
        ctx.set(signal, 1)
        await self.tick(ctx)
        ctx.set(signal, 0)

    def expected(self, number, taken):
        arrivals = np.repeat([taken], len(self.plan.x), axis=0)
        return self.plan.traces(arrivals)[number]

    def actual(self, answer, clock):
        parameters = self.machine.parameters
        units, clocks, spikes = parameters.units, [], []
        for shown, view in zip(self.shown, views(self.machine), strict=True):
            never = max(0, len(view.slot) - len(shown))     # of a window that ended early
            shown = [*shown, *[(ABSENT, [ABSENT] * units)] * (never if parameters.exits else 0)]
            clocks.append(np.array([at for at, _ in shown], dtype=np.int64))
            spikes.append(np.array([row for _, row in shown], dtype=np.int8).reshape(-1, units))
        return Trace(tuple(clocks), tuple(spikes), answer, clock)

    async def check(self, ctx, numbers=None):
        """Samples in a row: spikes, answers and clocks are those of the models."""
        for number in range(len(self.plan.x)) if numbers is None else numbers:
            expected, seen = await self.sample(ctx, number)
            parted = compare(self.machine, [expected], [seen]).first
            assert parted is None, str(parted).replace("sample 0", f"sample {number}")
