"""What a training loop of one's own gains by two lines: held-out accuracy, with and without::

    python tests/bench/own_loop.py        # Fashion-MNIST, 784-128-10, 3 seeds: 15 minutes

``parameter_groups``: membrane steps and offsets learn faster than weights. ``progress``: 1-bit
``weights="scheduled"`` hear how far the training is. 5,000 training images are held out.
"""

import sys
from statistics import mean, stdev

import torch
import torch.nn.functional as F

from qsnn_models import LIF, QDense, data, network_of, parameter_groups, progress, settle

SEEDS, EPOCHS, BATCH, RATE, IMAGES, HELD = (1, 2, 3), 8, 100, 3e-3, 25_000, 5_000
ROWS = (("membrane of 3 bits, Adam(net.parameters())", "standardised", False, False),
        ("membrane of 3 bits, Adam(parameter_groups(net))", "standardised", True, False),
        ("scheduled weights without progress", "scheduled", True, False),
        ("scheduled weights with progress", "scheduled", True, True))


def trained(seed: int, weights: str, groups: bool, tells: bool) -> float:
    """The held-out accuracy in % of one run."""
    images = data.load("fashion-mnist", None)
    x, y = torch.from_numpy(images.train_x[:IMAGES]).float(), torch.from_numpy(images.train_y)
    torch.manual_seed(seed)
    net = network_of([QDense(784, 128, weights=weights), LIF(128, bits=3), QDense(128, 10)],
                     (784,), steps=4)
    optimizer = torch.optim.Adam(parameter_groups(net, RATE) if groups else net.parameters(), RATE)
    kept = len(x) - HELD
    batches = kept // BATCH * EPOCHS
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, batches)
    for number in range(batches):
        if tells:
            progress(net, number / batches)
        if number % (kept // BATCH) == 0:
            order = torch.randperm(kept)
        chosen = order[number % (kept // BATCH) * BATCH:][:BATCH]
        optimizer.zero_grad()
        F.cross_entropy(net(x[chosen]).logits, y[chosen].long()).backward()
        optimizer.step()
        schedule.step()
    settle(net, x[:kept])
    with torch.no_grad():
        answers = net.eval()(x[kept:]).logits.argmax(1)
    return 100 * (answers == y[kept:len(x)]).float().mean().item()


def main() -> None:
    """Print a line a row."""
    for name, *options in ROWS:
        results = [trained(seed, *options) for seed in SEEDS]
        print(f"{name:50} {mean(results):.2f} ± {stdev(results):.2f}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
