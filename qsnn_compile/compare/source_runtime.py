"""The source model run by its own runtime: onnxruntime, qonnx's executor, or NIR's equations."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from qsnn_compile.foreign.nir.euler import run_nir
from qsnn_compile.foreign.nir.file import is_nir
from qsnn_compile.foreign.nir.options import Told
from qsnn_compile.foreign.onnx.trace.blocks import Sym
from qsnn_compile.foreign.onnx.trace.inputs import (
    Dims,
    dims_of,
    first_sample,
    input_among,
    input_block,
    sizes,
)
from qsnn_compile.foreign.onnx.trace.interpreter import Interpreter
from qsnn_compile.foreign.onnx.trace.step import pair_states
from qsnn_compile.foreign.onnx.trace.trace import Trace
from qsnn_compile.loader.model import inlined, load_model
from qsnn_compile.reals.normal_form import Network
from qsnn_compile.reals.shapes import shapes
from qsnn_compile.system.errors import QsnnError

Array = NDArray[Any]
Feed = Mapping[str, Array]
Engine = Callable[[Feed], dict[str, Array]]
EQUATIONS = "NIR's equations"   # no library's runtime: our reading of the file


class SourceError(QsnnError):
    """The source's own runtime can't run it on these data."""


def run_source(path: str | Path, network: Network, x: Array, said: Told) -> tuple[str, Array]:
    """The runtime's name, and the source's answers [N, T, *shape] on *x* [N, T, *input_shape];
    NIR's equations are stepped as *said*."""
    if is_nir(path):
        return EQUATIONS, run_nir(path, x, said)
    model = load_model(path)
    name, engine = _engine(path, model)
    model = inlined(model)
    known = {tensor.name for tensor in model.graph.initializer}
    inputs = {value.name: dims_of(value) for value in model.graph.input if value.name not in known}
    types = {value.name: _type(value) for value in model.graph.input}
    if len(inputs) == 1 or any(node.op_type in ("Loop", "Scan") for node in model.graph.node):
        source = next(iter(inputs)) if len(inputs) == 1 else _scanned(model, inputs)
        answers = [_whole(engine, sample, source, inputs, types, network) for sample in x]
    else:
        source, pairs, answer = _states(model, inputs, str(path))
        answers = [_stepped(engine, sample, source, pairs, answer, inputs, types) for sample in x]
    return name, np.stack(answers)


def _engine(path: str | Path, model: onnx.ModelProto) -> tuple[str, Engine]:
    """The runtime's name, and the runtime. What it refuses is a SourceError, whatever it raises."""
    domains = {node.domain for node in model.graph.node}
    ours = any(domain.startswith(("qonnx", "finn", "onnx.brevitas")) for domain in domains)
    name, make = ("qonnx", _qonnx) if ours else ("onnxruntime", onnxruntime_engine)
    with refusals(path, name):
        engine = make(model)

    def run(feed: Feed) -> dict[str, Array]:
        with refusals(path, name):
            return engine(feed)
    return name, run


@contextmanager
def refusals(path: str | Path, name: str) -> Iterator[None]:
    """Whatever the runtime *name* raises as a SourceError about the file *path*."""
    try:
        yield
    except ModuleNotFoundError:
        raise
    except Exception as error:                      # theirs, of any class, Exception itself too
        text = " ".join(str(error).split()) or type(error).__name__
        raise SourceError(f"{path}: {name} must run the model, not refuse it: {text:.300}; "
                          f"update {name}") from error


def onnxruntime_engine(model: onnx.ModelProto) -> Engine:
    """*model* in onnxruntime."""
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    # Fused with DequantizeLinear, a MatMul would round its activations to 8 bits.
    options.add_session_config_entry("session.qdq_matmulnbits_accuracy_level", "1")
    session = onnxruntime.InferenceSession(model.SerializeToString(), options,
                                           providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]

    def run(feed: Feed) -> dict[str, Array]:
        return dict(zip(names, session.run(names, dict(feed)), strict=True))
    return run


def _qonnx(model: onnx.ModelProto) -> Engine:
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.core.onnx_exec import execute_onnx
    from qonnx.transformation.infer_shapes import InferShapes
    made = ModelWrapper(model).transform(InferShapes())

    def run(feed: Feed) -> dict[str, Array]:
        return dict(execute_onnx(made, dict(feed)))
    return run


