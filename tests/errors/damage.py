"""Ways to damage a model: each takes a random generator and an ONNX model, and changes it."""

import numpy as np
from onnx import AttributeProto, helper, numpy_helper

SIZES = (0, -1, 1, 2, 1000, 65536, 1 << 31, (1 << 63) - 1, -(1 << 63))
REALS = (0.0, -1.0, np.nan, np.inf, -np.inf, 3e38, -3e38, 1e-45, 1e30)
NAMES = ("", "[/]", "[bold]", "\x1b[31m", "a\nb", "a" * 100_000, "x", "é☃", "\0", "../../x")
OPERATORS = ("Add", "MatMul", "Gemm", "Conv", "If", "Loop", "Scan", "Reshape", "Concat", "Slice",
             "Gather", "Expand", "Tile", "ConstantOfShape", "Cast", "Where", "MaxPool", "Pad",
             "ReduceMax", "ArgMax", "Range", "QuantizeLinear", "TopK", "Identity", "Split")


def graphs(graph):
    """*graph* and those inside it."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from graphs(attribute.g)


def _node(rng, model):
    return rng.choice([n for g in graphs(model.graph) for n in g.node])


def _name(rng, model):
    return rng.choice([*NAMES, *(n for node in model.graph.node for n in node.output)])


def change_an_edge(rng, model):
    node = _node(rng, model)
    edges = rng.choice([node.input, node.output])
    place = rng.randrange(len(edges) + 1)
    if place == len(edges) or rng.random() < 0.3:
        edges.append(_name(rng, model))
    elif rng.random() < 0.5:
        del edges[place]
    else:
        edges[place] = _name(rng, model)


def change_an_operator(rng, model):
    _node(rng, model).op_type = rng.choice(OPERATORS)


def change_an_attribute(rng, model):
    node = _node(rng, model)
    if not node.attribute or rng.random() < 0.2:
        name = rng.choice(["axis", "to", "pads", "strides", "perm", "axes", "alpha", "body"])
        node.attribute.append(helper.make_attribute(name, rng.choice([1, [1, 1], 0.5, "text"])))
        return
    attribute = rng.choice(node.attribute)
    if rng.random() < 0.3:
        attribute.type = rng.randrange(16)
    elif attribute.type == AttributeProto.INTS and attribute.ints:
        attribute.ints[rng.randrange(len(attribute.ints))] = rng.choice(SIZES)
    elif attribute.type == AttributeProto.FLOAT:
        attribute.f = rng.choice(REALS)
    else:
        attribute.i, attribute.s = rng.choice(SIZES), b"\xff"


def change_a_constant(rng, model):
    tensors = [t for g in graphs(model.graph) for t in g.initializer]
    tensor = rng.choice(tensors)
    array = np.array(numpy_helper.to_array(tensor))
    kind = rng.randrange(4)
    if kind == 0:
        tensor.dims[:] = [*tensor.dims[:-1], rng.choice(SIZES)]
    elif kind == 1:
        tensor.data_type = rng.choice([0, 1, 2, 7, 8, 9, 11, 14, 16, 22, 99])
    elif kind == 2 and tensor.HasField("raw_data"):
        tensor.raw_data = tensor.raw_data[:rng.randrange(len(tensor.raw_data))]
    elif array.dtype.kind == "f" and array.size:
        array.flat[rng.randrange(array.size)] = rng.choice(REALS)
        tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))


def change_a_list(rng, model):
    """Leave something out, or have it twice."""
    graph = rng.choice(list(graphs(model.graph)))
    items = rng.choice([graph.node, graph.initializer, graph.input, graph.output])
    if items and rng.random() < 0.6:
        del items[rng.randrange(len(items))]
    elif items:
        items.add().CopyFrom(rng.choice(items))


def change_a_shape(rng, model):
    value = rng.choice([*model.graph.input, *model.graph.output])
    shape = value.type.tensor_type.shape
    if rng.random() < 0.2:
        value.type.tensor_type.elem_type = rng.choice([0, 6, 8, 11, 99])
    elif rng.random() < 0.5 or not shape.dim:
        shape.dim.add().dim_value = rng.choice([1, 7, 1000])
    else:
        rng.choice(shape.dim).dim_value = rng.choice(SIZES)


def change_a_name(rng, model):
    model.graph.name = rng.choice(NAMES)
    _node(rng, model).name = rng.choice(NAMES)


def change_the_metadata(rng, model):
    if model.metadata_props:
        rng.choice(model.metadata_props).value = rng.choice(
            ["", "{}", "[]", "null", "nan", "-1", "0", "9" * 5000, "[" * 500, '{"fc1": 1e99}'])
    for opset in model.opset_import:
        opset.version = rng.choice([opset.version, opset.version, 0, 1, 99])


def grow(rng, model):
    """A node in the middle whose result is huge."""
    nodes = list(model.graph.node)
    place = rng.randrange(len(nodes))
    name = rng.choice([v.name for v in model.graph.input])
    size = rng.choice([[1 << 20, 1 << 20], [4096, 4096], [1 << 40, 1]])
    model.graph.initializer.append(numpy_helper.from_array(np.array(size), "size"))
    op = rng.choice(["Expand", "Tile", "ConstantOfShape"])
    inputs = ["size"] if op == "ConstantOfShape" else [name, "size"]
    nodes[place:place] = [helper.make_node(op, inputs, ["huge"]),
                          helper.make_node("Add", ["huge", name], ["more"])]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


DAMAGE = (change_an_edge, change_an_operator, change_an_attribute, change_a_constant,
          change_a_list, change_a_shape, change_a_name, change_the_metadata, grow)


def damaged(rng, data, parse):
    """The bytes of the model *data* with one or two kinds of damage, or with wrong bytes."""
    if rng.random() < 0.1:
        wrong = bytearray(data)
        for _ in range(rng.choice([1, 5, 50])):
            wrong[rng.randrange(len(wrong))] = rng.randrange(256)
        return bytes(wrong)
    model = parse(data)
    for _ in range(rng.choice([1, 1, 2])):
        try:
            rng.choice(DAMAGE)(rng, model)
        except (ValueError, IndexError, TypeError, KeyError):
            continue                                # protobuf itself refuses it, or nothing is left
    return model.SerializeToString()
