"""The accuracy ledger: one line a stage, from the trained floats to the file in onnxruntime."""

import json
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


@dataclass(frozen=True)
class Stage:
    """One stage's accuracy on the test set, and how many samples' scores differ from the frozen
    integers' (None where the stage has no integers, or was not run: accuracy None, note why)."""

    stage: str
    accuracy: float | None
    differ: int | None = None
    note: str = ""


@dataclass(frozen=True)
class Evaluation:
    """The stages in order, and each spiking layer's mean firing rate in the frozen network."""

    stages: tuple[Stage, ...]
    spike_rates: dict[str, float]


def evaluate(model: QSNN, frozen: FrozenNetwork, path: Path, x: Array, y: Array) -> Evaluation:
    """Every stage of one network on inputs *x* (see `data.encode`) and labels *y* ``[N]``.

    *path* is the exported file. Stages: ``qat`` (the trained module in evaluation), ``frozen``
    (its integers), ``onnx`` (the file in onnxruntime, where that is installed).
    """
    integers, rates = _frozen(frozen, x)
    stages = [Stage("qat", _accuracy(_qat(model, x), y)), Stage("frozen", _accuracy(integers, y))]
    scores = _onnx(path, x.reshape(_shape(model, x)))
    if scores is None:
        note = "not run: onnxruntime is missing; pip install 'qsnn[import]'"
        stages.append(Stage("onnx", None, None, note))
    else:
        differ = int((scores != integers).any(1).sum())
        stages.append(Stage("onnx", _accuracy(scores, y), differ))
    return Evaluation(tuple(stages), rates)


def evaluate_floats(model: QSNN, x: Array, y: Array) -> Evaluation:
    """Only the ``qat`` stage, for a network that has no integer form; rates are the module's."""
    total = torch.zeros(len(model.neurons), dtype=torch.float64)
    scores = []
    with torch.no_grad():
        for part in _batches(x):
            output = model.eval()(part.float())
            scores.append(output.logits)
            total += output.rates * len(part)
    note = f"none: {'; '.join(model.refusals())}"
    accuracy = _accuracy(torch.cat(scores).numpy(), y)
    rates = {f"lif{i + 1}": round(rate / len(x), 4) for i, rate in enumerate(total.tolist())}
    return Evaluation((Stage("qat", accuracy), Stage("frozen", None, None, note)), rates)


def write(path: Path, content: dict[str, Any]) -> None:
    """Write *content* as JSON, whole or not at all."""
    with whole(path) as part:
        part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _shape(model: QSNN, x: Array) -> tuple[int, ...]:
    """The file's input has the network's shape, whether *x* is flat or not."""
    config = model.config
    steps = () if config.coding == "direct" else (config.steps,)
    return (len(x), *steps, *config.structure.shape)


def _accuracy(scores: Array, y: Array) -> float:
    return float((scores.argmax(1) == y).mean())


def _batches(x: Array) -> list[torch.Tensor]:
    return [torch.from_numpy(x[at:at + MEASURED]) for at in range(0, len(x), MEASURED)]


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
