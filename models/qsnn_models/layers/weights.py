"""Weight quantisers: latent floats ``[C, N]`` -> integers in floats, one class a method.

All share a face: ``quantizer(latent)``, ``bits``, ``progress(share of the training done)``, and
``refusal``, the reason why it has no integer form ('' where it has one).
"""

import math
import warnings
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from qsnn_models.errors import ModelsError

from .rounding import apply, round_ste

VARIANCE_FLOOR = 1e-16      # of latent weights: a constant row stays finite
WINDOW = 1.5                # standard deviations; outside it a 1-bit weight gets no gradient
SPANS = {2: 1.2, 4: 2.7, 8: 4.0}    # deviations: the widest range that pays for normal weights


def _signs(w: Tensor) -> Tensor:
    """+1 where w >= 0, else -1; in floats throughout, torch's booleans are slow."""
    return torch.ge(w, 0.0, out=torch.empty_like(w)).mul_(2).sub_(1)


class _StandardSign(torch.autograd.Function):
    """Latent weights ``[C, N]`` -> the sign of ``ŵ = (w - mean_c) / std_c``, +1 where ŵ >= 0.

    The gradient passes straight to ŵ where ``|ŵ| < window``, and on through the standardising.
    """

    @staticmethod
    def forward(ctx: Any, latent: Tensor, window: float) -> Tensor:
        centred = latent - latent.mean(1, keepdim=True)
        norm = torch.linalg.vector_norm(centred, dim=1, keepdim=True)
        std = (norm.square_() / latent.shape[1]).add_(VARIANCE_FLOOR).sqrt_()
        ctx.save_for_backward(centred, std)
        ctx.window = window
        return _signs(centred)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        centred, std = ctx.saved_tensors
        grad = torch.abs(centred)
        torch.lt(grad, ctx.window * std, out=grad).mul_(grads[0])
        along = torch.linalg.vecdot(grad, centred, dim=1).unsqueeze(1) / std.square()
        grad.sub_(grad.mean(1, keepdim=True)).addcmul_(centred, along / -centred.shape[1])
        return grad.div_(std), None


class _Sign(torch.autograd.Function):
    """The sign, +1 where w >= 0; the gradient passes where ``|w| < window``."""

    @staticmethod
    def forward(ctx: Any, w: Tensor, window: float) -> Tensor:
        ctx.save_for_backward(w)
        ctx.window = window
        return _signs(w)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return grads[0] * (ctx.saved_tensors[0].abs() < ctx.window), None


class _TanhSign(torch.autograd.Function):
    """The sign, +1 where w >= 0; its gradient is ``k · t · (1 - tanh²(t · w))``, k = max(1/t, 1).

    Q-SNN's released code, after IR-Net (Qin et al., CVPR 2020)."""

    @staticmethod
    def forward(ctx: Any, w: Tensor, t: float) -> Tensor:
        ctx.save_for_backward(w)
        ctx.t = t
        return _signs(w)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        slope = 1 - torch.tanh(ctx.saved_tensors[0] * ctx.t).square_()
        return grads[0] * slope * (max(1 / ctx.t, 1.0) * ctx.t), None


class _Ternary(torch.autograd.Function):
    """-1, 0 or +1: beyond ``factor · mean_c|w|``; the gradient passes straight through."""

    @staticmethod
    def forward(ctx: Any, w: Tensor, factor: float) -> Tensor:
        size = w.abs()
        return w.sign() * (size > factor * size.mean(1, keepdim=True))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return grads[0], None


def standardise(latent: Tensor) -> Tensor:
    """``ŵ = (w - mean_c) / std_c``, a channel a row."""
    centred = latent - latent.mean(1, keepdim=True)
    return centred / (centred.square().mean(1, keepdim=True) + VARIANCE_FLOOR).sqrt()


class WeightQuantizer(nn.Module):
    """The face that all share, and the learnt step of 2 bits and more::

        q = clip(round(w / Δ), -(2^(W-1) - 1), 2^(W-1) - 1)     Δ learnt in log2, per layer

    The range is symmetric, so that a channel's sign can be flipped; 2 bits is ternary. The scale
    of w is absorbed by the batch norm that follows. Δ's gradient is the learnt-step one: the
    rounding error inside the range, the limit outside (Esser et al., LSQ, ICLR 2020).
    """

    name: ClassVar[str]
    widths: ClassVar[tuple[int, ...]] = (1, 2, 4, 8)
    learns: ClassVar[tuple[int, ...]] = (2, 4, 8)       # the widths that learn a step
    refusal: ClassVar[str] = ""

    def __init__(self, bits: int) -> None:
        super().__init__()
        if bits not in self.widths:
            allowed = ", ".join(map(str, self.widths))
            raise ModelsError(f"weight bits must be one of {allowed} for {self.name!r} weights, "
                              f"not {bits!r}")
        self.bits = bits
        self.limit = 2 ** (bits - 1) - 1
        if bits in self.learns:
            self.log_step = nn.Parameter(torch.tensor(SPANS[bits] / self.limit).log2())

    def progress(self, share: float) -> None:
        """*share* (0 to 1) of the training is done."""

    def stepped(self, w: Tensor) -> Tensor:
        """Weights of deviation 1 -> multiples of the learnt step, counted."""
        step = torch.exp2(self.log_step)
        quantised = round_ste((w / step).clamp(-self.limit, self.limit)) * step
        return round_ste(quantised / step.detach())     # the division is not exact


