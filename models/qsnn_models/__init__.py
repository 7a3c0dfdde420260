"""Q-SNN layers, training, freezing to integers, and export to ONNX. torch lives here only.

    from qsnn_models import LIF, QConv2d, QDense, freeze, network_of, save, train

It may import `qsnn_models.errors`, `qsnn_models.export`, `qsnn_models.layers`,
`qsnn_models.network`, `qsnn_models.training` and `torch`.
"""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

    from .export.freeze import freeze, freeze_layer
    from .export.onnx_export import save
    from .layers.neurons import IF, LIF
    from .layers.pooling import AvgPool, MaxPool, SumPool
    from .layers.weighted import QConv1d, QConv2d, QDense, QRecurrent
    from .layers.weights import progress
    from .network.config import NetworkConfig
    from .network.from_layers import network_of
    from .network.parameter_groups import parameter_groups
    from .network.qsnn import QSNN
    from .network.settle import settle
    from .training.train import TrainConfig, train

# Where each name is: torch is loaded with the first of them.
NAMES = {
    "QDense": "layers.weighted", "QConv1d": "layers.weighted", "QConv2d": "layers.weighted",
    "QRecurrent": "layers.weighted", "LIF": "layers.neurons", "IF": "layers.neurons",
    "MaxPool": "layers.pooling", "SumPool": "layers.pooling", "AvgPool": "layers.pooling",
    "progress": "layers.weights", "QSNN": "network.qsnn", "NetworkConfig": "network.config",
    "network_of": "network.from_layers", "parameter_groups": "network.parameter_groups",
    "settle": "network.settle", "train": "training.train", "TrainConfig": "training.train",
    "freeze": "export.freeze", "freeze_layer": "export.freeze", "save": "export.onnx_export",
}
__all__ = [
    "IF", "LIF", "QSNN", "AvgPool", "MaxPool", "NetworkConfig", "QConv1d", "QConv2d", "QDense",
    "QRecurrent", "SumPool", "TrainConfig", "freeze", "freeze_layer", "from_torch", "network_of",
    "parameter_groups", "progress", "save", "settle", "train",
]


def __getattr__(name: str) -> Any:
    if name not in NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{NAMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return __all__


def from_torch(module: "nn.Module", example: "Tensor", steps: int, path: str | Path | None = None,
               *, frames: bool = False, loops: bool | None = None) -> Path:
    """Write *module*, an unmodified network of snnTorch, SpikingJelly, Norse or Sinabs, to *path*
    (default: its class in small letters, .onnx) as one ONNX graph of *steps* steps for `qsnnc`.

    The steps start from the reset state whatever ran before, and *module* is left as it is. It may
    keep its state in itself (``init_hidden=True``) or take and return it (``forward(x, state=None)
    -> spikes, state``). *example* ``[N, ...]`` is what one call takes, shown at every step; with
    *frames* it is ``[T, N, ...]``, other data each step. ``loops``: *module* runs all steps itself
    and answers ``[T, N, ...]``; None finds out (with *frames*, of the libraries' own layers only).
    The file has batch 1: ``x [1, ...]`` or ``[T, 1, ...]`` to ``spk [T, 1, ...]``.

    The exporter is the one whose file answers as *module* does, on *example* and on random inputs
    of its range. Raises ExportError (a ModelsError) where neither does, with what each said.
    """
    from qsnn_models.export.library_export import export
    return export(module, example, steps, path, frames=frames, loops=loops)
