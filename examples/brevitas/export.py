"""A network of Brevitas' 4-bit layers and snnTorch's neurons to QONNX: python export.py [FOLDER],
then qsnnc FOLDER/network.onnx.

pip install torch onnx onnxscript onnxoptimizer qonnx snntorch brevitas

One step with its states as inputs and outputs: qsnnc repeats it. onnxruntime doesn't know QONNX.
"""

import sys
from pathlib import Path

import brevitas.nn as qnn
import numpy as np
import onnx
import snntorch as snn
import torch
from brevitas.export import export_qonnx
from torch import Tensor, nn

STEPS, SAMPLES = 8, 8


class Step(nn.Module):
    """16-12-4; yours is trained."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = qnn.QuantLinear(16, 12, bias=False, weight_bit_width=4)
        self.lif1 = snn.Leaky(beta=0.875)
        self.fc2 = qnn.QuantLinear(12, 4, bias=False, weight_bit_width=4)
        self.lif2 = snn.Leaky(beta=0.875, threshold=0.5)

    def forward(self, x: Tensor, mem1: Tensor, mem2: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        spk1, mem1 = self.lif1(self.fc1(x), mem1)
        spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
        return spk2, mem1, mem2


def spikes(net: Step, x: Tensor) -> Tensor:
    """As the libraries run it: x [T, N, 16] -> [T, N, 4]."""
    answers, state = [], (torch.zeros(SAMPLES, 12), torch.zeros(SAMPLES, 4))
    with torch.no_grad():
        for frame in x:
            spk, *state = net(frame, *state)
            answers.append(spk)
    return torch.stack(answers)


def main(folder: Path) -> None:
    torch.manual_seed(1)
    net = Step().eval()
    x = 4 * torch.rand(STEPS, SAMPLES, 16)
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "data.npz", x=x.transpose(0, 1), spk=spikes(net, x).transpose(0, 1))
    first = (torch.zeros(1, 16), torch.zeros(1, 12), torch.zeros(1, 4))
    export_qonnx(net, first, export_path=str(folder / "network.onnx"), dynamo=False,
                 input_names=["x", "mem1", "mem2"], output_names=["spk", "mem1_out", "mem2_out"])
    onnx.checker.check_model(str(folder / "network.onnx"))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
