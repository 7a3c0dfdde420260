"""Where one step of a rolled-up network ends: behind the reset, where that is the state's doing
alone.

Laying steps over each other gives the potential as what is carried on, and the next step begins
with its reset and clamp. If everything that follows from the old potential alone comes together
in one value before the new input is added, that value is the membrane between the steps.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from qsnn_compile.foreign.onnx.trace.blocks import Operand
from qsnn_compile.foreign.onnx.trace.step import State, Step, elementwise
from qsnn_compile.foreign.onnx.trace.trace import Trace, operand_blocks

from .groups import Reach, users
from .region_affine import Region
from .region_forms import Affine, NotAffine, Var

ONE = np.ones(())


def recut(step: Step) -> Step:
    """*step* with each of its states as late as can be."""
    reach = Reach(step)
    readers = users(step, list(step.late.values()))
    states = tuple(_later(step, reach, readers, state) for state in step.states)
    return replace(step, states=states)


def _later(step: Step, reach: Reach, readers: Mapping[int, set[int]], state: State) -> State:
    """*state*, or the last value that is the same where nothing happens and hides it."""
    alone = {block for block in readers if reach.states(block) == {state.before}
             and _pure(step.trace, reach, block, state.before)}
    ends = {block for block in alone
            if any(reader not in alone and _counts(step, block, reader)
                   for reader in readers[block])}
    for block in sorted(alone - {state.before}, reverse=True):
        if _hides(step.trace, alone, state.before, ends, block) and \
                _same_at_rest(step.trace, block, state.before):
            return State(block, cloned(step.trace, block, {state.before: state.after}, {}),
                         state.name)
    return state


def _counts(step: Step, block: int, reader: int) -> bool:
    """Whether *reader* needs *block* in this step: a layer that reads what was is a delay."""
    late = block in step.late and reader >= 0 and not elementwise(step.trace.blocks[reader])
    return not late


def _pure(trace: Trace, reach: Reach, block: int, source: int) -> bool:
    """Whether *block* is computed from *source* and constants alone."""
    todo, seen = [block], {source}
    while todo:
        index = todo.pop()
        if index in seen:
            continue
        seen.add(index)
        if not elementwise(trace.blocks[index]) or not reach.states(index):
            return False
        todo += operand_blocks(trace.blocks[index], trace)
    return True


def _hides(trace: Trace, alone: set[int], source: int, ends: set[int], block: int) -> bool:
    """Whether all *ends* depend on *source* through *block* only."""
    todo, seen = [end for end in ends if end != block], set()
    while todo:
        index = todo.pop()
        if index == source:
            return False
        if index not in seen:
            seen.add(index)
            todo += [s for s in operand_blocks(trace.blocks[index], trace)
                     if s in alone and s != block]
    return bool(ends)


def _same_at_rest(trace: Trace, block: int, source: int) -> bool:
    """Whether *block* is *source* itself where no spike or clamp acts."""
    itself = Affine(np.zeros(()), {Var(source): ONE})
    try:
        pieces = Region(trace, lambda index: itself if index == source else None).pieces([block])
    except NotAffine:
        return False
    return any(piece.values[0].close(itself) for piece in pieces)


def cloned(trace: Trace, index: int, swap: Mapping[int, int], memo: dict[int, int]) -> int:
    """The block that computes what block *index* does with the blocks of *swap* exchanged."""
    if index in swap:
        return swap[index]
    if index not in memo:
        block = trace.blocks[index]
        if block.reads is not None:
            raise NotAffine(f"{block.origin}: a carried value must be a spike or a membrane; "
                            "return the states that the neuron gives")
        operands = tuple(o if o.value is not None else
                         Operand(cloned(trace, o.block, swap, memo), o.at)
                         for o in block.operands)
        memo[index] = trace.add(block.op, block.shape, None, operands=operands,
                                params=block.params, origin=block.origin).index
    return memo[index]
