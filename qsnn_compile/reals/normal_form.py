"""The normal form: a trained spiking network in real numbers, whatever library it came from.

Every front end for other people's files ends here; from here it is simulated in float (and compared
with the source's own runtime) and quantised to the fixed-point IR. One time step is a graph of the
operators below; a spike is any nonzero activation of a neuron.

Shapes leave out the sample axis. An array-valued parameter broadcasts against the neuron's shape,
channel first.
"""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Reals = NDArray[np.float64]

INPUT = "x"
"""What a node's ``inputs`` call the network's input; no node bears this name."""


def reals(value: object) -> Reals:
    """*value* as a read-only float64 array, for the fields of an operator."""
    array = np.array(value, dtype=np.float64)
    array.setflags(write=False)
    return array


@dataclass(frozen=True, eq=False)
class Grid:
    """The grid that quantised weights lie on: ``w = scale · q``, q an integer of ``bits`` bits.

    ``scale`` broadcasts against the weight ([C, 1, …] or []); 1 bit is q in {-1, +1}. ``source``
    says where it came from, for `--explain`: ``"QONNX Quant"``, ``"QCDQ"``, ``"INT4"``…
    """

    bits: int
    scale: Reals
    source: str


@dataclass(frozen=True, eq=False)
class Linear:
    """``I = W · x + bias``; ``weight`` [C, N], ``bias`` [C] or []. ``grid`` if W is quantised."""

    weight: Reals
    bias: Reals
    grid: Grid | None = None


@dataclass(frozen=True, eq=False)
class Convolution:
    """2-D convolution plus bias, ONNX conventions; ``padding`` is (top, left, bottom, right)."""

    weight: Reals
    bias: Reals
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    groups: int = 1
    grid: Grid | None = None


@dataclass(frozen=True, eq=False)
class Pool:
    """Maximum, sum or average over windows that lie wholly inside the image."""

    kind: Literal["max", "sum", "average"]
    kernel: tuple[int, int]
    stride: tuple[int, int]


@dataclass(frozen=True, eq=False)
class Scale:
    """``y = factor · x``: an activation's unit (a graded spike, an input scale)."""

    factor: Reals


@dataclass(frozen=True, eq=False)
class Flatten:
    """Row-major, channel first."""


@dataclass(frozen=True, eq=False)
class Add:
    """Sum of the inputs: a residual, or feed-forward plus recurrent current."""


@dataclass(frozen=True, eq=False)
class Delay:
    """``y(t) = x(t - 1)``, ``y(0) = 0``."""


@dataclass(frozen=True, eq=False)
class SynapticCurrent:
    """``i(t) = decay · i(t-1) + gain · I``; the membrane integrates i(t) for I
    (i(t-1) if ``delayed``)."""

    decay: Reals
    gain: Reals = field(default_factory=lambda: reals(1))
    delayed: bool = False


@dataclass(frozen=True, eq=False)
class StateGrid:
    """A quantised state: u' becomes the nearest of ``levels`` (sorted; the lower one on a tie)."""

    levels: Reals


@dataclass(frozen=True, eq=False)
class Neuron:
    """::

        v  = decay · u + gain · I + offset         (I: the synaptic current where there is one)
        v -= reset_value · [u > θ]                 where the reset is delayed and soft
        v  = gain · I + offset (+ reset_value)     instead, where u > θ and it is delayed and hard
        s  = amplitude · [v > θ]  or  [v ≥ θ]      ``strict`` or not
        v' = reset_value (hard) | v - reset_value (soft) | v (none)     where s ≠ 0; not if delayed
        u' = max(v', clamp), on the ``grid``

    With ``max_spikes`` n > 1 ``s = min(n, floor(v / θ))`` where positive (n may be infinite) and a
    soft reset subtracts ``s · reset_value``. u starts at ``initial``. Where ``raised`` is given and
    u > θ, the step's threshold is θ + raised (snnTorch's subtraction with reset_delay=False). Where
    ``silenced``, a delayed hard reset loses the step's current too: v = reset_value (snnTorch's
    zero of all but Leaky).
    """

    threshold: Reals
    decay: Reals = field(default_factory=lambda: reals(1))
    gain: Reals = field(default_factory=lambda: reals(1))
    offset: Reals = field(default_factory=lambda: reals(0))
    strict: bool = True
    reset: Literal["hard", "soft", "none"] = "soft"
    reset_value: Reals = field(default_factory=lambda: reals(0))
    delayed: bool = False
    amplitude: float = 1.0
    max_spikes: float = 1
    clamp: Reals | None = None
    synapse: SynapticCurrent | None = None
    grid: StateGrid | None = None
    initial: Reals = field(default_factory=lambda: reals(0))
    raised: Reals | None = None
    silenced: bool = False


Op = Linear | Convolution | Pool | Scale | Flatten | Add | Delay | Neuron


@dataclass(frozen=True, eq=False)
class Node:
    """One operator; its name is also its output's. ``origin`` names the source's node or layer."""

    name: str
    op: Op
    inputs: tuple[str, ...]
    origin: str = ""


@dataclass(frozen=True, eq=False)
class Network:
    """A network in normal form. ``notes`` are the assumptions made on the way, for `--explain`.

    ``coding`` is ``direct`` where x is the same at every step (data [N, *shape]), else ``frames``
    (data [N, T, *shape]). ``steps`` is None where the file does not say. Nodes stand after their
    inputs, but that of a Delay may come later. ``output`` is the node whose value is the answer at
    every step; where ``answer`` is "potential" and it is a Neuron, its v (before any reset that is
    not delayed), else its spikes. A neuron that never fires (a leaky integrator) has θ infinite.
    ``warnings`` say what the file may have lost.
    """

    name: str
    input_shape: tuple[int, ...]
    coding: Literal["direct", "frames"]
    steps: int | None
    nodes: tuple[Node, ...]
    output: str
    notes: tuple[str, ...] = ()
    answer: Literal["spikes", "potential"] = "spikes"
    warnings: tuple[str, ...] = ()
