"""The machine's parameters, memory map and stream formats: plain dataclasses, no HDL.

One event-driven core, sized for one network. The compiler fills a `Machine` (shapes and proven
widths) and an `Image` (what its memories hold); `qsnn_hw.core` builds it, `qsnn_sim.cycle` counts
its clocks, `qsnn_runtime` talks to it.

Vocabulary. A *bank* has L `lanes`, which accumulate one weight row (L bits) a clock, and NU neuron
`units`; `banks` of them work side by side, each at its own pace. A *place* is a position of a
layer's output map (a dense layer has one), a *group* is L of its channels, an *item* is one group
at one place: what a bank works on at a time. A *window* is the list of `Word`s of the source maps
that an item sees: taps outside, channels inside. One pass through a window ends with a *transfer*
of the lanes' sums to the *shadow*, which rotates past the bank's units in L / NU *slots*; unit i
sees lanes NU·slot + i. A readout's classes pass one a clock: the shadow moves on with the last
unit's. Classes that fire use unit 0 alone: class c sits in slot c mod (L / NU).
"""

from dataclasses import dataclass, field
from typing import Literal

from .fields import Field, field_clocks, unit_clocks
from .layers import WORD, Layer, Map
from .validity import check

BLOCK_ROM_BITS = 1024       # a read-only memory from here on is block RAM, not 100 logic cells
SPARED_ROM_BITS = 4096      # where block RAM is short, one up to here is logic
SPARED_RAM_BITS = 256       # and so is a written one up to here
BLOCK_RAM_BITS = 32         # where there is enough, a written one from here on is block RAM
ISSUE_TO_LANES = 4          # clocks from an event or a transfer to the lanes' adding or clearing

Small = Literal["block", "auto", "logic"]


