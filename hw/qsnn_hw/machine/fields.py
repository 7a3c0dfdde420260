"""Per-channel parameters of neurons and classes, and the clock of a pipeline that needs each."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Field:
    """One per-channel parameter: ``base`` + a stored number of ``width`` bits, or ``constant``.

    A field whose value is the same everywhere is a constant of the machine and costs no memory.
    """

    name: str
    width: int
    signed: bool = False
    base: int = 0
    constant: int | None = None


NEURON_FIELDS = (
    "minimum",       # 1: the least of a pooling window counts, not the largest
    "flip",          # 1: the weights are stored complemented, I = -(stored)
    "gain_shift",    # f
    "bias",          # b + flip · 2^f (two's complement negation is ~y + 1; with synapses just b)
    "synapse_decay", # m of the synaptic current, scaled to q = synapse_shift
    "synapse_bits",  # its width; 0 in a machine without any
    "decay",         # m
    "leak_shift",    # k - q + decay_shift
    "initial",       # u0
    "threshold",     # θ
    "reset",         # RESETS.index(kind)
    "reduction",     # ρ, of a soft reset
    "reset_to",      # u' after a hard reset: v' = r, clamped, rounded and clipped
    "lowest",        # u' of a clamped v', rounded and clipped; 0 in a machine that never clamps
    "step_shift",    # k
    "bits",          # U
)
READOUT_FIELDS = (
    "flip",          # as above
    "gain",          # g
    "bias",          # b + flip · g
)
SCORE_CLOCK = {"flip": 1, "gain": 1, "bias": 3}     # of a class, in which a score needs each field
RESETS = ("hard", "soft", "none")


def unit_clocks(neuron: tuple[Field, ...], pools: bool, synapses: bool) -> dict[str, int]:
    """The clock of a neuron unit's pipeline in which each stage works, counted from a neuron's slot
    on (`qsnn_hw.core.neuron` says what they do). A stage that no neuron of a machine needs takes
    none: *neuron* are its fields, *pools* and *synapses* whether it has those.
    """
    fields = {field.name: field.constant for field in neuron}
    decay = fields.get("decay", 1)
    product = decay is None or decay & (decay - 1) != 0
    turn = fields.get("flip", 0) != 0 or (not pools and (
        synapses or product or fields.get("gain_shift", 0) is None))
    soft = fields.get("reset", 0) in (None, RESETS.index("soft"))
    clocks, clock = {}, 0
    for name, takes in (("current", True), ("turn", turn), ("pool", pools),
                        ("synapse", synapses), ("bias", True), ("sum", True),
                        ("reduce", soft), ("scale", True), ("round", True), ("clip", True)):
        clocks[name] = clock
        clock += takes
    leak = clocks["sum"] - 1
    return clocks | {"fire": clocks["sum"] + 1, "leak": leak, "product": leak - product,
                     "read": leak - product - 1}


def field_clocks(neuron: tuple[Field, ...], pools: bool, synapses: bool) -> dict[str, int]:
    """The clock of a neuron unit's pipeline in which it needs each field."""
    clocks = unit_clocks(neuron, pools, synapses)
    late = pools or synapses
    return {"flip": clocks["turn"], "minimum": clocks["pool"],
            "synapse_decay": clocks["synapse"] - 1, "synapse_bits": clocks["bias"],
            "gain_shift": clocks["bias" if late else "turn"],
            "decay": clocks["product"], "initial": clocks["product"], "bias": clocks["bias"],
            "leak_shift": clocks["leak"], "threshold": clocks["fire"], "reduction": clocks["fire"],
            "reset": clocks["scale"], "step_shift": clocks["scale"], "reset_to": clocks["clip"],
            "lowest": clocks["clip"], "bits": clocks["clip"]}
