"""The accuracy ledger: one line a stage, from the module in training to the golden model."""

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from qsnn_models.files import whole
from qsnn_models.network.qsnn import MEASURED, QSNN, logits_of

from .freeze import FrozenNetwork

Array = NDArray[Any]


Judge = Callable[[Path, Array], Array]      # the scores [N, classes] of a file for inputs [N, ...]
NO_ONNXRUNTIME = "not run: onnxruntime is missing; pip install 'qsnn[import]'"


@dataclass(frozen=True)
class Stage:
    """One stage on the test set.

    Its accuracy (None where it was not run: note why), how many samples' answers differ from those
    of the stage before it that ran, and how many samples' scores differ from the frozen integers'
    (None where the stage has no integers).
    """

    stage: str
    accuracy: float | None
    changed: int | None = None
    differ: int | None = None
    note: str = ""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The stages in order, the answers ``[N]`` of the last that ran, and each spiking layer's mean
    firing rate in the frozen network."""

    stages: tuple[Stage, ...]
    answers: Array
    spike_rates: dict[str, float]


def evaluate(model: QSNN, frozen: FrozenNetwork, path: Path, x: Array, y: Array,
             golden: Judge | None = None, raw: Array | None = None) -> Evaluation:
    """Every stage of one network on inputs *x* (see `data.encode`) and labels *y* ``[N]``.

    *path* is the exported file. Stages: ``training`` (the trained module with the statistics of
    each batch, as it was trained, without dropout), ``qat`` (in evaluation, with those it ends
    with), ``frozen`` (its integers), ``onnx`` (the file in onnxruntime, where that is installed),
    and the file in the *golden* model, where one is given. The file gets *raw* numbers where it
    takes them, *x* then being their codes.
    """
    integers, rates = _frozen(frozen, x)
    inputs = (x if raw is None else raw).reshape(_shape(model, x))
    scores = {"training": _training(model, x), "qat": _qat(model, x), "frozen": integers,
              "onnx": _onnx(path, inputs)}
    if golden is not None:
        scores["golden"] = golden(path, inputs)
    return _evaluation(scores, y, rates, NO_ONNXRUNTIME)


def evaluate_floats(model: QSNN, x: Array, y: Array) -> Evaluation:
    """Only the stages before ``frozen``, for a network that has no integer form; rates are the
    module's."""
    total = torch.zeros(len(model.neurons), dtype=torch.float64)
    scores = []
    with torch.no_grad():
        for part in _batches(x):
            output = model.eval()(part.float())
            scores.append(output.logits)
            total += output.rates * len(part)
    rates = {f"lif{i + 1}": round(rate / len(x), 4) for i, rate in enumerate(total.tolist())}
    stages = {"training": _training(model, x), "qat": torch.cat(scores).numpy(), "frozen": None}
    return _evaluation(stages, y, rates, f"none: {'; '.join(model.refusals())}")


def _evaluation(scores: dict[str, Array | None], y: Array, rates: dict[str, float], note: str
                ) -> Evaluation:
    """The stages of *scores*; *note* is of those that have none."""
    stages, integers = list[Stage](), scores["frozen"]
    answers: Array | None = None
    for name, its in scores.items():
        if its is None:
            stages.append(Stage(name, None, note=note))
            continue
        before, answers = answers, its.argmax(1)
        changed = None if before is None else int((answers != before).sum())
        exact = integers is not None and name in ("onnx", "golden")
        differ = int((its != integers).any(1).sum()) if exact else None
        stages.append(Stage(name, float((answers == y).mean()), changed, differ))
    assert answers is not None
    return Evaluation(tuple(stages), answers, rates)


def confusion(y: Array, answers: Array, classes: int) -> NDArray[np.int64]:
    """How many samples of each class (rows, by labels *y* ``[N]``) got each answer (columns)."""
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (y, answers), 1)
    return counts


def write(path: Path, content: dict[str, Any]) -> None:
    """Write *content* as JSON, whole or not at all."""
    with whole(path) as part:
        part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _shape(model: QSNN, x: Array) -> tuple[int, ...]:
    """The file's input has the network's shape, whether *x* is flat or not."""
    config = model.config
    steps = () if config.coding == "direct" else (config.steps,)
    return (len(x), *steps, *config.structure.shape)


def _batches(x: Array) -> list[torch.Tensor]:
    return [torch.from_numpy(x[at:at + MEASURED]) for at in range(0, len(x), MEASURED)]


def _training(model: QSNN, x: Array) -> Array:
    trained = copy.deepcopy(model).train()      # a batch in training moves the statistics
    trained.dropout = 0.0
    parts = torch.from_numpy(x).tensor_split(-(-len(x) // MEASURED))    # none of a sample or two
    with torch.no_grad():
        return torch.cat([trained(part.float()).logits for part in parts]).numpy()


def _qat(model: QSNN, x: Array) -> Array:
    return logits_of(model.eval(), torch.from_numpy(x)).numpy()


def _frozen(frozen: FrozenNetwork, x: Array) -> tuple[Array, dict[str, float]]:
    scores, totals = [], np.zeros(len(frozen.layers))
    for part in _batches(x):
        batch, spikes = frozen.trace(part)
        scores.append(batch)
        totals += [float(layer.double().mean()) * len(part) for layer in spikes]
    rates = {f"lif{i + 1}": round(float(total) / len(x), 4) for i, total in enumerate(totals)}
    return torch.cat(scores).numpy(), rates


def _onnx(path: Path, x: Array) -> Array | None:
    try:
        import onnxruntime
    except ImportError:
        return None
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    parts = [session.run(None, {"x": part.numpy().astype(np.float32)})[0] for part in _batches(x)]
    return np.concatenate(parts)
