"""What is refused before the work is done, and names that a report shows."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "errors"))

import numpy as np
import pytest
from broken_models import good_graph, model

from qsnn_compile.builds.report import print_report
from qsnn_compile.compiler import compile_model, read_model
from qsnn_compile.foreign.reader import Options, read_foreign
from qsnn_compile.quantise.network import quantise
from qsnn_compile.reals.normal_form import Convolution, Linear, Network, Neuron, Node, Scale, reals
from qsnn_compile.reals.shapes import ShapeError, check_shapes
from qsnn_compile.system.errors import QsnnError, Unsupported


def test_steps_before_the_file_is_read():
    with pytest.raises(Unsupported, match=r"^none.onnx: steps must be at most 1024 in the core, "
                                          "not 65536; use a shorter window$"):
        read_model("none.onnx", 65536, None, Options())
    with pytest.raises(QsnnError, match=r"^none.onnx: steps must be at most 1024, not 65536; use"):
        read_foreign("none.onnx", Options(), 65536)


def test_layers_before_the_search(tmp_path):
    path = tmp_path / "deep.onnx"
    path.write_bytes(model("step", good_graph((4,) * 66)).SerializeToString())
    with pytest.raises(Unsupported, match="deep.onnx: layers of neurons must be at most 64 in the "
                                          "core, not 65; use a shallower network$"):
        read_model(path, None, None, Options())


def test_a_name_that_is_markup(tmp_path, capsys):
    proto = model()
    proto.graph.name = "[/]\x1b[31m"
    (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())
    print_report(compile_model(tmp_path / "m.onnx", target_name="ice40", output=None).report)
    assert capsys.readouterr().out.startswith(r"[/]\x1b[31m on icebreaker (up5k)")


# -- shapes of a network in normal form -----------------------------------------------------------

def network(*ops, shape=(4,)):
    names = ["x", *(f"n{i}" for i in range(len(ops)))]
    nodes = tuple(Node(f"n{i}", op, (names[i],)) for i, op in enumerate(ops))
    return Network("net", shape, "frames", 4, nodes, names[-1])


def conv(weight=(2, 1, 3, 3), **more):
    return Convolution(reals(np.ones(weight)), reals(0), **more)


@pytest.mark.parametrize("ops, shape, message", [
    ([Linear(reals(np.ones((3, 5))), reals(0))], (4,),
     r"node 'n0': input must be of 5 numbers, as the weight is, not \(4,\); export"),
    ([Linear(reals(np.ones((3, 4, 1))), reals(0))], (4,), r"weight must be \[C, N\], not \(3, 4"),
    ([Linear(reals(np.ones((3, 4))), reals([1, 2]))], (4,), r"bias must have 3 numbers, not \(2,"),
    ([Neuron(reals([1, 2, 3]))], (4,), r"threshold must go with the shape \(4,\), not \(3,\)"),
    ([Scale(reals(np.ones((2, 4))))], (4,), r"factor must go with the shape \(4,\), not \(2, 4"),
    ([conv()], (4,), r"input must be an image \[C, height, width\], not \(4,\)"),
    ([conv()], (2, 8, 8), r"input must have 1 channels, not \(2, 8, 8\)"),
    ([conv()], (1, 2, 8), r"windows must lie inside the image, not \(1, 2, 8\)"),
    ([conv(stride=(0, 1))], (1, 8, 8), r"stride must be positive, not \(0, 1\)"),
    ([conv(groups=0)], (1, 8, 8), "groups must divide the 2 channels, not 0"),
    ([conv(padding=(-1, 0, 0, 0))], (1, 8, 8), r"padding must not be negative, not \(-1, 0, 0"),
    ([conv(padding=(1 << 20,) * 4)], (1, 8, 8), "a step must compute at most 8388608 numbers, not"),
    ([], (0,), r"input must have a shape of positive sizes, not \(0,\)"),
])
def test_shapes_that_do_not_go_together(ops, shape, message):
    with pytest.raises(ShapeError, match=message):
        check_shapes(network(*ops, shape=shape))


def test_membranes_without_end():
    made = network(Neuron(reals(1), decay=reals(1e30)))
    with pytest.raises(QsnnError, match="node 'n0': its membrane must stay finite, not grow with"):
        quantise(made)


def test_values_of_all_steps_are_bounded():
    made = network(Neuron(reals(1)), shape=(1 << 20,))
    with pytest.raises(QsnnError, match="all values of all steps must be at most 134217728 numb"):
        quantise(made, steps=1024)
