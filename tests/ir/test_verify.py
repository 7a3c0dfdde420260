"""What every graph obeys, and how a breach is told."""

from dataclasses import replace

import numpy as np
import pytest
from graphs import graphs
from hypothesis import HealthCheck, given, settings

from qsnn_compile.ir import (
    Add,
    Conv2d,
    Delay,
    Dense,
    Flatten,
    Graph,
    Input,
    IrError,
    MaxPool,
    Neuron,
    Node,
    Readout,
    SumPool,
    Synapse,
    ints,
    shapes,
    verify,
)

WEIGHT = ints(np.ones((2, 1, 3, 3)))
GOOD = Graph("good", 4, Input((1, 8, 8), 8, "direct"), (
    Node("conv", Conv2d(WEIGHT, 1, padding=(1, 1, 1, 1)), ("x",)),
    Node("lif", Neuron(8, ints([[[5]], [[6]]])), ("conv",)),
    Node("pool", SumPool((2, 2), (2, 2)), ("lif",)),
    Node("flat", Flatten(), ("pool",)),
    Node("fc", Dense(ints(np.ones((3, 32))), 2), ("flat",)),
), Readout("potential", "fc", ints([1, 2, 3])))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(graphs(layers=3))
def test_generated_graphs_are_well_formed(graph):
    verify(graph)


def test_shapes():
    assert shapes(GOOD) == {"x": (1, 8, 8), "conv": (2, 8, 8), "lif": (2, 8, 8),
                            "pool": (2, 4, 4), "flat": (32,), "fc": (3,)}
    verify(GOOD)


def recurrent(*nodes):
    return Graph("loop", 2, Input((3,)), nodes, Readout("count", nodes[-1].name))


def test_shapes_through_a_delay():
    fc = Node("fc", Dense(ints(np.ones((2, 3))), 1), ("x",))
    back = Node("back", Dense(ints(np.ones((2, 2))), 1), ("delay",))
    delay, lif = Node("delay", Delay(), ("lif",)), Node("lif", Neuron(8, ints(5)), ("sum",))
    graph = recurrent(fc, delay, back, Node("sum", Add(), ("fc", "back")), lif)
    assert shapes(graph)["delay"] == (2,)
    verify(graph)


def test_a_recurrent_convolution_has_a_shape():
    weight = ints(np.ones((1, 1, 3, 3)))
    conv = Conv2d(weight, 1, padding=(1, 1, 1, 1))
    graph = Graph("loop", 2, Input((1, 5, 5)), (
        Node("a", conv, ("x",)), Node("d", Delay(), ("n",)), Node("b", conv, ("d",)),
        Node("s", Add(), ("b", "a")), Node("n", Neuron(8, ints(2)), ("s",))), Readout("count", "n"))
    verify(graph)
    assert shapes(graph)["b"] == (1, 5, 5)


def test_a_loop_of_open_shape_is_refused():
    with pytest.raises(IrError, match=r"^node 'd': its shape must follow from the input's, not "
                                      r"only from itself through a Delay$"):
        verify(recurrent(Node("d", Delay(), ("n",)), Node("n", Neuron(8, ints(5)), ("d",))))


def changed(name, **fields):
    """GOOD with fields of one node's operator replaced; with ``inputs``, its inputs."""
    def change(node):
        if node.name != name:
            return node
        rest = {k: v for k, v in fields.items() if k != "inputs"}
        return Node(name, replace(node.op, **rest), fields.get("inputs", node.inputs))
    return replace(GOOD, nodes=tuple(map(change, GOOD.nodes)))


def inserted(*nodes):
    return replace(GOOD, nodes=GOOD.nodes + nodes)


def pooled(kernel):
    """A pool of a 3 x 5 image."""
    return Graph("pool", 1, Input((1, 3, 5)), (Node("p", SumPool(kernel, (1, 1)), ("x",)),),
                 Readout("count", "p"))


