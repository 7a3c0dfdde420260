"""Affine forms of a region's variables, and the decisions taken about them."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qsnn_compile.loader.nodes import OnnxError

Array = NDArray[np.float64]
CLOSE = 1e-9


class NotAffine(OnnxError):
    """A region that is not piecewise affine."""


@dataclass(frozen=True)
class Var:
    """Elements ``at`` (as bytes; None: all, in order) of block ``block``."""

    block: int
    at: bytes | None = None


@dataclass(frozen=True, eq=False)
class FloorVar:
    """floor(``of``)."""

    of: "Affine"


@dataclass(frozen=True, eq=False)
class GridVar:
    """The one of ``levels`` nearest to ``of``; the lower one on a tie."""

    of: "Affine"
    levels: Array


Variable = Var | FloorVar | GridVar


@dataclass(frozen=True, eq=False)
class Affine:
    """Σ terms[x] · x + const, for all elements of a block; coefficients one number or one each."""

    const: Array
    terms: dict[Variable, Array] = field(default_factory=dict)

    def plus(self, other: "Affine", sign: float = 1.0) -> "Affine":
        """The sum, or the difference."""
        terms = dict(self.terms)
        for variable, factor in other.terms.items():
            terms[variable] = terms.get(variable, np.zeros(())) + sign * factor
        kept = {variable: factor for variable, factor in terms.items() if np.any(factor)}
        return Affine(self.const + sign * other.const, kept)

    def times(self, factor: Array) -> "Affine":
        """The product with a number."""
        terms = {v: f * factor for v, f in self.terms.items()}
        return Affine(self.const * factor, {v: f for v, f in terms.items() if np.any(f)})

    def at(self, at: NDArray[np.int64]) -> "Affine":
        """The elements *at*."""
        return Affine(_at(self.const, at), {_variable_at(v, at): _at(f, at)
                                            for v, f in self.terms.items()})

    def close(self, other: "Affine") -> bool:
        """Whether both are the same function."""
        rest = self.plus(other, -1.0)
        return bool(all(np.allclose(f, 0, atol=CLOSE) for f in (rest.const, *rest.terms.values())))


def choose(mask: Any, a: Affine, b: Affine) -> Affine:
    """*a* where *mask*, else *b*."""
    if np.ndim(mask) == 0:
        return a if mask else b
    terms = {v: np.where(mask, a.terms.get(v, np.zeros(())), b.terms.get(v, np.zeros(())))
             for v in {**a.terms, **b.terms}}
    return Affine(np.where(mask, a.const, b.const), terms)


@dataclass(frozen=True, eq=False)
class Decision:
    """That ``form`` > 0 (≥ 0 unless ``strict``) was taken to be ``truth``."""

    form: Affine
    strict: bool
    truth: bool


def ratio(form: Affine, base: Affine) -> tuple[Array, Array] | None:
    """(λ, κ) with *form* = λ · *base* + κ, λ ≠ 0; None where there are none."""
    if not form.terms or set(form.terms) != set(base.terms):
        return None
    lead = max(base.terms, key=lambda v: float(np.min(np.abs(base.terms[v]))))
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = form.terms[lead] / base.terms[lead]
    if not np.isfinite(factor).all() or (factor == 0).any():
        return None
    rest = form.plus(base.times(factor), -1.0)
    size = np.max(np.abs(factor)) * max(float(np.max(np.abs(f))) for f in base.terms.values())
    if any(np.max(np.abs(f)) > 1e-6 * size for f in rest.terms.values()):
        return None
    return factor, rest.const


def implied(known: Decision, form: Affine) -> bool | None:
    """What *known* says about *form*; a border case that both share counts with either."""
    factors = ratio(form, known.form)
    if factors is None:
        return None
    factor, shift = factors
    tiny = CLOSE * (1 + float(np.max(np.abs(shift))))
    if (factor > 0).all():
        if known.truth and (shift >= -tiny).all():
            return True
        return False if not known.truth and (shift <= tiny).all() else None
    if (factor < 0).all():
        if known.truth and (shift <= tiny).all():
            return False
        return True if not known.truth and (shift >= -tiny).all() else None
    return None


def _at(array: Array, at: NDArray[np.int64]) -> Array:
    return array if array.ndim == 0 else array[at]


def _variable_at(variable: Variable, at: NDArray[np.int64]) -> Variable:
    if not isinstance(variable, Var):
        raise NotAffine("a multi-spike or quantised neuron must be read as a whole; export it "
                        "without slicing")
    inner = at if variable.at is None else np.frombuffer(variable.at, np.int64)[at]
    return Var(variable.block, np.ascontiguousarray(inner).tobytes())


def is_grid(form: Affine, levels: Array) -> bool:
    if len(form.terms) != 1 or np.any(form.const):
        return False
    (variable, factor), = form.terms.items()
    return isinstance(variable, GridVar) and bool((factor == 1).all()) and \
        np.array_equal(variable.levels, levels)


def relative(weights: dict[Variable, Array]) -> tuple[dict[Variable, Array], Array]:
    """The weights divided by the first, and the first."""
    if not weights:
        return {}, np.ones(())
    unit = next(iter(weights.values()))
    if len(weights) == 1:
        return dict.fromkeys(weights, np.ones(())), unit
    if np.any(unit == 0):
        return weights, np.ones(())
    return {x: f / unit for x, f in weights.items()}, unit


def crossing(decision: Decision, shown: Affine) -> tuple[Array, bool] | None:
    """The threshold that *decision* says *shown* lies below, and whether it must be exceeded."""
    factors = ratio(decision.form, shown)
    if factors is None:
        return None
    factor, shift = factors
    if (factor > 0).all() and not decision.truth:
        return -shift / factor, decision.strict
    if (factor < 0).all() and decision.truth:
        return -shift / factor, not decision.strict
    return None
