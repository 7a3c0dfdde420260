"""A bank's neurons beside a dictionary of membranes: spikes, their words and the last currents."""

import random
from dataclasses import replace

import pytest
from benches import Pins, compare_lists, simulate
from core_graphs import random_graph
from image_graphs import image_graph
from naive_neuron import update
from naive_walk import Walk
from states import stateful

from qsnn_compile.lower.mapping import map_graph
from qsnn_compile.passes import PASSES, run_passes
from qsnn_hw.core.neurons import NeuronArray
from qsnn_hw.machine import schedule
from qsnn_hw.machine.layers import WORD
from qsnn_hw.machine.memories import inventory, within

MAKERS = {"dense": random_graph, "images": image_graph,
          "dense states": stateful(random_graph), "images states": stateful(image_graph)}
ACC_BITS = SUM_BITS = 8
STEP_BITS = 4                   # of a step's sum, where a pass serves two
CURRENT_CLOCK = 1


def mapped(kind, seed, **shape):
    """A machine with room for any sums, and its image."""
    machine, image = map_graph(run_passes(MAKERS[kind](seed), PASSES), **shape)
    arithmetic = machine.arithmetic
    wide = max((field.width + 4 for field in arithmetic.neuron_fields), default=0)
    bits = arithmetic.membrane_bits + arithmetic.decay_shift + arithmetic.synapse_bits + wide + 24
    arithmetic = replace(arithmetic, acc_bits=ACC_BITS, sum_bits=SUM_BITS,
                         current_bits=ACC_BITS + 2, potential_bits=bits, scaled_bits=bits)
    batch_bits = STEP_BITS if machine.parameters.batch_bits else 0
    return replace(machine.with_parameters(batch_bits=batch_bits), arithmetic=arithmetic), image


def of_step(machine, layer, total, replay):
    """What a rotation takes of a sum."""
    if not machine.parameters.paired(layer):
        return total
    return total >> STEP_BITS if replay else total & (1 << STEP_BITS) - 1


