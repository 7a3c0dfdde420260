"""The IR graph in the making, and what nodes ask of it."""

import re

from qsnn_compile.ir import Delay, MaxPool, Node, Op
from qsnn_compile.loader.nodes import OnnxFile, OnnxNode

from .values import Ref, State, Value


class Builder:
    """The IR nodes so far, and the states that turned out to be delays."""

    def __init__(self, file: OnnxFile) -> None:
        self.file = file
        self.weight_bits = file.mapping("weight_bits")
        self.nodes: list[Node] = []
        self._names: set[str] = set()
        self.delays: dict[str, str] = {}            # state -> its Delay node
        self.ends: dict[str, tuple[str, OnnxNode]] = {}     # state -> what it must become

    def add(self, name: str, op: Op, sources: tuple[str, ...], rank: int) -> Ref:
        name = re.sub(r"[^\w./$:-]|^[^A-Za-z_/]|:$", "_", name)
        while name in self._names:
            name += "_"
        self._names.add(name)
        self.nodes.append(Node(name, op, sources))
        return Ref(name, rank)

    def renamed(self, ref: Ref, name: str) -> Ref:
        """A max pool between sign changes, under the name of the second one."""
        last = self.nodes[-1]
        if last.name != ref.source or not isinstance(last.op, MaxPool):
            return ref
        self._names.discard(self.nodes.pop().name)
        return self.add(name, last.op, last.inputs, ref.rank)

    def ref(self, node: OnnxNode, value: Value | None) -> Ref:
        """*value* as a value of the network. A state that is read like one is a Delay."""
        if isinstance(value, State):
            return self._delay(node, value)
        if not isinstance(value, Ref):
            node.fail("input must be a value of the network, not a constant; remove the branch")
        return value

    def plain(self, node: OnnxNode, value: Value | None) -> Ref:
        ref = self.ref(node, value)
        if not ref.plain:
            node.fail(f"input must be {ref.source!r} itself, not that value scaled, shifted or "
                      "summed; fold scales into the neuron's parameters")
        return ref

    def _delay(self, node: OnnxNode, state: State) -> Ref:
        if state.initial.any():
            node.fail(f"state {state.name!r} must start at 0, not {int(state.initial.max())!r}; "
                      "a delayed value has no initial spikes")
        if state.name not in self.delays:
            made = self.add(state.name.removesuffix(".d"), Delay(), (state.name,), state.rank)
            self.delays[state.name] = made.source
        return Ref(self.delays[state.name], state.rank)
