"""A network of SpikingJelly to ONNX: python export.py [FOLDER], then qsnnc FOLDER/network.onnx.

pip install torch onnx onnxscript onnxruntime spikingjelly
"""

import sys
from pathlib import Path

import numpy as np
import torch
from spikingjelly.activation_based import functional, neuron
from torch import nn

from qsnn_models import from_torch

STEPS, SAMPLES = 8, 8


def network() -> nn.Module:
    """16-12-4; yours is trained."""
    torch.manual_seed(23)
    net = nn.Sequential(nn.Linear(16, 12), neuron.LIFNode(tau=2.0),
                        nn.Linear(12, 4), neuron.IFNode(v_threshold=0.125))
    return net.eval()


def spikes(net: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """As the library runs it: x [T, N, 16] -> [T, N, 4]."""
    functional.reset_net(net)
    with torch.no_grad():
        return torch.stack([net(frame) for frame in x])


def main(folder: Path) -> None:
    net = network()
    x = 4 * torch.rand(STEPS, SAMPLES, 16)
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "data.npz", x=x.transpose(0, 1), spk=spikes(net, x).transpose(0, 1))
    print(from_torch(net, x, STEPS, folder / "network.onnx", frames=True))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
