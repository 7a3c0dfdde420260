"""The neuron unit beside its docstring's equation in Python integers."""

import random

import pytest
from benches import compare, play, signed_width
from naive_neuron import update

from qsnn_hw.core.neuron import NeuronUnit
from qsnn_hw.machine.fields import NEURON_FIELDS, RESETS, Field, field_clocks
from qsnn_hw.machine.parameters import Arithmetic

FROM_BASE = ("gain_shift", "leak_shift", "step_shift", "bits", "synapse_bits")
SYNAPSE_FIELDS = {"synapse_decay", "synapse_bits"}
CURRENT_CLOCK, SYNAPSE_SHIFT = 1, 3


class Draw:
    """Neurons whose fields agree where they are *constant* (a set of field names); with *pools*
    most have the largest current of a window, with *synapses* all integrate it twice."""

    def __init__(self, seed, *, constant, weight_bits, decay_shift=3, top_step=4, widest=16,
                 fan_sum=40, pools=False, synapses=False, clamps=False):
        self.rng, self.pools, self.synapses = random.Random(seed), pools, synapses
        constant = constant | (set() if synapses else SYNAPSE_FIELDS)
        constant, self.clamps = constant | (set() if clamps else {"lowest"}), clamps
        self.weight_bits, self.fan_sum = weight_bits, fan_sum
        self.decay_shift = decay_shift
        self.ranges = {"minimum": (0, 1), "flip": (0, 1), "gain_shift": (0, 3),
                       "bias": (-30, 30), "decay": (0, 8), "step_shift": (0, top_step),
                       "bits": (2, widest), "reset": (0, 2), "threshold": (-20, 60),
                       "reduction": (-9, 20), "initial": (-2, 1), "reset_to": (-2, 1),
                       "leak_shift": (0, top_step + decay_shift), "synapse_decay": (0, 10),
                       "synapse_bits": (1, 12) if synapses else (0, 0), "lowest": (-2, 1)}
        for name in constant:
            low, high = self.ranges[name]
            self.ranges[name] = (self.rng.randint(low, high),) * 2
        self.constant = constant

    def neuron(self):
        rng = self.rng
        n = {name: rng.randint(*limits) for name, limits in self.ranges.items()}
        n |= self._shifts()
        for name in sorted({"initial", "reset_to", "lowest"} - self.constant):
            n[name] = self._membrane(n["bits"])
        planes = rng.choice(self.weight_bits)
        total = rng.choice([0, 1, rng.randint(0, self.fan_sum), self.fan_sum])
        n |= {"u": self._membrane(n["bits"]), "first": int(rng.random() < 0.3),
              "doubled": int(planes == 1), "sum_x": total << planes - 1,
              "acc": rng.randint(0, total * (2**planes - 1))}
        if self.pools:
            n |= {"pooled": rng.randint(-80, 80), "alone": int(rng.random() < 0.3)}
        n["clamps"] = self.clamps
        if self.synapses:
            n |= {"i": self._membrane(n["synapse_bits"]), "i_first": int(rng.random() < 0.3)}
        if "threshold" not in self.constant and rng.random() < 0.6:
            n["threshold"] = self.update(n).sums[1] + rng.randint(-1, 1)
        return n

    def update(self, n):
        return update(n, self.decay_shift, SYNAPSE_SHIFT)

    def _membrane(self, bits):
        limit = 2 ** (bits - 1)
        return self.rng.choice([-limit, limit - 1, 0, self.rng.randint(-limit, limit - 1)])

    def _shifts(self):
        """k and k - q + decay_shift, such that 0 <= q <= decay_shift."""
        (k_low, k_high), (l_low, l_high) = self.ranges["step_shift"], self.ranges["leak_shift"]
        if l_low == l_high:
            k_low, k_high = max(k_low, l_low - self.decay_shift), min(k_high, l_low)
            if k_low > k_high:              # two constants that do not go together
                k_low = k_high = self.ranges["step_shift"][0]
                l_low = l_high = k_low
        k = self.rng.randint(k_low, k_high)
        leak = l_low if l_low == l_high else k + self.rng.randint(0, self.decay_shift)
        return {"step_shift": k, "leak_shift": leak}


def field_for(name, values, constant):
    """A constant, or the narrowest field from a base (shifts) or from 0 that holds *values*."""
    low, high = min(values), max(values)
    if constant:
        assert low == high
        return Field(name, 0, constant=low)
    base = low if name in FROM_BASE else 0
    signed = low < base
    width = signed_width(low, high) if signed else max((high - base).bit_length(), 1)
    return Field(name, width, signed, base)


def unit_for(neurons, draw):
    """A unit with no bit more than these neurons' numbers need."""
    results = [draw.update(n) for n in neurons]
    fields = [field_for(name, [n[name] for n in neurons], name in draw.constant)
              for name in NEURON_FIELDS]
    ys = [y for result in results for y in (result.current, result.largest)]
    ys += [n.get("pooled", 0) for n in neurons]
    arithmetic = Arithmetic(
        neuron_fields=tuple(fields), decay_shift=draw.decay_shift,
        acc_bits=max(n["acc"] for n in neurons).bit_length() or 1,
        sum_bits=max(n["sum_x"] for n in neurons).bit_length() or 1,
        current_bits=signed_width(*ys, *(~y for y in ys)),
        potential_bits=signed_width(*(s for result in results for s in result.sums)),
        scaled_bits=signed_width(*(result.scaled for result in results)),
        membrane_bits=max(n["bits"] for n in neurons), synapse_shift=SYNAPSE_SHIFT,
        synapse_bits=max(n["synapse_bits"] for n in neurons), clamps=draw.clamps)
    return NeuronUnit(arithmetic, pools=draw.pools), results


