"""What NIR leaves open, and what each library does there: its time step, the way its leaks and
currents are stepped, its comparator, its reset, and what its exporter loses."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from .file import NirError

ResetName = Literal["hard", "soft", "none", "delayed-soft", "delayed-hard"]
RESETS: tuple[str, ...] = get_args(ResetName)
DIGITS = 4                      # of a number that float32 has blurred, at most
BLUR = 4e-7                     # what a few roundings of float32 change
LEAST = 0.1                     # of dt, or more: a tau by which exp(-dt / tau) keeps something


@dataclass(frozen=True)
class Library:
    """How a library steps the neurons that it writes as NIR. A number is a library that does as
    NIR's equations say: Euler's step of dt, v > θ, a hard reset.

    ``dt`` is the step in the unit of its τ, ``plain_dt`` that of a node without τ (IF, I). A leak
    is exp(-dt/τ) where ``exponential``, else 1 - dt/τ. ``summed`` are the node types whose input
    is not multiplied by dt/τ; where ``jumps``, w_in of a synapse isn't either. A neuron spikes at
    v > θ where ``strict``, else at v ≥ θ. ``reset`` is its layers' default. ``raises``: a soft
    reset leaves what is still above θ to pass it twice (snnTorch's reset_delay=False);
    ``silences``: a late hard reset of a synapse's or a recurrent membrane takes the step's current
    with it. A membrane ``starts`` at the field so called (v_reset where the node has none), at 0
    where that is empty. ``lost`` is what its exporter doesn't write.
    """

    name: str
    dt: float
    plain_dt: float
    reset: str = "hard"
    strict: bool = True
    exponential: bool = False
    summed: tuple[str, ...] = ()
    jumps: bool = False
    raises: bool = False
    silences: bool = False
    starts: str = ""
    lost: tuple["Lost", ...] = ()

    def kept(self, tau: Any) -> NDArray[np.float64]:
        """What a step leaves of a membrane or a current of time constant *tau*."""
        share = self.dt / np.asarray(tau, dtype=np.float64)
        kept = np.exp(-share) if self.exponential else 1 - np.minimum(restored(share), 1.0)
        return np.asarray(kept)

    def too_fast(self, tau: float) -> bool:
        """Whether a step is too long for *tau*."""
        least = LEAST * self.dt if self.exponential else self.dt / (1 + 1e-6)
        return not tau >= least


def restored(share: Any) -> NDArray[np.float64]:
    """*share* = dt/τ as it was before float32: a number of few digits that lies within its blur.
    An exact decay of ½ then meets exact ties as its library did."""
    share = np.asarray(share, dtype=np.float64)
    size = 10.0 ** (DIGITS - 1 - np.floor(np.log10(np.where(share > 0, share, 1.0))))
    short = np.rint(share * size) / size
    return np.asarray(np.where(np.abs(short - share) <= BLUR * np.abs(share), short, share))


@dataclass(frozen=True)
class Lost:
    """What an exporter doesn't write of nodes that have ``has``, and what is taken for it.
    ``option`` is the one that says it of a node, where there is one."""

    text: str
    has: str = "r"
    option: str = ""


_SINABS = (
    Lost("spike_fn: one spike a step is taken, Sinabs' default MultiSpike sends several; say "
         "--spikes many", "v_threshold", "spikes"),
    Lost("min_v_mem: none is taken, the default; say --clamp V", option="clamp"),
    Lost("tau_syn: none is taken, the default; export a network with synapses as ONNX"))
_NORM = Lost("norm_input: each layer's default is taken, True for LIF and False for ExpLeak; say "
             "--dt sinabs-normed or sinabs-unnormed", "tau")

LIBRARIES = {library.name: library for library in (
    Library("snntorch", 1e-4, 1e-4, "delayed-soft", raises=True, silences=True, lost=(
        Lost("reset_mechanism and reset_delay: 'subtract' with a delay is taken, the default; say "
             "--reset delayed-hard ('zero'), none, or soft and hard (reset_delay=False)",
             "v_threshold", "reset"),
        Lost("graded_spikes_factor, inhibition and state_quant: 1 and none are taken, the "
             "defaults; export a network that has them as ONNX"))),
    Library("spikingjelly", 1e-4, 1e-4, strict=False, starts="v_reset"),
    Library("sinabs", 1.0, 1.0, "soft", False, True, ("LI",), lost=(*_SINABS, _NORM)),
    Library("sinabs-normed", 1.0, 1.0, "soft", False, True, lost=_SINABS),
    Library("sinabs-unnormed", 1.0, 1.0, "soft", False, True, ("LIF", "LI"), lost=_SINABS),
    # It writes tau = dt / tau_mem_inv with its dt of 1e-3 (norse #411): dt / tau is right for 1e-6.
    Library("norse", 1e-6, 1.0, jumps=True, starts="v_leak", lost=(
        Lost("reset_method: a reset to a value is taken, the default; say --reset soft for "
             "reset_subtract", "v_threshold", "reset"),
        Lost("v_reset: what the file says is taken, 0", "v_threshold"))),
)}


def library_of(dt: str | float | None) -> Library:
    """The library called *dt*, or NIR's own equations with a step of *dt*. Raises NirError."""
    names = ", ".join(LIBRARIES)
    if dt is None:
        raise NirError(f"dt must be given for a NIR file, which doesn't say it; add --dt with a "
                       f"number or one of {names}")
    if isinstance(dt, str) and dt in LIBRARIES:
        return LIBRARIES[dt]
    try:
        step = float(dt)
    except ValueError:
        step = float("nan")
    if not 0 < step < float("inf"):
        raise NirError(f"dt must be a positive number or one of {names}, not {dt!r}")
    return Library("", step, step)
