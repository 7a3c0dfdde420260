"""The law of a hardware block: its docstring has a table of its members, and `elaborate` leaves no
attribute behind through which its methods would talk."""

import ast
import re
from pathlib import Path

import pytest
from amaranth.lib.wiring import In
from benches import block_rams, dense, machine

import qsnn_hw
from qsnn_hw.boards.top import BoardTop, Clocking, LinkedCore
from qsnn_hw.core.bank import Bank
from qsnn_hw.core.core import SpikingCore
from qsnn_hw.core.inputs import Inputs
from qsnn_hw.core.lanes import Lanes
from qsnn_hw.core.memory import Rom, WeightMemory
from qsnn_hw.core.neuron import NeuronUnit
from qsnn_hw.core.neurons import NeuronArray
from qsnn_hw.core.reader import Reader
from qsnn_hw.core.readout import Argmax, PotentialScore, Readout
from qsnn_hw.core.spikes import SpikeMemory
from qsnn_hw.core.verilog import CoreCell
from qsnn_hw.core.walker import Walker
from qsnn_hw.link.uart_link import Framer, UartRx, UartTx
from qsnn_hw.machine.fields import NEURON_FIELDS, READOUT_FIELDS, Field
from qsnn_hw.machine.memories import Memory
from qsnn_hw.machine.parameters import Arithmetic

pytestmark = pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
ROOM = Path(qsnn_hw.__file__).parent
RULE = re.compile(r"=+(?: =+)+")

FULL = Arithmetic(synapse_bits=4, neuron_fields=tuple(Field(name, 2) for name in NEURON_FIELDS),
                  readout_fields=tuple(Field(name, 2) for name in READOUT_FIELDS))
STREAM = machine(layers=(dense("a", 3, 16), dense("out", 16, 3, source=0)), coding="spikes",
                 input_bits=1, order="step", streaming=True)
BLOCKS = {      # with every member that a machine may have
    Argmax: lambda: Argmax(classes=3, score_bits=4),
    Bank: lambda: Bank(STREAM.timing, {}),
    BoardTop: lambda: BoardTop(STREAM, None, clocking=Clocking(12.0)),
    CoreCell: lambda: CoreCell(STREAM, 0),
    Framer: lambda: Framer(STREAM),
    Inputs: lambda: Inputs(STREAM.layout, {}),
    Lanes: lambda: Lanes(lanes=16, units=1, acc_bits=4, x_bits=1),
    LinkedCore: lambda: LinkedCore(STREAM, None, divisor=4),
    NeuronArray: lambda: NeuronArray(STREAM.timing, {}),
    NeuronUnit: lambda: NeuronUnit(FULL, pools=True),
    PotentialScore: lambda: PotentialScore(FULL.readout_fields, current_bits=4, score_bits=4),
    Reader: lambda: Reader(STREAM.layout, sum_bits=4),
    Readout: lambda: Readout(STREAM.timing, {}),
    Rom: lambda: Rom(Memory(name="rom", width=2, depth=2, no_collision="", columns={"a": (0, 3)})),
    SpikeMemory: lambda: SpikeMemory(STREAM.timing, {}),
    SpikingCore: lambda: SpikingCore(STREAM, None),
    UartRx: lambda: UartRx(divisor=4),
    UartTx: lambda: UartTx(divisor=4),
    Walker: lambda: Walker(STREAM.timing, {}),
    WeightMemory: lambda: WeightMemory(block_rams(16, 2), rows=2),
}


def components(text):
    """The classes of a module's *text* that are components."""
    return [node for node in ast.parse(text).body if isinstance(node, ast.ClassDef)
            and any(ast.unparse(base).endswith("Component") for base in node.bases)]


SOURCES = {node.name: node for path in sorted(ROOM.rglob("*.py"))
           for node in components(path.read_text())}


def table(docstring):
    """Name → flow of the table under Members, or None without one; columns must keep their
    places, as in reStructuredText's simple tables."""
    _, heading, below = docstring.partition("\nMembers\n-------\n")
    lines = below.splitlines()
    rules = [number for number, line in enumerate(lines) if RULE.fullmatch(line)]
    if not heading or len(rules) != 2 or rules[0]:
        return None
    edges = [match.span() for match in re.finditer("=+", lines[0])]
    members = {}
    for line in lines[1:rules[1]]:
        assert all(line[end:end + 1].strip() == "" for _, end in edges[:-1]), f"crooked: {line}"
        name, flow = (line[start:end].strip() for start, end in edges[:2])
        if name:
            members[name.strip("`")] = flow
    return members


def members_of(docstring):
    """The table, of the block that *docstring* refers to where it does."""
    other = re.search(r"\nMembers\n-------\nThose of `(\w+)`\.$", docstring)
    return members_of(ast.get_docstring(SOURCES[other[1]])) if other else table(docstring)


def flows(component):
    """Name → flow of each member of the signature."""
    return {name: "In" if member.flow == In else "Out"
            for name, member in component.signature.members.items()}


def attributes_set(node):
    """Line and name of each attribute of self that a method other than __init__ sets."""
    for method in node.body:
        if isinstance(method, ast.FunctionDef) and method.name != "__init__":
            for inner in ast.walk(method):
                if _is_set(inner):
                    yield inner.lineno, inner.attr
                if isinstance(inner, ast.Call) and ast.unparse(inner).startswith("setattr(self,"):
                    yield inner.lineno, ast.unparse(inner.args[1])


def _is_set(node):
    return (isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
            and isinstance(node.value, ast.Name) and node.value.id == "self")


def test_every_component_is_looked_at():
    assert {block.__name__ for block in BLOCKS} == set(SOURCES)


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.__name__)
def test_its_table_is_its_signature(block):
    assert members_of(ast.get_docstring(SOURCES[block.__name__])) == flows(BLOCKS[block]())


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_elaborate_leaves_no_attribute(name):
    assert list(attributes_set(SOURCES[name])) == []


GOOD = """A block.

Members
-------
====== === ==========
``a``  In  one
           and its rest
``b``  Out two
====== === ==========
"""


def test_the_table_is_read_by_its_columns():
    assert table(GOOD) == {"a": "In", "b": "Out"}
    assert table("A block.\n\nMembers\n-------\na : one\n") is None
    assert table("A block.") is None
    with pytest.raises(AssertionError, match="crooked: ``a``  Input"):
        table(GOOD.replace("In  one", "Input one"))


@pytest.mark.parametrize("line", [
    "self.a = 1", "x = self.a = 1", "self.a, b = 1, 2", "self.a += 1", "self.a: int = 1",
    "for self.a in b: pass", "setattr(self, 'a', 1)"])
def test_an_attribute_is_seen_however_it_is_set(line):
    text = f"class Block(wiring.Component):\n    def elaborate(self, platform):\n        {line}\n"
    (node,) = components(text)
    assert [number for number, _ in attributes_set(node)] == [3]


def test_reading_and_the_constructor_are_no_fault():
    text = ("class Block(wiring.Component):\n    def __init__(self):\n        self.a = 1\n"
            "    def elaborate(self, platform):\n        m.d.comb += self.a.eq(self.b.c)\n")
    assert list(attributes_set(components(text)[0])) == []
