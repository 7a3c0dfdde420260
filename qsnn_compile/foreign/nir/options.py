"""What the command line says about the nodes of a NIR file: a value for each node by its name, and
one for the rest."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .file import NirError
from .libraries import RESETS, Library, library_of

Given = str | float | Sequence[str | float] | None
MANY = "many"


@dataclass(frozen=True)
class PerNode:
    """The values of one *option*: ``named`` by node, ``rest`` for all others."""

    option: str
    named: Mapping[str, str]
    rest: str | float | None

    def of(self, name: str) -> str | float | None:
        """The value of the node called *name*; None where nobody said one."""
        return self.named.get(name, self.rest)

    def check(self, names: Iterable[str]) -> None:
        """Raise NirError unless every node that has a value is among *names*."""
        known = list(names)
        for name in self.named:
            if name not in known:
                raise NirError(f"--{self.option} must name a node that has one, as --explain "
                               f"prints them ({', '.join(known) or 'there is none'}), not {name!r}")


def per_node(option: str, given: Given) -> PerNode:
    """*given* as typed: ``NODE=VALUE`` or ``VALUE``, each once. Raises NirError."""
    values = [given] if given is None or isinstance(given, str | float | int) else list(given)
    named: dict[str, str] = {}
    rest: str | float | None = None
    for value in values:
        name, mark, text = value.rpartition("=") if isinstance(value, str) else ("", "", value)
        if name in named if mark else rest is not None and value is not None:
            raise NirError(f"--{option} must be given once for {name or 'the nodes without a name'}"
                           f", not again as {value!r}")
        if mark:
            named[name] = str(text)
        else:
            rest = text
    return PerNode(option, named, rest)


@dataclass(frozen=True)
class Step:
    """How one node is stepped. ``reset`` is one of `RESETS`, ``said`` or the library's default;
    ``spikes`` the most a step."""

    library: Library
    reset: str
    said: bool
    spikes: float
    clamp: float | None

    @property
    def most(self) -> str:
        """The most spikes a step, in words."""
        return "any number" if np.isinf(self.spikes) else f"at most {int(self.spikes)}"


@dataclass(frozen=True)
class Told:
    """What was said about the nodes of a file."""

    dt: PerNode
    reset: PerNode
    spikes: PerNode
    clamp: PerNode

    def of(self, name: str) -> Step:
        """What holds for the node called *name*. Raises NirError."""
        if self.dt.of(name) is None and self.dt.named:
            raise NirError(f"node {name!r}: dt must be given for it or for all nodes, not only for "
                           f"{', '.join(self.dt.named)}; add --dt DT")
        library = library_of(self.dt.of(name))
        reset = self.reset.of(name)
        if reset is not None and reset not in RESETS:
            raise NirError(f"reset must be one of {', '.join(RESETS)}, not {reset!r}")
        clamp = self.clamp.of(name)
        return Step(library, str(reset or library.reset), reset is not None,
                    _spikes(self.spikes.of(name)), None if clamp is None else _number(clamp))

    def check(self, nodes: Mapping[str, Any]) -> None:
        """Raise NirError unless what has a name is a node that takes it: *nodes* by their names."""
        fires = [name for name, node in nodes.items() if hasattr(node, "v_threshold")]
        leaks = [name for name, node in nodes.items() if hasattr(node, "r")]
        late = [name for name, node in nodes.items() if hasattr(node, "delay")]
        for option, names in ((self.dt, leaks + late), (self.reset, fires), (self.spikes, fires),
                              (self.clamp, leaks)):
            option.check(names)
        if self.dt.rest is not None or not self.dt.named:
            library_of(self.dt.rest)

    def lost(self, nodes: Mapping[str, Any]) -> list[str]:
        """What the exporters of the libraries named lose and nobody said: a sentence each."""
        made: dict[str, None] = {}
        for name, node in nodes.items():
            library = self.of(name).library if hasattr(node, "r") else None
            for lost in () if library is None else library.lost:
                said = lost.option and getattr(self, lost.option).of(name) is not None
                if library is not None and hasattr(node, lost.has) and not said:
                    made[f"{library.name.partition('-')[0]} doesn't write {lost.text}"] = None
        return list(made)


def told(dt: Given = None, reset: Given = None, spikes: Given = None, clamp: Given = None) -> Told:
    """The four options as typed. Raises NirError."""
    return Told(per_node("dt", dt), per_node("reset", reset), per_node("spikes", spikes),
                per_node("clamp", clamp))


def _spikes(given: str | float | None) -> float:
    if given is None:
        return 1
    if given == MANY:
        return np.inf
    try:
        count = float(given)
    except ValueError:
        count = 0.0
    if count < 1 or count != int(count if np.isfinite(count) else 0):
        raise NirError(f"spikes must be a whole number from 1 on or {MANY}, not {given!r}")
    return count


def _number(given: str | float) -> float:
    try:
        value = float(given)
    except ValueError:
        value = np.nan
    if not np.isfinite(value):
        raise NirError(f"clamp must be a number, the lowest membrane, not {given!r}")
    return value
