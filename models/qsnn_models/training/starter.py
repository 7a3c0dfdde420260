"""A commented configuration file to begin from, made for the data at hand."""

import json
import re

from qsnn_models import data
from qsnn_models.data import own

SMALLEST = 8            # pixels of a side, for convolutions
NETWORK = {
    "name": "files are named after it",
    "layers": "input-hidden-…-classes: N neurons, NR recurrent, 16C3s2 convolutions, P2 pools",
    "steps": "T: time steps an inference takes",
    "weight_bits": "one width, or one a layer: 1, 2 … 8",
    "membrane_bits": "of a stored membrane: 2 … 16, 0 for none",
    "coding": "direct: the same input at every step; spikes: a frame a step",
    "input_bits": "of an input's code",
    "decay": "(m, q): m / 2^q of a membrane is kept from step to step",
    "readout": "potential: the sum of the last layer's currents; count: of its spikes",
}
TRAINING = {
    "data": "",
    "test": "its test part; left out, a share of every class is kept back",
    "epochs": "passes over the training part",
    "batch": "samples an update",
    "learning_rate": "falls to 0 along a cosine",
    "dropout": "the share of neurons that is absent, a batch",
    "augment": "words joined by +",
    "rate_weight": "how much target_rate counts; 0: not at all",
    "target_rate": "the firing rate to reach; a low one saves energy",
    "optimizer": "adam, adamw or sgd",
    "weight_decay": "of the latent weights",
    "loss": "auto, or tet: each step's own",
    "holdout": "training samples only measured; a sweep is judged by them",
    "seed": "of everything random",
}
WORDS = {"images": "shift1, crop4, flip, cutout8, mixup2", "frames": "shift1, flip",
         "series": "time2, gain10, mixup2", "values": "gain10, mixup2"}


def starter(name: str, path: str, dataset: data.Dataset, test: str = "") -> str:
    """The text of a configuration file for network *name* on the data *dataset* at *path*, with
    what each field means; it trains as it is, and is small."""
    form = _form(dataset)
    network = {"name": re.sub(r"[^\w.-]|^[.-]", "_", name, flags=re.ASCII),
               **_network(dataset, form)}
    training = {"data": path, **({"test": test} if test else {}), "epochs": 20, "batch": 64,
                "learning_rate": 5e-3, "dropout": 0.0, "augment": "", "rate_weight": 0.5,
                "target_rate": 0.15, "optimizer": "adam", "weight_decay": 0.0, "loss": "auto",
                "holdout": 0, "seed": 1}
    notes = TRAINING | {"data": _said(dataset, form),
                        "augment": f"{TRAINING['augment']}: {WORDS[form]}"}
    return "\n".join([
        f"# qsnn train {name}.toml         docs/data.md, docs/training.md", "", "[network]",
        *_lines(network, NETWORK), "", "[training]", *_options(path), *_lines(training, notes), ""])


def _form(dataset: data.Dataset) -> str:
    if dataset.steps:
        return "frames" if len(dataset.shape) == 3 else "series"
    return "images" if len(dataset.shape) == 3 else "values"


def _network(dataset: data.Dataset, form: str) -> dict[str, object]:
    """Fields of a small network for *dataset*."""
    image = len(dataset.shape) == 3 and min(dataset.shape[1:]) >= SMALLEST
    hidden = "16C3s2-32C3s2" if image else "64-32"
    shape = "x".join(map(str, dataset.shape))
    frames = form in ("frames", "series")
    return {"layers": f"{shape}-{hidden}-{dataset.classes}",
            "steps": dataset.steps if frames else 4, "weight_bits": [8, 1, 8], "membrane_bits": 4,
            "coding": "spikes" if frames else "direct",
            "input_bits": 8 if dataset.real else dataset.bits,
            "decay": [15, 4] if frames else [1, 1], "readout": "potential"}


def _said(dataset: data.Dataset, form: str) -> str:
    names = ", ".join(dataset.names[:8]) + ", …" * (len(dataset.names) > 8)
    size = " x ".join(map(str, dataset.shape))
    steps = f"{dataset.steps} steps of " if dataset.steps else ""
    return (f"{len(dataset.train_y):,} to train on, {len(dataset.test_y):,} for testing: "
            f"{steps}{size} {'numbers' if dataset.real else 'bytes'}, {dataset.classes} classes"
            + f" ({names})" * bool(names))


def _options(path: str) -> list[str]:
    """Comments on what may stand behind the path."""
    base = path.partition("?")[0]
    known = data.CATALOGUE[base.partition(":")[0]].options if data.is_listed(path) else \
        own.kind_of(data.place_of(base)).options
    if not known:
        return []
    return [f"# options: {base}?{'&'.join(f'{k}={_plain(v)}' for k, v in known.items())}"]


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _lines(values: dict[str, object], notes: dict[str, str]) -> list[str]:
    lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in values.items()]
    wide = max(map(len, lines)) if max(map(len, lines)) < 40 else 40
    return [f"{line:{wide}}   # {notes[key]}" for line, key in zip(lines, values, strict=True)]
