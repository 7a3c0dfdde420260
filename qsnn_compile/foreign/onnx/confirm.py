"""The network as read, run beside the blocks of the file on random inputs: the same spikes."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qsnn_compile.foreign.onnx.neurons.neurons import Neurons
from qsnn_compile.foreign.onnx.trace.evaluate import cone, evaluate
from qsnn_compile.foreign.onnx.trace.roll import NotRolled, Overlay
from qsnn_compile.foreign.onnx.trace.step import Step
from qsnn_compile.foreign.onnx.trace.trace import Trace
from qsnn_compile.loader.nodes import OnnxError
from qsnn_compile.reals.float_model import run
from qsnn_compile.reals.normal_form import Network, Neuron, Node

Array = NDArray[Any]
SAMPLES = 24
NUMBERS = 1 << 26               # in all values of all samples: half a gigabyte
STEPS = 6


def confirmed(step: Step, neurons: Neurons, names: dict[str, int], network: Network) -> Network:
    """*network* with the initial states that make it do what the file does.

    *names* are the blocks of this step that neuron nodes' outputs are. Raises OnnxError where
    the file starts from other states than zero or the reset value, or does something else.
    """
    frames = _frames(step)
    theirs = _stepped(step, names, frames) if not step.history else \
        _unrolled(step, names, frames)
    if _agree(network, names, frames, theirs):
        return network
    if step.history:
        rested = _at_reset(network)
        if _agree(rested, names, frames, theirs):
            return rested
        _refuse_stale(step, neurons)
        raise OnnxError(
            "the network must start from membranes of zero or of the reset value and repeat one "
            "step, but gives other spikes than such a one; set its states to zero right before "
            "torch.onnx.export")
    raise OnnxError("the network must do what was read from the file, but gives other spikes on "
                    "random inputs; please report this file")


def _frames(step: Step) -> Array:
    """Random inputs [samples, steps, size]: rates and signed values, small and large."""
    rng = np.random.default_rng(2)
    size = step.trace.blocks[next(iter(step.inputs))].size
    steps = max(len(step.frames), 1) if step.history and not step.direct else STEPS
    samples = max(2, min(SAMPLES, NUMBERS // step.trace.size))
    x = rng.uniform(0, 1, (samples, steps, size)) + \
        rng.normal(0, 1, (samples, steps, size)) * (np.arange(samples) % 2)[:, None, None]
    x *= rng.choice([0.5, 1, 3], (samples, 1, 1))
    return x if not step.direct else np.repeat(x[:, :1], steps, axis=1)


def _stepped(step: Step, names: dict[str, int], frames: Array) -> dict[str, Array]:
    """What the file's neurons give [samples, steps, size], step after step."""
    trace, blocks = step.trace, step.trace.blocks
    given = {s.before: np.zeros((len(frames), blocks[s.before].size)) for s in step.states}
    spikes: dict[str, list[Array]] = {name: [] for name in names}
    x, = step.inputs
    for number in range(frames.shape[1]):
        given[x] = frames[:, number]
        wanted = [*names.values(), *(s.after for s in step.states)]
        values = evaluate(trace, wanted, given)
        for name, block in names.items():
            spikes[name].append(values[block])
        given = {s.before: values[s.after].astype(np.float64) for s in step.states}
    return {name: np.stack(values, 1).astype(np.float64) for name, values in spikes.items()}


def _unrolled(step: Step, names: dict[str, int], frames: Array) -> dict[str, Array]:
    """The same of an unrolled file, where its copies at earlier steps are known; NaN elsewhere."""
    copies = _copies(step)
    given = {block: frames[:, number] for number, block in enumerate(step.frames)}
    steps = step.steps or len(copies)
    wanted = {(name, number): when[block] for name, block in names.items()
              for number, when in copies.items() if block in when}
    values = evaluate(step.trace, list(wanted.values()), given)
    spikes: dict[str, Array] = {}
    for name, block in names.items():
        size = step.trace.blocks[block].size
        spikes[name] = np.full((len(frames), steps, size), np.nan)
        for number in range(steps):
            if (name, number) in wanted:
                spikes[name][:, number] = values[wanted[name, number]]
    return spikes


def _copies(step: Step) -> dict[int, dict[int, int]]:
    """By step: which block is the copy of which block of the last step."""
    steps = step.steps or len(step.history)
    now = {block: block for block in step.late.values()} | {step.history[-1]: step.history[-1]}
    copies = {steps - 1: now}
    for number in range(steps - 2, -1, -1):
        place = len(step.history) - (steps - number)
        later = copies[number + 1]
        earlier: dict[int, int] = {}
        if place >= 0:
            earlier = _earlier(step.trace, step.history[place + 1], step.history[place])
        copies[number] = {top: earlier[block] for top, block in later.items() if block in earlier}
        if place >= 0:
            copies[number][step.history[-1]] = step.history[place]
    return copies


def _earlier(trace: Trace, late: int, early: int) -> dict[int, int]:
    overlay = Overlay(trace)
    try:
        overlay.lay([(late, early)])
    except NotRolled:
        return {}
    return overlay.before


def _agree(network: Network, names: dict[str, int], frames: Array, theirs: dict[str, Array]
           ) -> bool:
    """Whether the network's neurons spike as the file's do."""
    x = frames.reshape(*frames.shape[:2], *network.input_shape)
    steps = next(iter(theirs.values())).shape[1] if theirs else frames.shape[1]
    if network.coding == "direct":
        ours = run(network, x[:, 0], steps=steps, dtype=np.float64)
    else:
        ours = run(replace(network, steps=None), x, dtype=np.float64)
    for name in names:
        values = theirs[name]
        if name == network.output:
            mine = ours.output.reshape(values.shape)
        else:
            mine = ours.spikes[name].reshape(values.shape)
        known = ~np.isnan(values)
        if not np.allclose(mine[known], values[known], rtol=1e-5, atol=1e-5):
            return False
    return True


def _at_reset(network: Network) -> Network:
    """*network* with membranes that start at the value that a spike sets them to."""
    def started(node: Node) -> Node:
        if isinstance(node.op, Neuron) and node.op.reset == "hard":
            return replace(node, op=replace(node.op, initial=node.op.reset_value))
        return node
    return replace(network, nodes=tuple(started(node) for node in network.nodes))


def _refuse_stale(step: Step, neurons: Neurons) -> None:
    """Say which constant the first step starts from, if that is the reason."""
    trace = step.trace
    tops = set(step.late.values()) | set(step.answers)
    known = _constants(trace, tops | step.still)
    everything = _constants(trace, set(cone(trace, step.history)))
    first = [(origin, value) for key, (origin, value) in everything.items()
             if key not in known and np.any(value)]
    if not first:
        return
    origin, value = max(first, key=lambda entry: entry[1].size)
    raise OnnxError(
        f"{origin}: the initial state must be zero or the reset value, not a constant between "
        f"{float(value.min()):.4g} and {float(value.max()):.4g}: the network had been run before "
        "it was exported, and its old membrane was baked in. Reset the states (snnTorch "
        "utils.reset, SpikingJelly functional.reset_net, Sinabs reset_states) right before "
        "torch.onnx.export, with dynamo=True or inside forward")


def _constants(trace: Trace, blocks: set[int]) -> dict[bytes, tuple[str, Array]]:
    origins: dict[bytes, tuple[str, Array]] = {}
    for index in blocks:
        block = trace.blocks[index]
        for operand in block.operands:
            if operand.value is not None:
                value = np.asarray(operand.value, np.float64)
                origins.setdefault(value.tobytes(), (block.origin, value))
    return origins
