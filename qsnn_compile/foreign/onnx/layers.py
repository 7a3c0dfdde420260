"""Layers of the normal form from blocks that read many elements: Linear, Convolution, Pool."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from qsnn_compile.foreign.onnx.trace.blocks import Block, Ids, Quantised
from qsnn_compile.foreign.onnx.trace.evaluate import cone
from qsnn_compile.foreign.onnx.trace.linear import LinearParams
from qsnn_compile.foreign.onnx.trace.pools import PoolParams
from qsnn_compile.foreign.onnx.trace.trace import in_order
from qsnn_compile.loader.nodes import OnnxError
from qsnn_compile.reals.normal_form import (
    Convolution,
    Flatten,
    Grid,
    Linear,
    Pool,
    Reals,
    Scale,
    reals,
)

from .signal import Making, Signal

Array = NDArray[np.float64]
ONE = np.ones(())
ZERO = np.zeros(())


def broadcastable(value: Array, shape: tuple[int, ...]) -> Array:
    """*value* (one number, or one an element of *shape*) as a number, [C, 1, …] or all of it."""
    value = np.asarray(value, np.float64)
    if value.size == 1 or np.all(value == value.flat[0]):
        return np.asarray(value.flat[0])
    full = np.broadcast_to(value.ravel(), (int(np.prod(shape, dtype=np.int64)),)).reshape(shape)
    if full.ndim > 1:
        first = full.reshape(shape[0], -1)
        if (first == first[:, :1]).all():
            return first[:, 0].reshape(-1, *([1] * (full.ndim - 1)))
    return full


def grid_of(quantised: Quantised | None, channels: int) -> Grid | None:
    """The grid of a weight [C, …], where its scale is one number or one a channel."""
    if quantised is None:
        return None
    scale = np.broadcast_to(quantised.scale, quantised.q.shape)
    rows = scale.reshape(channels, -1)
    if not (rows == rows[:, :1]).all():
        return None
    column = rows[:, 0]
    one = column.min() == column.max()
    value = column[0] if one else column.reshape(-1, *([1] * (scale.ndim - 1)))
    return Grid(quantised.bits, reals(value), quantised.source)


class Layers:
    """Makes layers for a network under way."""

    def __init__(self, builder: Making) -> None:
        self.builder = builder
        self.trace = builder.step.trace

    def layer(self, block: Block) -> Signal:
        """The signal of a block that reads many elements."""
        if block.op == "linear":
            return self._linear(block)
        if block.op == "conv":
            return self._conv(block)
        if block.op == "pool":
            return self._pool(block)
        raise OnnxError(f"{block.origin}: must stand after the network's answer, not inside it; "
                        "export the network without it")

    def _sources(self, block: Block) -> list[tuple[int, Ids, Ids]]:
        """(source block, elements of it, places in what *block* reads)."""
        ids = np.ravel(block.reads)  # type: ignore[arg-type]
        owners = self.trace.where(ids)
        return [(int(owner), ids[owners == owner] - self.trace.blocks[owner].start,
                 np.flatnonzero(owners == owner)) for owner in dict.fromkeys(owners.tolist())]

    # -- Linear ----------------------------------------------------------------------------------

    def _linear(self, block: Block) -> Signal:
        params: LinearParams = block.params
        bias = params.bias.astype(np.float64)
        parts: list[tuple[str, Array, Grid | None]] = []
        for owner, at, places in self._sources(block):
            columns = params.weight[:, places].astype(np.float64)
            if self.trace.blocks[owner].op == "const":
                bias = bias + columns @ self.trace.blocks[owner].params[at]
                continue
            weight, whole = self._spread(columns, at, self.trace.blocks[owner].size)
            signal = self.builder.signal(owner)
            bias = bias + weight @ np.broadcast_to(np.ravel(signal.offset), weight.shape[1:])
            grid = grid_of(params.quantised, len(weight)) if whole else None
            parts += [self._part(name, factor, signal, weight, grid)
                      for name, factor in signal.terms.items()]
        return self._summed(block, parts, bias)

    def _spread(self, columns: Array, at: Ids, size: int) -> tuple[Array, bool]:
        """The weights in the order of the source's elements, and whether all of them are used."""
        if in_order(at, size) is None:
            return columns, True
        weight = np.zeros((len(columns), size))
        np.add.at(weight.T, at, columns.T)
        return weight, len(np.unique(at)) == len(at) == size

    def _part(self, name: str, factor: Array, signal: Signal, weight: Array, grid: Grid | None
              ) -> tuple[str, Array, Grid | None]:
        """A Linear's input and weights: factors go into weights that lie on no grid."""
        name = self._flat(name, signal.shape)
        if np.all(factor == 1):
            return name, weight, grid
        if grid is None:
            return name, weight * np.ravel(factor), None
        return self._scale(name, factor, (weight.shape[1],)), weight, grid

    def _scale(self, name: str, factor: Array, shape: tuple[int, ...]) -> str:
        return self.builder.add("scale", Scale(reals(broadcastable(factor, shape))), (name,))

    def _flat(self, name: str, shape: tuple[int, ...]) -> str:
        if len(shape) < 2:
            return name
        for node in self.builder.nodes:
            if isinstance(node.op, Flatten) and node.inputs == (name,):
                return node.name
        return self.builder.add("flatten", Flatten(), (name,))

    def _summed(self, block: Block, parts: list[tuple[str, Array, Grid | None]], bias: Array
                ) -> Signal:
        if not parts:
            raise OnnxError(f"{block.origin}: must read the network's values, not constants alone; "
                            "export the network again")
        terms: dict[str, Array] = {}
        for number, (name, weight, grid) in enumerate(parts):
            op = Linear(reals(weight), reals(bias if number == 0 else 0 * bias), grid)
            terms[self.builder.add("linear", op, (name,), block.origin)] = ONE
        return Signal(terms, ZERO, block.shape)

    # -- images ----------------------------------------------------------------------------------

    def _image(self, block: Block) -> tuple[str, Signal]:
        """The one node that an image block reads, and its signal."""
        shape = () if block.reads is None else block.reads.shape
        sources = self._sources(block)
        owner, at, _ = sources[0]
        whole = in_order(at, self.trace.blocks[owner].size) is None
        if len(sources) > 1 or not whole:
            raise OnnxError(f"{block.origin}: must read one layer's whole image in its order, not "
                            f"parts of {len(sources)} layers; keep channels together")
        signal = self.builder.signal(owner)
        if signal.shape != shape:
            raise OnnxError(f"{block.origin}: must read an image {shape!r} as a layer gives it, "
                            f"not {signal.shape!r} reshaped; keep images as they are")
        if len(signal.terms) == 1:
            return next(iter(signal.terms)), signal
        name = self.builder.materialised(replace(signal, offset=ZERO))
        return name, replace(signal, terms={name: ONE})

    def _conv(self, block: Block) -> Signal:
        params: LinearParams = block.params
        name, signal = self._image(block)
        grid = grid_of(params.quantised, len(params.weight))
        weight, bias = params.weight.astype(np.float64), params.bias.astype(np.float64)
        bias = bias + self._offset_through(block, params, weight, signal)
        factor = broadcastable(next(iter(signal.terms.values())), signal.shape)
        if grid is None and params.groups == 1 and factor.size in (1, signal.shape[0]):
            weight = weight * factor.reshape(1, -1, 1, 1)
        elif np.any(factor != 1):
            name = self._scale(name, factor, signal.shape)
        op = Convolution(reals(weight), reals(bias), params.stride, params.padding,
                         params.groups, grid)
        return Signal({self.builder.add("conv", op, (name,), block.origin): ONE}, ZERO,
                      block.shape)

    def _offset_through(self, block: Block, params: LinearParams, weight: Array,
                        signal: Signal) -> Array:
        """What a constant added to every pixel adds to every output."""
        offset = broadcastable(signal.offset, signal.shape)
        if not np.any(offset):
            return np.zeros(len(weight))
        if any(params.padding) or params.groups != 1 or offset.size not in (1, signal.shape[0]):
            raise OnnxError(f"{block.origin}: the input of a padded convolution must have no "
                            "offset, which its border would lack; normalise the data beforehand")
        each = np.broadcast_to(offset.ravel(), (signal.shape[0],))
        return np.asarray(np.einsum("oihw,i->o", weight, each))

    def _pool(self, block: Block) -> Signal:
        params: PoolParams = block.params
        name, signal = self._image(block)
        factor = broadcastable(next(iter(signal.terms.values())), signal.shape)
        offset = broadcastable(signal.offset, signal.shape)
        if factor.size > 1 or factor.flat[0] < 0 or offset.size > 1 or \
                (params.kind == "sum" and np.any(offset)):
            name = self.builder.materialised(signal)
            factor, offset = ONE, ZERO
        op = Pool(params.kind, params.kernel, params.stride)
        return Signal({self.builder.add("pool", op, (name,), block.origin): factor}, offset,
                      block.shape)

    # -- gains into layers -----------------------------------------------------------------------

    def folded(self, block: int, signal: Signal) -> Signal:
        """*signal*, of the elementwise *block*, with gain and offset put into its layer's weights
        where nothing else reads the layer."""
        if len(signal.terms) != 1:
            return signal
        (name, factor), = signal.terms.items()
        node = self.builder.find(name)
        if node is None or not self._alone(block):
            return signal
        if isinstance(node.op, Pool) and node.op.kind == "average" and \
                np.all(factor == node.op.kernel[0] * node.op.kernel[1]):
            self.builder.put(replace(node, op=replace(node.op, kind="sum")))
            return replace(signal, terms={name: ONE})
        if not isinstance(node.op, Linear | Convolution):
            return signal
        return self._into(name, factor, signal, node.op)

    def _into(self, name: str, factor: Array, signal: Signal, op: Linear | Convolution) -> Signal:
        channels = len(op.weight)
        gain = broadcastable(factor, signal.shape)
        offset = broadcastable(signal.offset, signal.shape)
        node = self.builder.find(name)
        if node is None or gain.size not in (1, channels) or offset.size not in (1, channels):
            return signal
        keep = op.grid is not None and bool((gain <= 0).any())
        used = ONE if keep else gain
        shift = np.broadcast_to(offset.ravel() if not keep else ZERO, (channels,))
        rows = np.broadcast_to(used.ravel(), (channels,)).reshape(-1, *[1] * (op.weight.ndim - 1))
        grid = None if op.grid is None else replace(op.grid, scale=_times(op.grid.scale, rows))
        bias = op.bias * np.broadcast_to(used.ravel(), (channels,)) + shift
        self.builder.put(replace(node, op=replace(op, weight=reals(op.weight * rows),
                                                  bias=reals(bias), grid=grid)))
        return signal if keep else Signal({name: ONE}, ZERO, signal.shape)

    def _alone(self, block: int) -> bool:
        """Whether whoever reads the layer behind *block* reads it through *block*."""
        users = self.builder.neurons.users
        layers = [b.index for b in self.trace.blocks if b.reads is not None]
        path = set(cone(self.trace, [block], layers))
        return all(users.get(other, set()) <= path for other in path - {block})


def _times(scale: Reals, rows: Array) -> Reals:
    product = scale * rows
    return reals(product.flat[0] if product.min() == product.max() else product)
