"""Q-SNN layers, training, freezing to integers, and export to ONNX. torch lives here only.

It may import `qsnn_models.errors`, `qsnn_models.export` and `torch`.
"""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn


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
