"""Which carried values make one neuron together, which follow from others, which only wait."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from qsnn_compile.foreign.onnx.trace.evaluate import cone
from qsnn_compile.foreign.onnx.trace.step import State, Step, elementwise, region
from qsnn_compile.foreign.onnx.trace.trace import operand_blocks


@dataclass(eq=False)
class Groups:
    """``order``: groups of recurrent states, each after those it reads; ``derived`` states are
    functions of others; ``delays`` carry a value of the network to the next step."""

    order: list[list[State]] = field(default_factory=list)
    derived: list[State] = field(default_factory=list)
    delays: list[State] = field(default_factory=list)


class Reach:
    """What elementwise blocks depend on: carried states, up to layers and finished neurons."""

    def __init__(self, step: Step) -> None:
        self.step = step
        self.before = {state.before: state for state in step.states}
        self.after = {state.after: state for state in step.states}
        self.finished: set[int] = set()
        self._memo: dict[int, frozenset[int]] = {}
        self.derived: dict[int, frozenset[int]] = {}

    def finish(self, blocks: set[int]) -> None:
        """*blocks* are now nodes of the network: nothing behind them counts."""
        self.finished |= blocks
        self._memo = {}

    def states(self, top: int) -> frozenset[int]:
        """The ``before`` blocks that block *top* depends on."""
        todo = [top]
        while todo:
            index = todo[-1]
            if index not in self._memo:
                edge = self._edge(index)
                if edge is None:
                    sources = operand_blocks(self.step.trace.blocks[index], self.step.trace)
                    missing = [s for s in sources if s not in self._memo]
                    if missing:
                        todo += missing
                        continue
                    edge = frozenset().union(*(self._memo[s] for s in sources))
                self._memo[index] = edge
            todo.pop()
        return self._memo[top]

    def _edge(self, index: int) -> frozenset[int] | None:
        if index in self.before:
            return self.derived.get(index, frozenset({index}))
        block = self.step.trace.blocks[index]
        if index in self.finished or not (elementwise(block) or block.op == "argmin"):
            return frozenset()
        return None


def grouped(step: Step, reach: Reach) -> Groups:
    """The groups of *step*; tells *reach* what derived states stand for."""
    groups = Groups()
    for state in step.states:
        sources = _sources(step, state)
        if sources is not None:
            groups.derived.append(state)
            reach.derived[state.before] = frozenset(s.before for s in sources)
    rest = [state for state in step.states if state not in groups.derived]
    depends = {s.before: reach.states(s.after) for s in rest}
    closed = _closure(depends)
    recurrent = [s for s in rest if s.before in closed[s.before]]
    groups.delays = [s for s in rest if s not in recurrent]
    for state in groups.delays:
        reach.derived[state.before] = frozenset()
    reach.finish(set())
    groups.order = _components(recurrent, closed)
    return groups


def _sources(step: Step, state: State) -> list[State] | None:
    """The states whose new values determine that of *state*; None where they don't."""
    others = {s.after: s for s in step.states
              if s.after != state.after or step.states.index(s) < step.states.index(state)}
    if state.after in others:
        return [others[state.after]]
    if not elementwise(step.trace.blocks[state.after]):
        return None
    inside = region(step.trace, state.after, frozenset(others))
    ends = [index for index in inside
            if index in others or not operand_blocks(step.trace.blocks[index], step.trace)
            or not (elementwise(step.trace.blocks[index])
                    or step.trace.blocks[index].op == "argmin")]
    used = [others[index] for index in ends if index in others]
    return used if used and len(used) == len(ends) else None


def _closure(depends: Mapping[int, frozenset[int]]) -> dict[int, set[int]]:
    """What every state depends on, directly or not."""
    closed = {key: set(value) for key, value in depends.items()}
    changed = True
    while changed:
        changed = False
        for key, value in closed.items():
            more = set().union(*(closed.get(other, set()) for other in value)) - value
            if more:
                closed[key] = value | more
                changed = True
    return closed


def _components(states: list[State], closed: Mapping[int, set[int]]) -> list[list[State]]:
    """States that depend on each other together, sorted by what they depend on."""
    groups: list[list[State]] = []
    for state in states:
        home = next((g for g in groups if state.before in closed[g[0].before]
                     and g[0].before in closed[state.before]), None)
        if home is None:
            groups.append([state])
        else:
            home.append(state)
    return sorted(groups, key=lambda group: len(closed[group[0].before]))


def users(step: Step, extra: list[int]) -> dict[int, set[int]]:
    """The needed blocks that read each needed block; -1 stands for the answer."""
    tops = [*step.answers, *(state.after for state in step.states), *extra]
    readers: dict[int, set[int]] = {top: {-1} for top in step.answers}
    for index in cone(step.trace, tops, [state.before for state in step.states]):
        if index in {state.before for state in step.states}:
            continue
        for source in operand_blocks(step.trace.blocks[index], step.trace):
            readers.setdefault(source, set()).add(index)
    return readers
