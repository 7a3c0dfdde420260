"""A model as what it computes: blocks of numbers, every element known by an id.

All that only moves numbers (Reshape, Slice, Gather, Squeeze, Concat…) is done on arrays of ids, so
nothing of it is left; copies of one sum are one block, wherever in time they stand. A block is one
sample's worth of one operation: a row of a MatMul over [T, 1, N] is a block of its own.
"""

import math
from collections.abc import Hashable, Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from qsnn_compile.loader.nodes import MOST, OnnxError

from .blocks import Array, Block, Const, Ids, Operand, Sym, Value, digest
from .elementwise import compute

MAX_ELEMENTS = 1 << 24
MAX_BLOCKS = 1 << 16


class TooLarge(OnnxError):
    """A model that computes more than we follow, however its input is looked at."""


class Trace:
    """The blocks of a model, in the order they were made: operands stand before their users."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self._starts: Ids = np.zeros(1024, np.int64)
        self._known: dict[Hashable, int] = {}
        self.size = 0                               # numbers in all blocks

    def add(self, op: str, shape: tuple[int, ...], key: Hashable = None, **fields: Any) -> Block:
        """A block, or the one already there that *key* says is the same."""
        if key is not None and (op, key) in self._known:
            return self.blocks[self._known[op, key]]
        size = math.prod(shape)
        if len(self.blocks) == MAX_BLOCKS:
            raise TooLarge(f"{fields.get('origin', op)}: the model must compute at most "
                           f"{MAX_BLOCKS} values, not more; export fewer steps, or one step")
        if size < 1 or self.size + size > MAX_ELEMENTS:
            raise TooLarge(f"{fields.get('origin', op)}: the model must compute between 1 and "
                           f"{MAX_ELEMENTS} numbers, not {self.size + size!r}; "
                           "export fewer steps, or one step")
        block = Block(len(self.blocks), self.size, size, shape, op, **fields)
        self.blocks.append(block)
        if block.index == self._starts.size:
            self._starts = np.concatenate([self._starts, self._starts])
        self._starts[block.index] = block.start
        self.size += size
        if key is not None:
            self._known[op, key] = block.index
        return block

    def fit(self, origin: str, *shape: int) -> None:
        """Refuse a value of *shape* that is too large, before it is made. Raises OnnxError."""
        if math.prod(shape) > MOST:
            raise TooLarge(f"{origin}: a value must have at most {MOST} numbers, not the shape "
                           f"{list(shape)!r}; check its sizes, or export a smaller model")

    def room(self, origin: str, count: int) -> None:
        """Refuse *count* more blocks, before any is made. Raises TooLarge."""
        if len(self.blocks) + count > MAX_BLOCKS:
            raise TooLarge(f"{origin}: the model must compute at most {MAX_BLOCKS} values, not "
                           f"{len(self.blocks) + count!r}; export fewer samples or steps")

    def ids(self, block: Block) -> Ids:
        """The ids of all elements of *block*, in its shape."""
        return np.arange(block.start, block.start + block.size).reshape(block.shape)

    def constant(self, value: Array) -> Ids:
        """Ids of constants, for where numbers and constants stand in one tensor."""
        value = np.asarray(value)
        block = self.add("const", (value.size,), digest(value), params=value.ravel())
        return self.ids(block).reshape(value.shape)

    def where(self, ids: Ids) -> Ids:
        """The block of every id."""
        return np.searchsorted(self._starts[:len(self.blocks)], ids, side="right") - 1

    def starts(self, blocks: Ids) -> Ids:
        """The first ids of *blocks*."""
        return self._starts[blocks]

    def single(self, ids: Ids) -> tuple[Block, Ids | None] | None:
        """The one block that *ids* lie in and their place there (None: all, in order)."""
        owners = self.where(ids.ravel())
        if owners.size == 0 or owners.min() != owners.max():
            return None
        block = self.blocks[int(owners[0])]
        return block, in_order(ids.ravel() - block.start, block.size)

    def simplified(self, value: Value, origin: str) -> Value:
        """*value* as a constant where all its elements are."""
        if isinstance(value, Const):
            return value
        owners = np.unique(self.where(value.ids))
        if owners.size == 0:
            raise OnnxError(f"{origin}: a value must have numbers, not the shape "
                            f"{list(value.ids.shape)!r}; check its sizes")
        if any(self.blocks[owner].op != "const" for owner in owners):
            return value
        return Const(self.numbers(value.ids))

    def numbers(self, ids: Ids) -> Array:
        """The values of constants."""
        owners = self.where(ids)
        result = np.zeros(ids.shape, np.result_type(*(
            self.blocks[owner].params.dtype for owner in np.unique(owners))))
        for owner in np.unique(owners):
            block, here = self.blocks[owner], owners == owner
            result[here] = block.params[ids[here] - block.start]
        return result

    # -- operations that read elements of many blocks --------------------------------------------

    def apply(self, op: str, reads: Ids, shape: tuple[int, ...], params: Any, key: Hashable,
              origin: str) -> Ids:
        """Ids of the result of *op* on the elements *reads* of one sample."""
        signature = (key, reads.shape, reads.tobytes())
        block = self.add(op, shape, signature, reads=reads, params=params, origin=origin)
        return self.ids(block)

    # -- elementwise operations ------------------------------------------------------------------

    def elementwise(self, op: str, args: Sequence[Value], kind: str = "float",
                    params: Hashable = None, origin: str = "") -> Sym:
        """*op* on broadcast *args*, at least one of them not constant."""
        shape = np.broadcast_shapes(*(_array(arg).shape for arg in args))
        self.fit(origin, *shape)
        wide = [np.broadcast_to(_array(arg), shape) for arg in args]
        copies = shape[0] if shape and shape[0] > 1 and all(_repeated(a) for a in wide) else 1
        columns = [(a[:1] if copies > 1 else a).ravel() for a in wide]
        symbolic = [isinstance(arg, Sym) for arg in args]
        owners = [self.where(c) if s else None for c, s in zip(columns, symbolic, strict=True)]
        result = np.empty(columns[0].size, np.int64)
        for rows in _groups([o for o in owners if o is not None], result.size):
            parts = [c[rows] for c in columns]
            where = [None if o is None else int(o[rows][0]) for o in owners]
            result[rows] = self._group(op, parts, where, params, origin)
        if copies > 1:
            return Sym(np.broadcast_to(result.reshape(1, *shape[1:]), shape), kind)
        return Sym(result.reshape(shape), kind)

    def _group(self, op: str, columns: list[Array], owners: list[int | None],
               params: Hashable, origin: str) -> Ids:
        """One block for elements that read the same blocks; copies of an element are one."""
        local: list[Array] = []
        for number, (column, owner) in enumerate(zip(columns, owners, strict=True)):
            if owner is None:
                local.append(column)
            elif self.blocks[owner].op == "const":
                local.append(self.numbers(column))
                owners[number] = None
            else:
                local.append(column - self.blocks[owner].start)
        first, inverse = _distinct(local, owners)
        operands = tuple(self._operand(column[first], owner)
                         for column, owner in zip(local, owners, strict=True))
        if op == "Mul" and any(o.value is not None and not o.value.any() for o in operands):
            return self.constant(np.zeros(len(inverse), np.float32))
        alias = _alias(op, operands)
        if alias is not None:
            source = operands[alias]
            start = self.blocks[source.block].start
            at = np.arange(first.size) if source.at is None else source.at
            return (start + at)[inverse]
        return self._block(op, operands, first.size, params, origin)[inverse]

    def _block(self, op: str, operands: tuple[Operand, ...], size: int, params: Hashable,
               origin: str) -> Ids:
        if all(operand.value is not None for operand in operands):
            values = [np.broadcast_to(np.asarray(o.value), (size,)) for o in operands]
            return self.constant(compute(op, params, values))
        key = (params, size, *(_key(operand) for operand in operands))
        block = self.add(op, self._shape(operands, size), key, operands=operands, params=params,
                         origin=origin)
        return self.ids(block).ravel()

    def _operand(self, column: Array, owner: int | None) -> Operand:
        if owner is None:
            if column.size and (column == column[0]).all():
                return Operand(value=column[:1].reshape(()))
            return Operand(value=column)
        return Operand(owner, in_order(column, self.blocks[owner].size))

    def _shape(self, operands: tuple[Operand, ...], size: int) -> tuple[int, ...]:
        shapes = [self.blocks[o.block].shape for o in operands if o.value is None and o.at is None]
        return max(shapes, key=len, default=(size,))


def operand_blocks(block: Block, trace: Trace) -> Iterable[int]:
    """The blocks that *block* reads, constants left out."""
    if block.reads is not None:
        owners = np.unique(trace.where(block.reads.ravel()))
        return [int(owner) for owner in owners if trace.blocks[owner].op != "const"]
    return [operand.block for operand in block.operands if operand.value is None]


def in_order(at: Ids, size: int) -> Ids | None:
    """*at*, or None where it is 0, 1, … size - 1."""
    if at.size == size and (at == np.arange(size)).all():
        return None
    return at


def _repeated(array: Array) -> bool:
    """Whether all parts along the first axis are the same: a batch of one sample."""
    return bool((array[1] == array[0]).all() and (array == array[:1]).all())


def _array(value: Value) -> Array:
    return value.ids if isinstance(value, Sym) else value.value


def _key(operand: Operand) -> Hashable:
    if operand.value is not None:
        return digest(operand.value)
    return operand.block, None if operand.at is None else operand.at.tobytes()


def _groups(owners: list[Ids], size: int) -> Iterable[Any]:
    """Rows that have the same owners in every column."""
    if all(column.min() == column.max() for column in owners):
        return [slice(None)]
    _, inverse = np.unique(np.stack(owners), axis=1, return_inverse=True)
    order = np.argsort(inverse.ravel(), kind="stable")
    cuts = np.flatnonzero(np.diff(inverse.ravel()[order])) + 1
    ends = [0, *cuts.tolist(), size]
    return [order[a:b] for a, b in pairwise(ends)]


def _distinct(columns: list[Array], owners: list[int | None]) -> tuple[Ids, Ids]:
    """The distinct rows in the first symbolic column's order, and where each row is among them."""
    lead = next((c for c, owner in zip(columns, owners, strict=True) if owner is not None), None)
    everything = np.arange(columns[0].size)
    if lead is None or (np.diff(lead) > 0).all():
        return everything, everything
    codes = [np.unique(c, return_inverse=True)[1].ravel() for c in columns]
    codes = [code for code, o in zip(codes, owners, strict=True) if o is not None] + \
        [code for code, o in zip(codes, owners, strict=True) if o is None]
    _, first, inverse = np.unique(np.stack(codes), axis=1, return_index=True, return_inverse=True)
    return first, inverse.ravel()


_NEUTRAL = {"Add": 0, "Sub": 0, "Mul": 1, "Div": 1, "Pow": 1}


def _alias(op: str, operands: tuple[Operand, ...]) -> int | None:
    """The operand that *op* hands through unchanged, if it does."""
    if op not in _NEUTRAL or len(operands) != 2:
        return None
    for number, operand in enumerate(operands):
        other = operands[1 - number]
        if operand.value is not None and other.value is None and \
                (number == 1 or op in ("Add", "Mul")) and (operand.value == _NEUTRAL[op]).all():
            return 1 - number
    return None
