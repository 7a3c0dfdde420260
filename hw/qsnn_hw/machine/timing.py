"""When a machine does what: the clocks of its units and rotations, and what its layers wait for.
Plain data, each number computed once; what belongs to a layer stands in a tuple at its number.
"""

from dataclasses import dataclass
from functools import cached_property

from .fields import field_clocks, unit_clocks
from .layout import Ints, Layout
from .parameters import Arithmetic, Parameters

ISSUE_TO_LANES = 4          # clocks from an event or a transfer to the lanes' adding or clearing


@dataclass(frozen=True, kw_only=True)
class Timing:
    """The timing of a machine of this *layout* and *arithmetic*."""

    layout: Layout
    arithmetic: Arithmetic

    @property
    def _chosen(self) -> Parameters:
        return self.layout.parameters

    # -- neuron units -----------------------------------------------------------------------------

    @cached_property
    def unit_clocks(self) -> dict[str, int]:
        """The clock of each stage of the neuron units, see `fields.unit_clocks`."""
        return unit_clocks(self.arithmetic.neuron_fields, self._chosen.pools,
                           self.arithmetic.synapses)

    @cached_property
    def field_clocks(self) -> dict[str, int]:
        """The clock of the neuron units in which each field is needed."""
        return field_clocks(self.arithmetic.neuron_fields, self._chosen.pools,
                            self.arithmetic.synapses)

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

    # -- passes and rotations ---------------------------------------------------------------------

    @cached_property
    def stride(self) -> Ints:
        """Steps whose spikes each layer takes at once."""
        chosen = self._chosen
        return tuple(chosen.columns if chosen.merged(index) or chosen.paired(index) else 1
                     for index in range(len(chosen.layers)))

    @cached_property
    def window_steps(self) -> Ints:
        """Times that a window of each layer is run for an item, in a window of T steps."""
        chosen = self._chosen
        return tuple(1 if chosen.order == "step" or (chosen.is_direct(index) and layer.fires)
                     else -(-chosen.steps // self.stride[index])
                     for index, layer in enumerate(chosen.layers))

    @cached_property
    def replays(self) -> Ints:
        """Rotations after each transfer: T where the current is the same at every step, 2 where it
        serves two steps."""
        return tuple(map(self._replays, range(len(self._chosen.layers))))

    def _replays(self, index: int) -> int:
        chosen = self._chosen
        if chosen.paired(index):
            return 2
        fires = chosen.layers[index].fires
        return chosen.steps if chosen.is_direct(index) and fires and chosen.order == "layer" else 1

    @cached_property
    def rotation(self) -> Ints:
        """Clocks from one rotation of each layer to the next: a membrane must be written before it
        is read again."""
        return tuple(max(used, self.unit_latency) for used in self.layout.used_slots)

    @cached_property
    def rings(self) -> Ints:
        """Lanes that a shadow rotates, where it goes round more than once."""
        return tuple(sorted({self._lanes(index) for index in range(len(self._chosen.layers))}
                            | {self._chosen.lanes}))

    @cached_property
    def ring(self) -> Ints:
        """Which of `rings` a rotation of each layer goes round."""
        return tuple(self.rings.index(self._lanes(index))
                     for index in range(len(self._chosen.layers)))

    def _lanes(self, index: int) -> int:
        turns = self.replays[index] > 1
        chosen = self._chosen
        return self.layout.used_slots[index] * chosen.units if turns else chosen.lanes

    # -- rounds -----------------------------------------------------------------------------------

    @cached_property
    def layer_rounds(self) -> Ints:
        """Rounds that each layer counts, in a window or in a step."""
        return tuple(rounds * (layer.passes if layer.pooling == "or" else 1) * self._steps
                     if layer.fires else 0
                     for rounds, layer in zip(self.layout.rounds, self._chosen.layers, strict=True))

    @cached_property
    def total_rounds(self) -> int:
        """Rounds of all layers, in a window or in a step."""
        return sum(self.layer_rounds)

    @cached_property
    def needs(self) -> Ints:
        """Rounds that every bank must have behind it before each layer reads early words. Others at
        step t (the first: 0) take t + 1 more; a layer that reads the input has early words only."""
        return tuple(sum(self.layer_rounds[:index]) - self._steps if index else 0
                     for index in range(len(self._chosen.layers)))

    @property
    def _steps(self) -> int:
        return self._chosen.steps if self._chosen.order == "layer" else 1
