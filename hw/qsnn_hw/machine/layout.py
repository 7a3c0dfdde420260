"""Where everything lies in a machine's memories: addresses, lines, rows and slots. Plain data, each
number computed once.

What belongs to a layer stands in a tuple at the layer's number. In `line_words` and `line` the
input's comes behind the last layer's: at -1, as maps call the input.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

from .layers import WORD, Layer
from .parameters import Parameters

Ints = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The layout of a machine of these *parameters*."""

    parameters: Parameters

    def _each(self, number: Callable[[int, Layer], int]) -> Ints:
        return tuple(number(index, layer) for index, layer in enumerate(self.parameters.layers))

    @property
    def slots(self) -> int:
        """Slots of a full rotation, L / NU."""
        return self.parameters.lanes // self.parameters.units

    @property
    def row_beats(self) -> int:
        """Weight beats of WORD bits in a row of one bank."""
        return self.parameters.lanes // WORD

    # -- groups and rounds ------------------------------------------------------------------------

    @cached_property
    def group_size(self) -> Ints:
        """Channels of a group of each layer."""
        return self._each(lambda index, layer: self.slots if self._alone(index)
                          else self.parameters.lanes)

    def _alone(self, index: int) -> bool:
        """Whether unit 0 alone works for layer *index*: on classes that fire."""
        return self.parameters.is_last(index) and self.parameters.layers[index].fires

    @cached_property
    def groups(self) -> Ints:
        """Groups of each layer."""
        return self._each(lambda index, layer: -(-layer.channels // self.group_size[index]))

    @cached_property
    def place_banks(self) -> Ints:
        """Banks that work on different places of each layer at a time."""
        return self._each(lambda index, layer: self.parameters.banks // layer.group_banks)

    @cached_property
    def group_rounds(self) -> Ints:
        """Groups of a place of each layer that one bank works on, one after the other."""
        return self._each(lambda index, layer: -(
            -self.groups[index] // (layer.group_banks if layer.fires else 1)))

    @cached_property
    def rounds(self) -> Ints:
        """Items that each bank works on in each layer, empty ones included."""
        return self._each(lambda index, layer: -(-layer.places // self.place_banks[index])
                          * self.group_rounds[index])

    @cached_property
    def used_slots(self) -> Ints:
        """Slots of a rotation of each layer: those with channels, whole words of them; one a
        class, of those that fire as many as there are banks: so late does the word come, whose
        turn the one before has had by then."""
        return self._each(self._used_slots)

    def _used_slots(self, index: int, layer: Layer) -> int:
        if self.parameters.is_last(index):
            least = self.parameters.banks if layer.fires else 1
            return min(self.group_size[index], max(layer.channels, least))
        words = -(-min(layer.channels, self.parameters.lanes) // WORD)
        return min(self.slots, words * WORD // self.parameters.units)

    @cached_property
    def most_slots(self) -> int:
        """Slots of the longest rotation."""
        return max(self.slots, *self.used_slots)

    # -- spikes -----------------------------------------------------------------------------------

    @cached_property
    def line_words(self) -> Ints:
        """Words of a step of each layer's spikes, and behind them of the input's."""
        source = self.parameters.input_map
        return (*self._each(lambda index, layer: layer.places * layer.blocks),
                source.height * source.width * source.words)

    @cached_property
    def line(self) -> Ints:
        """First line of each layer's spikes, and behind them of the input's."""
        count = len(self.parameters.layers)
        *layers, _ = accumulate(map(self._region, range(count)), initial=self._region(-1))
        return (*layers, 0)

    def _region(self, index: int) -> int:
        """Lines of the region of layer *index*: its steps, or two of them where one is kept."""
        chosen, words = self.parameters, self.line_words[index]
        if not chosen.stored(index):
            return 0
        if chosen.order == "step" and index >= 0:
            return words * (2 if chosen.kept(index) else 1)
        return words * -(-(chosen.frames if index < 0 else chosen.steps) // chosen.columns)

    @cached_property
    def lines(self) -> int:
        """Lines of the spike memory."""
        last = len(self.parameters.layers) - 1
        return self.line[last] + self._region(last)

    # -- the input --------------------------------------------------------------------------------

    @property
    def frame_words(self) -> int:
        """Words of an input frame: lines of the spike memory, or values."""
        return self.line_words[-1]

    @property
    def value_words(self) -> int:
        """Words of the value memory, or entries of the list; 0 where the input is spikes."""
        values = self.parameters.input_map.kind != "spikes"
        return self.input_beats if values else 0

    @property
    def input_beats(self) -> int:
        """Input beats of a sample: values or words of WORD spikes, place by place in a frame."""
        return self.frame_words * self.parameters.frames

    @property
    def beat_bits(self) -> int:
        """Bits of an input beat: one value, or WORD spikes with channel 0 in the lowest bit."""
        return self.parameters.input_bits if self.value_words else WORD

    @cached_property
    def value_bits(self) -> int:
        """Bits of x before it is shifted: a pixel, a spike, or a count of spikes."""
        chosen = self.parameters
        merged = any(chosen.merged(index) for index in range(len(chosen.layers)))
        pads = max((source.pad for layer in chosen.layers for source in layer.maps), default=1)
        return max(chosen.input_bits if self.value_words else 1, pads.bit_length(),
                   chosen.columns.bit_length() if merged else 1)

    # -- weights, parameters, membranes -----------------------------------------------------------

    @cached_property
    def row(self) -> Ints:
        """First weight row of each layer, in every bank."""
        return _starts(self._rows)

    @cached_property
    def rows(self) -> int:
        """Weight rows of a bank."""
        return sum(self._rows)

    @cached_property
    def _rows(self) -> Ints:
        return self._each(lambda index, layer: self.group_rounds[index] * layer.rows)

    @cached_property
    def slot_base(self) -> Ints:
        """First parameter address of each layer, the same in every unit."""
        return _starts(self._parameter_slots)

    @cached_property
    def _parameter_slots(self) -> Ints:
        return self._each(lambda index, layer: self.used_slots[index] * (
            self.rounds[index] * _neurons(layer) if layer.neuron_parameters
            else self.group_rounds[index]))

    @cached_property
    def neuron_slots(self) -> int:
        """Parameter addresses of the layers that fire."""
        return sum(slots for slots, layer in zip(
            self._parameter_slots, self.parameters.layers, strict=True) if layer.fires)

    @property
    def readout_slots(self) -> int:
        """Parameter addresses of a `potential` readout."""
        fires = self.parameters.layers[-1].fires
        return 0 if fires else self.groups[-1] * self.used_slots[-1]

    @cached_property
    def membrane_base(self) -> Ints:
        """First membrane address of each layer: one item's where layers run one by one."""
        if self.parameters.order == "layer":
            return (0,) * len(self.parameters.layers)
        return _starts(self._membranes)

    @cached_property
    def _membranes(self) -> Ints:
        return self._each(lambda index, layer: layer.fires * self.rounds[index] * _neurons(layer)
                          * self.used_slots[index])

    @cached_property
    def membrane_slots(self) -> int:
        """Membrane addresses of a bank."""
        return self.slots if self.parameters.order == "layer" else sum(self._membranes)


def _neurons(layer: Layer) -> int:
    """Neurons of a channel at an output place."""
    return layer.passes if layer.pooling == "or" else 1


def _starts(sizes: Iterable[int]) -> Ints:
    """Where each of several regions of these *sizes* begins, one behind the other."""
    return tuple(accumulate(sizes, initial=0))[:-1]