def _type(value: onnx.ValueInfoProto) -> np.dtype[Any]:
    return np.dtype(onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type))


def _states(model: onnx.ModelProto, inputs: Mapping[str, Dims], file: str
            ) -> tuple[str, dict[str, str], str]:
    """The input that is x, which output carries which state on, and the answer's output."""
    trace, blocks, env = Trace(), {}, {}
    for name, dims in inputs.items():
        shape = sizes(dims, 1)
        same = len(shape) > 1 and shape[0] > 1 and all(
            other[:1] == dims[:1] for other in inputs.values())
        blocks[name], env[name] = input_block(trace, shape, 0 if same else None)
    values = Interpreter(trace, file).run(model.graph, dict(env))
    outputs = {value.name: first_sample(array)
               for value, array in zip(model.graph.output, values, strict=True)}
    pairs = pair_states(trace, blocks, outputs)
    left = [name for name in inputs if name not in pairs]
    if len(left) != 1:
        left = input_among(trace, blocks, left or inputs) or list(inputs)[:1]
        pairs = {name: out for name, out in pairs.items() if name not in left}
    free = [name for name, value in outputs.items()
            if name not in pairs.values() and isinstance(value, Sym)]
    return left[0], pairs, (free or list(outputs))[0]


def _scanned(model: onnx.ModelProto, inputs: Mapping[str, Dims]) -> str:
    """The input over which a Scan or Loop runs: the others start its states."""
    carried = {name for node in model.graph.node if node.op_type in ("Loop", "Scan")
               for name in node.input[-_scan_inputs(node):]}
    fed = [name for name in inputs if name in carried]
    return (fed or list(inputs)[:1])[0]


def _scan_inputs(node: onnx.NodeProto) -> int:
    return next((int(a.i) for a in node.attribute if a.name == "num_scan_inputs"), 1)


def _stepped(engine: Engine, sample: Array, source: str, pairs: Mapping[str, str], answer: str,
             inputs: Mapping[str, Dims], types: Mapping[str, np.dtype[Any]]) -> Array:
    state = {name: np.zeros(sizes(dims, 1), types[name])
             for name, dims in inputs.items() if name != source}
    answers = []
    shape = sizes(inputs[source], 1)
    for frame in sample:
        tiled = np.broadcast_to(frame.reshape(-1), (int(np.prod(shape)) // frame.size, frame.size))
        outputs = engine({source: tiled.reshape(shape).astype(types[source]), **state})
        state = {name: outputs[out] for name, out in pairs.items()}
        answers.append(outputs[answer][0] if outputs[answer].ndim > 1 else outputs[answer])
    return np.stack(answers)


def _whole(engine: Engine, sample: Array, source: str, inputs: Mapping[str, Dims],
           types: Mapping[str, np.dtype[Any]], network: Network) -> Array:
    """All steps in one call: of its outputs, the first that has an answer for every step."""
    steps = len(sample)
    data = sample if network.coding == "frames" else sample[:1]
    shape = _filled(inputs[source], data.size, steps if network.coding == "frames" else 1)
    feed = {name: np.zeros(sizes(dims, 1), types[name]) for name, dims in inputs.items()}
    if int(np.prod(shape)) != data.size:
        raise SourceError(f"input {source!r}: must take {data.size} numbers a sample, not "
                          f"{inputs[source]!r}; use data of as many steps as the file has")
    outputs = engine({**feed, source: data.reshape(shape).astype(types[source])})
    wanted = steps * int(np.prod(shapes(network)[network.output]))
    answer = next((array for array in outputs.values() if array.size == wanted), None)
    if answer is None:
        raise SourceError(f"outputs must have one of {wanted} numbers, the answers of {steps} "
                          f"steps, not {[array.shape for array in outputs.values()]!r}; give data "
                          "of as many steps as the file has")
    return answer.reshape(steps, -1)


def _filled(dims: Dims, size: int, steps: int) -> tuple[int, ...]:
    """*dims* for one sample of *steps* steps: the first open axis that may be time takes them."""
    known = int(np.prod([n for n in dims if n is not None]))
    missing = size // max(1, known)
    shape, first = [], True
    for n in dims:
        if n is not None:
            shape.append(n)
        else:
            shape.append(missing if first and missing in (steps, size) else 1)
            first = False
    if int(np.prod(shape)) != size and dims.count(None) == 1:
        shape = [missing if n is None else n for n in dims]
    return tuple(shape)
