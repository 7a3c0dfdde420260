"""An unrolled network rolled up: the step that all its copies have in common.

The answer of the last step is laid over that of the step before, and both are followed back
together. Where they meet the same block, it is the same at every step; where the later one meets
what the earlier one already was, a value is carried from step to step.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import pairwise

import numpy as np

from qsnn_compile.loader.nodes import OnnxError

from .blocks import Array, Block, Operand, Sym, Value
from .evaluate import cone
from .step import State, Step, answer_blocks, elementwise, is_spike
from .trace import Trace, operand_blocks


class NotRolled(OnnxError):
    """Steps that are not copies of one."""


@dataclass
class Overlay:
    """What two neighbouring steps have in common: ``before[b]`` is what block b was a step ago."""

    trace: Trace
    before: dict[int, int] = field(default_factory=dict)
    after: dict[int, int] = field(default_factory=dict)
    still: set[int] = field(default_factory=set)

    def lay(self, pairs: Iterable[tuple[int, int]]) -> None:
        """Follow *pairs* (of a later and an earlier block) back, the latest first."""
        heap = [(-late, early) for late, early in pairs]
        heap.sort()
        while heap:
            minus, early = heappop(heap)
            for pair in self._pair(-minus, early):
                heappush(heap, (-pair[0], pair[1]))

    def _pair(self, late: int, early: int) -> list[tuple[int, int]]:
        if late == early:
            self.still.add(late)
            return []
        if late in self.after:
            return []
        if late in self.before:
            if self.before[late] != early:
                raise NotRolled("steps must carry each value from one step to the next, not skip "
                                "steps")
            return []
        pairs = _same(self.trace, self.trace.blocks[late], self.trace.blocks[early])
        self.before[late] = early
        self.after[early] = late
        return pairs


def _same(trace: Trace, late: Block, early: Block) -> list[tuple[int, int]]:
    """The operands of two copies of a block. Raises NotRolled where they are not copies."""
    different = late.op != early.op or late.shape != early.shape or \
        len(late.operands) != len(early.operands) or (late.params is not early.params and \
        _key(late) != _key(early))
    if different:
        raise NotRolled(f"steps must be copies of each other, not differ at {late.origin} and "
                        f"{early.origin}")
    if late.reads is not None and early.reads is not None:
        return _same_reads(trace, late, early)
    return [pair for a, b in zip(late.operands, early.operands, strict=True)
            for pair in _same_operand(late, a, b)]


def _key(block: Block) -> object:
    return getattr(block.params, "key", block.params)


def _same_operand(late: Block, a: Operand, b: Operand) -> list[tuple[int, int]]:
    if not _equal(a.value, b.value) or not _equal(a.at, b.at):
        raise NotRolled(f"steps must be copies of each other, not differ at {late.origin}")
    return [] if a.value is not None else [(a.block, b.block)]


def _equal(a: Array | None, b: Array | None) -> bool:
    return a is b or (a is not None and b is not None and np.array_equal(a, b))


def _same_reads(trace: Trace, late: Block, early: Block) -> list[tuple[int, int]]:
    a, b = np.ravel(late.reads), np.ravel(early.reads)  # type: ignore[arg-type]
    owners, others = trace.where(a), trace.where(b)
    if a.size != b.size or (a - trace.starts(owners) != b - trace.starts(others)).any():
        raise NotRolled(f"steps must be copies of each other, not differ at {late.origin}")
    pairs = dict.fromkeys(zip(owners.tolist(), others.tolist(), strict=True))
    return [pair for pair in pairs if trace.blocks[pair[0]].op != "const" or pair[0] != pair[1]]


# -- finding the steps of the answer --------------------------------------------------------------

def histories(trace: Trace, value: Value) -> list[tuple[int, tuple[int, ...]]]:
    """Ways to see *value* as one block a step, each with its rank (less is likelier): along its
    first or second axis, as a sum over the steps, or as what the last step gives."""
    if not isinstance(value, Sym):
        return []
    dull = 0 if is_spike(trace, Sym(value.ids.ravel()[-1:])) else 1
    ranked: list[tuple[int, tuple[int, ...]]] = []
    for axis in range(min(2, value.ids.ndim - 1)):
        if value.ids.shape[axis] > 1:
            steps = [answer_blocks(trace, Sym(ids)) for ids in np.moveaxis(value.ids, axis, 0)]
            if all(len(blocks) == 1 for blocks in steps) and len(set(steps)) == len(steps):
                ranked.append((dull, tuple(blocks[0] for blocks in steps)))
    blocks = answer_blocks(trace, value)
    if len(blocks) == 1:
        terms = _terms(trace, blocks[0])
        if len(terms) > 1:
            ranked.append((2, tuple(sorted(terms))))
        else:
            ranked += [(3 + dull, history) for history in _earlier(trace, blocks[0])]
    return ranked


def _terms(trace: Trace, top: int) -> list[int]:
    """The blocks whose sum (or mean) block *top* is."""
    terms, todo = [], [top]
    while todo:
        block = trace.blocks[todo.pop()]
        symbolic = [o for o in block.operands if o.value is None and o.at is None]
        total = block.op == "Add" and len(symbolic) == 2
        mean = block.op in ("Div", "Mul") and len(symbolic) == 1 and len(block.operands) == 2
        if total or mean:
            todo += [o.block for o in symbolic]
        else:
            terms.append(block.index)
    same = {(trace.blocks[i].op, trace.blocks[i].size) for i in terms}
    return terms if len(same) == 1 and len(set(terms)) == len(terms) else [top]


def _earlier(trace: Trace, top: int) -> list[tuple[int, ...]]:
    """For an answer of the last step only: the blocks that may be what it was a step before."""
    block, seen, todo = trace.blocks[top], set(), [top]
    while todo:
        for index in operand_blocks(trace.blocks[todo.pop()], trace):
            if index not in seen:
                seen.add(index)
                todo.append(index)
    alike = [i for i in sorted(seen, reverse=True) if trace.blocks[i].op == block.op
             and trace.blocks[i].size == block.size and i != top]
    return [(i, top) for i in alike[:64]]


# -- rolling up -----------------------------------------------------------------------------------

def roll(trace: Trace, history: Sequence[int], frames: Sequence[int]) -> Step:
    """The step that the blocks *history* are copies of. Raises NotRolled.

    *frames* are the blocks of x, one a step; a single one is shown at every step.
    """
    overlay = Overlay(trace)
    overlay.lay([(history[-1], history[-2])])
    carried = _states(overlay)
    now = set(overlay.before) if len(frames) > 1 else {*overlay.before,
                                                       *cone(trace, overlay.still)}
    inputs = now & set(frames)
    if not inputs:
        raise NotRolled("the last step must use the input, not earlier steps' values alone")
    if any(overlay.before.get(a) not in (b, None)
           for b, a in pairwise(frames)):
        raise NotRolled("each step must use the next frame of the input")
    steps = len(history) if len(history) > 2 else len(frames)
    states = tuple(State(early, overlay.after[early], trace.blocks[early].origin)
                   for early in carried)
    return Step(trace, frozenset(inputs), states, (history[-1],), dict(overlay.after),
                tuple(history), tuple(frames), frozenset(overlay.still), len(frames) == 1, steps)


def _states(overlay: Overlay) -> list[int]:
    """The carried blocks that no other carried ones determine."""
    trace, late = overlay.trace, set()
    for block in overlay.before:
        late |= {index for index in operand_blocks(trace.blocks[block], trace)
                 if index in overlay.after}
    return sorted(index for index in late if not _derived(overlay, index, late))


def _derived(overlay: Overlay, index: int, late: set[int]) -> bool:
    """Whether block *index* is computed from other carried blocks alone."""
    trace = overlay.trace
    if not elementwise(trace.blocks[index]) or not operand_blocks(trace.blocks[index], trace):
        return False
    todo, seen = [index], set()
    while todo:
        top = todo.pop()
        for source in operand_blocks(trace.blocks[top], trace):
            if source in late or source in seen:
                continue
            inner = elementwise(trace.blocks[source]) or trace.blocks[source].op == "argmin"
            if not inner or source in overlay.still:
                return False
            seen.add(source)
            todo.append(source)
    return True
