"""What a training makes small: cross entropies of a network's logits."""

import torch.nn.functional as F
from torch import Tensor

from qsnn_models.errors import ModelsError
from qsnn_models.network.config import NetworkConfig
from qsnn_models.network.qsnn import Output

from .augment import Wanted
from .train_config import TrainConfig


def checked(network: NetworkConfig, config: TrainConfig) -> str:
    """What *config*'s loss is of, for *network*. Raises ModelsError where they don't go together.
    """
    if config.loss in ("auto", "tet"):
        return network.readout if config.loss == "auto" else "tet"
    if config.loss != network.readout:
        raise ModelsError(f"loss must be auto, tet or, as the network's readout is, "
                          f"{network.readout}, not {config.loss!r}; or set network.readout = "
                          f"\"{config.loss}\"")
    return network.readout


def cross_entropy(output: Output, wanted: Wanted, smoothing: float) -> Tensor:
    """The loss of *output*: of each step's logits, where it tells them, else of their mean."""
    logits, repeat = output.logits, 1
    if output.each is not None:
        logits, repeat = output.each.flatten(0, 1), len(output.each)
    loss = F.cross_entropy(logits, _repeated(wanted.y, repeat), label_smoothing=smoothing)
    if wanted.other is None:
        return loss
    other = F.cross_entropy(logits, _repeated(wanted.other, repeat), label_smoothing=smoothing)
    return wanted.share * loss + (1 - wanted.share) * other


def _repeated(y: Tensor, count: int) -> Tensor:
    return y.repeat(count) if count > 1 else y
