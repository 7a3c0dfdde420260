"""NIR → the normal form. NIR says equations in continuous time; a step of dt by Euler makes them
the network that ran, and neither dt nor the way a neuron resets is in the file."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from .nir_file import NirError, read_graph
from .nir_graph import Wire, flattened, ordered
from .normal import (
    INPUT,
    Add,
    Convolution,
    Delay,
    Flatten,
    Linear,
    Network,
    Neuron,
    Node,
    Op,
    Pool,
    Scale,
    SynapticCurrent,
    reals,
)

if TYPE_CHECKING:
    import nir

ResetName = Literal["hard", "soft", "none", "delayed-soft", "delayed-hard"]
PRESETS = {"snntorch": 1e-4, "spikingjelly": 1e-4, "sinabs": 1.0, "norse": 1e-6}
"""The dt that makes each library's export the network it trained. Norse writes tau = dt /
tau_mem_inv with its dt of 1e-3 (norse #411), so that dt / tau is right for 1e-6."""
LATEST = 255                    # steps of a Delay


def time_step(dt: str | float | None) -> float:
    """*dt* in the file's unit of time: a number or a library's name. Raises NirError."""
    names = ", ".join(PRESETS)
    if dt is None:
        raise NirError(f"dt must be given for a NIR file, which doesn't say it; add --dt with a "
                       f"number or one of {names}")
    try:
        found = PRESETS[dt] if isinstance(dt, str) and dt in PRESETS else float(dt)
    except ValueError:
        found = float("nan")
    if not 0 < found < float("inf"):
        raise NirError(f"dt must be a positive number or one of {names}, not {dt!r}")
    return found


def read_nir(path: str | Path, *, dt: str | float | None = None,
             reset: str | None = None) -> Network:
    """The network in the NIR file at *path*, stepped by *dt* (a number or a library's name).

    *reset* is hard (to v_reset; what the specification says, and the default), soft (the threshold
    is subtracted), none, or either of them a step late, as snnTorch does. Raises NirError.
    """
    if reset is not None and reset not in get_args(ResetName):
        raise NirError(f"reset must be one of {', '.join(get_args(ResetName))}, not {reset!r}")
    step = time_step(dt)
    graph = flattened(read_graph(path))
    reader = _Reader(step, reset or "hard")
    return reader.network(Path(path).stem, graph, _assumed(dt, step, reset))


def _assumed(dt: str | float | None, step: float, reset: str | None) -> list[str]:
    name = f" ({dt}'s)" if isinstance(dt, str) and dt in PRESETS else ""
    return [f"dt = {step:g}{name}; NIR doesn't say it",
            "each neuron is stepped by Euler: v += dt / tau · (v_leak - v + r · I)",
            f"reset {reset or 'hard'}" + (", NIR's own: v = v_reset" if reset is None else "")
            + "; libraries lose theirs when they write NIR"]


class _Reader:
    def __init__(self, dt: float, reset: str) -> None:
        self.dt = dt
        self.kind: Literal["hard", "soft", "none"] = (
            "hard" if reset.endswith("hard") else "soft" if reset.endswith("soft") else "none")
        self.delayed = reset.startswith("delayed")
        self.nodes: list[Node] = []
        self.notes: list[str] = []
        self.names: dict[str, str] = {}

    def network(self, name: str, wire: Wire, notes: list[str]) -> Network:
        order, late = ordered(wire)
        self.names = {wire.source: INPUT}
        for key in order:
            if key not in (wire.source, wire.sink):
                self._place(key, wire, late)
        output, notes = self._joined(wire.sink, wire, late), [*notes, *self.notes]
        if late:
            notes.append("recurrent connections arrive one step late")
        ended = next((node for node in self.nodes if node.name == output), None)
        silent = ended is not None and isinstance(ended.op, Neuron) and bool(
            np.isposinf(ended.op.threshold).all())
        return Network(name, wire.shape, "frames", None, tuple(self.nodes), output, tuple(notes),
                       "potential" if silent else "spikes")

    def _place(self, key: str, wire: Wire, late: set[tuple[str, str]]) -> None:
        source, node = self._joined(key, wire, late), wire.nodes[key]
        rule = _RULES.get(type(node).__name__)
        if rule is None:
            raise NirError(f"node {key!r}: must be one of {', '.join(_RULES)}, not "
                           f"{type(node).__name__!r}; replace it before the export")
        try:
            ops = rule(self, key, node)
        except (ValueError, TypeError, IndexError, AttributeError, OverflowError,
                ZeroDivisionError) as error:
            raise NirError(f"node {key!r}: must be a well-formed {type(node).__name__}, not one "
                           f"that fails with {error!s:.200}; write it again with nir.write"
                           ) from None
        self.names[key] = source if not ops else _plain(key)
        for i, op in enumerate(ops):
            last = i == len(ops) - 1
            made = self.names[key] if last else f"{_plain(key)}/{i}"
            self.nodes.append(Node(made, op, (source,), f"{type(node).__name__} {key}"))
            source = made

    def _joined(self, key: str, wire: Wire, late: set[tuple[str, str]]) -> str:
        """The one value that *key* reads: the sum of what its edges bring."""
        values = []
        for before in wire.before(key):
            if (before, key) in late:
                made = f"{_plain(before)}/late/{_plain(key)}"
                self.nodes.append(Node(made, Delay(), (_plain(before),), f"edge from {before}"))
                values.append(made)
            else:
                values.append(self.names[before])
        if not values:
            raise NirError(f"node {key!r}: it must have an input, not none; connect it")
        if len(values) == 1:
            return values[0]
        made = f"{_plain(key)}/sum"
        self.nodes.append(Node(made, Add(), tuple(values), f"edges to {key}"))
        return made

    def _affine(self, key: str, node: "nir.Affine") -> list[Op]:
        if node.weight.ndim != 2:
            raise NirError(f"node {key!r}: weight must be [C, N], not {node.weight.shape!r}")
        return [Linear(reals(node.weight), reals(getattr(node, "bias", 0)))]

    def _convolution(self, key: str, node: "nir.Conv2d") -> list[Op]:
        return [convolution_of(key, node)]

    def _pool(self, key: str, node: Any) -> list[Op]:
        if np.asarray(node.padding).any():
            raise NirError(f"node {key!r}: padding must be 0 in a pool, not "
                           f"{np.asarray(node.padding).tolist()!r}; pad before it")
        kind: Literal["sum", "average"] = (
            "sum" if type(node).__name__ == "SumPool2d" else "average")
        return [Pool(kind, pair(node.kernel_size), pair(node.stride))]

    def _flatten(self, key: str, node: "nir.Flatten") -> list[Op]:
        if node.start_dim not in (0, 1) or node.end_dim not in (-1, 2, 3):
            raise NirError(f"node {key!r}: must flatten all axes, not {node.start_dim!r} to "
                           f"{node.end_dim!r}")
        return [Flatten()]

    def _delay(self, key: str, node: "nir.Delay") -> list[Op]:
        steps = np.unique(np.rint(np.asarray(node.delay) / self.dt))
        if len(steps) != 1 or steps[0] > LATEST:
            raise NirError(f"node {key!r}: delay must be one number of at most {LATEST} steps, "
                           f"not {steps.tolist()!r}; use another --dt")
        return [Delay() for _ in range(int(steps[0]))]

    def _scale(self, key: str, node: "nir.Scale") -> list[Op]:
        return [Scale(reals(node.scale))]

    def _threshold(self, key: str, node: "nir.Threshold") -> list[Op]:
        return [Neuron(reals(node.threshold), decay=reals(0), reset="none")]

    def _neuron(self, key: str, node: Any) -> list[Op]:
        tau = getattr(node, "tau", getattr(node, "tau_mem", None))
        k = self.dt if tau is None else self._ratio(key, "tau", tau)
        threshold = np.asarray(getattr(node, "v_threshold", np.inf), dtype=np.float64)
        leak = 0.0 if tau is None else np.asarray(node.v_leak, dtype=np.float64)
        made = Neuron(reals(threshold), decay=reals(1 if tau is None else 1 - k),
                      gain=reals(k * np.asarray(node.r, dtype=np.float64)), offset=reals(k * leak),
                      synapse=self._synapse(key, node), reset="none")
        if np.isposinf(threshold).all():
            return [made]
        low = np.asarray(node.v_reset, dtype=np.float64)
        return [self._reset(made, low)]

    def _reset(self, op: Neuron, low: Any) -> Neuron:
        if self.kind == "soft":
            return replace(op, reset="soft", reset_value=op.threshold, delayed=self.delayed)
        return replace(op, reset=self.kind, reset_value=reals(low), delayed=self.delayed)

    def _synapse(self, key: str, node: Any) -> SynapticCurrent | None:
        if not hasattr(node, "tau_syn"):
            return None
        k = self._ratio(key, "tau_syn", node.tau_syn)
        self.notes.append(f"{key}: the membrane integrates the synapse's new current")
        return SynapticCurrent(reals(1 - k), reals(k * np.asarray(node.w_in, dtype=np.float64)))

    def _ratio(self, key: str, what: str, tau: Any) -> Any:
        tau = np.asarray(tau, dtype=np.float64)
        least = float(tau.min())
        if not self.dt <= least * (1 + 1e-6):
            raise NirError(f"node {key!r}: dt must be at most {what}, {least:g}, not {self.dt!r}: "
                           "the membrane would swing; use the dt of the library that wrote the "
                           f"file, --dt {' or '.join(PRESETS)}")
        return np.minimum(self.dt / tau, 1.0)


def convolution_of(key: str, node: "nir.Conv2d") -> Convolution:
    """The convolution that *node* is, paddings in numbers, a dilated kernel with its zeros."""
    stride = pair(node.stride)
    weight = _dilated(np.asarray(node.weight), pair(node.dilation))
    bias = np.broadcast_to(np.asarray(node.bias, dtype=np.float64), (len(weight),))
    return Convolution(reals(weight), reals(bias), stride,
                       _padding(key, node.padding, weight.shape[2:], stride), int(node.groups))


def _plain(key: str) -> str:
    """A name of the normal form that is not its input's."""
    return f"{key}_" if key == INPUT else key


def pair(value: Any) -> tuple[int, int]:
    """One number or two, as two."""
    found = np.broadcast_to(np.asarray(value, dtype=np.int64), (2,))
    return int(found[0]), int(found[1])


def _dilated(weight: np.ndarray, dilation: tuple[int, int]) -> np.ndarray:
    """The kernel with the zeros between its taps written out."""
    if dilation == (1, 1):
        return weight
    height, width = ((n - 1) * d + 1 for n, d in zip(weight.shape[2:], dilation, strict=True))
    wide = np.zeros((*weight.shape[:2], height, width), weight.dtype)
    wide[:, :, ::dilation[0], ::dilation[1]] = weight
    return wide


def _padding(key: str, padding: Any, kernel: tuple[int, ...], stride: tuple[int, int]
             ) -> tuple[int, int, int, int]:
    if isinstance(padding, bytes):
        padding = padding.decode()
    if isinstance(padding, str):
        if padding == "valid":
            return 0, 0, 0, 0
        if padding != "same" or stride != (1, 1):
            raise NirError(f"node {key!r}: padding must be numbers, 'valid', or 'same' with stride "
                           f"1, not {padding!r}")
        top, left = (kernel[0] - 1) // 2, (kernel[1] - 1) // 2
        return top, left, kernel[0] - 1 - top, kernel[1] - 1 - left
    vertical, horizontal = pair(padding)
    return vertical, horizontal, vertical, horizontal


_RULES: dict[str, Callable[[_Reader, str, Any], list[Op]]] = {
    "Affine": _Reader._affine, "Linear": _Reader._affine, "Conv2d": _Reader._convolution,
    "SumPool2d": _Reader._pool, "AvgPool2d": _Reader._pool, "Flatten": _Reader._flatten,
    "Scale": _Reader._scale, "Delay": _Reader._delay, "Threshold": _Reader._threshold,
    "IF": _Reader._neuron, "LIF": _Reader._neuron, "LI": _Reader._neuron, "I": _Reader._neuron,
    "CubaLIF": _Reader._neuron, "CubaLI": _Reader._neuron,
}
