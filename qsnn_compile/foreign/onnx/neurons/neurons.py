"""All neurons of a step: each carried state with the region around it, read and confirmed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from qsnn_compile.foreign.onnx.trace.step import State, Step, elementwise, region
from qsnn_compile.foreign.onnx.trace.trace import Trace, operand_blocks
from qsnn_compile.reals.normal_form import Neuron, reals

from .groups import Groups, Reach, grouped, users
from .recut import cloned
from .region_affine import Piece, Region
from .region_check import confirm
from .region_forms import Affine, NotAffine, Var
from .region_neuron import Found, Reader, Sink

ONE = np.ones(())


@dataclass(frozen=True, eq=False)
class Placed:
    """A neuron and where it stands in the trace; ``sinks`` are what leaves it, by block."""

    found: Found
    state: State
    sinks: dict[int, Sink]
    origin: str
    shape: tuple[int, ...]


class Neurons:
    """The neurons of *step*, in ``placed``; ``leaves`` says which block leaves which."""

    def __init__(self, step: Step) -> None:
        self.step = step
        self.trace = step.trace
        self.reach = Reach(step)
        self.groups: Groups = grouped(step, self.reach)
        self.same = {s.before: _again(step, self.groups, s) for s in self.groups.derived}
        self.placed: list[Placed] = []
        self.leaves: dict[int, Placed] = {}
        targets = [late for early, late in step.late.items()]
        self.users = users(step, targets)
        waiting: list[State] = []
        for group in self.groups.order:
            waiting = self._group(group, waiting)
        if waiting:
            self._filters(waiting)

    # -- one group -------------------------------------------------------------------------------

    def _group(self, group: list[State], waiting: list[State]) -> list[State]:
        """Read *group*, or let it wait for the membrane that it feeds."""
        origin = _origin(self.trace, group[0].after)
        if len(group) > 1:
            names = ", ".join(repr(state.name) for state in group)
            raise NotAffine(f"{origin}: a neuron must have one membrane and at most one synaptic "
                            f"current before it, not states {names} that depend on each other; "
                            "qsnn knows leaky and integrate-and-fire neurons")
        membrane, = group
        feeding = [s for s in waiting if s.before in self.reach.states(membrane.after)]
        if len(feeding) > 1:
            raise NotAffine(f"{origin}: a neuron must have at most one synaptic current, not "
                            f"{len(feeding)!r}; use a simpler neuron")
        synapse = feeding[0] if feeding else None
        sinks = self._sinks(membrane, synapse)
        if synapse is None and self._is_filter(membrane, sinks):
            return [*waiting, membrane]
        self._read(membrane, synapse, sinks, origin)
        return [s for s in waiting if s is not synapse]

    def _is_filter(self, state: State, sinks: Sequence[int]) -> bool:
        """Whether *state* is a linear filter in front of another state."""
        fed = any(state.before in self.reach.states(other.after)
                  for group in self.groups.order for other in group if other is not state)
        pieces = self._pieces([state.after, *sinks], (state,))
        return fed and len(pieces) == 1

    def _filters(self, waiting: list[State]) -> None:
        """Filters that feed no membrane: leaky integrators."""
        for state in waiting:
            self._read(state, None, self._sinks(state, None), _origin(self.trace, state.after))

    def _read(self, membrane: State, synapse: State | None, sinks: list[int],
              origin: str) -> None:
        own = (membrane,) if synapse is None else (membrane, synapse)
        wanted = [*(state.after for state in own), *sinks]
        pieces = self._pieces(wanted, own)
        i = None if synapse is None else Var(synapse.before)
        reading = Reader(pieces, Var(membrane.before), i, origin).read()
        self._check_whole(reading, origin)
        confirm(self.trace, reading, (membrane.before, None if synapse is None else synapse.before),
                (membrane.after, None if synapse is None else synapse.after), sinks, origin,
                self._derived_of(membrane))
        shape = self._shape(membrane)
        placed = Placed(replace(reading, neuron=settled(reading.neuron)), membrane,
                        dict(zip(sinks, reading.sinks, strict=True)), origin, shape)
        self.placed.append(placed)
        self.leaves.update(dict.fromkeys(sinks, placed))
        self.reach.finish(set(sinks))

    def _check_whole(self, reading: Found, origin: str) -> None:
        for variable in reading.weights:
            if not isinstance(variable, Var) or variable.at is not None:
                raise NotAffine(f"{origin}: each neuron must have a current of its own, not share "
                                "one with others; give the layer as many outputs as neurons")

    def _shape(self, membrane: State) -> tuple[int, ...]:
        """Channel first, without the sample axis."""
        shapes = [self.trace.blocks[b].shape for b in (membrane.after, membrane.before)]
        return max(shapes, key=len)

    def _derived_of(self, membrane: State) -> dict[int, int]:
        return {before: block for before, block in self.same.items()
                if membrane.before in self.reach.derived[before]}

    # -- regions ---------------------------------------------------------------------------------

    def _pieces(self, wanted: list[int], own: tuple[State, ...]) -> list[Piece]:
        ours = {state.before for state in own}

        def variable(block: int) -> Affine | None:
            if block in ours:
                return Affine(np.zeros(()), {Var(block): ONE})
            if block in self.same or self.trace.blocks[block].op == "const":
                return None
            free = not self.reach.states(block)
            return Affine(np.zeros(()), {Var(block): ONE}) if free else None
        return Region(self.trace, variable, self.same).pieces(wanted)

    def _sinks(self, membrane: State, synapse: State | None) -> list[int]:
        """The blocks of this neuron that something else reads."""
        states = {membrane.before} | ({synapse.before} if synapse is not None else set())
        own = self._own(membrane, states)
        spiking = [self.step.late.get(block, block) for block in sorted(own)
                 if (membrane.before in self.reach.states(block) or block == membrane.after)
                 and not self.users.get(block, own) <= own]
        delayed = [s.after for s in [*self.groups.delays, *self.groups.derived]
                   if s.before in self.users and self._read_by_layer(s)
                   and self.reach.states(s.after) <= states and self.reach.states(s.after)]
        return list(dict.fromkeys([*spiking, *delayed]))

    def _own(self, membrane: State, states: set[int]) -> set[int]:
        """The blocks of the neuron: the equation of its membrane, and what follows from its
        states alone; not its spikes joined with something else."""
        core = region(self.trace, membrane.after, frozenset(states))
        own: set[int] = set()
        for block in sorted(core | set(self.users)):
            mine = self.reach.states(block)
            if not mine or not mine <= states or block in self.reach.before:
                continue
            sources = operand_blocks(self.trace.blocks[block], self.trace)
            if block in core or all(s in own or s in self.reach.before for s in sources):
                own.add(block)
        return own

    def _read_by_layer(self, state: State) -> bool:
        return state in self.groups.delays or any(
            reader >= 0 and not elementwise(self.trace.blocks[reader])
            for reader in self.users[state.before])


def settled(neuron: Neuron) -> Neuron:
    """*neuron* with its reset at the spike, where a delayed one is the same: a hard one always, a
    soft one that takes decay · θ off the decayed membrane."""
    plain = neuron.raised is None and neuron.grid is None and neuron.clamp is None and \
        bool((neuron.decay != 0).all())
    if not neuron.delayed or not plain or neuron.reset == "none":
        return neuron
    value = neuron.reset_value / neuron.decay
    if neuron.reset == "soft":
        if not np.allclose(value, neuron.threshold, rtol=1e-5):
            return neuron
        value = np.where(np.isclose(value, neuron.threshold, rtol=1e-5), neuron.threshold, value)
    return replace(neuron, delayed=False, reset_value=reals(value))


def _origin(trace: Trace, block: int) -> str:
    return trace.blocks[block].origin or f"state {block}"


def _again(step: Step, groups: Groups, state: State) -> int:
    """The block that computes derived *state* from the old values of the states it follows."""
    swap = {s.after: s.before for s in step.states if s is not state and s not in groups.derived}
    twin = next((s for s in step.states if s.after == state.after and s is not state), None)
    if twin is not None and state.after in swap:
        return swap[state.after]
    return cloned(step.trace, state.after, swap, {})
