"""Elementwise regions as piecewise-affine functions.

A region is evaluated on affine forms instead of numbers. A comparison that depends on them is a
decision: the region is evaluated once for either answer, and gives one piece each time. Floors and
quantisers of a state are variables of their own that remember what they were taken of.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qsnn_compile.foreign.onnx.trace.blocks import Block, Operand
from qsnn_compile.foreign.onnx.trace.elementwise import compute
from qsnn_compile.foreign.onnx.trace.trace import Trace

from .region_forms import Affine, Decision, FloorVar, GridVar, NotAffine, implied, is_grid
from .region_grid import find_levels
from .region_rules import RULES

Array = NDArray[np.float64]
MAX_PIECES = 512


@dataclass(frozen=True, eq=False)
class Piece:
    """The region's results where all ``decisions`` hold."""

    decisions: tuple[Decision, ...]
    values: tuple[Affine, ...]


class Region:
    """Evaluates blocks on affine forms. *variable* says what a block stands for where the region
    ends: a form, or None inside; *same* names blocks that stand for another."""

    def __init__(self, trace: Trace, variable: Callable[[int], Affine | None],
                 same: Mapping[int, int] | None = None) -> None:
        self.trace = trace
        self.variable = variable
        self.same = same or {}
        self._auxiliary: list[FloorVar | GridVar] = []
        self._levels: dict[int, tuple[int, Array]] = {}
        self._memo: dict[int, Affine] = {}
        self._decisions: list[Decision] = []
        self._prefix: list[bool] = []

    def pieces(self, wanted: Sequence[int]) -> list[Piece]:
        """All pieces of the function from the variables to the blocks *wanted*."""
        done: list[Piece] = []
        todo: list[list[bool]] = [[]]
        while todo:
            self._prefix, self._memo, self._decisions = todo.pop(), {}, []
            values = tuple(self._value(block) for block in wanted)
            done.append(Piece(tuple(self._decisions), values))
            truths = [decision.truth for decision in self._decisions]
            todo += [[*truths[:i], not truths[i]] for i in range(len(self._prefix), len(truths))]
            if len(done) + len(todo) > MAX_PIECES:
                origin = self.trace.blocks[wanted[0]].origin
                raise NotAffine(f"{origin}: the neuron must have at most {MAX_PIECES} cases, not "
                                "more; use a simpler neuron")
        return done

    # -- values ----------------------------------------------------------------------------------

    def _value(self, index: int) -> Affine:
        """Block *index*; operands first, without recursion."""
        todo = [index]
        while todo:
            top = todo[-1]
            if top in self._memo:
                todo.pop()
                continue
            known = self.variable(top)
            block = self.trace.blocks[top]
            needs = [] if known is not None else [self.same[top]] if top in self.same else [
                operand.block for operand in self._needs(block)]
            missing = [need for need in needs if need not in self._memo]
            if missing:
                todo += missing
                continue
            self._memo[top] = known if known is not None else \
                self._memo[self.same[top]] if top in self.same else self._compute(block)
            todo.pop()
        return self._memo[index]

    def _needs(self, block: Block) -> list[Operand]:
        if block.op == "Lookup":
            return [Operand(self._levels_of(block)[0])]
        if block.reads is not None:
            raise NotAffine(f"{block.origin}: must stand outside a neuron's equation; a neuron's "
                            "equation must be elementwise")
        return [operand for operand in block.operands if operand.value is None]

    def _levels_of(self, block: Block) -> tuple[int, Array]:
        if block.index not in self._levels:
            self._levels[block.index] = find_levels(self.trace, block)
        return self._levels[block.index]

    def _operand(self, operand: Operand) -> Affine:
        if operand.value is not None:
            return Affine(np.asarray(operand.value, np.float64))
        value = self._memo[operand.block]
        return value if operand.at is None else value.at(operand.at)

    def _compute(self, block: Block) -> Affine:
        if block.op == "Lookup":
            argument, levels = self._levels_of(block)
            return self._auxiliary_form(GridVar(self._memo[argument], levels))
        values = [self._operand(operand) for operand in block.operands]
        if block.op in RULES:
            return RULES[block.op](self, block, *values)
        if not any(value.terms for value in values):
            return Affine(np.asarray(compute(block.op, block.params,
                                             [value.const for value in values]), np.float64))
        raise NotAffine(f"{block.origin}: a neuron's equation must be piecewise affine, not use "
                        f"{block.op!r} of its state or input; qsnn knows leaky and "
                        "integrate-and-fire neurons")

    def _auxiliary_form(self, variable: FloorVar | GridVar) -> Affine:
        if isinstance(variable, GridVar) and is_grid(variable.of, variable.levels):
            return variable.of
        for known in self._auxiliary:
            if type(known) is type(variable) and known.of.close(variable.of):
                return Affine(np.zeros(()), {known: np.ones(())})
        self._auxiliary.append(variable)
        return Affine(np.zeros(()), {variable: np.ones(())})

    # -- decisions -------------------------------------------------------------------------------

    def decide(self, form: Affine, strict: bool) -> Any:
        """Whether *form* > 0 (≥ 0 unless *strict*) in this piece."""
        if not form.terms:
            return form.const > 0 if strict else form.const >= 0
        for known in self._decisions:
            answer = implied(known, form)
            if answer is not None:
                return answer
        number = len(self._decisions)
        truth = self._prefix[number] if number < len(self._prefix) else True
        self._decisions.append(Decision(form, strict, truth))
        return truth

    def floor(self, value: Affine) -> Affine:
        """floor(*value*)."""
        if not value.terms:
            return Affine(np.floor(value.const))
        return self._auxiliary_form(FloorVar(value))
