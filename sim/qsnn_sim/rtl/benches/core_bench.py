"""The core's bench: drivers and monitors on its streams, the models, a checker.

``CORE_PLANS`` names folders of a `Plan` each; the bench leaves ``answer.json`` there. Inputs change
at the falling edge and everything is sampled behind it, so a monitor sees what the next rising edge
acts on. That edge ends clock n, the n-th one.
"""

import json
import os
import random
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly

from qsnn_hw.link.beats import input_beats, weight_beats
from qsnn_sim.cycle import cycle
from qsnn_sim.rtl.compare import ABSENT, Trace, compare
from qsnn_sim.rtl.plan import Plan

from .core_ports import ProbeMonitor, ResultMonitor, StreamDriver

CLOCK_NS = 10
PATIENCE = 1000             # clocks without any event, beyond the proven worst case
SETTLED = 10                # clocks after a first beat: spikes before are of the sample before


class Testbench:
    """Sends a plan's samples through the core and keeps what it did with each."""

    def __init__(self, dut: Any, plan: Plan) -> None:
        def port(name: str) -> Any:
            return getattr(dut, plan.prefix + name)

        machine, traffic = plan.program.machine, plan.traffic
        self.plan, self.machine, self.rng = plan, machine, random.Random(traffic.seed)
        self.clk, self.reset = port("clk"), port("rst")
        self.weights = StreamDriver(port, "weights", traffic.idle, self.rng)
        self.inputs = StreamDriver(port, "inputs", traffic.idle, self.rng)
        self.probe = ProbeMonitor(port, machine)
        self.results = ResultMonitor(port, machine, traffic.stall, self.rng)
        self.load = weight_beats(machine, plan.program.image)
        self.beats = input_beats(machine, plan.x)
        self.firsts = plan.firsts.tolist()
        self.restarts = port("restart") if machine.parameters.streaming else None
        self.again = False                      # the next sample is a stream's first step
        self.patience = PATIENCE + cycle.worst_case(machine)
        self.clock = self.last_event = 0
        self.arrivals: list[int] = []
        self.answers: list[tuple[int, tuple[int, ...]]] = []

    async def run(self) -> None:
        """All samples, or until the core is silent for too long."""
        resets = self._resets()
        cut = self.rng.randrange(len(self.load)) if resets else None
        await self.restart()
        while len(self.answers) < len(self.beats) and not self._stuck():
            await self._tick()
            self._sample()
            if self.weights.sent == cut:                        # a load cut short, once
                cut = None
                await self.restart()
            elif self._due(resets):
                await self.restart()
        latency = self.machine.timing.unit_latency
        for _ in range(self.machine.layout.slots + latency + SETTLED):      # what follows
            await self._tick()
            self.probe.sample(self.clock)

    async def restart(self) -> None:
        """Reset the core, whatever it does, load the weights and go on with the first sample that
        has no answer, of a stream from its first step on. Its beats are offered at once: the core
        lets them wait."""
        await FallingEdge(self.clk)
        self.reset.value = 1
        self.weights.start([])
        self.inputs.start([])
        self.results.stop()
        if self.restarts is not None:
            self.restarts.value = 0
        for _ in range(self.rng.randint(1, 3)):
            await FallingEdge(self.clk)
            self.clock += 1
        self.reset.value = 0
        self._forget()
        self.weights.start(self.load)
        self.inputs.start(self.beats[len(self.answers):].ravel().tolist())
        self.last_event = self.clock

    def traces(self) -> tuple[list[Trace], list[Trace]]:
        """Of every sample what the models say, from its beats' clocks, and what the core did."""
        count, beats = self.beats.shape
        missing = np.arange(count * beats - len(self.arrivals)) + self.clock
        arrivals = np.concatenate([self.arrivals, missing]).astype(np.int64).reshape(count, beats)
        begins = [*(arrivals[:, 0] + SETTLED).tolist(), self.clock + PATIENCE]
        answers = [*self.answers, *[(ABSENT, None)] * (count - len(self.answers))]
        actual = [Trace(*self.probe.between(begin, end), answer, clock)
                 for begin, end, (clock, answer) in zip(begins, begins[1:], answers, strict=False)]
        return self.plan.traces(arrivals), actual

    async def _tick(self) -> None:
        """To where the next clock can be sampled."""
        await FallingEdge(self.clk)
        self.clock += 1
        self.weights.drive()
        self.inputs.drive()
        self.results.drive()
        if self.restarts is not None:
            self.restarts.value = int(self.again)
        self.again = False
        await ReadOnly()

    def _sample(self) -> None:
        self.probe.sample(self.clock)
        answer = self.results.sample(self.clock)
        accepted = self.inputs.sample()
        if accepted:
            self.arrivals.append(self.clock)
        if answer is not None:
            self.answers.append(answer)
            self.again = self.firsts[len(self.answers):][:1] == [1]
        if self.weights.sample() or accepted or answer is not None:
            self.last_event = self.clock

    def _stuck(self) -> bool:
        return self.clock - self.last_event > self.patience

    def _resets(self) -> dict[int, int]:
        """Sample → clocks after its first beat at which a reset cuts it short."""
        timing = self.plan.timing()
        chosen = self.rng.sample(range(len(self.beats)), self.plan.traffic.resets)
        return {n: self.rng.randrange(int(timing.result[n])) + 1 for n in chosen}

    def _due(self, resets: dict[int, int]) -> bool:
        sample, beats = len(self.answers), self.beats.shape[1]
        begun = len(self.arrivals) > sample * beats
        if not begun or self.clock - self.arrivals[sample * beats] < resets.get(sample, self.clock):
            return False
        del resets[sample]
        return True

    def _forget(self) -> None:
        """Drop what is known of the sample, or the stream, that a reset cut short."""
        while len(self.answers) < len(self.beats) and not self.firsts[len(self.answers)]:
            self.answers.pop()
        done = len(self.answers) * self.beats.shape[1]
        if len(self.arrivals) > done:
            self.probe.forget(self.arrivals[done] + SETTLED)
            del self.arrivals[done:]


@cocotb.test()
async def core_does_as_the_models_say(dut: Any) -> None:
    """Every sample's spikes, answer and clocks, plan by plan, for `qsnn_sim.measure.verify`."""
    for folder in map(Path, os.environ["CORE_PLANS"].split(os.pathsep)):
        plan, began = Plan.load(folder), time.perf_counter()
        bench = Testbench(dut, plan)
        clock = Clock(bench.clk, CLOCK_NS, unit="ns")
        clock.start()
        await bench.run()
        await FallingEdge(bench.clk)
        clock.stop()
        comparison = compare(plan.program.machine, *bench.traces())
        answer = asdict(comparison) | {
            "first": comparison.first and str(comparison.first),
            "core_clocks": bench.clock, "seconds": time.perf_counter() - began}
        (folder / "answer.json").write_text(json.dumps(answer))
