"""What is chosen of a machine: its shapes and modes, and what its neurons compute with. Plain data,
checked where it is made.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from . import validity
from .fields import Field
from .layers import Layer, Map

Small = Literal["block", "auto", "logic"]


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """The network's layers, and the shapes and modes of the core that runs them.

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
    banks: int = 1
    lanes: int = 64
    units: int = 2
    columns: int = 1
    batch_bits: int = 0
    order: Literal["layer", "step"] = "layer"
    weight_memory: Literal["spram", "ebr"] = "spram"
    small_memories: Small = "block"
    streaming: bool = False
    exit_margin: int | None = None

    def __post_init__(self) -> None:
        validity.check_parameters(self)

    def __hash__(self) -> int:
        """Of what tells machines apart: the words of all windows would take long."""
        return hash((self.name, self.banks, self.lanes, self.units, self.columns, self.order,
                     self.small_memories))

    @cached_property
    def formats(self) -> tuple[tuple[int, int, int], ...]:
        """Planes and shifts of the weights, all that occur."""
        return tuple(sorted({source.format for layer in self.layers for source in layer.maps}))

    @cached_property
    def planes(self) -> int:
        """The most planes of a weight."""
        return max(planes for planes, _, _ in self.formats)

    @cached_property
    def pools(self) -> bool:
        """Whether some layer takes the largest of several currents."""
        return any(layer.pooling == "max" for layer in self.layers)

    @cached_property
    def ors(self) -> bool:
        """Whether some layer joins the spikes of several neurons."""
        return any(layer.pooling == "or" for layer in self.layers)

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
    def joins(self) -> bool:
        """Whether the banks share the inputs of the readout, and add up their currents."""
        return self.banks > 1 and not self.layers[-1].fires

    @property
    def lists(self) -> bool:
        """Whether the input is kept as the list of the pixels that are not 0."""
        return self.input_map.kind == "list"

    def is_last(self, index: int) -> bool:
        """Whether layer *index* is read out."""
        return index == len(self.layers) - 1

    def is_direct(self, index: int) -> bool:
        """Whether the current of layer *index* is the same at every step."""
        return self.coding == "direct" and all(
            source.layer < 0 for source in self.layers[index].maps)

    def paired(self, index: int) -> bool:
        """Whether layer *index* takes the spikes of two steps at once."""
        layer = self.layers[index]
        return (self.batch_bits > 0 and layer.fires and layer.pooling == "none"
                and all(source.kind == "spikes" for source in layer.maps))

    def merged(self, index: int) -> bool:
        """Whether layer *index* takes the spikes of all columns of a line at once: x = Σ_t s."""
        layer = self.layers[index]
        return not layer.fires and self.columns > 1 and not self.is_direct(index)

    def stored(self, index: int) -> bool:
        """Whether the spikes of layer *index* (of the input for -1) are kept for some layer."""
        if index < 0 and (self.coding == "direct" or self.input_map.kind != "spikes"):
            return False
        return any(source.layer == index for layer in self.layers for source in layer.maps)

    def kept(self, index: int) -> bool:
        """Whether some layer reads the spikes that layer *index* sent a step before."""
        return any(source.layer == index and source.previous
                   for layer in self.layers for source in layer.maps)


@dataclass(frozen=True, kw_only=True)
class Arithmetic:
    """What the neurons and the readout compute with: their fields and the proven widths.

    ``neuron_fields`` holds each of NEURON_FIELDS once, ``readout_fields`` each of READOUT_FIELDS
    (for a `potential` readout, else empty); none where they are not settled yet. Widths are in
    bits, two's complement unless unsigned: ``acc_bits`` (unsigned) of an accumulator, ``sum_bits``
    (unsigned) of Σx, ``current_bits`` of I, ``potential_bits`` of v and every sum in the neuron,
    ``scaled_bits`` of 2·v' / 2^k, ``membrane_bits`` of the stored u, ``score_bits`` of a score.
    ``decay_shift`` is the largest q. ``synapse_bits`` of the stored synaptic current i, 0 where no
    layer has one; ``synapse_shift`` the largest q of its decays. ``clamps``: v' has a lower bound.

    Raises MachineError (see `validity`).
    """

    neuron_fields: tuple[Field, ...] = ()
    readout_fields: tuple[Field, ...] = ()
    acc_bits: int = 1
    sum_bits: int = 1
    current_bits: int = 1
    potential_bits: int = 1
    scaled_bits: int = 1
    membrane_bits: int = 2
    score_bits: int = 1
    decay_shift: int = 0
    synapse_bits: int = 0
    synapse_shift: int = 0
    clamps: bool = False

    def __post_init__(self) -> None:
        validity.check_arithmetic(self)

    @property
    def synapses(self) -> bool:
        """Whether some layer has a synaptic current."""
        return self.synapse_bits > 0
