"""Trains networks with their own libraries and exports them, for tests/bench/rounding.py::

    python tests/bench/foreign_networks.py [FOLDER] [NAME ...]

It needs snntorch and spikingjelly beside torch, and writes FOLDER/NAME.onnx (default: ~/.cache/
qsnn/foreign). Two networks are those that the rounding is tuned with, two are kept back. The last
5,000 training images are not trained with: recipes are chosen on them.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import snntorch as snn
import torch
from spikingjelly.activation_based import functional, layer, neuron
from torch import Tensor, nn

from qsnn_models import from_torch
from qsnn_models.data.catalogue import load

FOLDER = Path.home() / ".cache" / "qsnn" / "foreign"
BATCH = 100
HELD_OUT = 5_000


@dataclass(frozen=True)
class Recipe:
    """A network, its data and its training; the seed is that of weights and order."""

    data: str
    shape: tuple[int, ...]
    steps: int
    epochs: int
    build: Callable[[], nn.Module]
    rate: float = 2e-3
    seed: int = 23


def leaky_dense(*sizes: int, beta: float, **options: object) -> nn.Module:
    """Linear layers with snnTorch's Leaky behind each."""
    parts: list[nn.Module] = []
    for number, (before, after) in enumerate(pairwise(sizes), 2 - len(sizes)):
        parts += [nn.Linear(before, after),
                  snn.Leaky(beta=beta, init_hidden=True, output=number == 0, **options)]
    return nn.Sequential(*parts)


def strided_convs(channels: tuple[int, int], spiking: Callable[[], nn.Module]) -> nn.Module:
    """Two 3x3 convolutions of stride 2 with batch norm, and a dense layer, in SpikingJelly."""
    first, second = channels
    return nn.Sequential(
        layer.Conv2d(1, first, 3, 2, 1), layer.BatchNorm2d(first), spiking(),
        layer.Conv2d(first, second, 3, 2, 1), layer.BatchNorm2d(second), spiking(),
        layer.Flatten(), layer.Linear(49 * second, 10), spiking())


RECIPES = {
    "dense": Recipe("mnist", (784,), 10, 15, lambda: leaky_dense(784, 128, 10, beta=0.9)),
    "conv": Recipe("fashion-mnist", (1, 28, 28), 4, 15,
                   lambda: strided_convs((16, 32), neuron.LIFNode)),
    "dense-kept-back": Recipe("fashion-mnist", (784,), 8, 12, lambda: leaky_dense(
        784, 200, 100, 10, beta=0.8, reset_mechanism="zero")),
    "conv-kept-back": Recipe("mnist", (1, 28, 28), 6, 8,
                             lambda: strided_convs((8, 16), lambda: neuron.IFNode(v_reset=None))),
}


def reset(net: nn.Module) -> None:
    functional.reset_net(net)
    for part in net:
        if isinstance(part, snn.Leaky):
            part.reset_mem()


def rates(net: nn.Module, x: Tensor, steps: int) -> Tensor:
    """The spikes of the last layer a step, [N, classes]."""
    reset(net)
    outputs = [net(x) for _ in range(steps)]
    return sum(out[0] if isinstance(out, tuple) else out for out in outputs) / steps


def trained(recipe: Recipe, x: Tensor, y: Tensor) -> nn.Module:
    """The network after its epochs of Adam, cosine rate."""
    torch.manual_seed(recipe.seed)
    net = recipe.build()
    optimiser = torch.optim.Adam(net.parameters(), recipe.rate)
    turns = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2 * recipe.rate, recipe.epochs
                                                * (len(x) // BATCH))
    for epoch in range(recipe.epochs):
        total = 0.0
        for rows in torch.randperm(len(x))[:len(x) // BATCH * BATCH].split(BATCH):
            loss = nn.functional.cross_entropy(10 * rates(net, x[rows], recipe.steps), y[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            turns.step()
            total += loss.item()
        print(f"epoch {epoch + 1}: loss {total * BATCH / len(x):.4f}", flush=True)
    return net.eval()


def images(pixels: object, shape: tuple[int, ...]) -> Tensor:
    return torch.tensor(pixels).reshape(-1, *shape) / 255


def accuracy(net: nn.Module, x: Tensor, y: Tensor, steps: int) -> float:
    """In %."""
    with torch.no_grad():
        answers = torch.cat([rates(net, part, steps).argmax(1) for part in x.split(1000)])
    return 100 * float((answers == y).float().mean())


def make(name: str, folder: Path) -> None:
    recipe = RECIPES[name]
    data = load(recipe.data)
    x = images(data.train_x[:-HELD_OUT], recipe.shape)
    y = torch.tensor(data.train_y[:-HELD_OUT]).long()
    net = trained(recipe, x, y)
    test = images(data.test_x, recipe.shape), torch.tensor(data.test_y).long()
    print(f"{name}: {accuracy(net, *test, recipe.steps):.2f} %")
    reset(net)
    folder.mkdir(parents=True, exist_ok=True)
    print(from_torch(net, x[:8], recipe.steps, folder / f"{name}.onnx"))


if __name__ == "__main__":
    into = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    for chosen in sys.argv[2:] or RECIPES:
        make(chosen, into)
