"""`qsnn check` of a file of our own: its integers by onnxruntime and by the golden model."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qsnn_compile import ir
from qsnn_compile.dialect.reader import import_onnx
from qsnn_compile.loader.nodes import load
from qsnn_compile.reals.calibrate import read_data, read_labels
from qsnn_compile.reals.float_model import DataError

from .check import Golden
from .source_runtime import onnxruntime_engine

Array = NDArray[Any]


@dataclass(frozen=True)
class OwnCheck:
    """What a file of our own answers to ``samples``: of how many the scores of onnxruntime and the
    golden model differ, of how many the classes; the ``accuracy`` of each where the data hold y."""

    model: str
    samples: int
    scores_differ: int
    classes_differ: int
    accuracy: dict[str, float] | None

    @property
    def good(self) -> bool:
        """Both say the same of every sample."""
        return not self.scores_differ


def check_own(model: str | Path, data: str | Path, golden: Golden) -> OwnCheck:
    """Run the file *model* by onnxruntime and by the *golden* model on ``x`` of *data*: real
    numbers or codes, as the file takes them. Raises QsnnError."""
    graph, x = import_onnx(model), read_data(data)
    y = read_labels(data, len(x))
    try:
        codes = graph.input.quantise(x, graph.steps)
    except ir.IrError as error:
        raise DataError(f"{data}: {error}") from None
    reals = graph.input.takes == "reals" and x.dtype != np.uint8
    if graph.input.takes == "reals" and not reals:
        raise DataError(f"{data}: x must be real numbers, as {model} takes them, not codes (uint8);"
                        " store them as float32")
    scores = _scores(model, graph, x.reshape(codes.shape) if reals else codes)
    result = golden(graph, codes)
    classes = scores.argmax(1)
    right = None if y is None else {"onnxruntime": float((classes == y).mean()),
                                    "golden": float((result.classes == y).mean())}
    return OwnCheck(str(model), len(x), int((scores != result.scores).any(1).sum()),
                    int((classes != result.classes).sum()), right)


def _scores(model: str | Path, graph: ir.Graph, x: Array) -> Array:
    """What onnxruntime says of *x*, some samples at a time."""
    file = load(model)
    if file.metadata.get("qsnn.shape") == "step":
        raise DataError(f"{model}: must hold all steps to be checked, not one; export it with "
                        "shape=\"scan\"")
    run, x = onnxruntime_engine(file.model), x.astype(np.float32)
    parts = [run({graph.input.name: x[start:start + 500]})["scores"]
             for start in range(0, len(x), 500)]
    return np.concatenate(parts)
