"""A network of Sinabs to ONNX: python export.py [FOLDER], then qsnnc FOLDER/network.onnx.

pip install torch onnx onnxscript onnxruntime sinabs
"""

import sys
from pathlib import Path

import numpy as np
import sinabs
import sinabs.layers as sl
import torch
from torch import nn

from qsnn_models import from_torch

STEPS, SAMPLES = 8, 8


def network() -> nn.Module:
    """16-12-4; yours is trained."""
    torch.manual_seed(1)
    fire = {"spike_fn": sinabs.activation.SingleSpike}
    return nn.Sequential(nn.Linear(16, 12), sl.LIF(tau_mem=8.0, spike_threshold=0.25, **fire),
                         nn.Linear(12, 4), sl.IAF(spike_threshold=0.125, **fire))


def spikes(net: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """As the library runs it: x [T, N, 16] -> [T, N, 4]."""
    sinabs.reset_states(net)
    with torch.no_grad():           # its layers take [N, T, ...]
        return net(x.transpose(0, 1)).transpose(0, 1)


def main(folder: Path) -> None:
    net = network()
    x = 4 * torch.rand(STEPS, SAMPLES, 16)
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "data.npz", x=x.transpose(0, 1), spk=spikes(net, x).transpose(0, 1))
    print(from_torch(net, x, STEPS, folder / "network.onnx", frames=True))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
