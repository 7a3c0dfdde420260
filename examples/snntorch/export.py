"""A network of snnTorch to ONNX: python export.py [FOLDER], then qsnnc FOLDER/network.onnx.

pip install torch onnx onnxscript onnxruntime snntorch
"""

import sys
from pathlib import Path

import numpy as np
import snntorch as snn
import torch
from torch import nn

from qsnn_models import from_torch

STEPS, SAMPLES = 8, 8


def network() -> nn.Module:
    """16-12-4; yours is trained."""
    torch.manual_seed(23)
    return nn.Sequential(
        nn.Linear(16, 12), snn.Leaky(beta=0.875, init_hidden=True),
        nn.Linear(12, 4), snn.Leaky(beta=0.875, threshold=0.125, init_hidden=True, output=True))


def spikes(net: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """As the library runs it: x [T, N, 16] -> [T, N, 4]."""
    for layer in (net[1], net[3]):
        layer.reset_mem()
    with torch.no_grad():
        return torch.stack([net(frame)[0] for frame in x])


def main(folder: Path) -> None:
    net = network()
    x = 4 * torch.rand(STEPS, SAMPLES, 16)
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "data.npz", x=x.transpose(0, 1), spk=spikes(net, x).transpose(0, 1))
    print(from_torch(net, x, STEPS, folder / "network.onnx", frames=True))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
