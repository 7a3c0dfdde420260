"""Post-training quantisation: a network in normal form → the fixed-point IR, and what it cost."""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qsnn_compile import ir
from qsnn_compile.reals.calibrate import (
    DEFAULT_STEPS,
    InputCodes,
    input_codes,
    observe,
    random_data,
)
from qsnn_compile.reals.normal_form import INPUT, Network
from qsnn_compile.reals.shapes import shapes
from qsnn_compile.reals.units import QuantiseError

from .layers import Layers
from .plan import Plan
from .readout import readout_of
from .report import Report
from .rewrite import expressible
from .traces import Traces

MAX_STEPS = 65_536              # that ranges and rates are measured in
SETTLED = 12                    # layers ask each other for units at most so often


@dataclass(frozen=True)
class Settings:
    """Widths. ``decay_bits`` q is the fraction of a decay, 8 or more; None takes as many as the
    membrane has, 16 at most. Weights on a grid of their own keep it and its bits."""

    weight_bits: int = 8
    membrane_bits: int = 12
    input_bits: int = 8
    decay_bits: int | None = None

    @property
    def q(self) -> int:
        """The fraction bits of a decay."""
        return min(16, max(8, self.membrane_bits)) if self.decay_bits is None else self.decay_bits


def quantise(network: Network, *, weight_bits: int = 8, membrane_bits: int = 12,
             input_bits: int = 8, decay_bits: int | None = None, steps: int | None = None,
             calibrate: NDArray[Any] | None = None, readout: str | None = None,
             codes: InputCodes | None = None) -> tuple[ir.Graph, Report]:
    """*network* in integers: DESIGN §3, arithmetic version 1.

    *calibrate* is data as the network takes them; they give the range of the input and of the
    membranes, and weights of few bits and membranes are rounded by what it does to them. Without
    them the input is taken to be 0 … 1 and random inputs are tried. *codes* are the input's, if
    they are known better; *steps* and *readout* (count, potential, last) go before what the file
    says. Raises QuantiseError.
    """
    settings = Settings(weight_bits, membrane_bits, input_bits, decay_bits)
    _check(settings)
    steps = _steps(network, steps, calibrate)
    codes = input_codes(calibrate, input_bits) if codes is None else codes
    whole = expressible(network, codes.scale)
    data = random_data(whole, codes, steps) if calibrate is None else np.asarray(calibrate)
    plan = Plan(shapes(whole), observe(whole, data, steps))
    for _ in range(SETTLED):
        plan.changed = False
        layers = _layers(whole, settings, codes, plan)
        if not plan.changed:
            break
    if calibrate is not None:
        layers = _layers(whole, settings, codes, plan, Traces(whole, data, steps, codes))
    if plan.changed:
        raise QuantiseError(f"network {network.name!r}: layers must agree on their units, not ask "
                            "each other for new ones; send the model to the authors")
    return _graph(network, layers, codes, steps, readout, calibrate is None)


def _layers(network: Network, settings: Settings, codes: InputCodes, plan: Plan,
            traces: Traces | None = None) -> Layers:
    """The layers in integers. Raises QuantiseError where their numbers are no integers at all."""
    try:
        with np.errstate(all="ignore"):
            return Layers(network, settings, codes, plan, traces).run()
    except ir.IrError:
        raise
    except (ValueError, OverflowError) as error:    # int() of what is NaN or infinite
        raise QuantiseError(f"network {network.name!r}: its numbers must be such that integers can "
                            f"say them, not too large or too small ({error}); check its weights, "
                            "decays and thresholds") from None


def _graph(network: Network, layers: Layers, codes: InputCodes, steps: int, readout: str | None,
           guessed: bool) -> tuple[ir.Graph, Report]:
    source = ir.Input(network.input_shape, codes.bits,
                      "direct" if network.coding == "direct" else "spikes", codes.scale,
                      codes.zero, layers.names[INPUT])
    answer, nodes = readout_of(layers, network, readout, steps)
    name = re.sub(r"\s+", "_", network.name) or "network"
    graph = ir.Graph(name, steps, source, nodes, answer)
    ir.verify(graph)
    ranges = "random inputs" if guessed else "the data given"
    warnings = (*network.warnings, *([codes.warning] if codes.warning else []))
    report = Report(tuple(layers.layers), dict(layers.names), codes.source, ranges, network.notes,
                    warnings)
    return graph, report


def _steps(network: Network, steps: int | None, data: NDArray[Any] | None) -> int:
    steps = network.steps if steps is None else steps
    if steps is None and data is not None and network.coding == "frames" and data.ndim > 1:
        return int(data.shape[1])
    if steps is None:
        raise QuantiseError(f"network {network.name!r}: steps must be given where the file does "
                            f"not say them, not left out; add --steps {DEFAULT_STEPS}")
    if not 1 <= steps <= MAX_STEPS:
        raise QuantiseError(f"steps must be in 1..{MAX_STEPS}, not {steps!r}; give the number of "
                            "time steps")
    return steps


def _check(settings: Settings) -> None:
    for what, value, low, high in (
            ("weight bits", settings.weight_bits, 1, 16),
            ("membrane bits", settings.membrane_bits, 2, 32),
            ("input bits", settings.input_bits, 1, 8), ("decay bits", settings.q, 1, 24)):
        if not low <= value <= high:
            raise QuantiseError(f"{what} must be in {low}..{high}, not {value!r}")
