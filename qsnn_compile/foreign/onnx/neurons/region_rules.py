"""What each elementwise operation does to affine forms."""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from qsnn_compile.foreign.onnx.trace.blocks import Block

from .region_forms import Affine, NotAffine, choose


class Decider(Protocol):
    """Who answers comparisons and keeps floors."""

    def decide(self, form: Affine, strict: bool) -> Any:
        """Whether *form* > 0 (≥ 0 unless *strict*)."""

    def floor(self, value: Affine) -> Affine:
        """floor(*value*)."""


Rule = Callable[..., Affine]


def _product(_: Decider, block: Block, a: Affine, b: Affine) -> Affine:
    if a.terms and b.terms:
        raise NotAffine(f"{block.origin}: a neuron's equation must be piecewise affine, not "
                        "multiply its state by its input or itself; qsnn knows leaky and "
                        "integrate-and-fire neurons")
    return a.times(b.const) if a.terms else b.times(a.const)


def _quotient(_: Decider, block: Block, a: Affine, b: Affine) -> Affine:
    if b.terms or (b.const == 0).any():
        raise NotAffine(f"{block.origin}: a neuron's equation must divide by a number other than "
                        "0, not by its state or input")
    return Affine(a.const / b.const, {v: f / b.const for v, f in a.terms.items()})


def _maximum(region: Decider, _: Block, a: Affine, b: Affine) -> Affine:
    return choose(region.decide(a.plus(b, -1.0), False), a, b)


def _minimum(region: Decider, _: Block, a: Affine, b: Affine) -> Affine:
    return choose(region.decide(a.plus(b, -1.0), False), b, a)


def _comparison(strict: bool) -> Rule:
    def rule(region: Decider, _: Block, a: Affine, b: Affine) -> Affine:
        return Affine(np.asarray(region.decide(a.plus(b, -1.0), strict), np.float64))
    return rule


def _equal(_: Decider, __: Block, a: Affine, b: Affine) -> Affine:
    difference = a.plus(b, -1.0)
    same = np.zeros(()) if difference.terms else difference.const == 0
    return Affine(np.asarray(same, np.float64))


def _absolute(region: Decider, _: Block, a: Affine) -> Affine:
    return choose(region.decide(a, False), a, a.times(-np.ones(())))


def _sign(region: Decider, _: Block, a: Affine) -> Affine:
    if not a.terms:
        return Affine(np.sign(a.const))
    return Affine(np.where(region.decide(a, True), 1.0, -1.0))


def _where(_: Decider, block: Block, mask: Affine, a: Affine, b: Affine) -> Affine:
    if mask.terms:
        raise NotAffine(f"{block.origin}: the condition must be a comparison, not a number")
    return choose(mask.const != 0, a, b)


def _trunc(region: Decider, _: Block, a: Affine) -> Affine:
    minus = -np.ones(())
    if np.all(region.decide(a, False)) or not a.terms:
        return region.floor(a) if a.terms else Affine(np.trunc(a.const))
    return region.floor(a.times(minus)).times(minus)


def _ceiling(region: Decider, _: Block, a: Affine) -> Affine:
    return region.floor(a.times(-np.ones(()))).times(-np.ones(()))


RULES: dict[str, Rule] = {
    "Add": lambda _, __, a, b: a.plus(b), "Sub": lambda _, __, a, b: a.plus(b, -1.0),
    "Mul": _product, "Div": _quotient, "Max": _maximum, "Min": _minimum, "Equal": _equal,
    "Greater": _comparison(True), "GreaterOrEqual": _comparison(False), "Abs": _absolute,
    "Sign": _sign, "Where": _where, "Trunc": _trunc, "Ceil": _ceiling,
    "Floor": lambda region, _, a: region.floor(a),
    "Round": lambda region, _, a: region.floor(a.plus(Affine(np.full((), 0.5)))),
}
