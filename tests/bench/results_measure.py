"""One run of docs/results.md: train, freeze, and count what the network does on the test set."""

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import qsnn_compile
from qsnn_compile.ir import Graph
from qsnn_compile.system.errors import QsnnError
from qsnn_models import data
from qsnn_models.export.freeze import freeze
from qsnn_models.export.onnx_export import save
from qsnn_models.network.notation import ConvLayer, DenseLayer, Layer
from qsnn_models.network.qsnn import QSNN
from qsnn_models.training.recipes import Recipe
from qsnn_models.training.summary import membrane_parts, weight_parts
from qsnn_models.training.train import train
from qsnn_sim.golden import golden
from qsnn_sim.measure.data import Build, Samples
from qsnn_sim.measure.measure import measure, summary

Array = NDArray[Any]
Play = Callable[[Array], tuple[Array, list[Array]]]
BATCH = 500
ON_CHIP = 1000          # samples whose clocks the cycle model counts


def run(recipe: Recipe, dataset: data.Dataset) -> dict[str, Any]:
    """Train *recipe* on *dataset* and measure it on the whole test set: a line of docs/results."""
    network, config = recipe.network, recipe.config
    train_x, test_x = recipe.inputs(dataset.train_x), recipe.inputs(dataset.test_x)
    start = time.process_time()
    model = train(network, config, train_x, dataset.train_y)
    seconds = time.process_time() - start
    torch.set_num_threads(1)
    return {"network": asdict(network), "training": asdict(config),
            "test": f"{config.data}, all {len(test_x):,} test images",
            **figures(model, test_x, dataset.test_y), **memory(model),
            "train_cpu_seconds": round(seconds, 1), "torch": torch.__version__}


def figures(model: QSNN, x: Array, y: Array) -> dict[str, Any]:
    """Accuracy, rates and synaptic operations on all of *x*: the golden model's where the network
    has an integer form, else torch's; the energy of an inference on UP5K where it has a machine."""
    reasons = model.refusals()
    if reasons:
        return {"judge": "torch", **counted(model, torch_play(model), x, y),
                "energy_nj": None, "clocks": None, "refused": "; ".join(reasons)}
    graph = freeze(model).graph()
    return {"judge": "golden", **counted(model, golden_play(graph), x, y), **on_chip(graph, x)}


def counted(model: QSNN, play: Play, x: Array, y: Array) -> dict[str, Any]:
    """Per layer: the mean firing rate, and the synaptic operations of an inference."""
    structure, steps = model.config.structure, model.config.steps
    hits, spikes, operations = 0, np.zeros(len(model.neurons)), np.zeros(len(structure.layers))
    for start in range(0, len(x), BATCH):
        part = x[start:start + BATCH]
        classes, trains = play(part)
        hits += int((classes == y[start:start + BATCH]).sum())
        spikes += [np.count_nonzero(train) for train in trains]
        frames = part.reshape(len(part), -1, *structure.shape)
        operations += synaptic_operations(structure.layers, [frames, *trains])
    neurons = np.array([np.prod(layer.shape) for layer in structure.layers])[:len(spikes)]
    return {"accuracy": hits / len(x),
            "rate": float(spikes.sum() / (len(x) * steps * neurons.sum())),
            "rates": [round(rate, 5) for rate in (spikes / (len(x) * steps * neurons)).tolist()],
            "operations": [round(count, 1) for count in (operations / len(x)).tolist()]}


def golden_play(graph: Graph) -> Play:
    """Classes ``[N]`` and spikes ``[N, T, ...]`` of each spiking layer, of the integers."""
    def play(x: Array) -> tuple[Array, list[Array]]:
        result = golden.run(graph, x, record="spikes")
        return result.classes, list(result.spikes.values())
    return play


def torch_play(model: QSNN) -> Play:
    """The same of the module in evaluation, for a network that has no integers."""
    def play(x: Array) -> tuple[Array, list[Array]]:
        result: list[torch.Tensor] = []
        hooks = [block.register_forward_hook(lambda _, __, out: result.append(out.spikes))
                 for block in model.blocks]
        with torch.no_grad():
            classes = model.eval()(torch.from_numpy(x).float()).logits.argmax(1)
        for hook in hooks:
            hook.remove()
        steps = model.config.steps
        return classes.numpy(), [spikes.expand(steps, *spikes.shape[1:]).transpose(0, 1).numpy()
                                 for spikes in result]
    return play


def synaptic_operations(layers: Sequence[Layer], trains: Sequence[Array]) -> list[float]:
    """For each layer Σ over its active inputs ``[N, T, ...]`` of the weights that each meets.

    A direct-coded input has one frame: its currents are the same at every step, and made once.
    """
    return [float((np.count_nonzero(train, axis=(0, 1)) * fan_out(layer)).sum()) +
            feedback(layer, trains[index + 1:])
            for index, (layer, train) in enumerate(zip(layers, trains, strict=False))]


def fan_out(layer: Layer) -> Array:
    """The weights that an active input of *layer* meets, by its place ``[1]`` or ``[1, H, W]``."""
    if isinstance(layer, DenseLayer):
        return np.array([layer.outputs])
    rows, columns = (_windows(layer, axis) for axis in (1, 2))
    fans: Array = np.outer(rows, columns)[None] * (layer.outputs // layer.groups)
    return fans + layer.residual


def _windows(layer: ConvLayer, axis: int) -> Array:
    """How many windows hold each place along *axis*."""
    padding, stride, kernel = (size[axis - 1] for size in (
        layer.padding, layer.stride, layer.kernel))
    count = np.zeros(layer.source[axis] + 2 * padding, dtype=np.int64)
    for start in range(layer.current[axis]):
        count[start * stride:start * stride + kernel] += 1
    return count[padding:padding + layer.source[axis]]


def feedback(layer: Layer, own: Sequence[Array]) -> float:
    """A recurrent layer's spikes meet its weights once more, but for those of the last step."""
    if isinstance(layer, DenseLayer) and layer.recurrent:
        return float(np.count_nonzero(own[0][:, :-1]) * layer.outputs)
    return 0.0


def memory(model: QSNN) -> dict[str, int]:
    """Bits of the weights and of the stored membranes."""
    return {"weight_bits": sum(count * bits for count, bits in weight_parts(model)),
            "membrane_bits": sum(count * bits for count, bits in membrane_parts(model))}


def on_chip(graph: Graph, x: Array) -> dict[str, Any]:
    """Energy and clocks of an inference on UP5K, the mean of the first samples; None with the
    reason where the compiler refuses the network."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        save(graph, path)
        try:
            qsnn_compile.compile(path, target="ice40", output=f"{folder}/build")
        except QsnnError as error:
            return {"energy_nj": None, "clocks": None,
                    "refused": str(error).removeprefix(f"{path}: ")}
        build = Build.load(f"{folder}/build")
    samples = Samples(x[:ON_CHIP], None)
    summed = summary(build, samples, measure(build, samples))
    return {"energy_nj": round(summed["energy_nj"]["total"], 1),
            "clocks": round(summed["clocks_with_input"]["mean"], 1), "refused": ""}
