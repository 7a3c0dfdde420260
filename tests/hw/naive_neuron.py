"""One neuron's update in Python integers: the equation of `qsnn_hw.core.neuron`'s docstring."""

from dataclasses import dataclass

from qsnn_hw.machine.fields import RESETS


@dataclass
class Naive:
    """One update, every intermediate that must fit ``potential_bits`` in ``sums``, and what
    must fit ``scaled_bits``."""

    current: int
    largest: int
    spike: int
    u_next: int
    i_next: int
    sums: tuple[int, ...]
    scaled: int


def largest_of(n):
    """The stored y (complemented where flipped), or what was pooled before it."""
    y = (2 if n["doubled"] else 1) * n["acc"] - n["sum_x"]
    y = ~y if n["flip"] else y
    if n.get("alone", 1):
        return y
    return (min if n["minimum"] else max)(y, n["pooled"])


def saturate(number, bits):
    limit = 2 ** (bits - 1)
    return min(max(number, -limit), limit - 1)


def synapse(n, y, q):
    """The new synaptic current."""
    i = 0 if n["i_first"] else n["i"]
    return saturate(i * n["synapse_decay"] // 2**q + y, n["synapse_bits"])


def update(n, decay_shift, synapse_shift=0):
    """The neuron *n*, by field and port name, with q = k + decay_shift - leak_shift."""
    k, q = n["step_shift"], n["step_shift"] + decay_shift - n["leak_shift"]
    current = (2 if n["doubled"] else 1) * n["acc"] - n["sum_x"]
    largest = largest_of(n)
    y = largest + n["flip"]                     # -stored = ~stored + 1
    b = n["bias"]
    if n["synapse_bits"]:
        y = synapse(n, y, synapse_shift)
    else:
        b -= n["flip"] * 2 ** n["gain_shift"]
    u = n["initial"] if n["first"] else n["u"]
    leak = u * 2**k * n["decay"] // 2**q
    v = leak + y * 2 ** n["gain_shift"] + b
    spike = int(v >= n["threshold"])
    reset = RESETS[n["reset"]]
    after = v - n["reduction"] if spike and reset == "soft" else v
    sums = leak, v, v - n["threshold"], after
    rounded = (after + 2 ** (k - 1)) // 2**k if k else after
    u_next = saturate(rounded, n["bits"])
    if n["clamps"]:
        u_next = max(u_next, n["lowest"])
    if spike and reset == "hard":
        u_next, after = n["reset_to"], 0
    return Naive(current, largest, spike, u_next, y, sums, after * 2 // 2**k)
