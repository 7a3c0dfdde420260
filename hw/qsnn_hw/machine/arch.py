"""The machine as plain dataclasses, no HDL.

One event-driven core, sized for one network. The compiler chooses the `Parameters` of a `Machine`
and proves its `Arithmetic`; its `Layout` and its `Timing` follow from them. An `Image` is what its
memories hold. `qsnn_hw.core` builds it, `qsnn_sim.cycle` counts its clocks, `qsnn_runtime` talks to
it.

Vocabulary. A *bank* has L `lanes`, which accumulate one weight row (L bits) a clock, and NU neuron
`units`; `banks` of them work side by side, each at its own pace. A *place* is a position of a
layer's output map (a dense layer has one), a *group* is L of its channels, an *item* is one group
at one place: what a bank works on at a time. A *window* is the list of `Word`s of the source maps
that an item sees: taps outside, channels inside. One pass through a window ends with a *transfer*
of the lanes' sums to the *shadow*, which rotates past the bank's units in L / NU *slots*; unit i
sees lanes NU·slot + i. A readout's classes pass one a clock: the shadow moves on with the last
unit's. Classes that fire use unit 0 alone: class c sits in slot c mod (L / NU).
"""

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from .layout import Layout
from .parameters import Arithmetic, Parameters
from .timing import Timing


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A core for one network: what is chosen of it, and what follows from that.

    ``digest`` names the machine together with its image, empty where there is none yet.
    """

    parameters: Parameters
    arithmetic: Arithmetic
    digest: str = ""

    @cached_property
    def layout(self) -> Layout:
        """Where everything lies in its memories."""
        return Layout(parameters=self.parameters)

    @cached_property
    def timing(self) -> Timing:
        """When it does what."""
        return Timing(layout=self.layout, arithmetic=self.arithmetic)

    @property
    def total_bits(self) -> int:
        """Bits of what a `potential` readout multiplies: I, or where steps are added up Σ_t I."""
        chosen = self.parameters
        added = chosen.steps.bit_length() + chosen.streaming if chosen.order == "step" else 0
        return self.arithmetic.current_bits + added

    def with_parameters(self, **changes: Any) -> "Machine":
        """The machine with some of its parameters changed. Raises MachineError."""
        return replace(self, parameters=replace(self.parameters, **changes))


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
