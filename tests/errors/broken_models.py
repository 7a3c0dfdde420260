"""Model files that are wrong in one way each: name → the bytes of the file."""

from itertools import pairwise

import numpy as np
from onnx import helper, numpy_helper

from qsnn_compile.ir import (
    Conv2d,
    Dense,
    Flatten,
    Graph,
    Input,
    MaxPool,
    Neuron,
    Node,
    Readout,
    ints,
)
from qsnn_models.export.onnx_export import export


def good_graph(sizes=(6, 4, 3), bits=4, weight_bits=1, readout="count", steps=4):
    rng = np.random.default_rng(1)
    nodes, before = [], "x"
    for index, (fan_in, count) in enumerate(pairwise(sizes), start=1):
        size = (1 << weight_bits - 2) + 1 if weight_bits > 2 else 1     # every plane has ones
        weight = (rng.integers(0, 2, (count, fan_in)) * 2 - 1) * size
        nodes.append(Node(f"fc{index}", Dense(ints(weight), weight_bits), (before,)))
        neuron = Neuron(bits, ints(3), step_shift=ints(2))
        nodes.append(Node(f"lif{index}", neuron, (f"fc{index}",)))
        before = f"lif{index}"
    end = Readout("last", f"{before}.u") if readout == "last" else Readout(readout, before)
    return Graph("net", steps, Input((sizes[0],), 8, "direct"), tuple(nodes), end)


def conv_graph(*more, readout="lif1"):
    nodes = (
        Node("conv1", Conv2d(ints(np.ones((2, 1, 3, 3))), 1), ("x",)),
        Node("lif1", Neuron(4, ints(3)), ("conv1",)),
        *more,
    )
    return Graph("conv", 2, Input((1, 8, 8), 8, "direct"), nodes, Readout("count", readout))


def one_pool():
    return conv_graph(
        Node("pool1", MaxPool((2, 2), (2, 2), ints(0)), ("lif1",)),
        Node("flat", Flatten(), ("pool1",)),
        Node("fc2", Dense(ints(np.ones((3, 18))), 1), ("flat",)),
        Node("lif2", Neuron(4, ints(3)), ("fc2",)), readout="lif2")


def two_pools():
    return conv_graph(
        Node("pool1", MaxPool((2, 2), (2, 2), ints(0)), ("lif1",)),
        Node("pool2", MaxPool((3, 3), (3, 3), ints(0)), ("pool1",)),
        Node("flat", Flatten(), ("pool2",)),
        Node("fc2", Dense(ints(np.ones((3, 2))), 1), ("flat",)),
        Node("lif2", Neuron(4, ints(3)), ("fc2",)), readout="lif2")


def model(shape="step", graph=None):
    return export(graph or good_graph(), shape)


def node(proto, name):
    return next(n for n in proto.graph.node if n.name == name)


def without_metadata(*keys):
    proto = model()
    kept = [entry for entry in proto.metadata_props if entry.key not in keys]
    del proto.metadata_props[:]
    proto.metadata_props.extend(kept)
    return proto


def with_metadata(key, value):
    proto = model()
    helper.set_model_props(proto, {e.key: e.value for e in proto.metadata_props} | {key: value})
    return proto


def replaced(name, array):
    """The model with initialiser *name* exchanged."""
    proto = model()
    for tensor in proto.graph.initializer:
        if tensor.name == name:
            tensor.CopyFrom(numpy_helper.from_array(array, name))
    return proto


def float_weights(value):
    proto = replaced("fc1.weight", np.full((4, 6), value, np.float32))
    node(proto, "fc1").input[1] = "fc1.weight"
    proto.graph.node.remove(node(proto, "fc1.w"))
    return proto


def renamed_operator(name, op, domain="", inputs=None):
    """The model with another operator in place of node *name*'s, well formed as such."""
    proto = model()
    operator = node(proto, name)
    operator.op_type, operator.domain = op, domain
    if inputs is not None:
        del operator.input[inputs:], operator.attribute[:]
    return proto


def with_attribute(name, graph=None, **changes):
    proto = model(graph=graph)
    proto_node = node(proto, name)
    kept = [a for a in proto_node.attribute if a.name not in changes]
    del proto_node.attribute[:]
    proto_node.attribute.extend([*kept, *(helper.make_attribute(k, v) for k, v in changes.items())])
    return proto


def lost_state():
    """The file of an exporter that froze the membrane into a constant."""
    proto = without_metadata("qsnn.states")
    proto.graph.initializer.append(numpy_helper.from_array(np.zeros((1, 4), np.float32), "lif1.u"))
    for values in (proto.graph.input, proto.graph.output):
        for value in [v for v in values if v.name in ("lif1.u", "lif1.u_next")]:
            values.remove(value)
    return proto


def older_opset():
    proto = model()
    for opset in proto.opset_import:
        if opset.domain == "qsnn":
            opset.version = 2
    return proto


MODELS = {
    "good": model,
    "not_onnx": lambda: b"a picture, perhaps",
    "empty": lambda: b"",
    "truncated": lambda: model().SerializeToString()[:-100],
    "unknown_op": lambda: renamed_operator("fc1", "Softmax", inputs=1),
    "matmul": lambda: renamed_operator("fc1", "MatMul", inputs=2),
    "float_neuron": lambda: renamed_operator("lif1", "LIF", "qsnn"),
    "float_weights": lambda: float_weights(0.125),
    "nan_weights": lambda: float_weights(np.nan),
    "nan_threshold": lambda: replaced("lif1.threshold", np.array([1, np.nan, 3, 4], np.float32)),
    "fractional_threshold": lambda: replaced("lif1.threshold", np.array(2.5, np.float32)),
    "scaled_weights": lambda: replaced("fc1.scale", np.array(0.05, np.float32)),
    "wide_value": lambda: with_metadata("qsnn.weight_bits", '{"fc1": 17, "fc2": 1}'),
    "no_steps": lambda: without_metadata("qsnn.steps"),
    "no_readout": lambda: without_metadata("qsnn.readout"),
    "no_input_bits": lambda: without_metadata("qsnn.input_bits"),
    "no_coding": lambda: without_metadata("qsnn.coding"),
    "zero_steps": lambda: with_metadata("qsnn.steps", "0"),
    "unknown_readout": lambda: with_metadata("qsnn.readout", "median"),
    "newer_version": lambda: with_metadata("qsnn.version", "2"),
    "newer_opset": older_opset,
    "broken_json": lambda: with_metadata("qsnn.weight_bits", "{"),
    "narrow_membrane": lambda: model(graph=good_graph(bits=1)),
    "wide_membrane": lambda: model(graph=good_graph(bits=17)),
    "no_membrane": lambda: with_attribute("lif1", bits=0),
    "unknown_reset": lambda: with_attribute("lif1", reset="gentle"),
    "several_spikes": lambda: with_attribute("lif1", max_spikes=2, reset="soft"),
    "lost_state": lost_state,
    "map_readout": lambda: model(graph=conv_graph()),
    "dilated_pool": lambda: with_attribute("pool1", one_pool(), dilations=[2, 2]),
    "rounded_up_pool": lambda: with_attribute("pool1", one_pool(), ceil_mode=1),
    "unknown_attribute": lambda: with_attribute("lif1", leak="slow"),
    "pool_of_a_pool": lambda: model(graph=two_pools()),
    "last_readout": lambda: model(graph=good_graph(readout="last")),
    "too_large": lambda: model(graph=good_graph((64, 2048, 10), weight_bits=8)),
}


def write(name, path):
    made = MODELS[name]()
    path.write_bytes(made if isinstance(made, bytes) else made.SerializeToString())
