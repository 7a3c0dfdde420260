"""A network of Norse to ONNX: python export.py [FOLDER], then qsnnc FOLDER/network.onnx.

pip install torch onnx onnxscript onnxruntime norse
"""

import sys
from pathlib import Path

import numpy as np
import torch
from norse.torch import LIFBoxCell, LIFBoxParameters, SequentialState
from torch import nn

from qsnn_models import from_torch

STEPS, SAMPLES = 8, 8


def network() -> nn.Module:
    """16-12-4; yours is trained."""
    torch.manual_seed(10)
    neurons = [LIFBoxParameters(tau_mem_inv=torch.tensor(250.0), v_th=torch.tensor(threshold))
               for threshold in (0.25, 0.0625)]
    return SequentialState(nn.Linear(16, 12), LIFBoxCell(neurons[0]),
                           nn.Linear(12, 4), LIFBoxCell(neurons[1]))


def spikes(net: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """As the library runs it: x [T, N, 16] -> [T, N, 4]."""
    answers, state = [], None
    with torch.no_grad():
        for frame in x:
            spk, state = net(frame, state)
            answers.append(spk)
    return torch.stack(answers)


def main(folder: Path) -> None:
    net = network()
    x = 4 * torch.rand(STEPS, SAMPLES, 16)
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "data.npz", x=x.transpose(0, 1), spk=spikes(net, x).transpose(0, 1))
    print(from_torch(net, x, STEPS, folder / "network.onnx", frames=True))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