class Standardised(WeightQuantizer):
    """Per-channel standardised first, the weight half of Q-SNN's WS-DR: as many -1 as +1.

    ``1 bit: +1 where ŵ = (w - mean_c) / std_c >= 0, else -1``, straight-through within 1.5
    deviations; more bits: ŵ on the learnt step.
    """

    name = "standardised"

    def forward(self, latent: Tensor) -> Tensor:
        if self.bits == 1:
            return apply(_StandardSign, latent, WINDOW)
        return self.stepped(standardise(latent))


class Plain(WeightQuantizer):
    """Without the standardising: ``w · √N``, which has deviation 1 at the start, in its place."""

    name = "plain"

    def forward(self, latent: Tensor) -> Tensor:
        w = latent * math.sqrt(latent.shape[1])
        return apply(_Sign, w, WINDOW) if self.bits == 1 else self.stepped(w)


class Scheduled(Standardised):
    """1 bit: standardised, its backward tanh's, which sharpens while training goes on.

    ``d sign/dŵ = k · t · (1 - tanh²(t · ŵ))``, t from 0.1 to 10 evenly in log10, k = max(1/t, 1):
    the released code of Q-SNN. More bits: as `Standardised`. Two backwards and no `progress` are
    warned of: a training that does not tell.
    """

    name = "scheduled"

    def __init__(self, bits: int) -> None:
        super().__init__(bits)
        self.progress(0.0)
        self.untold: int | None = 0     # backwards before the first progress

    def progress(self, share: float) -> None:
        self.sharpness = 10.0 ** (2 * share - 1)
        self.untold = None

    def forward(self, latent: Tensor) -> Tensor:
        if self.bits > 1:
            return super().forward(latent)
        signs = apply(_TanhSign, standardise(latent), self.sharpness)
        if self.untold is not None and signs.requires_grad:
            signs.register_hook(self._tell)     # type: ignore[no-untyped-call]
        return signs

    def _tell(self, grad: Tensor) -> None:
        if self.untold is not None:
            self.untold += 1
        if self.untold == 2:
            warnings.warn("weights 'scheduled' must hear how far the training is, but never did: "
                          "their backward stays as at the beginning; call "
                          "qsnn_models.layers.weights.progress(model, share), share from 0 to 1, "
                          "before each batch, or take weights='standardised'", stacklevel=2)


class Ternary(Standardised):
    """2 bits: ``sign(w) where |w| > 0.7 · mean_c|w|, else 0`` (Li et al., 2016), straight-through.

    More bits: as `Standardised`."""

    name = "ternary"
    widths = (2, 4, 8)
    learns = (4, 8)
    FACTOR = 0.7

    def forward(self, latent: Tensor) -> Tensor:
        return super().forward(latent) if self.bits > 2 else apply(_Ternary, latent, self.FACTOR)


class Float(WeightQuantizer):
    """Not quantised, for comparison: w in units so small (2^-10 of the layer's deviation) that
    rounding the threshold to them changes nothing. Of 32 bits, whatever width is asked for."""

    name = "float"
    refusal = "weights 'float' are no integers; train with weights='standardised' to export"
    UNITS = 1024.0

    def __init__(self, bits: int) -> None:
        super().__init__(1)
        self.bits = 32

    def forward(self, latent: Tensor) -> Tensor:
        return latent * (self.UNITS / latent.detach().square().mean().sqrt())


def progress(model: nn.Module, share: float) -> None:
    """*share* (0 to 1) of the training of *model* is done: schedules of its quantisers go on."""
    for module in model.modules():
        if isinstance(module, WeightQuantizer):
            module.progress(share)


WEIGHTS: dict[str, type[WeightQuantizer]] = {
    kind.name: kind for kind in (Standardised, Plain, Scheduled, Ternary, Float)}


def weight_quantizer(name: str, bits: int) -> WeightQuantizer:
    """The quantiser called *name*. Raises ModelsError for a name or width that isn't there."""
    if name not in WEIGHTS:
        raise ModelsError(f"weights must be one of {', '.join(WEIGHTS)}, not {name!r}")
    return WEIGHTS[name](bits)
