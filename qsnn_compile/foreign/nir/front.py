"""NIR → the normal form. NIR says equations in continuous time; stepped as the library that wrote
the file steps them they are the network that ran. That library's ways are not in the file."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from qsnn_compile.reals.normal_form import (
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
    reals,
)

from .file import NirError, read_graph
from .graph import Wire, flattened, ordered
from .neuron import assumed, neuron_of
from .options import Given, Told, told

if TYPE_CHECKING:
    import nir

LATEST = 255                    # steps of a Delay


def read_nir(path: str | Path, *, dt: Given = None, reset: Given = None, spikes: Given = None,
             clamp: Given = None) -> Network:
    """The network in the NIR file at *path*, each node stepped by its *dt*.

    An option is a value for all nodes, or several: ``"lif1=soft"`` is that of the node called lif1
    in the network, a bare one that of all others. *dt* is a number or a library's name; *reset* is
    hard (to v_reset; what the specification says), soft (the threshold is subtracted), none, or
    either of them a step late, as snnTorch does (default: the library's); *spikes* the most a
    step, a number or "many"; *clamp* the lowest membrane. Raises NirError.
    """
    said = told(dt, reset, spikes, clamp)
    graph = flattened(read_graph(path))
    return _Reader(said, graph).network(Path(path).stem)


class _Reader:
    def __init__(self, said: Told, wire: Wire) -> None:
        self.said, self.wire = said, wire
        self.order, self.late = ordered(wire)
        self.nodes: list[Node] = []
        self.names: dict[str, str] = {wire.source: INPUT}

    def network(self, name: str) -> Network:
        wire = self.wire
        placed = {plain(key): wire.nodes[key] for key in self.order
                  if key not in (wire.source, wire.sink)}
        self.said.check(placed)
        for key in self.order:
            if key not in (wire.source, wire.sink):
                self._place(key)
        output = self._joined(wire.sink)
        notes = assumed({name: self.said.of(name) for name, node in placed.items()
                         if hasattr(node, "r")}, placed)
        if self.late:
            notes.append("recurrent connections arrive one step late")
        ended = next((node for node in self.nodes if node.name == output), None)
        silent = ended is not None and isinstance(ended.op, Neuron) and bool(
            np.isposinf(ended.op.threshold).all())
        shape = _sample_shape(wire)
        if shape != wire.shape:
            notes.append(f"input {list(wire.shape)}: the first axis is time, as its weights are of "
                         f"{shape[0]} inputs")
        return Network(name, shape, "frames", None, tuple(self.nodes), output, tuple(notes),
                       "potential" if silent else "spikes", tuple(self.said.lost(placed)))

    def _place(self, key: str) -> None:
        source, node = self._joined(key), self.wire.nodes[key]
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
        self.names[key] = source if not ops else plain(key)
        for i, op in enumerate(ops):
            last = i == len(ops) - 1
            made = self.names[key] if last else f"{plain(key)}/{i}"
            self.nodes.append(Node(made, op, (source,), f"{type(node).__name__} {key}"))
            source = made

    def _joined(self, key: str) -> str:
        """The one value that *key* reads: the sum of what its edges bring."""
        values = []
        for before in self.wire.before(key):
            if (before, key) in self.late:
                made = f"{plain(before)}/late/{plain(key)}"
                self.nodes.append(Node(made, Delay(), (plain(before),), f"edge from {before}"))
                values.append(made)
            else:
                values.append(self.names[before])
        if not values:
            raise NirError(f"node {key!r}: it must have an input, not none; connect it")
        if len(values) == 1:
            return values[0]
        made = f"{plain(key)}/sum"
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
        steps = np.unique(np.rint(np.asarray(node.delay) / self.said.of(plain(key)).library.dt))
        if len(steps) != 1 or steps[0] > LATEST:
            raise NirError(f"node {key!r}: delay must be one number of at most {LATEST} steps, "
                           f"not {steps.tolist()!r}; use another --dt")
        return [Delay() for _ in range(int(steps[0]))]

    def _scale(self, key: str, node: "nir.Scale") -> list[Op]:
        return [Scale(reals(node.scale))]

    def _threshold(self, key: str, node: "nir.Threshold") -> list[Op]:
        return [Neuron(reals(node.threshold), decay=reals(0), reset="none")]

    def _neuron(self, key: str, node: Any) -> list[Op]:
        recurrent = any(key == before for before, _ in self.late)
        return [neuron_of(key, node, self.said.of(plain(key)), recurrent)]


def _sample_shape(wire: Wire) -> tuple[int, ...]:
    """The input's shape at one step: Sinabs writes [T, N] where its layers take [batch, T, N]."""
    readers = [wire.nodes[b] for a, b in wire.edges if a == wire.source]
    dense = readers and all(type(node).__name__ in ("Affine", "Linear") for node in readers)
    timed = dense and len(wire.shape) == 2 and all(
        node.weight.shape[-1] == wire.shape[1] for node in readers)
    return wire.shape[1:] if timed else wire.shape


def convolution_of(key: str, node: "nir.Conv2d") -> Convolution:
    """The convolution that *node* is, paddings in numbers, a dilated kernel with its zeros."""
    stride = pair(node.stride)
    weight = _dilated(np.asarray(node.weight), pair(node.dilation))
    bias = np.broadcast_to(np.asarray(node.bias, dtype=np.float64), (len(weight),))
    return Convolution(reals(weight), reals(bias), stride,
                       _padding(key, node.padding, weight.shape[2:], stride), int(node.groups))


def plain(key: str) -> str:
    """A name of the normal form that is not its input's."""
    return f"{key}_" if key == INPUT else key


def pair(value: Any) -> tuple[int, int]:
    """One number or two, as two."""
    both = np.broadcast_to(np.asarray(value, dtype=np.int64), (2,))
    return int(both[0]), int(both[1])


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
