"""A layer's weights once the calibration data have had their say."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qsnn_compile.ir import ints
from qsnn_compile.reals.normal_form import Convolution, Linear, Reals, reals
from qsnn_compile.reals.units import Activation, Shape, flat, per_channel

from .linear import FEW, Weights, effective
from .second_order import bias_correction, second_order

Rows = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Layer:
    """The layer *op*, called *name*, which reads *x* of *shape*."""

    name: str
    op: Linear | Convolution
    x: Activation
    shape: Shape

    def of_few_bits(self, made: Weights) -> bool:
        """Whether second order may change *made*: not a grid of the file's own, nor channels that
        change no spike."""
        return made.bits <= FEW and not made.exact and bool(np.isfinite(made.unit).all())

    def refined(self, made: Weights, before: Rows, after: Rows, shared: bool) -> Weights:
        """*made* again, by second order on the rows *after* [M, n]; ``correction`` is what the bias
        gains for the mean over *before* to stay. A *shared* unit is kept."""
        weight, sizes = self._weight(), self._sizes()
        before, after = before / sizes, after / sizes
        codes, unit = np.empty(weight.shape), made.unit.copy()
        correction = np.empty(len(weight))
        for rows, columns in self._groups():
            sign = np.ones(1) if shared else np.sign(unit[rows])
            codes[rows], size = second_order(weight[rows] * sign[:, None], after[:, columns],
                                             made.bits, unit[rows] if shared else None)
            unit[rows] = size * sign
            correction[rows] = bias_correction(weight[rows], before[:, columns],
                                               codes[rows] * unit[rows, None], after[:, columns])
        error = np.abs(codes * unit[:, None] - weight).max() / np.abs(weight).max()
        return replace(made, codes=ints(codes.reshape(self.op.weight.shape)), unit=unit,
                       error=float(error), correction=correction)

    def in_reals(self, made: Weights) -> Linear | Convolution:
        """What the layer computes with the weights *made*, in real numbers."""
        unit = np.where(np.isfinite(made.unit), made.unit, 0.0)
        rows = made.codes.reshape(len(unit), -1) * unit[:, None]
        weight = np.empty(rows.shape)
        for here, columns in self._groups():
            weight[here] = rows[here] / self._sizes()[columns]
        return replace(self.op, weight=reals(weight.reshape(self.op.weight.shape)),
                       bias=reals(self.op.bias + made.correction))

    def _weight(self) -> Reals:
        return effective(self.name, self.op, self.x, self.shape).reshape(len(self.op.weight), -1)

    def _sizes(self) -> Reals:
        """The real size of 1 of each column's codes."""
        if isinstance(self.op, Linear):
            return np.asarray(flat(self.x.scale, self.shape))
        kernel = int(np.prod(self.op.weight.shape[2:]))
        return np.repeat(per_channel(self.name, self.x.scale, self.shape), kernel)

    def _groups(self) -> Iterator[tuple[slice, slice]]:
        """The rows and the columns of each group."""
        groups = 1 if isinstance(self.op, Linear) else self.op.groups
        high = len(self.op.weight) // groups
        wide = int(np.prod(self.op.weight.shape[1:]))
        for group in range(groups):
            yield (slice(group * high, (group + 1) * high),
                   slice(group * wide, (group + 1) * wide))
