"""The neuron unit beside its docstring's equation in Python integers."""

import random
from dataclasses import dataclass

import pytest
from benches import compare, machine, play, signed_width

from qsnn_hw.arch import NEURON_FIELDS, RESETS, UNIT_LATENCY, Field
from qsnn_hw.neuron import FIELD_CLOCK, NeuronUnit

FROM_BASE = ("gain_shift", "leak_shift", "step_shift", "bits")
CURRENT_CLOCK, SPIKE_CLOCK, WRITE_CLOCK = 1, 5, UNIT_LATENCY - 1


@dataclass
class Naive:
    """One neuron's update, every intermediate that must fit ``potential_bits`` in ``sums``."""

    y: int
    spike: int
    u_next: int
    sums: tuple[int, ...]


def update(n, decay_shift):
    """The equation, with q = k + decay_shift - leak_shift and I = -(stored) where flipped."""
    k, q = n["step_shift"], n["step_shift"] + decay_shift - n["leak_shift"]
    y = (2 if n["doubled"] else 1) * n["acc"] - n["sum_x"]
    b = n["bias"] - n["flip"] * 2 ** n["gain_shift"]
    u = n["initial"] if n["first"] else n["u"]
    leak = u * 2**k * n["decay"] // 2**q
    v = leak + (-y if n["flip"] else y) * 2 ** n["gain_shift"] + b
    spike = int(v >= n["threshold"])
    reset = RESETS[n["reset"]]
    after = v
    if spike and reset == "hard":
        after = n["reset_value"]
    elif spike and reset == "soft":
        after = v - n["reset_value"]
    rounded = (after + 2 ** (k - 1)) // 2**k if k else after
    limit = 2 ** (n["bits"] - 1)
    return Naive(y, spike, min(max(rounded, -limit), limit - 1),
                 (leak, v, v - n["threshold"], after))


class Draw:
    """Neurons whose fields agree where they are *constant* (a set of field names)."""

    def __init__(self, seed, *, constant, weight_bits, decay_shift=3, top_step=4, widest=16,
                 fan_sum=40):
        self.rng = random.Random(seed)
        self.weight_bits, self.fan_sum = weight_bits, fan_sum
        self.decay_shift = decay_shift
        self.ranges = {"flip": (0, 1), "gain_shift": (0, 3), "bias": (-30, 30), "decay": (0, 8),
                       "step_shift": (0, top_step), "bits": (2, widest), "reset": (0, 2),
                       "threshold": (-20, 60), "reset_value": (-9, 20), "initial": (-2, 1),
                       "leak_shift": (0, top_step + decay_shift)}
        for name in constant:
            low, high = self.ranges[name]
            self.ranges[name] = (self.rng.randint(low, high),) * 2
        self.constant = constant

    def neuron(self):
        rng = self.rng
        n = {name: rng.randint(*limits) for name, limits in self.ranges.items()}
        n |= self._shifts()
        if "initial" not in self.constant:
            n["initial"] = self._membrane(n["bits"])
        planes = rng.choice(self.weight_bits)
        total = rng.choice([0, 1, rng.randint(0, self.fan_sum), self.fan_sum])
        n |= {"u": self._membrane(n["bits"]), "first": int(rng.random() < 0.3),
              "doubled": int(planes == 1), "sum_x": total << planes - 1,
              "acc": rng.randint(0, total * (2**planes - 1))}
        if "threshold" not in self.constant and rng.random() < 0.6:
            n["threshold"] = update(n, self.decay_shift).sums[1] + rng.randint(-1, 1)
        return n

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
    results = [update(n, draw.decay_shift) for n in neurons]
    fields = [field_for(name, [n[name] for n in neurons], name in draw.constant)
              for name in NEURON_FIELDS]
    ys = [result.y for result in results]
    return NeuronUnit(machine(
        neuron_fields=tuple(fields), decay_shift=draw.decay_shift,
        acc_bits=max(n["acc"] for n in neurons).bit_length() or 1,
        sum_bits=max(n["sum_x"] for n in neurons).bit_length() or 1,
        current_bits=signed_width(*ys, *(~y for y in ys)),
        potential_bits=signed_width(*(s for result in results for s in result.sums)),
        membrane_bits=max(n["bits"] for n in neurons))), results


def port_clocks(unit):
    """Port: clock of the pipeline in which it is read."""
    clocks = {"acc": 0, "sum_x": 0, "doubled": 0, "u": 1, "first": 1}
    stored = [field for field in unit.machine.neuron_fields if field.constant is None]
    return clocks | {field.name: FIELD_CLOCK[field.name] for field in stored}


def check(draw, count, gap=0.3):
    """*count* neurons, one a clock but for gaps; ports hold noise wherever they are not read."""
    rng, neurons = draw.rng, [draw.neuron() for _ in range(count)]
    unit, results = unit_for(neurons, draw)
    starts, clock = [], 0
    for _ in neurons:
        while rng.random() < gap:
            clock += 1
        starts.append(clock)
        clock += 1
    ports = port_clocks(unit)
    bases = {field.name: field.base for field in unit.machine.neuron_fields}
    noise = [{name: rng.getrandbits(len(getattr(unit, name))) for name in ports}
             for _ in range(clock + UNIT_LATENCY)]
    expected = [{} for _ in noise]
    for start, n, result in zip(starts, neurons, results, strict=True):
        for name, offset in ports.items():
            noise[start + offset][name] = n[name] - bases.get(name, 0)
        expected[start + CURRENT_CLOCK]["current"] = result.y
        expected[start + SPIKE_CLOCK]["spike"] = result.spike
        expected[start + WRITE_CLOCK]["u_next"] = result.u_next
    got = play(unit, noise, ["current", "spike", "u_next"])
    compare(got, expected, lambda clock: "; neurons in flight: " + "; ".join(
        f"clock {s} {n}" for s, n in zip(starts, neurons, strict=True) if 0 <= clock - s < 9))
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
    check(Draw(f"only {stored}", constant=constant, weight_bits=(1, 4), top_step=2), 40)


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
                    "bias": (-2, 2), "threshold": (-3, 3), "reset_value": (-3, 3)}
    check(draw, 40)
