"""The machine's parameters, memory map and stream formats: plain dataclasses, no HDL.

One event-driven core, sized for one network. The compiler fills a `Machine` (shapes and proven
widths) and an `Image` (what its memories hold); `qsnn_hw.core` builds it, `qsnn_sim.cycle` counts
its clocks, `qsnn_runtime` talks to it.

Vocabulary. P `lanes` accumulate one weight row (P bits) a clock. A *group* is P neurons of a
layer. A *pass* streams one event list through one group for one weight plane. A finished group
moves to the *shadow*, which rotates past the NU neuron `units` in P / NU *slots*; unit i sees
lanes NU·slot + i. The last layer uses unit 0 alone: class c sits in slot c mod (P / NU).
"""

from dataclasses import dataclass, field
from typing import Literal

WORD = 16                   # bits of a spike word, of a weight beat, of a block RAM's widest port
ISSUE_TO_LANES = 4          # clocks from issuing an event or a transfer to its arrival at the lanes
UNIT_LATENCY = 9            # clocks from a slot's read of a membrane to its write-back


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


@dataclass(frozen=True)
class Layer:
    """A dense layer as the machine runs it. ``fires`` is False for a `potential` readout."""

    name: str
    fan_in: int
    neurons: int
    weight_bits: int
    fires: bool = True


