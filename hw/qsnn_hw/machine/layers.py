"""What a layer is to the machine: its maps, the words that a window has, its places and channels.
`qsnn_hw.machine.arch` has the vocabulary.
"""

from dataclasses import dataclass
from typing import Literal

WORD = 16                   # bits of a spike word, of a weight beat, of a block RAM's widest port

Kind = Literal["spikes", "values", "list"]
Pooling = Literal["none", "max", "or"]


@dataclass(frozen=True)
class Map:
    """Where a map of activity lies and how a window finds its way in it.

    ``height`` × ``width`` places of ``words`` words each, a row ``pitch`` places. ``kind``: a word
    is 16 spikes, or one value (a pixel, a count), or the map is the list of the pixels that are not
    0. ``previous``: what is read is the step before,
    nothing at the first. ``pad``: what lies around the map. ``origin`` is the place (y, x) of
    window entry (0, 0) for output place (0, 0), ``stride`` how far it moves with an output place.
    Its weights have ``planes`` bits, each in a row of its own, the lowest first; x counts
    2^(p + shift) with plane p, and 2^(planes - 1 + sum_shift) in Σx.
    """

    kind: Kind
    layer: int                      # the layer whose spikes they are; -1: the input
    height: int = 1
    width: int = 1
    words: int = 1
    pitch: int = 1
    previous: bool = False
    pad: int = 0
    origin: tuple[int, int] = (0, 0)
    stride: tuple[int, int] = (1, 1)
    planes: int = 1
    shift: int = 0
    sum_shift: int = 0

    @property
    def format(self) -> tuple[int, int, int]:
        """Planes and shifts of its weights."""
        return self.planes, self.shift, self.sum_shift


@dataclass(frozen=True)
class Word:
    """One word of a window: place (dy, dx) of map ``source``, word ``index`` there.

    Its spikes meet the weight rows from ``row`` on (of the group's first), as many each as the map
    has planes. ``ends``: the pass ends with it; ``final``: the item's last pass. ``early``: it was
    written before the last round of the layer that it is from.
    """

    source: int
    dy: int
    dx: int
    index: int
    row: int
    ends: bool = False
    final: bool = False
    early: bool = False


@dataclass(frozen=True)
class Layer:
    """A layer as the machine runs it: ``height`` × ``width`` places of ``channels`` channels.

    ``windows[bank]`` is the window of each bank's items: the same for all, except in a readout
    whose inputs are split over the banks. ``rows`` are the weight rows of a group in a bank.
    ``fires`` is False for a `potential` readout, ``group_banks`` the banks that share a place.
    With "max" pooling a place's passes are the places of its pooling window, of which the largest
    current counts; with "or" each pass is a neuron of its own, and a spike of any is one.
    """

    name: str
    channels: int
    maps: tuple[Map, ...]
    windows: tuple[tuple[Word, ...], ...]
    rows: int
    height: int = 1
    width: int = 1
    fires: bool = True
    pooling: Pooling = "none"
    passes: int = 1
    doubled: bool = True            # all weights are of 1 bit: I = 2·acc - Σx
    group_banks: int = 1
    neuron_parameters: bool = False

    @property
    def places(self) -> int:
        """Places of the output map."""
        return self.height * self.width

    @property
    def blocks(self) -> int:
        """Spike words of a place."""
        return -(-self.channels // WORD)