@pytest.mark.parametrize(("graph", "message"), [
    (replace(GOOD, steps=0), "graph: steps must be at least 1, not 0"),
    (replace(GOOD, input=Input((1, 8, 8), 9, "direct")),
     "input 'x': bits must be in 1..8, not 9"),
    (replace(GOOD, input=Input((1, 8, 0), 8, "direct")),
     "input 'x': shape must be of positive sizes, not (1, 8, 0)"),
    (replace(GOOD, input=Input((1, 8, 8), 8, "direct", 0.0)),
     "input 'x': scale must be a positive number, not 0.0"),
    (replace(GOOD, input=Input((1, 8, 8), 1, "direct", 1.0, 2)),
     "input 'x': zero_point must be in 0..1, not 2"),
    (replace(GOOD, input=Input((1, 8, 8), 1, "rate")),
     "input 'x': coding must be one of ('direct', 'spikes'), not 'rate'"),
    (inserted(Node("fc", Flatten(), ("fc",))), "node 'fc': name must be unique, not 'fc'"),
    (inserted(Node("1", Flatten(), ("fc",))),
     "node '1': name must be a letter, '_' or '/', then letters, digits or any of _./$:-, not '1'"),
    (changed("fc", inputs=("nowhere",)),
     "node 'fc': input must be a value of the graph, not 'nowhere'"),
    (changed("conv", inputs=("lif",)),
     "node 'conv': input must come earlier (only a Delay may read a later node), not 'lif'"),
    (changed("fc", inputs=("flat", "flat")), "node 'fc': it must have one input, not 2"),
    (inserted(Node("s", Add(), ("fc",))), "node 's': an Add must have two inputs or more, not 1"),
    (inserted(Node("s", Add(), ("fc", "flat"))),
     "node 's': inputs must all be of shape (3,), not (32,)"),
    (changed("fc", weight=ints(np.ones((3, 31)))),
     "node 'fc': input must be of shape (31,), not (32,)"),
    (changed("fc", weight=ints(np.ones(3))), "node 'fc': weight must be [C, N], not (3,)"),
    (changed("fc", weight=ints(np.full((3, 32), 2))),
     "node 'fc': weight of 2 bits must be in -2..1, not 2"),
    (changed("fc", weight=np.ones((3, 32))),
     "node 'fc': weight must be an int64 array (ir.ints), not float64"),
    (changed("fc", bits=17), "node 'fc': weight bits W must be in 1..16, not 17"),
    (changed("conv", weight=ints(np.zeros((2, 1, 3, 3)))),
     "node 'conv': weight of 1 bit must be -1 or 1, not 0"),
    (changed("conv", weight=ints(np.ones((2, 2, 3, 3)))),
     "node 'conv': input must have 2 x 1 channels (weight's x groups), not 1"),
    (changed("conv", groups=3),
     "node 'conv': groups must divide the 2 output channels, not 3"),
    (changed("conv", weight=ints(np.ones((2, 1, 11, 3)))),
     "node 'conv': kernel must fit in the 10 x 10 image, padding included, not (11, 3)"),
    (pooled((4, 2)),
     "node 'p': kernel must fit in the 3 x 5 image, padding included, not (4, 2)"),
    (pooled((0, 1)), "node 'p': kernel must be at least 1 x 1, not (0, 1)"),
    (changed("conv", stride=(0, 1)), "node 'conv': stride must be at least 1, not (0, 1)"),
    (changed("conv", padding=(-1, 1, 1, 1)),
     "node 'conv': padding must not be negative, not (-1, 1, 1, 1)"),
    (changed("conv", pad_value=-1), "node 'conv': pad_value must not be negative, not -1"),
    (changed("conv", pad_value=256),
     "node 'conv': pad_value must be at most 255, its input's maximum, not 256"),
    (changed("pool", inputs=("fc",)), "node 'pool': input must come earlier"),
    (inserted(Node("p", SumPool((2, 2), (2, 2)), ("flat",))),
     "node 'p': input must be of shape (channels, height, width), not (32,)"),
    (inserted(Node("p", MaxPool((2, 2), (2, 2), ints(2)), ("conv",))),
     "node 'p': flipped must be at most 1, not 2"),
    (inserted(Node("p", MaxPool((2, 2), (2, 2), ints([[[0, 1]]])), ("conv",))),
     "node 'p': flipped must broadcast axis by axis against (2, 1, 1), not (1, 1, 2)"),
    (inserted(Node("again", Dense(ints(np.ones((1, 3))), 1), ("fc",))),
     "node 'again': input must be an activation (unsigned), not a current, not 'fc'"),
    (changed("lif", bits=33), "node 'lif': membrane bits U must be in 1..32, not 33"),
    (changed("lif", reset="zero"),
     "node 'lif': reset must be one of ('hard', 'soft', 'none'), not 'zero'"),
    (changed("lif", threshold=ints(np.ones(8))),
     "node 'lif': threshold must broadcast axis by axis against (2, 8, 8), not (8,)"),
    (changed("lif", decay=ints(-1)), "node 'lif': decay m must be at least 0, not -1"),
    (changed("lif", step_shift=ints(-1)),
     "node 'lif': step_shift k must be at least 0, not -1"),
    (changed("lif", decay_shift=-1), "node 'lif': decay_shift q must be in 0..32, not -1"),
    (changed("lif", gain_shift=33), "node 'lif': gain_shift f must be in 0..32, not 33"),
    (changed("lif", initial=ints(128)), "node 'lif': initial must be at most 127, not 128"),
    (changed("lif", clamp=ints([1])), "node 'lif': clamp must broadcast axis by axis against "),
    (changed("lif", synapse=Synapse(ints(1), 0, 0)),
     "node 'lif': synapse bits must be in 1..32, not 0"),
    (changed("lif", max_spikes=0), "node 'lif': max_spikes must be in 1..255, not 0"),
    (changed("lif", max_spikes=2),
     "node 'lif': reset must be soft or none with max_spikes > 1, not 'hard'"),
    (changed("lif", max_spikes=2, reset="soft", threshold=ints(0)),
     "node 'lif': threshold must be positive with max_spikes > 1, not 0"),
    (changed("lif", bias=ints(1 << 62)), "node 'lif': value must stay below 2^62, not "),
    (changed("lif", bits=32, step_shift=ints(32)),
     "node 'lif': value must stay below 2^62, not "),
    (replace(GOOD, readout=Readout("potential", "fd")),
     "potential readout: source must be a value of the graph, not 'fd'"),
    (replace(GOOD, readout=Readout("last", "fc.u")),
     "last readout: source 'NODE.u' must be the membrane of a neuron, not 'fc.u'"),
    (replace(GOOD, readout=Readout("potential", "lif.u")),
     "potential readout: source must be a value of the graph, not 'lif.u'"),
    (replace(GOOD, readout=Readout("count", "fc")),
     "count readout: source must be spikes, not a current, not 'fc'"),
    (replace(GOOD, readout=Readout("count", "lif", ints(2))),
     "count readout: gain and bias must be 1 and 0, not (2, 0)"),
    (replace(GOOD, readout=Readout("potential", "fc", ints([1, 2]))),
     "potential readout: gain must broadcast axis by axis against (3,), not (2,)"),
    (replace(GOOD, readout=Readout("potential", "fc", ints(1), ints(1 << 62))),
     "readout: score must stay below 2^62, not "),
])
def test_a_breach_is_told(graph, message):
    with pytest.raises(IrError) as error:
        verify(graph)
    assert str(error.value).startswith(message)
