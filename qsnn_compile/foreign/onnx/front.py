"""Any library's ONNX file → the normal form.

The file is run on ids (onnx_interp), so that only what it computes is left. A file that returns
its states is a step as it stands; in all others (loops, scans and networks unrolled over time,
step by step or layer by layer) the steps are found and rolled up (onnx_roll). The regions around
the carried values are read as neurons (onnx_neurons), the rest as layers (onnx_build), and the
whole is confirmed on random inputs (onnx_confirm).
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import onnx

from qsnn_compile.foreign.onnx.neurons.neurons import Neurons
from qsnn_compile.foreign.onnx.neurons.recut import recut
from qsnn_compile.foreign.onnx.trace.blocks import Const, Sym, Value
from qsnn_compile.foreign.onnx.trace.inputs import (
    Dims,
    Plan,
    dims_of,
    first_sample,
    frames_of,
    input_among,
    input_block,
    input_shape,
    plans,
    repeats,
    sizes,
    tied,
)
from qsnn_compile.foreign.onnx.trace.interpreter import Interpreter
from qsnn_compile.foreign.onnx.trace.roll import NotRolled, histories, roll
from qsnn_compile.foreign.onnx.trace.step import Step, answer_blocks, is_spike, pair_states, step_of
from qsnn_compile.foreign.onnx.trace.trace import TooLarge, Trace
from qsnn_compile.loader.model import inlined, load_model
from qsnn_compile.loader.nodes import OnnxError
from qsnn_compile.reals.normal_form import INPUT, Network, Neuron

from .build import Builder
from .confirm import confirmed

DYNAMIC_STEPS = 5
MOST_STATES = 256               # four for each of 64 layers


def read_onnx(path: str | Path, *, steps: int | None = None) -> Network:
    """The network in the ONNX file at *path*; *steps* goes before what the file says.

    Raises OnnxError, which names file and node and says how to export a file that would do.
    """
    if steps is not None and steps < 1:
        raise OnnxError(f"{path}: steps must be at least 1, not {steps!r}")
    try:
        network = _Reader(inlined(load_model(path)), str(path)).read()
    except RecursionError:
        raise OnnxError(f"{path}: layers and operators must be at most some hundreds in a row, not "
                        "more; export a shallower network") from None
    except OnnxError as error:
        text = str(error)
        raise OnnxError(text if text.startswith(f"{path}:") else f"{path}: {text}") from None
    return replace(network, name=network.name or Path(path).stem,
                   steps=network.steps if steps is None else steps)


class _Reader:
    """Reads one model."""

    def __init__(self, model: onnx.ModelProto, file: str) -> None:
        self.graph = model.graph
        self.file = file
        known = {tensor.name for tensor in model.graph.initializer}
        known |= {tensor.values.name for tensor in model.graph.sparse_initializer}
        self.inputs = {value.name: dims_of(value) for value in model.graph.input
                       if value.name not in known}
        self.loops = any(node.op_type in ("Loop", "Scan") for node in model.graph.node)
        self.notes: list[str] = []

    def read(self) -> Network:
        """The network. Raises OnnxError."""
        if not self.inputs:
            raise OnnxError("the graph must have an input, not initializers alone; export the "
                            "network again")
        _check_states(len(self.inputs) - 1)
        step = None if self.loops or len(self.inputs) == 1 else self._step()
        if step is None:
            step = self._unrolled()
        return self._network(step)

    # -- one step with states --------------------------------------------------------------------

    def _step(self) -> Step | None:
        """The file as a step whose states are inputs and outputs; None where it is none."""
        trace, blocks, env = Trace(), {}, {}
        for name, dims in self.inputs.items():
            shape = sizes(dims, 1)
            same = len(shape) > 1 and shape[0] > 1 and all(
                other[:1] == dims[:1] for other in self.inputs.values())
            blocks[name], env[name] = input_block(trace, shape, 0 if same else None)
        outputs = self._run(trace, env)
        outputs = {name: first_sample(value) for name, value in outputs.items()}
        pairs = pair_states(trace, blocks, outputs)
        left = [name for name in blocks if name not in pairs]
        if len(left) != 1 and pairs:
            left = input_among(trace, blocks, left) or input_among(trace, blocks, blocks)
            pairs = {name: out for name, out in pairs.items() if name not in left}
        if not pairs or repeats(trace):
            return None
        if not left:
            raise OnnxError("the graph must have an input that a layer reads beside its states, "
                            f"not {', '.join(map(repr, blocks))} alone; put a layer before the "
                            "neurons")
        unpaired = [name for name in blocks if name not in pairs and name not in left]
        if unpaired:
            names = ", ".join(map(repr, unpaired))
            raise OnnxError(f"input {names}: a state must be returned as an output, too, not only "
                            "taken in: without it nothing carries it to the next step. Return the "
                            "new state beside the spikes")
        answer = self._answer(trace, outputs, set(pairs.values()))
        return step_of(trace, blocks[left[0]], blocks, outputs, pairs, answer)

    def _answer(self, trace: Trace, outputs: Mapping[str, Value], states: set[str]) -> str:
        """The output that is no state, or else the last one that is spikes."""
        free = [name for name, value in outputs.items()
                if name not in states and isinstance(value, Sym)]
        if free:
            return free[0]
        shown = [name for name, value in outputs.items() if isinstance(value, Sym)]
        spikes = [name for name in shown if is_spike(trace, outputs[name])]
        return [*shown[:1], *spikes][-1]

    def _run(self, trace: Trace, env: dict[str, Value]) -> dict[str, Value]:
        values = Interpreter(trace, self.file).run(self.graph, dict(env))
        return {value.name: result for value, result in zip(self.graph.output, values, strict=True)}

    # -- unrolled --------------------------------------------------------------------------------

    def _unrolled(self) -> Step:
        """The step that an unrolled file repeats."""
        name, dims = self._x()
        failures: list[OnnxError] = []
        for plan in plans(dims):
            trace = Trace()
            try:
                frames, outputs = self._trial(trace, name, dims, plan)
            except TooLarge:
                raise
            except OnnxError as error:
                failures.append(error)
                continue
            if plan.samples is not None and not tied(outputs.values(), dims[plan.samples] or 1):
                continue
            step = self._rolled(trace, frames, outputs, failures)
            if step is not None:
                open_ended = plan.time is not None and dims[plan.time] is None
                return replace(step, steps=None) if open_ended else step
        if failures:
            raise failures[-1]
        return self._single_call(name, dims)

    def _rolled(self, trace: Trace, frames: list[int], outputs: Mapping[str, Value],
                failures: list[OnnxError]) -> Step | None:
        """The step that some output is made of; why one is not goes to *failures*."""
        ways = [way for value in outputs.values() for way in histories(trace, value)]
        for rank, history in sorted(ways, key=lambda way: way[0]):
            try:
                step = roll(trace, history, frames)
            except NotRolled as error:
                if rank < 2 and len(frames) == len(history):
                    failures.append(error)
                continue
            if step.states:
                return recut(step)
        return None

    def _trial(self, trace: Trace, name: str, dims: Dims, plan: Plan
               ) -> tuple[list[int], dict[str, Value]]:
        shape = tuple(DYNAMIC_STEPS if size is None and axis == plan.time else size or 1
                      for axis, size in enumerate(dims))
        ids, frames = frames_of(trace, shape, plan)
        env: dict[str, Value] = {name: Sym(ids)}
        for other, dims in self.inputs.items():
            if other != name:
                env[other] = Const(np.zeros(sizes(dims, 1), np.float32))
        return frames, self._run(trace, env)

    def _x(self) -> tuple[str, Dims]:
        """The network's input; others are states that start at zero."""
        names = list(self.inputs)
        if len(names) > 1:
            trace, blocks, env = Trace(), {}, {}
            for name, dims in self.inputs.items():
                blocks[name], env[name] = input_block(trace, sizes(dims, DYNAMIC_STEPS), None)
            self._run(trace, env)
            names = input_among(trace, blocks, names) or names
            others = [name for name in self.inputs if name != names[0]]
            self.notes.append(f"inputs {', '.join(map(repr, others))} are initial states: zero")
        return names[0], self.inputs[names[0]]

    def _single_call(self, name: str, dims: Dims) -> Step:
        """A file without steps: a step without states, which building will refuse."""
        trace = Trace()
        samples = 0 if len(dims) > 1 and (dims[0] or 1) > 1 else None
        frames, outputs = self._trial(trace, name, dims, Plan(None, samples))
        answers = answer_blocks(trace, next(iter(outputs.values())))
        return Step(trace, frozenset(frames), (), answers, direct=True)

    # -- the network -----------------------------------------------------------------------------

    def _network(self, step: Step) -> Network:
        _check_states(len(step.states))
        neurons = Neurons(step)
        x = step.trace.blocks[next(iter(step.inputs))]
        builder = Builder(step, neurons, input_shape(step, x))
        output, answer = _output(step, neurons, builder)
        builder.finish()
        if not any(isinstance(node.op, Neuron) for node in builder.nodes):
            raise OnnxError("the network must have spiking neurons with a state that is carried "
                            "from step to step, not none; export a spiking network")
        network = Network(
            self.graph.name, builder.input_shape, "direct" if step.direct else "frames",
            step.steps, tuple(builder.nodes), output, tuple(self.notes), answer)
        blocks = _neuron_blocks(neurons, builder)
        if output not in blocks:
            blocks[output] = step.answers[0]
        return confirmed(step, neurons, blocks, network)


