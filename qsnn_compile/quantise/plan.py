"""What the walk over the network must know before it starts, and what one walk tells the next."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from qsnn_compile.reals.calibrate import Range
from qsnn_compile.reals.normal_form import (
    INPUT,
    Convolution,
    Linear,
    Network,
    Neuron,
    Node,
    Op,
    Reals,
)
from qsnn_compile.reals.units import Shape

FRACTION = 6


class Bits(Protocol):
    """The widths that the walk takes from the settings."""

    @property
    def weight_bits(self) -> int: ...
    @property
    def membrane_bits(self) -> int: ...
    @property
    def q(self) -> int: ...


@dataclass
class Plan:
    """What one walk learns for the next: the unit each Linear and Convolution must have."""

    shapes: Mapping[str, Shape]
    ranges: Mapping[str, Range]
    units: dict[str, Reals] = field(default_factory=dict)
    changed: bool = False

    def ask(self, name: str, unit: Reals) -> None:
        """The layer called *name* must come in *unit*."""
        known = self.units.get(name)
        if known is None or not np.allclose(known, unit, rtol=1e-9, atol=0):
            self.units[name] = unit
            self.changed = True


def sources(network: Network, by_name: Mapping[str, Node], wants: Callable[[Op], bool]
             ) -> set[str]:
    """The layers whose current goes to an operator that *wants* it."""
    behind: set[str] = set()

    def back(name: str) -> None:
        node = by_name.get(name)
        if node is None or name in behind or isinstance(node.op, Neuron):
            return
        behind.add(name)
        for source in () if isinstance(node.op, Linear | Convolution) else node.inputs:
            back(source)

    for node in network.nodes:
        for name in node.inputs if wants(node.op) else ():
            back(name)
    return behind


def names(network: Network) -> dict[str, str]:
    """Names that the IR's text form takes, each its own."""
    made: dict[str, str] = {}
    for name in [INPUT, *(node.name for node in network.nodes)]:
        plain = re.sub(r"[^\w./$:-]", "_", name, flags=re.ASCII).rstrip(":") or "node"
        plain = plain if re.match(r"[A-Za-z_/]", plain) else f"n{plain}"
        while plain in made.values():
            plain += "_"
        made[name] = plain
    return made
