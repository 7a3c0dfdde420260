"""How a network is trained: every setting of the loop, checked where it is made."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

from qsnn_models.errors import ModelsError

from . import augment

Device = Literal["auto", "cpu", "cuda"]
Amp = Literal["off", "tf32", "bf16"]
Optimizer = Literal["adam", "adamw", "sgd"]
Loss = Literal["auto", "count", "potential", "tet"]

AT_LEAST_ONE = ("epochs", "batch", "threads")
COUNTS = ("holdout", "seed")
SHARES = ("dropout", "label_smoothing", "ema")      # 0 <= x < 1
POSITIVE = ("learning_rate", "teacher_temperature", "surrogate_width")
NOT_NEGATIVE = ("rate_weight", "weight_decay")
LARGEST = 2 ** 63 - 1
MOST_THREADS = 256              # far beyond that torch ends the process


@dataclass(frozen=True)
class TrainConfig:
    """How a network is trained. The last epoch's weights are the result: no choice is made on any
    accuracy. ``data`` is a data set or the path of one's own, ``test`` then maybe that of its test
    part (`data.load`).

    Loss: cross entropy with ``label_smoothing``, plus ``rate_weight · (1/|S|) Σ_l (r_l - t_l)²``
    over the spiking layers S, r_l a layer's mean firing rate (the spike half of WS-DR).
    ``target_rate`` is t for all layers, or one a layer; Q-SNN's is 0.5, a low one buys energy;
    ``rate_weight`` 0 switches the term off. ``loss`` says of what the cross entropy is: ``count``
    (of spikes) or ``potential``, which must be the network's readout, as ``auto`` is; ``tet`` is
    the mean of the steps' own.

    ``teacher`` ("" for none, "float", a checkpoint's path, or a .pt2 file's) adds Hinton's
    distillation, see `teacher.py`: ``(1 - teacher_weight) · CE + teacher_weight · KL`` at
    ``teacher_temperature``.
    ``optimizer`` is Adam, AdamW or SGD with a momentum of 0.9; ``weight_decay`` is of the latent
    weights alone. ``surrogate_width``: see `LIF`.
    ``ema`` > 0 keeps a moving average of the latent weights, which is then the result.
    ``start`` is another run's checkpoint to begin from. ``augment``: see `augment.parse`.
    ``holdout`` training images, the same for every seed, are kept back and only measured.

    ``device`` "auto" is CUDA where there is one. ``amp`` acts on CUDA, in training only; measuring
    is float32 everywhere, so its integers are exact. ``threads`` is fixed because the order of
    float sums, and so the trained weights, depend on it.
    """

    data: str
    epochs: int = 40
    batch: int = 128
    learning_rate: float = 2e-3
    dropout: float = 0.05
    label_smoothing: float = 0.05
    target_rate: float | tuple[float, ...] = 0.18
    rate_weight: float = 2.0
    augment: str = ""
    ema: float = 0.0
    teacher: str = ""
    teacher_weight: float = 0.5
    teacher_temperature: float = 2.0
    start: str = ""
    seed: int = 1
    holdout: int = 0
    threads: int = 1
    device: Device = "auto"
    amp: Amp = "off"
    test: str = ""
    optimizer: Optimizer = "adam"
    weight_decay: float = 0.0
    loss: Loss = "auto"
    surrogate_width: float = 1.0

    def __post_init__(self) -> None:
        if isinstance(self.target_rate, list):      # JSON has no tuples
            object.__setattr__(self, "target_rate", tuple(self.target_rate))
        for names, needed, fits in (
                (AT_LEAST_ONE, "at least 1", lambda v: v >= 1),
                (("threads",), f"at most {MOST_THREADS}", lambda v: v <= MOST_THREADS),
                (COUNTS, "at least 0", lambda v: 0 <= v <= LARGEST),
                (SHARES, "from 0 to below 1", lambda v: 0 <= v < 1),
                (POSITIVE, "above 0", lambda v: 0 < v < math.inf),
                (NOT_NEGATIVE, "at least 0", lambda v: 0 <= v < math.inf),
                (("teacher_weight",), "from 0 to 1", lambda v: 0 <= v <= 1),
                (("target_rate",), "from 0 to 1, one or one a layer", _are_shares),
                (("device",), _or(Device), lambda v: v in get_args(Device)),
                (("amp",), _or(Amp), lambda v: v in get_args(Amp)),
                (("optimizer",), _or(Optimizer), lambda v: v in get_args(Optimizer)),
                (("loss",), _or(Loss), lambda v: v in get_args(Loss))):
            for name in names:
                if not fits(getattr(self, name)):
                    raise ModelsError(f"{name} must be {needed}, not {getattr(self, name)!r}")
        augment.parse(self.augment)

    def targets(self, layers: int) -> tuple[float, ...]:
        """The target rate of each of *layers* spiking layers."""
        if isinstance(self.target_rate, tuple):
            if len(self.target_rate) != layers:
                raise ModelsError(f"target_rate must be one rate, or one for each of {layers} "
                                  f"spiking layers, not {self.target_rate!r}")
            return self.target_rate
        return (self.target_rate,) * layers


def _are_shares(rates: float | tuple[float, ...]) -> bool:
    listed = rates if isinstance(rates, tuple) else (rates,)
    return len(listed) > 0 and all(0 <= rate <= 1 for rate in listed)


def _or(choices: object) -> str:
    return " or ".join(get_args(choices))
