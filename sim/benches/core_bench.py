"""The core's bench: drivers and monitors on its streams, the models, a checker.

``CORE_PLANS`` names folders of a `Plan` each; the bench leaves ``answer.json`` there. Inputs change
at the falling edge and everything is sampled behind it, so a monitor sees what the next rising edge
acts on. That edge ends clock n, the n-th one.
"""

import json
import os
import random
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly

from qsnn_hw.arch import Machine
from qsnn_sim import cycle
from qsnn_sim.compare import ABSENT, Ints, Trace, compare
from qsnn_sim.plan import Plan, input_beats, weight_beats

CLOCK_NS = 10
PATIENCE = 1000             # clocks without any event, beyond the proven worst case
SLOT_TO_PROBE = 5           # clocks from a neuron's slot to its spike at the probe
SETTLED = 10                # clocks after a first beat: spikes before are of the sample before

Port = Callable[[str], Any]


class StreamDriver:
    """Offers words on a ready/valid stream, with idle clocks before some of them."""

    def __init__(self, port: Port, name: str, idle: float, rng: random.Random) -> None:
        self.payload, self.valid, self.ready = (
            port(f"{name}__{part}") for part in ("payload", "valid", "ready"))
        self.idle, self.rng = idle, rng
        self.start([])

    def start(self, words: list[int]) -> None:
        """Send *words* from the next clock on, and nothing of what was to be sent before."""
        self.words, self.sent, self.offered, self.accepted = words, 0, False, False
        self.valid.value = 0

    def drive(self) -> None:
        """Offer the next word when the one before is accepted, or stay idle."""
        if self.offered and not self.accepted:
            return
        offer = self.sent < len(self.words) and not (self.idle and self.rng.random() < self.idle)
        if offer:
            self.payload.value = self.words[self.sent]
        if offer != self.offered:
            self.valid.value = int(offer)
        self.offered = offer

    def sample(self) -> bool:
        """Whether this clock accepts a word."""
        self.accepted = self.offered and bool(self.ready.value)
        self.sent += self.accepted
        return self.accepted


class ResultMonitor:
    """Takes results, not always at once."""

    def __init__(self, port: Port, machine: Machine, stall: float, rng: random.Random) -> None:
        self.payload, self.valid, self.ready = (
            port(f"result__{part}") for part in ("payload", "valid", "ready"))
        self.index_bits = (max(machine.classes, 2) - 1).bit_length()
        self.score_bits, self.stall, self.rng = machine.score_bits, stall, rng
        self.stop()

    def stop(self) -> None:
        """Take nothing until the next clock that is driven."""
        self.first, self.taking, self.ready.value = ABSENT, False, 0

    def drive(self) -> None:
        """Choose whether this clock may take a result."""
        taking = not self.stall or self.rng.random() >= self.stall
        if taking != self.taking:
            self.ready.value = int(taking)
        self.taking = taking

    def sample(self, clock: int) -> tuple[int, tuple[int, int]] | None:
        """In the clock that takes a result: its first clock, its class and score."""
        if not self.valid.value:
            return None
        self.first = clock if self.first == ABSENT else self.first
        if not self.taking:
            return None
        first, self.first, word = self.first, ABSENT, int(self.payload.value)
        score = word >> self.index_bits
        score -= (score >> self.score_bits - 1) << self.score_bits
        return first, (word & (1 << self.index_bits) - 1, score)


class ProbeMonitor:
    """The units' spikes in the clocks that the probe is valid."""

    def __init__(self, port: Port, machine: Machine) -> None:
        self.valid, self.spikes, self.last_layer = (
            port(f"probe__{part}") for part in ("valid", "spikes", "last_layer"))
        self.machine, self.silent_end = machine, not machine.layers[-1].fires
        self.seen: list[tuple[int, int]] = []

    def sample(self, clock: int) -> None:
        """Keep this clock's spikes; a readout without neurons has none."""
        if self.valid.value and not (self.silent_end and self.last_layer.value):
            self.seen.append((clock, int(self.spikes.value)))

    def forget(self, clock: int) -> None:
        """Drop what came in *clock* and later."""
        self.seen = [entry for entry in self.seen if entry[0] < clock]

    def between(self, begin: int, end: int) -> tuple[tuple[Ints, ...], tuple[Ints, ...]]:
        """Spikes and rotations, as in `Trace`, of a sample seen from *begin* until before *end*."""
        entries = [entry for entry in self.seen if begin <= entry[0] < end]
        seen = np.array(entries, dtype=np.int64).reshape(-1, 2)
        spikes, rotations = [], []
        for index, layer in enumerate(self.machine.layers):
            if layer.fires:
                size = self.machine.groups(index) * self.machine.steps * self.machine.slots
                part, seen = seen[:size], seen[size:]
                part = np.pad(part, ((0, size - len(part)), (0, 0)), constant_values=ABSENT)
                spikes.append(self._layer_spikes(index, part[:, 1]))
                rotations.append(self._layer_rotations(index, part[:, 0]))
        return tuple(spikes), tuple(rotations)

    def _layer_spikes(self, index: int, bits: Ints) -> Ints:
        machine = self.machine
        units = np.where(bits[:, None] == ABSENT, ABSENT, bits[:, None] >> np.arange(
            1 if machine.is_last(index) else machine.units) & 1)
        grouped = units.reshape(machine.groups(index), machine.steps, -1).swapaxes(0, 1)
        return grouped.reshape(machine.steps, -1)[:, :machine.layers[index].neurons]

    def _layer_rotations(self, index: int, clocks: Ints) -> Ints:
        """The clocks of the first slots; where a slot is late, what the last one says of it."""
        machine = self.machine
        grouped = clocks.reshape(machine.groups(index), machine.steps, machine.slots)
        even = grouped - np.arange(machine.slots)
        first: Ints = np.where((even == even[..., :1]).all(axis=2), even[..., 0], even[..., -1])
        return np.where(grouped.min(axis=2) == ABSENT, ABSENT, first - SLOT_TO_PROBE)


