"""A ``qsnn::QLIF`` node → a neuron of the IR."""

from typing import cast, get_args

from qsnn_compile.ir import Neuron, Reset, Synapse
from qsnn_compile.loader.nodes import OnnxNode

from .builder import Builder
from .values import Const, Ref, State, Value, aligned

ATTRIBUTES = frozenset((
    "bits", "clamp", "clamp_shape", "decay", "decay_shape", "decay_shift", "gain_shift",
    "max_spikes", "reset", "syn_bits", "syn_decay", "syn_decay_shape", "syn_decay_shift"))


def qlif(builder: Builder, node: OnnxNode, inputs: list[Value | None]) -> tuple[Value, ...]:
    """A neuron: its value, and where its states must end."""
    unknown = sorted(node.attributes.keys() - ATTRIBUTES)
    if unknown:
        node.fail(f"attributes must be those of docs/onnx-dialect.md, not {unknown[0]!r}; compile "
                  "the file with the version of qsnnc that it was written for")
    current = builder.plain(node, inputs[0])
    u = _state(node, "u", inputs[1])
    fields = {}
    for name, value in zip(("bias", "threshold", "reset_value", "step_shift"), inputs[2:6],
                           strict=True):
        if not isinstance(value, Const):
            node.fail(f"{name} must be a constant, not a computed value; freeze the network")
        fields[name] = aligned(node, name, value.value, current.rank)
    synapse = _synapse(node, current.rank) if len(inputs) > 6 else None
    clamp = (aligned(node, "clamp", node.integers("clamp"), current.rank)
             if "clamp" in node.attributes else None)
    op = Neuron(
        _membrane_bits(node), fields["threshold"], fields["bias"], fields["step_shift"],
        aligned(node, "decay", node.integers("decay"), current.rank),
        node.integer("decay_shift", 0), node.integer("gain_shift", 0), _reset(node),
        fields["reset_value"], u.initial, clamp, synapse, node.integer("max_spikes", 1))
    made = builder.add(node.outputs[0], op, (current.source,), current.rank)
    results = [made, Ref(f"{made.source}.u", current.rank)]
    builder.ends[u.name] = (f"{made.source}.u", node)
    if synapse is not None:
        i = _state(node, "i", inputs[6])
        results.append(Ref(f"{made.source}.i", current.rank))
        builder.ends[i.name] = (f"{made.source}.i", node)
    return tuple(results)


def _state(node: OnnxNode, what: str, value: Value | None) -> State:
    if not isinstance(value, State):
        node.fail(f"{what} must be a state carried from step to step, not a constant or a value of "
                  "this step; the file lost it: export one step with its states, or a Scan")
    return value


def _membrane_bits(node: OnnxNode) -> int:
    bits = node.integer("bits")
    if not 1 <= bits <= 32:
        node.fail(f"bits must be in 1..32, not {bits!r}; train with a membrane of such a width")
    return bits


def _reset(node: OnnxNode) -> Reset:
    written = node.attributes.get("reset")
    for reset in get_args(Reset):
        if written == reset:
            return cast(Reset, reset)
    node.fail(f"reset must be 'hard', 'soft' or 'none', not {written!r}; export the file again")


def _synapse(node: OnnxNode, rank: int) -> Synapse:
    decay = aligned(node, "syn_decay", node.integers("syn_decay"), rank)
    return Synapse(decay, node.integer("syn_decay_shift", 0), node.integer("syn_bits"))