@dataclass(frozen=True)
class Machine:
    """Shapes and widths of one core.

    ``neuron_fields`` holds each of NEURON_FIELDS once, ``readout_fields`` each of READOUT_FIELDS
    (for a `potential` readout, else empty). Widths are in bits, two's complement unless unsigned:
    ``acc_bits`` (unsigned) of an accumulator, ``sum_bits`` (unsigned) of Σx·2^(W-1),
    ``current_bits`` of I, ``potential_bits`` of v and every sum in the neuron, ``membrane_bits``
    of the stored u, ``score_bits`` of a score. ``decay_shift`` is the largest q. ``weight_memory``
    is single-port RAM that no bitstream initialises, or block RAM.
    """

    name: str
    steps: int
    coding: Literal["direct", "spikes"]
    input_bits: int
    layers: tuple[Layer, ...]
    readout: Literal["count", "potential"]
    neuron_fields: tuple[Field, ...]
    readout_fields: tuple[Field, ...]
    acc_bits: int
    sum_bits: int
    current_bits: int
    potential_bits: int
    membrane_bits: int
    score_bits: int
    decay_shift: int
    lanes: int = 64
    units: int = 2
    weight_memory: Literal["spram", "ebr"] = "spram"
    digest: str = ""

    @property
    def slots(self) -> int:
        """Slots of a rotation, P / NU."""
        return self.lanes // self.units

    @property
    def rotation(self) -> int:
        """Clocks from one rotation to the next: a membrane must be written before it is read."""
        return max(self.slots, UNIT_LATENCY)

    @property
    def classes(self) -> int:
        """Outputs of the last layer."""
        return self.layers[-1].neurons

    @property
    def row_beats(self) -> int:
        """Weight beats of WORD bits in a row."""
        return self.lanes // WORD

    def is_last(self, index: int) -> bool:
        """Whether layer *index* is read out."""
        return index == len(self.layers) - 1

    def groups(self, index: int) -> int:
        """Groups of layer *index*."""
        per_group = self.slots if self.is_last(index) else self.lanes
        return -(-self.layers[index].neurons // per_group)

    def replays(self, index: int) -> int:
        """Rotations after each transfer: T where the current is the same at every step."""
        return self.steps if self.is_direct(index) and self.layers[index].fires else 1

    def is_direct(self, index: int) -> bool:
        """Whether layer *index* reads the direct-coded input."""
        return index == 0 and self.coding == "direct"

    @property
    def counted(self) -> bool:
        """Whether a `potential` readout takes the spike counts of the layer before it.

        Σ_t Σ_i w·s_i(t) = Σ_i w·(Σ_t s_i(t)): one list of the neurons that fired at all, x = count.
        """
        return self.readout == "potential" and len(self.layers) > 1 and self.steps > 1

    @property
    def value_bits(self) -> int:
        """Bits of x in the lanes: a pixel, a spike, or a count of spikes."""
        return max(self.input_bits, self.steps.bit_length() if self.counted else 1)

    def lists(self, index: int) -> int:
        """Event lists of layer *index*: one a step, one in all for pixels or counts."""
        single = self.is_direct(index) or (self.counted and self.is_last(index))
        return 1 if single else self.steps

    def list_steps(self, index: int) -> int:
        """Lists that layer *index* streams to a group: pixels are replayed from the shadow if the
        layer fires, else accumulated at every step."""
        accumulated = self.is_direct(index) and not self.layers[index].fires
        return self.steps if accumulated else self.lists(index)

    def row(self, index: int) -> int:
        """First weight row of layer *index*; rows are [group][plane][input]."""
        return sum(self.groups(i) * layer.weight_bits * layer.fan_in
                   for i, layer in enumerate(self.layers[:index]))

    @property
    def rows(self) -> int:
        """Weight rows in all."""
        return self.row(len(self.layers))

    def slot_base(self, index: int) -> int:
        """First parameter address of layer *index*, the same in every unit; [group][slot]."""
        return sum(self.groups(i) * self.slots for i in range(index))

    @property
    def neuron_slots(self) -> int:
        """Parameter addresses of the layers that fire."""
        return self.slot_base(sum(layer.fires for layer in self.layers))

    @property
    def readout_slots(self) -> int:
        """Parameter addresses of a `potential` readout."""
        return 0 if self.layers[-1].fires else self.groups(len(self.layers) - 1) * self.slots

    @property
    def input_beats(self) -> int:
        """Input beats of a sample: pixels, or words of WORD spikes (step-major)."""
        fan_in = self.layers[0].fan_in
        return fan_in if self.coding == "direct" else self.steps * -(-fan_in // WORD)

    @property
    def beat_bits(self) -> int:
        """Bits of an input beat: one pixel, or WORD spikes with input 0 in the lowest bit."""
        return self.input_bits if self.coding == "direct" else WORD

    def list_depth(self, buffer: int) -> int:
        """Entries of event list *buffer*: list l is in buffer l mod 2, sized for all-active."""
        depths = [layer.fan_in * self.lists(i)
                  for i, layer in enumerate(self.layers) if i % 2 == buffer]
        return max(depths, default=1)

    @property
    def fifo_depth(self) -> int:
        """Spike words that can wait for the encoder: those of the busiest layer, all of them."""
        words = [1] + [self.groups(i) * self.lanes // WORD * self.lists(i + 1)
                       for i in range(len(self.layers) - 1)]
        if self.coding == "spikes":
            words.append(self.input_beats)
        return max(words)


NEURON_FIELDS = (
    "flip",          # 1: the weights are stored complemented, I = -(stored)
    "gain_shift",    # f
    "bias",          # b + flip · 2^f (two's complement negation is ~y + 1)
    "decay",         # m
    "leak_shift",    # k - q + decay_shift
    "initial",       # u0
    "threshold",     # θ
    "reset",         # RESETS.index(kind)
    "reset_value",   # r or ρ
    "step_shift",    # k
    "bits",          # U
)
READOUT_FIELDS = (
    "flip",          # as above
    "gain",          # g
    "bias",          # b + flip · g
)
RESETS = ("hard", "soft", "none")


@dataclass(frozen=True)
class Image:
    """What the machine's memories hold.

    ``neuron[name][unit][address]`` and ``readout[name][address]`` are stored numbers (``base``
    taken off) of the fields that are no constants; ``weights[row]`` has lane l in bit l, stored as
    w + 2^(W-1) (1 bit: w = +1), plane p of a row its bit p, complemented where ``flip`` is 1
    (1-bit layers only).
    """

    neuron: dict[str, tuple[tuple[int, ...], ...]] = field(default_factory=dict)
    readout: dict[str, tuple[int, ...]] = field(default_factory=dict)
    weights: tuple[int, ...] = ()
