"""What a model's values are: constants, numbers known by ids, and the blocks they belong to."""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Ids = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Quantised:
    """How a constant was quantised: ``value = scale · q``, elementwise, with ``low ≤ q ≤ high``."""

    q: Array
    scale: Array
    low: int
    high: int
    source: str

    @property
    def bits(self) -> int:
        """The width that holds every q that there could be; 1 for -1 and +1."""
        if (np.abs(self.q) == 1).all():
            return 1
        return max(2, (max(-self.low, self.high + 1) - 1).bit_length() + 1)


@dataclass(frozen=True, eq=False)
class Const:
    """A number known now."""

    value: Array
    quantised: Quantised | None = None


@dataclass(frozen=True, eq=False)
class Sym:
    """Numbers known at run time, by id. ``kind`` is "float", "int" or "bool"."""

    ids: Ids
    kind: str = "float"


Value = Const | Sym


@dataclass(frozen=True, eq=False)
class Operand:
    """What an elementwise block reads: elements ``at`` of ``block`` (None: all, in order), or a
    constant ``value``, a scalar or one number an element."""

    block: int = -1
    at: Ids | None = None
    value: Array | None = None


@dataclass(frozen=True, eq=False)
class Block:
    """The result of one operation on one sample. ``reads`` are the ids that a block of many
    inputs (linear, conv, pool, argmin) takes; ``params`` is what the operation needs to know."""

    index: int
    start: int
    size: int
    shape: tuple[int, ...]
    op: str
    operands: tuple[Operand, ...] = ()
    reads: Ids | None = None
    params: Any = None
    origin: str = ""


def digest(array: Array) -> str:
    """The same text for the same numbers in the same shape."""
    data = np.ascontiguousarray(array)
    head = f"{data.dtype}{data.shape}"
    return head + hashlib.blake2b(data.tobytes(), digest_size=16).hexdigest()
