"""What a network is, in plain values: what config files, ledgers and checkpoints hold."""

from dataclasses import dataclass, fields
from math import inf
from typing import Any, Literal

from qsnn_compile.ir import Input
from qsnn_models.errors import ModelsError
from qsnn_models.layers.membranes import membrane_quantizer
from qsnn_models.layers.neurons import Decay, fraction
from qsnn_models.layers.weights import weight_quantizer

from .notation import Structure, parse

FAR = 1 << 40                   # of a zero point from the codes, as the IR has it
CHOICES = {"coding": ("direct", "spikes"), "reset": ("hard", "soft"),
           "readout": ("count", "potential"), "input_takes": ("codes", "reals")}


@dataclass(frozen=True)
class NetworkConfig:
    """A network: ``layers`` in the notation of `notation.parse`, T ``steps``.

    ``weight_bits`` is one width or one a weight layer, ``weights`` and ``membrane`` are names of
    quantisers (`weights.WEIGHTS`, `membranes.MEMBRANES`). ``decay`` is (m, q): m / 2^q, or a
    share of 1, which is rounded to such (`neurons.fraction`); with ``learn_decay`` m is learnt per
    channel from there. Direct-coded input is ``[N, *shape]``,
    unsigned of ``input_bits`` bits; with ``coding`` spikes it is ``[N, T, *shape]``, a frame a
    step: spikes of 1 bit, counts or pixels of more. What a code q is worth is ``input_scale ·
    (q - input_zero_point)``. With ``input_takes`` reals the network is handed raw numbers and makes
    the codes itself (`qsnn_compile.ir.Input`); scale and zero point may then be one a channel, the
    first axis of the input, and `training.fitting` learns them. ``class_names``: of the outputs.
    """

    name: str
    layers: str
    steps: int = 4
    weight_bits: int | tuple[int, ...] = 1
    weights: str = "standardised"
    membrane_bits: int = 4
    membrane: str = "trainable"
    coding: Literal["direct", "spikes"] = "direct"
    input_bits: int = 8
    input_scale: float | tuple[float, ...] = 1 / 255
    reset: Literal["hard", "soft"] = "hard"
    decay: Decay = (1, 1)
    learn_decay: bool = False
    readout: Literal["count", "potential"] = "potential"
    input_zero_point: int | tuple[int, ...] = 0
    input_takes: Literal["codes", "reals"] = "codes"
    class_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for field in fields(self):          # JSON has no tuples
            value: Any = getattr(self, field.name)
            if isinstance(value, list):
                object.__setattr__(self, field.name, tuple(value))
        parse(self.layers)
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ModelsError(f"{name} must be {' or '.join(allowed)}, "
                                  f"not {getattr(self, name)!r}")
        self._check_numbers()
        for bits in self.widths:
            weight_quantizer(self.weights, bits)
        membrane_quantizer(self.membrane, self.membrane_bits, 1)

    def _check_numbers(self) -> None:
        if not isinstance(self.steps, int) or self.steps < 1:
            raise ModelsError(f"steps must be at least 1, not {self.steps!r}")
        if self.input_bits not in range(1, 9):
            raise ModelsError(f"input bits must be 1 to 8, not {self.input_bits!r}")
        self._check_input()
        object.__setattr__(self, "decay", fraction(self.decay))
        count = len(self.structure.layers)
        if len(self.widths) != count:
            raise ModelsError(f"weight bits must be one width or {count}, "
                              f"not {self.weight_bits!r}")

    def _check_input(self) -> None:
        channels, real = self.structure.shape[0], self.input_takes == "reals"
        for name in ("input_scale", "input_zero_point"):
            value = getattr(self, name)
            if isinstance(value, tuple) and not (real and len(value) == channels):
                wanted = f"one number, or one for each of {channels} channels" if real else \
                    "one number where input_takes is \"codes\""
                raise ModelsError(f"{name} must be {wanted}, not {value!r}")
        scales, zeros = map(_all, (self.input_scale, self.input_zero_point))
        if not all(0 < scale < inf for scale in scales):
            raise ModelsError(f"input scale must be a number above 0, not {self.input_scale!r}")
        low, high = (-FAR, FAR) if real else (0, (1 << self.input_bits) - 1)
        if not all(low <= zero <= high for zero in zeros):
            raise ModelsError(f"input zero point must be in {low}..{high}, not "
                              f"{self.input_zero_point!r}")
        classes = self.structure.classes
        if len(self.class_names) not in (0, classes) or \
                len(set(self.class_names)) != len(self.class_names):
            raise ModelsError(f"class names must be those of {classes} classes, each once, not "
                              f"{self.class_names!r}")
        if not all(0 < len(name) <= 100 and name.isprintable() for name in self.class_names):
            raise ModelsError("class names must be 1 to 100 characters that print each, not "
                              f"{self.class_names!r}")

    @property
    def entry(self) -> Input:
        """The input as the IR has it."""
        return Input(self.structure.shape, self.input_bits, self.coding, self.input_scale,
                     self.input_zero_point, takes=self.input_takes)

    @property
    def structure(self) -> Structure:
        """``layers``, read: the input's shape, and each layer with its own."""
        return parse(self.layers)

    @property
    def widths(self) -> tuple[int, ...]:
        """The weight width of each weight layer, the readout's included."""
        if isinstance(self.weight_bits, int):
            return (self.weight_bits,) * len(self.structure.layers)
        return tuple(self.weight_bits)


def _all(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)