@dataclass(frozen=True)
class Machine:
    """Shapes and widths of one core.

    ``neuron_fields`` holds each of NEURON_FIELDS once, ``readout_fields`` each of READOUT_FIELDS
    (for a `potential` readout, else empty). Widths are in bits, two's complement unless unsigned:
    ``acc_bits`` (unsigned) of an accumulator, ``sum_bits`` (unsigned) of Σx,
    ``current_bits`` of I, ``potential_bits`` of v and every sum in the neuron, ``scaled_bits`` of
    2·v' / 2^k, ``membrane_bits`` of the stored u, ``score_bits`` of a score.
    ``decay_shift`` is the largest q. ``synapse_bits`` of the stored synaptic current i, 0 where no
    layer has one; ``synapse_shift`` the largest q of its decays. ``clamps``: v' has a lower bound.
    ``columns``: steps side by side in a line of the spike memory. ``batch_bits``: where it is not
    0, one pass serves two steps (``columns`` is 2): x = s_t + 2^batch_bits · s_(t+1), and a sum
    holds both steps'.
    ``order``: a window is run layer by layer, all its steps, or step by step, all layers.
    ``weight_memory`` is single-port RAM that no bitstream initialises, or block RAM;
    ``small_memories`` are block RAM, logic where that is short, or what synthesis takes them for on
    a chip with distributed RAM.
    ``streaming``: an input is one step's frame, its result is of all steps since the last restart,
    and state stays (`docs/streaming.md`). With an ``exit_margin`` a result is settled when the best
    score leads the next by so much; a window ends there.

    Raises MachineError (see `validity`) for a machine that would never answer or be wrong.
    """

    name: str
    steps: int
    coding: Literal["direct", "spikes"]
    input_bits: int
    input_map: Map
    layers: tuple[Layer, ...]
    readout: Literal["count", "potential"]
    neuron_fields: tuple[Field, ...]
    readout_fields: tuple[Field, ...]
    acc_bits: int
    sum_bits: int
    current_bits: int
    potential_bits: int
    scaled_bits: int
    membrane_bits: int
    score_bits: int
    decay_shift: int
    banks: int = 1
    lanes: int = 64
    units: int = 2
    columns: int = 1
    batch_bits: int = 0
    synapse_bits: int = 0
    synapse_shift: int = 0
    clamps: bool = False
    order: Literal["layer", "step"] = "layer"
    weight_memory: Literal["spram", "ebr"] = "spram"
    small_memories: Small = "block"
    streaming: bool = False
    exit_margin: int | None = None
    digest: str = ""

    def __post_init__(self) -> None:
        check(self)

    def __hash__(self) -> int:
        """Of what tells machines apart: the words of all windows would take long."""
        return hash((self.name, self.banks, self.lanes, self.units, self.columns, self.order,
                     self.acc_bits, self.small_memories, self.neuron_fields))

    @property
    def slots(self) -> int:
        """Slots of a full rotation, L / NU."""
        return self.lanes // self.units

    @property
    def unit_clocks(self) -> dict[str, int]:
        """The clock of each stage of its neuron units, see `fields.unit_clocks`."""
        return unit_clocks(self.neuron_fields, self.pools, self.synapses)

    @property
    def field_clocks(self) -> dict[str, int]:
        """The clock of its neuron units in which each field is needed."""
        return field_clocks(self.neuron_fields, self.pools, self.synapses)

    @property
    def unit_latency(self) -> int:
        """Clocks from a slot to its membrane's write-back, and from that membrane's read to its
        next one."""
        clocks = self.unit_clocks
        return max(clocks["clip"], clocks["clip"] - clocks["read"] + 1)

    @property
    def spike_clock(self) -> int:
        """Clocks from a neuron's slot to its spike."""
        return self.unit_clocks["fire"] + 1

    @property
    def synapses(self) -> bool:
        """Whether some layer has a synaptic current."""
        return self.synapse_bits > 0

    @property
    def formats(self) -> tuple[tuple[int, int, int], ...]:
        """Planes and shifts of the weights, all that occur."""
        return tuple(sorted({found.format for layer in self.layers for found in layer.maps}))

    @property
    def planes(self) -> int:
        """The most planes of a weight."""
        return max(planes for planes, _, _ in self.formats)

    @property
    def pools(self) -> bool:
        """Whether some layer takes the largest of several currents."""
        return any(layer.pooling == "max" for layer in self.layers)

    @property
    def total_bits(self) -> int:
        """Bits of what a `potential` readout multiplies: I, or where steps are added up Σ_t I."""
        added = self.steps.bit_length() + self.streaming if self.order == "step" else 0
        return self.current_bits + added

    @property
    def frames(self) -> int:
        """Frames of an input sample."""
        return 1 if self.one_frame else self.steps

    @property
    def one_frame(self) -> bool:
        """Whether an input sample is one frame, without an axis of steps."""
        return self.coding == "direct" or self.streaming

    @property
    def times(self) -> int:
        """How often all layers are run for an input sample."""
        return self.steps if self.order == "step" and not self.streaming else 1

    @property
    def exits(self) -> bool:
        """Whether a window ends with the first settled step."""
        return self.exit_margin is not None and not self.streaming

    @property
    def classes(self) -> int:
        """Outputs of the last layer."""
        return self.layers[-1].channels

    @property
    def row_beats(self) -> int:
        """Weight beats of WORD bits in a row of one bank."""
        return self.lanes // WORD

    def is_last(self, index: int) -> bool:
        """Whether layer *index* is read out."""
        return index == len(self.layers) - 1

    def used_slots(self, index: int) -> int:
        """Slots of a rotation of layer *index*: those with channels, whole words of them; one a
        class, of those that fire as many as there are banks: so late does the word come, whose
        turn the one before has had by then."""
        if self.is_last(index):
            least = self.banks if self.layers[index].fires else 1
            return min(self.group_size(index), max(self.classes, least))
        words = -(-min(self.layers[index].channels, self.lanes) // WORD)
        return min(self.slots, words * WORD // self.units)

    def rotation(self, index: int) -> int:
        """Clocks from one rotation of layer *index* to the next: a membrane must be written before
        it is read again."""
        return max(self.used_slots(index), self.unit_latency)

    def ring(self, index: int) -> int:
        """Which of `rings` a rotation of layer *index* goes round."""
        turns = self.replays(index) > 1
        return self.rings.index(self.used_slots(index) * self.units if turns else self.lanes)

    @property
    def rings(self) -> tuple[int, ...]:
        """Lanes that a shadow rotates, where it goes round more than once."""
        found = {self.used_slots(i) * self.units for i in range(len(self.layers))
                 if self.replays(i) > 1}
        return tuple(sorted(found | {self.lanes}))

    @property
    def joins(self) -> bool:
        """Whether the banks share the inputs of the readout, and add up their currents."""
        return self.banks > 1 and not self.layers[-1].fires

    def group_size(self, index: int) -> int:
        """Channels of a group."""
        alone = self.is_last(index) and self.layers[index].fires
        return self.slots if alone else self.lanes

    def groups(self, index: int) -> int:
        """Groups of layer *index*."""
        return -(-self.layers[index].channels // self.group_size(index))

    def place_banks(self, index: int) -> int:
        """Banks that work on different places at a time."""
        return self.banks // self.layers[index].group_banks

    def group_rounds(self, index: int) -> int:
        """Groups of a place that one bank works on, one after the other."""
        layer = self.layers[index]
        return -(-self.groups(index) // (layer.group_banks if layer.fires else 1))

    def rounds(self, index: int) -> int:
        """Items that each bank works on in layer *index*, empty ones included."""
        layer = self.layers[index]
        return -(-layer.places // self.place_banks(index)) * self.group_rounds(index)

    def is_direct(self, index: int) -> bool:
        """Whether the current of layer *index* is the same at every step."""
        return self.coding == "direct" and all(
            found.layer < 0 for found in self.layers[index].maps)

    def replays(self, index: int) -> int:
        """Rotations after each transfer: T where the current is the same at every step, 2 where it
        serves two steps."""
        fires = self.layers[index].fires
        if self.paired(index):
            return 2
        return self.steps if self.is_direct(index) and fires and self.order == "layer" else 1

    def paired(self, index: int) -> bool:
        """Whether layer *index* takes the spikes of two steps at once."""
        layer = self.layers[index]
        return (self.batch_bits > 0 and layer.fires and layer.pooling == "none"
                and all(found.kind == "spikes" for found in layer.maps))

    def stride(self, index: int) -> int:
        """Steps whose spikes layer *index* takes at once."""
        return self.columns if self.merged(index) or self.paired(index) else 1

    def merged(self, index: int) -> bool:
        """Whether layer *index* takes the spikes of all columns of a line at once: x = Σ_t s."""
        layer = self.layers[index]
        return not layer.fires and self.columns > 1 and not self.is_direct(index)

    def window_steps(self, index: int) -> int:
        """Times that a window of layer *index* is run for an item, in a window of T steps."""
        layer = self.layers[index]
        if self.order == "step" or (self.is_direct(index) and layer.fires):
            return 1
        return -(-self.steps // self.stride(index))

    def line_words(self, index: int) -> int:
        """Words of a step of layer *index*'s spikes (of the input for -1)."""
        if index < 0:
            found = self.input_map
            return found.height * found.width * found.words
        layer = self.layers[index]
        return layer.places * layer.blocks

    def stored(self, index: int) -> bool:
        """Whether the spikes of layer *index* (of the input for -1) are kept for some layer."""
        if index < 0 and (self.coding == "direct" or self.input_map.kind != "spikes"):
            return False
        return any(found.layer == index for layer in self.layers for found in layer.maps)

    def _region(self, index: int) -> int:
        """Lines of the region of layer *index*: its steps, or two of them where one is kept."""
        if not self.stored(index):
            return 0
        if self.order == "step" and index >= 0:
            return self.line_words(index) * (2 if self.kept(index) else 1)
        return self.line_words(index) * -(-(self.frames if index < 0 else self.steps)
                                          // self.columns)

    def kept(self, index: int) -> bool:
        """Whether some layer reads the spikes that layer *index* sent a step before."""
        return any(found.layer == index and found.previous
                   for layer in self.layers for found in layer.maps)

    def line(self, index: int) -> int:
        """First line of layer *index*'s spikes (of the input for -1)."""
        return sum(self._region(i) for i in range(-1, index))

    @property
    def lines(self) -> int:
        """Lines of the spike memory."""
        return self.line(len(self.layers))

    @property
    def lists(self) -> bool:
        """Whether the input is kept as the list of the pixels that are not 0."""
        return self.input_map.kind == "list"

    @property
    def frame_words(self) -> int:
        """Words of an input frame: lines of the spike memory, or values."""
        return self.line_words(-1)

    @property
    def value_words(self) -> int:
        """Words of the value memory, or entries of the list; 0 where the input is spikes."""
        if self.input_map.kind == "spikes":
            return 0
        return self.frame_words * self.frames

    @property
    def value_bits(self) -> int:
        """Bits of x before it is shifted: a pixel, a spike, or a count of spikes."""
        merged = any(self.merged(i) for i in range(len(self.layers)))
        pads = max((found.pad for layer in self.layers for found in layer.maps), default=1)
        return max(self.input_bits if self.value_words else 1, pads.bit_length(),
                   self.columns.bit_length() if merged else 1)

    def row(self, index: int) -> int:
        """First weight row of layer *index*, in every bank."""
        return sum(self.group_rounds(i) * layer.rows for i, layer in enumerate(self.layers[:index]))

    @property
    def rows(self) -> int:
        """Weight rows of a bank."""
        return self.row(len(self.layers))

    def slot_base(self, index: int) -> int:
        """First parameter address of layer *index*, the same in every unit."""
        return sum(self._parameter_groups(i) * self.used_slots(i) for i in range(index))

    def _parameter_groups(self, index: int) -> int:
        layer = self.layers[index]
        if layer.neuron_parameters:
            return self.rounds(index) * (layer.passes if layer.pooling == "or" else 1)
        return self.group_rounds(index)

    @property
    def neuron_slots(self) -> int:
        """Parameter addresses of the layers that fire."""
        return self.slot_base(sum(layer.fires for layer in self.layers))

    @property
    def readout_slots(self) -> int:
        """Parameter addresses of a `potential` readout."""
        last = len(self.layers) - 1
        return 0 if self.layers[-1].fires else self.groups(last) * self.used_slots(last)

    def membrane_base(self, index: int) -> int:
        """First membrane address of layer *index*: one item's where layers run one by one."""
        if self.order == "layer":
            return 0
        return sum(self._membranes(i) for i in range(index))

    def _membranes(self, index: int) -> int:
        layer = self.layers[index]
        passes = layer.passes if layer.pooling == "or" else 1
        return self.rounds(index) * passes * self.used_slots(index) if layer.fires else 0

    @property
    def membrane_slots(self) -> int:
        """Membrane addresses of a bank."""
        if self.order == "layer":
            return self.slots
        return sum(self._membranes(i) for i in range(len(self.layers)))

    @property
    def input_beats(self) -> int:
        """Input beats of a sample: values or words of WORD spikes, place by place in a frame."""
        return self.frames * self.line_words(-1)

    @property
    def beat_bits(self) -> int:
        """Bits of an input beat: one value, or WORD spikes with channel 0 in the lowest bit."""
        return self.input_bits if self.value_words else WORD


def ram_style(bits: int, *, rom: bool, small: Small) -> Literal["block", "logic", ""]:
    """What synthesis is told of a memory of *bits* bits; nothing where its own choice is good."""
    if small == "logic" and bits <= (SPARED_ROM_BITS if rom else SPARED_RAM_BITS):
        return "logic"
    block = bits >= BLOCK_ROM_BITS if rom else small == "block" and bits >= BLOCK_RAM_BITS
    return "block" if block else ""


@dataclass(frozen=True)
class Image:
    """What the machine's memories hold.

    ``neuron[name][bank][unit][address]`` and ``readout[name][address]`` are stored numbers
    (``base`` taken off) of the fields that are no constants; ``weights[bank][row]`` has lane l in
    bit l: plane p of a weight is bit p of w + 2^(W-1) (1 bit: w = +1), complemented where
    ``flip`` is 1 (1-bit layers only).
    """

    neuron: dict[str, tuple[tuple[tuple[int, ...], ...], ...]] = field(default_factory=dict)
    readout: dict[str, tuple[int, ...]] = field(default_factory=dict)
    weights: tuple[tuple[int, ...], ...] = ()
