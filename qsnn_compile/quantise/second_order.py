"""Weights of few bits by what their layer's inputs make of each error, not by the errors alone.

Weights are rounded one input at a time; each error is made up for by the weights still to come, as
the inputs' correlations allow (optimal brain surgeon; GPTQ). The scale is the one that ends best.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qsnn_compile.reals.normal_form import Reals

SHRINKS = np.geomspace(1, 0.05, 16)     # of the scale that the largest weight asks for
DAMPING = 0.01                          # of the inputs' mean variance
COLUMNS = 2048                          # whose correlations are looked at together
BLOCK = 64
NUMBERS = 1 << 24                       # weights at a time, all scales counted


def code_range(bits: int) -> tuple[int, int]:
    """The lowest and highest code. One bit has no 0."""
    return (-1, 1) if bits == 1 else (-(1 << bits - 1), (1 << bits - 1) - 1)


def second_order(weight: Reals, inputs: NDArray[Any], bits: int, unit: Reals | None
                 ) -> tuple[Reals, Reals]:
    """Codes [C, n] of *bits* bits and a unit [C] with ``weight ≈ unit · codes`` on *inputs* [M, n].

    What counts is the squared error of the sums, their mean left out (`bias_correction` has it).
    *unit*, where given, is kept.
    """
    parts = [_of_columns(weight[:, start:start + COLUMNS], inputs[:, start:start + COLUMNS], bits,
                         unit) for start in range(0, weight.shape[1], COLUMNS)]
    if len(parts) > 1 and unit is None:         # one unit for all of them
        return second_order(weight, inputs, bits, np.max([one for _, one in parts], axis=0))
    return np.concatenate([codes for codes, _ in parts], axis=1), parts[0][1]


def bias_correction(weight: Reals, before: NDArray[Any], rounded: Reals, after: NDArray[Any]
                    ) -> Reals:
    """What the bias [C] must gain so that the mean sum of *rounded* weights over *after* [M, n],
    the inputs as they have become, is that of *weight* over *before*."""
    return np.asarray(weight @ before.mean(axis=0, dtype=np.float64)
                      - rounded @ after.mean(axis=0, dtype=np.float64))


def _of_columns(weight: Reals, inputs: NDArray[Any], bits: int, unit: Reals | None
                ) -> tuple[Reals, Reals]:
    curvature = _curvature(inputs)
    order = np.argsort(-np.diag(curvature), kind="stable")
    curvature = curvature[np.ix_(order, order)]
    factor = np.linalg.cholesky(np.linalg.inv(curvature)).T
    codes, made = np.empty(weight.shape), np.empty(len(weight))
    rows = max(1, NUMBERS // (len(SHRINKS) * weight.shape[1]))
    for start in range(0, len(weight), rows):
        here = slice(start, start + rows)
        codes[here, order], made[here] = _best(
            weight[here, order], curvature, factor, bits, None if unit is None else unit[here])
    return codes, made


def _curvature(inputs: NDArray[Any]) -> Reals:
    """The covariance of *inputs*, damped so that it can be inverted."""
    away = inputs - inputs.mean(axis=0, dtype=np.float64).astype(inputs.dtype)
    curvature = (away.T @ away).astype(np.float64) / len(inputs)
    mean = float(np.diag(curvature).mean()) or 1.0
    return np.asarray(curvature + DAMPING * mean * np.eye(len(curvature)))


def _best(weight: Reals, curvature: Reals, factor: Reals, bits: int, unit: Reals | None
          ) -> tuple[Reals, Reals]:
    """The codes of the scale whose error is least, row by row."""
    if unit is not None:
        return _rounded(weight, factor, bits, unit), unit
    peak = np.abs(weight).max(axis=1) / code_range(bits)[1]
    peak = np.where(peak > 0, peak, 1.0)
    units = np.outer(SHRINKS, peak)
    codes = _rounded(np.tile(weight, (len(SHRINKS), 1)), factor, bits, units.ravel())
    codes = codes.reshape(*units.shape, -1)
    away = codes * units[..., None] - weight
    errors = np.einsum("scn,scn->sc", away @ curvature, away)
    least, rows = errors.argmin(axis=0), np.arange(len(weight))
    return codes[least, rows], units[least, rows]


def _rounded(weight: Reals, factor: Reals, bits: int, unit: Reals) -> Reals:
    """Codes of *weight*, column by column; *factor* is the upper Cholesky factor of the inverse
    curvature, whose rows say how the columns to come make up for an error."""
    rest, codes = weight.copy(), np.empty(weight.shape)
    low, high = code_range(bits)
    for start in range(0, weight.shape[1], BLOCK):
        stop = min(start + BLOCK, weight.shape[1])
        errors = np.empty((len(weight), stop - start))
        for column in range(start, stop):
            scaled = rest[:, column] / unit
            codes[:, column] = np.where(scaled >= 0, 1, -1) if bits == 1 else np.clip(
                np.rint(scaled), low, high)
            error = (rest[:, column] - codes[:, column] * unit) / factor[column, column]
            rest[:, column:stop] -= error[:, None] * factor[column, column:stop]
            errors[:, column - start] = error
        rest[:, stop:] -= errors @ factor[start:stop, stop:]
    return codes