class Testbench:
    """Sends a plan's samples through the core and keeps what it did with each."""

    def __init__(self, dut: Any, plan: Plan) -> None:
        def port(name: str) -> Any:
            return getattr(dut, plan.prefix + name)

        machine, traffic = plan.program.machine, plan.traffic
        self.plan, self.machine, self.rng = plan, machine, random.Random(traffic.seed)
        self.clk, self.reset, self.loaded = dut.clk, port("rst"), port("loaded")
        self.weights = StreamDriver(port, "weights", traffic.idle, self.rng)
        self.inputs = StreamDriver(port, "inputs", traffic.idle, self.rng)
        self.probe = ProbeMonitor(port, machine)
        self.results = ResultMonitor(port, machine, traffic.stall, self.rng)
        self.beats = input_beats(machine, plan.x)
        self.patience = PATIENCE + cycle.worst_case(machine)
        self.clock = self.last_event = 0
        self.arrivals: list[int] = []
        self.answers: list[tuple[int, tuple[int, int]]] = []

    async def run(self) -> None:
        """All samples, or until the core is silent for too long."""
        resets = self._resets()
        if resets:
            await self.restart(self.rng.randrange(self.machine.rows * self.machine.row_beats))
        await self.restart()
        while len(self.answers) < len(self.beats) and not self._stuck():
            await self._tick()
            self._sample()
            if self._due(resets):
                await self.restart()
        for _ in range(self.machine.rotation + SETTLED):        # what follows the last result
            await self._tick()
            self.probe.sample(self.clock)

    async def restart(self, cut: int | None = None) -> None:
        """Reset the core, whatever it does, load the weights (only *cut* beats of them), and go on
        with the first sample that has no answer."""
        await FallingEdge(self.clk)
        self.reset.value = 1
        self.weights.start([])
        self.inputs.start([])
        self.results.stop()
        for _ in range(self.rng.randint(1, 3)):
            await FallingEdge(self.clk)
            self.clock += 1
        self.reset.value = 0
        self._forget()
        await self._load(weight_beats(self.machine, self.plan.program.image)[:cut])
        self.inputs.start(self.beats[len(self.answers):].ravel().tolist())

    def traces(self) -> tuple[list[Trace], list[Trace]]:
        """Of every sample what the models say, from its beats' clocks, and what the core did."""
        count, beats = self.beats.shape
        missing = np.arange(count * beats - len(self.arrivals)) + self.clock
        arrivals = np.concatenate([self.arrivals, missing]).astype(np.int64).reshape(count, beats)
        begins = [*(arrivals[:, 0] + SETTLED).tolist(), self.clock + PATIENCE]
        answers = [*self.answers, *[(ABSENT, None)] * (count - len(self.answers))]
        found = [Trace(*self.probe.between(begin, end), answer, clock)
                 for begin, end, (clock, answer) in zip(begins, begins[1:], answers, strict=False)]
        return self.plan.traces(arrivals), found

    async def _tick(self) -> None:
        """To where the next clock can be sampled."""
        await FallingEdge(self.clk)
        self.clock += 1
        self.inputs.drive()
        self.results.drive()
        await ReadOnly()

    def _sample(self) -> None:
        self.probe.sample(self.clock)
        answer = self.results.sample(self.clock)
        if self.inputs.sample():
            self.arrivals.append(self.clock)
            self.last_event = self.clock
        if answer is not None:
            self.answers.append(answer)
            self.last_event = self.clock

    async def _load(self, beats: list[int]) -> None:
        self.last_event = self.clock
        self.weights.start(beats)
        while self.weights.sent < len(beats) and not self._stuck():
            await FallingEdge(self.clk)
            self.clock += 1
            self.weights.drive()
            await ReadOnly()
            if self.weights.sample():
                self.last_event = self.clock
        await FallingEdge(self.clk)
        self.clock += 1
        self.weights.drive()

    def _stuck(self) -> bool:
        return self.clock - self.last_event > self.patience

    def _resets(self) -> dict[int, int]:
        """Sample → clocks after its first beat at which a reset cuts it short."""
        timing = cycle.run(self.machine, self.plan.x, self.plan.spikes)
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
        """Drop what is known of the sample that a reset cut short."""
        done = len(self.answers) * self.beats.shape[1]
        if len(self.arrivals) > done:
            self.probe.forget(self.arrivals[done] + SETTLED)
            del self.arrivals[done:]


@cocotb.test()
async def core_does_as_the_models_say(dut: Any) -> None:
    """Every sample's spikes, answer and clocks, plan by plan; `qsnn_sim.verify` reads how they
    compare."""
    Clock(dut.clk, CLOCK_NS, unit="ns").start()
    for folder in map(Path, os.environ["CORE_PLANS"].split(os.pathsep)):
        plan, began = Plan.load(folder), time.perf_counter()
        await FallingEdge(dut.clk)
        bench = Testbench(dut, plan)
        await bench.run()
        comparison = compare(plan.program.machine, *bench.traces())
        answer = asdict(comparison) | {
            "first": comparison.first and str(comparison.first),
            "core_clocks": bench.clock, "seconds": time.perf_counter() - began}
        (folder / "answer.json").write_text(json.dumps(answer))
