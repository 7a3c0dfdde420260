"""The networks that ``qsnn train`` knows by name, each with the recipe its zoo file came from.

One without a file there has its ledgers in docs/results/reach, is a step towards another
(nmnist-saccades) or is measured in docs/results.md alone (mnist-rows)."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from qsnn_models import data
from qsnn_models.data.labelled import Array
from qsnn_models.errors import ModelsError
from qsnn_models.network.qsnn import NetworkConfig

from .fitting import fitted, inputs
from .train import TrainConfig

UNKNOWN = "by the user: a file, or options of the command"
BY_HAND = ("by hand; how is not recorded. No images were held out, and test accuracies of earlier "
           "recipes were known: this one may be a little too good")
INSIDE = ("by cross-validation inside the 800 training recordings of fold 0, which are in the "
          "other folds' tests; test accuracies of an earlier recipe were known")


@dataclass(frozen=True)
class Recipe:
    """A network and how it is trained; ``chosen``: how its numbers were, for the ledger."""

    network: NetworkConfig
    config: TrainConfig
    chosen: str = field(default=UNKNOWN, compare=False)

    def load(self, folder: str | Path | None = None) -> data.Dataset:
        """Its data set, see `data.load`."""
        its = {"test_data": self.config.test} if self.config.test else {}
        return data.load(self.config.data, folder, **its)

    def fitted(self, dataset: data.Dataset) -> "Recipe":
        """The recipe with its network fitted to *dataset*, see `fitting.fitted`."""
        return replace(self, network=fitted(self.network, dataset))

    def inputs(self, values: Array) -> data.Bytes:
        """*values* of its data set as its network takes them, see `fitting.inputs`."""
        return inputs(self.network, values)


EVENTS = NetworkConfig("nmnist_subset", "2x17x17-32C3s2-64C3s2-10", steps=6, weight_bits=(8, 1, 8),
                       coding="spikes", input_bits=2, input_scale=1.0)

RECIPES = {
    "fashion-mnist-mlp": Recipe(
        NetworkConfig("fashion_mnist_mlp", "784-256-256-10"),
        TrainConfig("fashion-mnist", epochs=30, dropout=0.1), BY_HAND),
    "fashion-mnist-mlp-soft": Recipe(
        NetworkConfig("fashion_mnist_mlp_soft", "784-256-256-10", weights="scheduled",
                      reset="soft", decay=(1, 0)),
        TrainConfig("fashion-mnist", epochs=20, batch=256, learning_rate=5e-3, dropout=0.1),
        BY_HAND),
    "mnist-mlp": Recipe(
        NetworkConfig("mnist_mlp", "784-128-10", weights="scheduled", reset="soft", decay=(1, 0)),
        TrainConfig("mnist", epochs=60, batch=256, learning_rate=8e-3, dropout=0.0,
                    label_smoothing=0.0, augment="shift1"), BY_HAND),
    "fashion-mnist-conv": Recipe(
        NetworkConfig("fashion_mnist_conv", "1x28x28-32C3-P2-64C3s2-128C3s2-10", steps=2,
                      weight_bits=(8, 1, 1, 8)),
        TrainConfig("fashion-mnist", epochs=36, learning_rate=2.5e-3, dropout=0.0,
                    target_rate=0.2, rate_weight=6.0, augment="shift1+flip"), BY_HAND),
    "fashion-mnist-small-conv": Recipe(
        NetworkConfig("fashion_mnist_small_conv", "1x28x28-16C3s2-32C3s2-10", steps=4,
                      weight_bits=(4, 1, 1)),
        TrainConfig("fashion-mnist", epochs=10, learning_rate=4e-3, dropout=0.0, target_rate=0.2,
                    rate_weight=2.0, augment="flip"), BY_HAND),
    "mnist-conv": Recipe(
        NetworkConfig("mnist_conv", "1x28x28-32C3-P2-64C3s2-128C3s2-10", steps=2,
                      weight_bits=(8, 1, 1, 8), membrane_bits=2),
        TrainConfig("mnist", epochs=26, learning_rate=2.5e-3, dropout=0.0, target_rate=0.2,
                    rate_weight=6.0, augment="shift1"), BY_HAND),
    "mnist-rows": Recipe(
        NetworkConfig("mnist_rows", "28-128-128-10", steps=28, weight_bits=(8, 1, 8),
                      coding="spikes", decay=(14, 4), learn_decay=True),
        TrainConfig("mnist-rows", epochs=20, batch=256, learning_rate=5e-3, dropout=0.0,
                    rate_weight=0.2), BY_HAND),
    # on the simulated camera, without the digits of the genuine recordings; then on those
    "nmnist-saccades": Recipe(
        replace(EVENTS, name="nmnist_saccades"),
        TrainConfig("mnist-saccades?steps=6&bits=2&skip=1000&train=16000&test=500&jitter=0.2",
                    epochs=8, batch=64, learning_rate=5e-3, dropout=0.0, rate_weight=0.5), BY_HAND),
    "nmnist-subset": Recipe(
        EVENTS,
        TrainConfig("nmnist-subset:0?steps=6&bits=2&pool=2", epochs=24, batch=64, dropout=0.0,
                    rate_weight=0.5, augment="shift1",
                    start="runs/nmnist_saccades.checkpoint.pt"), INSIDE),
    "spoken-digits": Recipe(
        NetworkConfig("spoken_digits", "72-128-128-10", steps=25, weight_bits=4, membrane_bits=8,
                      coding="spikes", input_bits=4, input_scale=1 / 15, decay=(15, 4)),
        TrainConfig("spoken-digits", epochs=20, batch=64, learning_rate=5e-3,
                    augment="time1+band1"), BY_HAND),
}


def recipe(name: str) -> Recipe:
    """The recipe called *name*. Raises ModelsError naming those there are."""
    if name not in RECIPES:
        raise ModelsError(f"network must be one of {', '.join(RECIPES)}, not {name!r}")
    return RECIPES[name]