class Naive:
    """The neurons of one bank, by item, pass, slot and unit; ``spikes`` and ``words`` as they
    should come out, with the clock of each."""

    def __init__(self, machine, image, bank):
        self.machine, self.image, self.bank = machine, image, bank
        self.items = schedule.items(machine.layout, bank)
        self.membranes, self.synapses, self.pooled, self.sent = {}, {}, {}, {}
        self.spikes, self.words, self.currents, self.slots = [], [], [], []

    def rotation(self, done, replay, accs, sum_x, clock):
        """One turn of the shadow, its slot 0 in *clock*."""
        machine, item = self.machine, self.items[done.item]
        layer, units, word = machine.parameters.layers[item.layer], machine.parameters.units, []
        latency = machine.timing.spike_clock
        for slot in range(machine.layout.used_slots[item.layer]):
            self.slots.append((clock + slot, slot, replay, item.layer))
            if not layer.fires:                 # a class a slot, of one unit after the other
                fired = self.neuron(done, replay, slot // units, slot % units, accs[slot], sum_x)
                self.currents.append((clock + slot + CURRENT_CLOCK, fired.current))
                continue
            values = [self.neuron(done, replay, slot, unit, accs[slot * units + unit], sum_x)
                      for unit in range(units)]
            if not done.job["closes"]:
                continue
            fired = [value.spike for value in values]
            if not item.silent:
                self.spikes.append((clock + slot + latency, fired,
                                    int(machine.parameters.is_last(item.layer))))
            word += fired
            last = slot == machine.layout.used_slots[item.layer] - 1
            if len(word) == WORD or last:
                self.word(done, replay, slot * units // WORD, word, last,
                          clock + slot + latency + 1)
                word = []

    def neuron(self, done, replay, slot, unit, acc, sum_x):
        machine, item, job = self.machine, self.items[done.item], done.job
        layer = machine.parameters.layers[item.layer]
        part = done.number if layer.pooling == "or" else 0
        place = (done.item, part, slot, unit)
        held = self.pooled.get((slot, unit), 0)
        n = self.fields(item, job["slot"] + slot, unit) | {
            "acc": of_step(machine, item.layer, acc, replay),
            "sum_x": of_step(machine, item.layer, sum_x, replay),
            "doubled": layer.doubled, "u": self.membranes.get(place, 0),
            "first": bool(job["start"]) and replay == 0, "pooled": held,
            "i": self.synapses.get(place, 0), "i_first": bool(job["start"]) and replay == 0,
            "clamps": machine.arithmetic.clamps,
            "alone": job["opens"] or layer.pooling == "or" or not machine.parameters.pools}
        updated = update(n, machine.arithmetic.decay_shift, machine.arithmetic.synapse_shift)
        self.pooled[slot, unit] = updated.largest
        if job["closes"]:
            self.membranes[place], self.synapses[place] = updated.u_next, updated.i_next
        return updated

    def fields(self, item, address, unit):
        """Of a neuron, from the image."""
        stored = {}
        for field in self.machine.arithmetic.neuron_fields:
            number = 0
            if field.constant is None and self.machine.parameters.layers[item.layer].fires:
                number = self.image.neuron[field.name][self.bank][unit][address]
            stored[field.name] = field.base + number if field.constant is None else field.constant
        return stored

    def word(self, done, replay, index, spikes, last, clock):
        """A word of spikes, those of the passes before it added."""
        item, job, machine = self.items[done.item], done.job, self.machine
        layer, step = machine.parameters.layers[item.layer], done.step + replay
        value = sum(spike << i for i, spike in enumerate(spikes))
        if layer.pooling == "or":
            key = (done.item, step, index)
            value |= self.sent.get(key, 0) if done.number else 0
            self.sent[key] = value
        stored = machine.parameters.stored(item.layer) and not item.silent and index <= job["words"]
        bits_of_word = {"round": int(last), "stored": int(stored)}
        if stored:
            block = replay // machine.parameters.columns * machine.layout.line_words[item.layer]
            column = step % machine.parameters.columns
            bits_of_word |= {"line": job["line"] + block + index, "column": column, "spikes": value}
        self.words.append((clock, bits_of_word))


class Shadow:
    """The lanes' sums as they pass the units."""

    def __init__(self, dut):
        self.dut, self.lanes = dut, [0] * dut.parameters.lanes

    def take(self, sums):
        self.lanes = list(sums)

    def step(self, ring):
        units = self.dut.parameters.units
        self.lanes[:ring] = self.lanes[units:ring] + self.lanes[:units]

    def heads(self):
        return sum(value << ACC_BITS * i for i, value in
                   enumerate(self.lanes[:self.dut.parameters.units]))


class Bench:
    """Hands over the jobs of a bank's passes with random sums, as soon as it may or later."""

    def __init__(self, kind, seed, bank, shape):
        self.machine, self.image = mapped(kind, seed, **shape)
        self.rng, self.bank = random.Random(f"{kind} {seed} {bank}"), bank
        self.dut = NeuronArray(
            self.machine.timing,
            within(inventory(self.machine, self.image), f"bank{bank}.neurons"))
        self.naive, self.shadow = Naive(self.machine, self.image, bank), Shadow(self.dut)
        self.clock, self.spikes, self.words, self.currents = 0, [], [], {}
        self.slots = []
        self.pins = None

    async def tick(self, ctx, given=()):
        pins, machine = self.pins, self.machine
        pins.apply(dict(given) | {"heads": self.shadow.heads()})
        if pins.get("fired.valid"):
            spikes = pins.get("fired.payload.spikes")
            units = range(machine.parameters.units)
            self.spikes.append((self.clock, [spikes >> i & 1 for i in units],
                                pins.get("fired.payload.last_layer")))
        if pins.get("words.valid"):
            names = ("line", "column", "spikes", "stored", "round")
            word = {name: pins.get(f"words.payload.{name}") for name in names}
            self.words.append((self.clock, word))
        self.currents[self.clock] = pins.get("current")
        if pins.get("slots.valid"):
            number, step, layer, last = (pins.get(f"slots.payload.{name}") for name in (
                "number", "step", "job.layer", "last_layer"))
            self.slots.append((self.clock, number, step, layer))
            assert last == machine.parameters.is_last(layer)
        moves, ring = pins.get("moves"), machine.timing.rings[pins.get("ring")]
        await ctx.tick()
        self.clock += 1
        if moves:
            self.shadow.step(ring)

    async def hand_over(self, ctx, done):
        """A pass; the clock from which the next may come."""
        machine, rng, index = self.machine, self.rng, self.naive.items[done.item].layer
        sums = [rng.choice([0, rng.getrandbits(ACC_BITS - 1)])
                for _ in range(machine.parameters.lanes)]
        sum_x = rng.getrandbits(SUM_BITS - 2)
        job = {f"jobs.payload.{name}": value or 0 for name, value in done.job.items()}
        arrived = self.clock
        await self.tick(ctx, {"jobs.valid": 1, "sum_x": sum_x} | job)
        self.shadow.take(sums)
        self.pins.apply({"jobs.valid": 0, "sum_x": 0})
        if machine.parameters.joins and machine.parameters.is_last(index):
            await self.join(ctx)
            arrived = self.clock - 1
        turns = machine.timing.replays[index] if done.job["closes"] else 1
        for replay in range(turns):
            self.naive.rotation(done, replay, sums, sum_x,
                                arrived + 1 + replay * machine.timing.rotation[index])
        return arrived + turns * machine.timing.rotation[index]

    async def join(self, ctx):
        for _ in range(self.rng.choice([0, 1, 9])):
            assert self.pins.get("waiting") and not self.pins.get("slots.valid")
            await self.tick(ctx)
        await self.tick(ctx, {"join": 1})
        self.pins.apply({"join": 0})
        assert not self.pins.get("waiting")

    def run(self, samples):
        async def testbench(ctx, rst):
            self.pins = Pins(ctx, self.dut)
            for _ in range(samples):
                for read in Walk(self.machine, self.bank).reads():
                    if read.ended:
                        free = await self.hand_over(ctx, read.ended)
                        for _ in range(free - self.clock + self.rng.choice([0, 0, 0, 5])):
                            await self.tick(ctx)
            for _ in range(self.machine.timing.unit_latency + 3):
                await self.tick(ctx)
            assert not self.pins.get("active")

        simulate(self.dut, testbench)

    def check(self):
        naive = self.naive
        compare_lists(self.slots, naive.slots, lambda i: f"slot {i}: clock, slot, step, layer")
        for clock, value in naive.currents:
            have = self.currents[clock]
            assert have == value, f"clock {clock}: current must be {value}, not {have}"
        compare_lists(self.spikes, naive.spikes, lambda i: f"spikes {i}")
        words = [(clock, {name: word[name] for name in want}) for (clock, word), (_, want) in
                 zip(self.words, naive.words, strict=False)]
        compare_lists(words, naive.words, lambda i: f"word {i}")
        assert len(self.words) == len(naive.words)


ONE, WIDE = {"lanes": 16, "units": 1}, {"lanes": 32, "units": 4}
COLUMNS = {"lanes": 16, "units": 2, "columns": 2}
TWO, FOUR = {"lanes": 16, "units": 2, "banks": 2}, {"lanes": 16, "units": 1, "banks": 4}
PAIRS = COLUMNS | {"batch": True}
STEPWISE = {"lanes": 16, "units": 1, "banks": 2, "stepwise": True}


@pytest.mark.parametrize("kind,seed,shape", [
    ("dense", 0, COLUMNS), ("dense", 1, WIDE), ("dense", 34, FOUR), ("dense", 48, FOUR),
    ("dense", 49, STEPWISE), ("dense", 54, STEPWISE), ("images", 0, ONE), ("images", 2, COLUMNS),
    ("images", 9, WIDE), ("images", 24, TWO), ("images", 27, TWO), ("images", 30, TWO),
    ("images", 35, COLUMNS), ("images", 36, STEPWISE), ("images", 38, TWO), ("dense", 2, PAIRS),
    ("dense", 32, PAIRS), ("images", 36, PAIRS), ("dense states", 0, COLUMNS),
    ("dense states", 49, STEPWISE), ("dense states", 2, PAIRS), ("images states", 9, WIDE),
    ("images states", 5, TWO), ("images states", 13, TWO), ("images states", 36, STEPWISE)])
def test_spikes_and_words_are_those_of_the_equation(kind, seed, shape):
    bench = Bench(kind, seed, shape.get("banks", 1) - 1, shape)
    bench.run(samples=2)
    bench.check()
