"""A neuron of NIR, stepped as its library steps it, in the normal form."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from qsnn_compile.quantise.report import span
from qsnn_compile.reals.normal_form import Neuron, Reals, SynapticCurrent, reals

from .file import NirError
from .libraries import LIBRARIES, restored
from .options import Step


def neuron_of(key: str, node: Any, step: Step, recurrent: bool) -> Neuron:
    """The neuron called *key*; *recurrent* where its spikes come back to it. Raises NirError."""
    tau = time_constant(node)
    kept = 1.0 if tau is None else _kept(key, "tau", tau, step)
    leak = 0.0 if tau is None else np.asarray(node.v_leak, dtype=np.float64)
    made = Neuron(
        reals(getattr(node, "v_threshold", np.inf)), decay=reals(kept),
        gain=reals(_gain(node, tau, kept, step)), offset=reals((1 - kept) * leak),
        synapse=_synapse(key, node, step), reset="none", strict=step.library.strict,
        initial=reals(first_membrane(node, step)),
        clamp=None if step.clamp is None else reals(step.clamp), max_spikes=step.spikes)
    if np.isposinf(made.threshold).all():
        return replace(made, max_spikes=1)
    silenced = step.library.silences and (recurrent or made.synapse is not None)
    return _reset(made, step, reals(node.v_reset), silenced)


def time_constant(node: Any) -> Any:
    """The membrane's, None where *node* does not leak."""
    return getattr(node, "tau", getattr(node, "tau_mem", None))


def first_membrane(node: Any, step: Step) -> Any:
    """The membrane before the first step."""
    starts = step.library.starts
    return getattr(node, starts, getattr(node, "v_reset", 0.0)) if starts else 0.0


def _kept(key: str, what: str, tau: Any, step: Step) -> Any:
    """What a step leaves of the state whose time constant is *tau*, called *what*."""
    least, library = float(np.min(tau)), step.library
    if library.too_fast(least):
        raise NirError(f"node {key!r}: dt must be at most {what}, {least:g}, not {library.dt!r}: "
                       "the membrane would swing; use the dt of the library that wrote the "
                       f"file, --dt {' or '.join(LIBRARIES)}")
    return library.kept(tau)


def _gain(node: Any, tau: Any, kept: Any, step: Step) -> Any:
    """What 1 of the current adds to the membrane."""
    r, library = np.asarray(node.r, dtype=np.float64), step.library
    if tau is None:
        return restored(library.plain_dt * r)
    if type(node).__name__ in library.summed:
        return r
    if library.exponential:
        return (1 - kept) * r
    endless = np.isinf(tau) & np.isinf(r)       # snnTorch's beta = 1: r = tau / dt
    share = library.dt / np.where(endless, library.dt, np.asarray(tau, dtype=np.float64))
    return restored(share * np.where(endless, 1.0, r))


def _synapse(key: str, node: Any, step: Step) -> SynapticCurrent | None:
    if not hasattr(node, "tau_syn"):
        return None
    kept = _kept(key, "tau_syn", node.tau_syn, step)
    share = 1.0 if step.library.jumps else step.library.dt / np.asarray(node.tau_syn, np.float64)
    return SynapticCurrent(reals(kept), reals(restored(share * np.asarray(node.w_in, np.float64))))


def _reset(op: Neuron, step: Step, low: Reals, silenced: bool) -> Neuron:
    late, how = step.reset.startswith("delayed"), step.reset.rpartition("-")[2]
    if how == "soft":
        raised = op.threshold if step.library.raises and not late else None
        return replace(op, reset="soft", reset_value=op.threshold, delayed=late, raised=raised)
    kind: Literal["hard", "none"] = "hard" if how == "hard" else "none"
    return replace(op, reset=kind, reset_value=low, delayed=late,
                   silenced=silenced and late and kind == "hard")


def assumed(steps: Mapping[str, Step], nodes: Mapping[str, Any]) -> list[str]:
    """What the file doesn't say of *nodes* and was taken: a sentence, and by its names who it is
    true of, if not of all."""
    made: dict[str, list[str]] = {}
    for name, step in steps.items():
        for note in _ways(step, nodes[name]):
            made.setdefault(note, []).append(name)
    return [note if len(names) == len(steps) else f"{', '.join(names)}: {note}"
            for note, names in made.items()]


def _ways(step: Step, node: Any) -> list[str]:
    """How *node* is stepped, sentence by sentence."""
    library, tau = step.library, time_constant(node)
    name = f" ({library.name}'s)" if library.name else ""
    dt = library.plain_dt if tau is None else library.dt
    made = [f"dt = {dt:g}{name}; NIR doesn't say it", _step_of(node, tau, step)]
    if hasattr(node, "tau_syn"):
        made.append("the membrane integrates the synapse's new current"
                    + (", which jumps by w_in · x" if library.jumps else ""))
    if hasattr(node, "v_threshold"):
        whose = ("" if step.said else f", {library.name}'s default"
                 if library.name and step.reset != "hard" else ", NIR's own: v = v_reset")
        twice = (", and what it leaves above the threshold must pass it twice (reset_delay=False)"
                 if library.raises and step.reset == "soft" else "")
        made += [f"reset {step.reset}{whose}{twice}; libraries lose theirs when they write NIR",
                 f"it spikes at v {'>' if library.strict else '≥'} v_threshold"
                 + ("" if step.spikes == 1 else f", ⌊v / v_threshold⌋ times, {step.most}")]
    if np.any(first := first_membrane(node, step)):
        made.append(f"v starts at {step.library.starts}, {span(first)}")
    return [*made, *([] if step.clamp is None else [f"v ≥ {step.clamp:g}"])]


def _step_of(node: Any, tau: Any, step: Step) -> str:
    if tau is None:
        return "each neuron without tau is stepped by v += dt · r · I"
    if not step.library.exponential:
        return "each neuron is stepped by Euler: v += dt / tau · (v_leak - v + r · I)"
    gain = "" if type(node).__name__ in step.library.summed else "(1 - a) · "
    return f"v decays by a = exp(-dt / tau): v = a · v + {gain}r · I"