def port_clocks(unit):
    """Port: clock of the pipeline in which it is read."""
    fields, synapses = unit.arithmetic.neuron_fields, unit.arithmetic.synapses
    stage = field_clocks(fields, unit.pools, synapses)
    clocks = {"acc": 0, "sum_x": 0, "doubled": 0, "u": stage["initial"], "first": stage["initial"]}
    if unit.pools:
        clocks |= dict.fromkeys(("pooled", "alone"), unit.clocks["pool"])
    if synapses:
        clocks |= {"i": stage["synapse_decay"], "i_first": stage["synapse_decay"]}
    stored = [field for field in fields if field.constant is None]
    return clocks | {field.name: stage[field.name] for field in stored}


def answers(unit, result):
    """Port: clock of the pipeline in which it is out, and what it must be."""
    clocks = unit.clocks
    seen = {"current": (CURRENT_CLOCK, result.current),
             "spike": (clocks["fire"] + 1, result.spike),
             "u_next": (clocks["clip"], result.u_next)}
    if unit.arithmetic.synapses:
        seen["i_next"] = (clocks["bias"], result.i_next)
    if unit.pools:
        seen["largest"] = (clocks["pool"] + 1, result.largest)
    return seen


def latency_of(clocks):
    """Clocks from a neuron to its membrane's write-back, and to the next of that membrane."""
    return max(clocks["clip"], clocks["clip"] - clocks["read"] + 1)


def starts_of(rng, count, gap):
    """Clocks in which *count* neurons come, one a clock but for gaps."""
    starts, clock = [], 0
    for _ in range(count):
        while rng.random() < gap:
            clock += 1
        starts.append(clock)
        clock += 1
    return starts


def check(draw, count, gap=0.3):
    """Ports hold noise wherever they are not read."""
    rng, neurons = draw.rng, [draw.neuron() for _ in range(count)]
    unit, results = unit_for(neurons, draw)
    starts, latency = starts_of(rng, count, gap), latency_of(unit.clocks)
    ports = port_clocks(unit)
    bases = {field.name: field.base for field in unit.arithmetic.neuron_fields}
    noise = [{name: rng.getrandbits(len(getattr(unit, name))) for name in ports}
             for _ in range(starts[-1] + latency + 1)]
    expected = [{} for _ in noise]
    for start, n, result in zip(starts, neurons, results, strict=True):
        for name, offset in ports.items():
            noise[start + offset][name] = n[name] - bases.get(name, 0)
        for name, (offset, value) in answers(unit, result).items():
            expected[start + offset][name] = value
    got = play(unit, noise, list({name for clock in expected for name in clock}))
    compare(got, expected, lambda clock: "; neurons in flight: " + "; ".join(
        f"clock {s} {n}" for s, n in zip(starts, neurons, strict=True)
        if 0 <= clock - s <= latency))
    return results


def some_constant(seed):
    rng = random.Random(f"constant {seed}")
    share = rng.choice([0.2, 0.5, 0.8])
    return {name for name in NEURON_FIELDS if rng.random() < share}


@pytest.mark.parametrize("seed", range(24))
def test_unit_equals_equation_whatever_is_stored(seed):
    weight_bits = [(1,), (2, 4), (1, 2, 8)][seed % 3]
    check(Draw(seed, constant=some_constant(seed), weight_bits=weight_bits), 60)


@pytest.mark.parametrize("stored", [*NEURON_FIELDS, None])
def test_one_stored_field_among_constants(stored):
    constant = set(NEURON_FIELDS) - {stored}
    check(Draw(f"only {stored}", constant=constant, weight_bits=(1, 4), top_step=2,
               pools=stored == "minimum", synapses=stored in SYNAPSE_FIELDS,
               clamps=stored == "lowest"), 40)


@pytest.mark.parametrize("seed", range(8))
def test_the_largest_current_of_a_window_counts(seed):
    draw = Draw(f"pool {seed}", constant=some_constant(seed), weight_bits=(1, 2), pools=True)
    check(draw, 60)


@pytest.mark.parametrize("pools", [False, True])
@pytest.mark.parametrize("seed", range(12))
def test_a_synaptic_current_before_the_membrane(seed, pools):
    draw = Draw(f"synapse {seed}", constant=some_constant(seed), weight_bits=(1, 2), pools=pools,
                synapses=True)
    results = check(draw, 60)
    assert len({result.i_next for result in results}) > 1


@pytest.mark.parametrize("seed", range(12))
def test_a_clamp_below(seed):
    draw = Draw(f"clamp {seed}", constant=some_constant(seed), weight_bits=(1, 2), clamps=True,
                synapses=seed % 3 == 0)
    check(draw, 60)


@pytest.mark.parametrize("bits", [2, 3, 4, 8, 16])
@pytest.mark.parametrize("reset", RESETS)
def test_every_reset_and_membrane_width_back_to_back(bits, reset):
    draw = Draw(f"{bits} {reset}", constant={"bits", "reset"}, weight_bits=(1,))
    draw.ranges |= {"bits": (bits,) * 2, "reset": (RESETS.index(reset),) * 2}
    results = check(draw, 50, gap=0)
    assert {result.spike for result in results} == {0, 1}


@pytest.mark.parametrize("constant", [set(), {"step_shift", "leak_shift"}])
def test_steps_far_above_the_potential(constant):
    """A membrane step so coarse that every small v rounds to 0."""
    draw = Draw("coarse", constant=constant | {"decay"}, weight_bits=(1,), fan_sum=3)
    draw.ranges |= {"decay": (0, 0), "step_shift": (12, 12), "leak_shift": (12, 12),
                    "bias": (-2, 2), "threshold": (-3, 3), "reduction": (-3, 3),
                    "reset_to": (-1, 1)}
    check(draw, 40)
