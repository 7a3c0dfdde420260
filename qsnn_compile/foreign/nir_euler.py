"""NIR's equations themselves, stepped by Euler in double precision: the judge of `nir_front`."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .float_ops import convolve, pooled
from .nir_file import read_graph
from .nir_front import convolution_of, pair, time_step
from .nir_graph import Wire, flattened, ordered

Array = NDArray[Any]


def run_nir(path: str | Path, x: Array, *, dt: str | float | None, reset: str | None) -> Array:
    """The output [N, T, *shape] of the file at *path* on *x* [N, T, *shape]."""
    wire = flattened(read_graph(path))
    machine = _Machine(wire, time_step(dt), reset or "hard")
    return np.stack([machine.step(x[:, t].astype(np.float64)) for t in range(x.shape[1])], axis=1)


@dataclass
class _Machine:
    wire: Wire
    dt: float
    reset: str
    values: dict[str, Array] = field(default_factory=dict)
    state: dict[str, Array] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.order, self.late = ordered(self.wire)

    def step(self, frame: Array) -> Array:
        """The output of one step."""
        before, self.values = self.values, {self.wire.source: frame}
        for key in self.order:
            if key != self.wire.source:
                read = [before.get(a, np.zeros(())) if (a, key) in self.late else self.values[a]
                        for a in self.wire.before(key)]
                self.values[key] = self._value(key, self.wire.nodes[key], sum(read[1:], read[0]))
        return self.values[self.wire.sink]

    def _value(self, key: str, node: Any, x: Array) -> Array:
        kind = type(node).__name__
        if kind in ("Affine", "Linear"):
            if x.ndim == 0:                         # a loop's value before its first step
                x = np.zeros((len(self.values[self.wire.source]), node.weight.shape[1]))
            return np.asarray(x @ node.weight.astype(np.float64).T + getattr(node, "bias", 0.0))
        if kind == "Conv2d":
            return _convolved(node, x)
        if kind in ("SumPool2d", "AvgPool2d"):
            return pooled(x, "sum" if kind == "SumPool2d" else "average", pair(node.kernel_size),
                          pair(node.stride))
        if kind == "Flatten":
            return x.reshape(len(x), -1)
        if kind == "Scale":
            return np.asarray(x * node.scale)
        if kind == "Threshold":
            return np.asarray(x > node.threshold, dtype=np.float64)
        if kind == "Delay":
            return self._delayed(key, node, x)
        return x if kind == "Output" else self._neuron(key, node, x)

    def _delayed(self, key: str, node: Any, x: Array) -> Array:
        steps = round(float(np.max(node.delay)) / self.dt)
        line = self.state.get(key, np.zeros((steps, *x.shape)))
        line = np.concatenate([line, x[None]])
        self.state[key] = line[1:]
        return np.asarray(line[0])

    def _neuron(self, key: str, node: Any, x: Array) -> Array:
        """Euler's step of tau dv/dt = (v_leak - v) + r · I, then z = [v > v_threshold]."""
        v = self.state.get(key, np.zeros(x.shape))
        if hasattr(node, "tau_syn"):
            i = self.state.get(f"{key} i", np.zeros(x.shape))
            x = self.state[f"{key} i"] = i + self.dt / node.tau_syn * (node.w_in * x - i)
        tau = getattr(node, "tau", getattr(node, "tau_mem", None))
        slope = node.r * x if tau is None else (node.v_leak - v + node.r * x) / tau
        late = v > getattr(node, "v_threshold", np.inf)
        after = v + self.dt * slope
        if self.reset == "delayed-hard":
            after = np.where(late, after - v * _kept(self.dt, tau) + node.v_reset, after)
        elif self.reset == "delayed-soft":
            after = np.where(late, after - node.v_threshold, after)
        if not hasattr(node, "v_threshold"):
            self.state[key] = np.asarray(after)
            return self.state[key]
        z = after > node.v_threshold
        self.state[key] = self._after(node, after, z)
        return np.asarray(z, dtype=np.float64)

    def _after(self, node: Any, v: Array, z: Array) -> Array:
        if self.reset == "hard":
            return np.where(z, node.v_reset, v)
        return np.where(z, v - node.v_threshold, v) if self.reset == "soft" else v


def _kept(dt: float, tau: Any) -> Any:
    return 1.0 if tau is None else 1 - dt / tau


def _convolved(node: Any, x: Array) -> Array:
    op = convolution_of("conv", node)
    return convolve(x, op.weight, op.bias, op.stride, op.padding, op.groups)