def _check_states(count: int) -> None:
    if count > MOST_STATES:
        raise OnnxError(f"the network must carry at most {MOST_STATES} states from step to step, "
                        f"not {count!r}; export a shallower network")


def _output(step: Step, neurons: Neurons, builder: Builder
            ) -> tuple[str, Literal["spikes", "potential"]]:
    """The node that gives the answer, and what of it."""
    if len(step.answers) != 1:
        raise OnnxError(f"the output must be one layer's, not joined from {len(step.answers)} "
                        "layers; return one of them")
    block = step.answers[0]
    placed = neurons.leaves.get(block)
    if placed is not None and placed.sinks[block].factor is None:
        return builder.neuron(placed), "potential"
    output = builder.materialised(builder.signal(block))
    if output == INPUT:
        raise OnnxError("the output must be computed by a layer, not be the input itself; return "
                        "the spikes")
    return output, "spikes"


def _neuron_blocks(neurons: Neurons, builder: Builder) -> dict[str, int]:
    """The block that each neuron node's spikes are."""
    owners: dict[str, int] = {}
    for placed in neurons.placed:
        for block, sink in placed.sinks.items():
            name = builder.neuron(placed)
            node = builder.find(name)
            amplitude = getattr(node.op, "amplitude", 1.0) if node is not None else 1.0
            if sink.factor is not None and np.all(sink.factor == amplitude):
                owners[name] = block
    return owners
