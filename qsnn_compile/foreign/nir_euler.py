"""NIR's equations themselves, in double precision, stepped as each library's code does it: the
judge of `nir_front`."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .float_ops import convolve, pooled
from .nir_file import read_graph
from .nir_front import convolution_of, pair, plain
from .nir_graph import Wire, flattened, ordered
from .nir_libraries import Library, restored
from .nir_neuron import first_membrane
from .nir_options import Step, Told

Array = NDArray[Any]


def run_nir(path: str | Path, x: Array, said: Told) -> Array:
    """The output [N, T, *shape] of the file at *path* on *x* [N, T, *shape], stepped as *said*."""
    wire = flattened(read_graph(path))
    machine = _Machine(wire, said)
    return np.stack([machine.step(x[:, t].astype(np.float64)) for t in range(x.shape[1])], axis=1)


@dataclass
class _Machine:
    wire: Wire
    said: Told
    values: dict[str, Array] = field(default_factory=dict)
    state: dict[str, Array] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.order, self.late = ordered(self.wire)

    def step(self, frame: Array) -> Array:
        """The output of one step."""
        before, self.values = self.values, {self.wire.source: frame}
        for key in self.order:
            if key != self.wire.source:
                read = [before.get(a, _nothing(self.wire.nodes[key])) if (a, key) in self.late
                        else self.values[a] for a in self.wire.before(key)]
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
        steps = round(float(np.max(node.delay)) / self.said.of(plain(key)).library.dt)
        line = self.state.get(key, np.zeros((steps, *x.shape)))
        line = np.concatenate([line, x[None]])
        self.state[key] = line[1:]
        return np.asarray(line[0])

    def _neuron(self, key: str, node: Any, x: Array) -> Array:
        """A step of tau dv/dt = (v_leak - v) + r · I, then z = [v > v_threshold]."""
        step = self.said.of(plain(key))
        u = self.state.get(key, np.zeros(x.shape) + first_membrane(node, step))
        if hasattr(node, "tau_syn"):
            x = self._current(key, node, step.library, x)
        after = _integrated(node, step.library, u, x)
        if not hasattr(node, "v_threshold"):
            self.state[key] = _clamped(step, after)
            return np.asarray(after)
        late = _fired(step, node, u)
        if step.reset == "delayed-hard":
            silenced = step.library.silences and (
                hasattr(node, "tau_syn") or any(key == a for a, _ in self.late))
            fresh = 0 if silenced else _integrated(node, step.library, 0 * u, x)
            after = np.where(late, fresh + node.v_reset, after)
        elif step.reset == "delayed-soft":
            after = after - late * node.v_threshold
        raised = late * node.v_threshold if step.library.raises and step.reset == "soft" else 0
        z = _fired(step, node, after - raised)
        self.state[key] = _clamped(step, _after(step, node, after, z))
        return z

    def _current(self, key: str, node: Any, library: Library, x: Array) -> Array:
        """The synapse's, after the input of this step."""
        i = self.state.get(f"{key} i", np.zeros(x.shape))
        share = restored(library.dt / np.asarray(node.tau_syn, np.float64))
        if library.jumps:
            jumped = i + node.w_in * x
            self.state[f"{key} i"] = jumped - share * jumped
            return np.asarray(jumped)
        gain = restored(library.dt / np.asarray(node.tau_syn, np.float64) * node.w_in)
        self.state[f"{key} i"] = i - share * i + gain * x
        return self.state[f"{key} i"]


def _nothing(node: Any) -> Array:
    """What *node* reads in the first step of a connection that comes late."""
    if hasattr(node, "input_shape"):
        return np.zeros((1, node.weight.shape[1] * node.groups, *node.input_shape))
    return np.zeros((1, node.weight.shape[1]) if hasattr(node, "weight") else ())


def _integrated(node: Any, library: Library, v: Array, x: Array) -> Array:
    """The membrane *v* one step on, before any reset."""
    tau, r = getattr(node, "tau", getattr(node, "tau_mem", None)), np.float64(node.r)
    if tau is None:
        return np.asarray(v + restored(library.plain_dt * r) * x)
    if library.exponential:
        alpha = np.exp(-library.dt / np.float64(tau))
        share = 1 if type(node).__name__ in library.summed else 1 - alpha
        return np.asarray(alpha * v + (1 - alpha) * node.v_leak + share * r * x)
    share = restored(library.dt / np.float64(tau))
    endless = np.isinf(tau) & np.isinf(r)       # snnTorch's beta = 1: r = tau / dt
    gain = np.where(endless, 1, library.dt / np.float64(tau) * np.where(endless, 1, r))
    return np.asarray(v + share * (node.v_leak - v) + restored(gain) * x)


def _fired(step: Step, node: Any, v: Array) -> Array:
    """How many spikes a membrane of *v* sends."""
    if step.spikes > 1:
        return np.asarray(np.clip(np.floor(v / node.v_threshold), 0, step.spikes))
    fired = v > node.v_threshold if step.library.strict else v >= node.v_threshold
    return np.asarray(fired, dtype=np.float64)


def _after(step: Step, node: Any, v: Array, z: Array) -> Array:
    if step.reset == "hard":
        return np.where(z, node.v_reset, v)
    return np.asarray(v - z * node.v_threshold if step.reset == "soft" else v)


def _clamped(step: Step, v: Array) -> Array:
    return np.asarray(v if step.clamp is None else np.maximum(v, step.clamp))


def _convolved(node: Any, x: Array) -> Array:
    op = convolution_of("conv", node)
    return convolve(x, op.weight, op.bias, op.stride, op.padding, op.groups)
